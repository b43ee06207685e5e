use super::*;

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).unwrap()
}

fn keymap() -> Keymap {
    let fields = KeymapFields {
        locator: "s3://bucket/\u{e9}".into(),
        size: Some(MAX_VERSION),
        etag: Some(String::new()),
        tags: vec!["t".into(); KeymapFields::MAX_TAGS],
        meta: Some(Meta("{}".into())),
    };
    Keymap { key: key("a/b%2Fc"), version: MAX_VERSION, fields }
}

fn response() -> BatchResponse {
    let at = ReadPoint { shard: 255, position: MAX_VERSION, age_ms: u32::MAX };
    let errors = ErrorCode::ALL.iter().map(|&code| Outcome::Error { code, detail: "why".into() });
    let outcomes = [Outcome::Found { keymap: keymap() }, Outcome::Unchanged { version: 1 }, Outcome::Missing];
    let outcomes = outcomes.into_iter().chain(errors);
    BatchResponse {
        epoch: Epoch { incarnation: u32::MAX, number: MAX_VERSION },
        clock: None,
        results: outcomes.map(|outcome| ItemResult { outcome, at, node: u32::MAX }).collect(),
        positions: vec![at],
        changes: vec![Change { shard: 1, version: 2, key: key("x"), deleted: true }],
        resets: vec![0, u16::MAX],
        map: Some(MapUpdate::Delta(vec![1, 2, 3])),
    }
}

#[test]
fn everything_round_trips() {
    assert_eq!(Keymap::decode(&keymap().encode()), Ok(keymap()));
    assert_eq!(BatchResponse::decode(&response().encode()), Ok(response()));
    let full = BatchResponse { map: Some(MapUpdate::Full(vec![9])), ..BatchResponse::default() };
    assert_eq!(BatchResponse::decode(&full.encode()), Ok(full));
    assert_eq!(BatchRequest::decode(&BatchRequest::default().encode()), Ok(BatchRequest::default()));
}

#[test]
fn every_cut_is_refused() {
    let bytes = response().encode();
    for end in 0..bytes.len() {
        assert!(BatchResponse::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    let bytes = keymap().encode();
    for end in 0..bytes.len() {
        assert!(Keymap::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    assert_eq!(Keymap::decode(&response().encode()), Err(DecodeError::BadMagic));
}

#[test]
fn too_many_keys_are_named() {
    let item = BatchItem { key: key("a"), if_version: None, class: Class::Prefetch };
    let request = BatchRequest { items: vec![item; MAX_BATCH_KEYS + 1], ..BatchRequest::default() };
    assert_eq!(BatchRequest::decode(&request.encode()), Err(DecodeError::TooMany("items")));
}

#[test]
fn the_class_of_a_batch_is_told_without_decoding_it() {
    let item = |class| BatchItem { key: key("a/b"), if_version: Some(5), class };
    let (demand, ahead) = (item(Class::Demand), item(Class::Prefetch));
    let cases = [
        (vec![], Class::Demand),
        (vec![ahead.clone(); MAX_BATCH_KEYS], Class::Prefetch),
        (vec![ahead.clone(), demand.clone()], Class::Demand),
        (vec![demand, ahead.clone()], Class::Demand),
    ];
    let cursors = vec![Cursor { shard: 3, position: 4 }];
    for (items, class) in cases {
        let plain = BatchRequest { items, ..BatchRequest::default() };
        let full = BatchRequest {
            map: Some(MapKnowledge { epoch: Epoch { incarnation: 1, number: 2 }, hash: 3 }),
            stream: Some("stream".into()),
            feed: Some(FeedId { node: 6, number: 7 }),
            floors: cursors.clone(),
            cursors: cursors.clone(),
            model: Some(ModelWish { bytes: 9, known: 8 }),
            ..plain.clone()
        };
        for batch in [plain, full] {
            assert_eq!((batch.class(), BatchRequest::class_of(&batch.encode())), (class, Ok(class)), "{batch:?}");
        }
    }
    let over = BatchRequest { items: vec![ahead; MAX_BATCH_KEYS + 1], ..BatchRequest::default() };
    assert_eq!(BatchRequest::class_of(&over.encode()), Err(DecodeError::TooMany("items")));
    let bytes = over.encode();
    assert!((0..20).all(|end| BatchRequest::class_of(&bytes[..end]).is_err()));
}

#[test]
fn a_second_spelling_of_a_key_is_refused() {
    let mut bytes = keymap().encode();
    let at = bytes.windows(3).position(|w| w == b"%2F").unwrap();
    bytes[at + 2] = b'f';
    assert_eq!(Keymap::decode(&bytes), Err(DecodeError::BadValue("key")));
}

#[test]
fn a_code_of_a_newer_gateway_is_still_an_error() {
    let outcome = Outcome::Error { code: ErrorCode::BadKey, detail: String::new() };
    let result = ItemResult { outcome, at: ReadPoint::default(), node: 0 };
    let mut bytes = BatchResponse { results: vec![result], ..BatchResponse::default() }.encode();
    // Magic, version, epoch (2), clock, count, tag, then the code.
    assert_eq!(bytes[9..11], [3, 0]);
    bytes[10] = 99;
    let read = BatchResponse::decode(&bytes).unwrap();
    assert!(matches!(read.results[0].outcome, Outcome::Error { code: ErrorCode::BadAnswer, .. }));
}
