use super::*;

fn fields() -> KeymapFields {
    KeymapFields {
        locator: "s3://bucket/1".into(),
        size: Some(12),
        etag: Some("\"e\"".into()),
        tags: vec!["t1".into(), "t2".into()],
        meta: Some(Meta(r#"{"a":[1,null,"x"]}"#.into())),
    }
}

fn keymap(fields: KeymapFields) -> Keymap {
    Keymap { key: CompositeKey::parse("a/b").unwrap(), version: 7, fields }
}

#[test]
fn meta_is_a_value_in_json_not_a_string() {
    let text = serde_json::to_string(&keymap(fields())).unwrap();
    assert_eq!(
        text,
        r#"{"key":"a/b","version":7,"locator":"s3://bucket/1","size":12,"etag":"\"e\"","tags":["t1","t2"],"meta":{"a":[1,null,"x"]}}"#
    );
    assert_eq!(serde_json::from_str::<Keymap>(&text).unwrap(), keymap(fields()));
    for meta in ["0", "null", "true", r#""text""#, "[]", "{}", "-1.5e300"] {
        let text = format!(r#"{{"key":"k","version":1,"locator":"l","meta":{meta}}}"#);
        let read: Keymap = serde_json::from_str(&text).unwrap();
        // An explicit null is no meta at all.
        assert_eq!(read.fields.meta.is_some(), meta != "null", "{meta}");
        assert_eq!(serde_json::from_str::<Keymap>(&serde_json::to_string(&read).unwrap()).unwrap(), read);
    }
}

#[test]
fn text_that_is_not_json_cannot_pose_as_meta() {
    let bad = KeymapFields { meta: Some(Meta(r#"1},"x":{"#.into())), ..fields() };
    assert!(serde_json::to_string(&keymap(bad)).is_err());
}

#[test]
fn limits_name_the_field() {
    type Damage = fn(&mut KeymapFields);
    let cases: [(Damage, &str); 7] = [
        (|f| f.locator.clear(), "locator"),
        (|f| f.locator = "l".repeat(4_097), "locator"),
        (|f| f.size = Some(1 << 53), "size"),
        (|f| f.etag = Some("e".repeat(257)), "etag"),
        (|f| f.tags = vec!["t".into(); 17], "tags"),
        (|f| f.tags = vec!["t".repeat(129)], "tag"),
        (|f| f.meta = Some(Meta(format!("\"{}\"", "m".repeat(16_383)).into())), "meta"),
    ];
    assert_eq!(fields().validate(), Ok(()));
    for (damage, name) in cases {
        let mut damaged = fields();
        damage(&mut damaged);
        let problem = damaged.validate().unwrap_err();
        assert_eq!(problem.code, ErrorCode::BadRequest);
        assert!(problem.detail.contains(&format!("`{name}`")), "{}", problem.detail);
    }
}

#[test]
fn weight_counts_what_is_on_the_heap() {
    let small = keymap(KeymapFields { locator: "l".into(), ..KeymapFields::default() });
    let mut large = small.clone();
    large.fields.locator = "l".repeat(1_001);
    large.fields.tags = vec!["t".repeat(100)];
    assert_eq!(large.weight() - small.weight(), 1_000 + 100 + size_of::<String>());
}

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn numbers_of_meta_are_read_as_they_are_written() {
    let text = r#"{"locator":"x","meta":[2.2790121708605243e+274,0.1,1e-7]}"#;
    let fields: KeymapFields = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&fields).unwrap(), text);
}
