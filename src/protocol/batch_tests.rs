use super::*;
use crate::key::CompositeKey;

fn item(key: &str) -> BatchItem {
    BatchItem { key: CompositeKey::parse(key).unwrap(), if_version: None, class: Class::Demand }
}

#[test]
fn a_short_json_request_has_the_defaults() {
    let read: BatchRequest = serde_json::from_str(r#"{"items":[{"key":"a/b"}]}"#).unwrap();
    assert_eq!(read, BatchRequest { items: vec![item("a/b")], ..BatchRequest::default() });
    assert_eq!((read.consistency, read.max_staleness_ms), (Consistency::Bounded, 2_000));
}

#[test]
fn a_full_json_request_round_trips() {
    let text = r#"{"items":[{"key":"a/b","if_version":9007199254740991,"class":"prefetch"}],"consistency":"strong","max_staleness_ms":5,"map":{"epoch":{"incarnation":1,"number":2},"hash":"00000000deadbeef"},"floors":[{"shard":3,"position":4}],"cursors":[{"shard":5,"position":6}],"stream":"s","forwarded":true}"#;
    let read: BatchRequest = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    assert_eq!(BatchRequest::decode(&read.encode()), Ok(read));
}

#[test]
fn outcomes_are_tagged_in_json() {
    let text = r#"{"epoch":{"incarnation":1,"number":2},"results":[{"outcome":"found","keymap":{"key":"a","version":1,"locator":"l","meta":{"b":[1,2]}},"at":{"shard":1,"position":2,"age_ms":3},"node":4},{"outcome":"unchanged","version":8,"at":{"shard":1,"position":2,"age_ms":3},"node":4},{"outcome":"missing","at":{"shard":1,"position":2,"age_ms":3},"node":4},{"outcome":"error","code":"UNAVAILABLE","detail":"later","at":{"shard":1,"position":0,"age_ms":0},"node":4}],"positions":[{"shard":1,"position":2,"age_ms":3}],"changes":[{"shard":1,"version":2,"key":"a/b","deleted":true}],"resets":[7]}"#;
    let read: BatchResponse = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    assert_eq!(BatchResponse::decode(&read.encode()), Ok(read));
}

#[test]
fn limits_hold_for_json_as_for_binary() {
    let mut request = BatchRequest { items: vec![item("a"); 256], ..BatchRequest::default() };
    assert_eq!(request.validate(), Ok(()));
    request.items.push(item("a"));
    let problem = request.validate().unwrap_err();
    assert_eq!((problem.code, problem.limit), (ErrorCode::TooManyKeys, Some(256)));

    let cursor = Cursor { shard: 0, position: MAX_VERSION + 1 };
    let known = MapKnowledge { epoch: Epoch { incarnation: 0, number: 1 << 53 }, hash: 0 };
    let cases = [
        BatchRequest { stream: Some("s".repeat(129)), ..BatchRequest::default() },
        BatchRequest { floors: vec![cursor], ..BatchRequest::default() },
        BatchRequest { cursors: vec![cursor], ..BatchRequest::default() },
        BatchRequest { map: Some(known), ..BatchRequest::default() },
        BatchRequest { items: vec![BatchItem { if_version: Some(1 << 53), ..item("a") }], ..BatchRequest::default() },
    ];
    for case in cases {
        assert_eq!(case.validate().unwrap_err().code, ErrorCode::BadRequest, "{case:?}");
        assert!(BatchRequest::decode(&case.encode()).is_err(), "{case:?}");
    }
}
