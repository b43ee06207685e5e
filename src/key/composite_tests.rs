use super::*;

fn canonical(text: &str) -> String {
    CompositeKey::parse(text).unwrap().to_string()
}

fn refused(text: &str) -> KeyError {
    CompositeKey::parse(text).unwrap_err()
}

#[test]
fn escapes_are_decoded_and_only_the_necessary_ones_restored() {
    assert_eq!(canonical("bucket/a%2fb"), "bucket/a%2Fb");
    assert_eq!(canonical("%41%62c/%25"), "Abc/%25");
    assert_eq!(canonical("a%00%1f%7F"), "a%00%1F%7F");
    assert_eq!(canonical("a\u{0}\n\u{7f}"), "a%00%0A%7F");
    assert_eq!(canonical("a b+c?d#e"), "a b+c?d#e");
    assert_eq!(canonical("%C3%A9/\u{e9}"), "\u{e9}/\u{e9}");
}

#[test]
fn unicode_is_not_normalised() {
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    assert_eq!(canonical(composed), composed);
    assert_eq!(canonical(decomposed), decomposed);
    assert_ne!(CompositeKey::parse(composed), CompositeKey::parse(decomposed));
}

#[test]
fn an_escape_is_decoded_once_only() {
    assert_eq!(canonical("a%252Fb"), "a%252Fb");
    assert_eq!(CompositeKey::parse("a%252Fb").unwrap().depth(), 1);
}

#[test]
fn empty_and_dot_components_are_refused_in_every_spelling() {
    for text in ["", "/", "a/", "/a", "a//b"] {
        assert_eq!(refused(text), KeyError::Empty, "{text:?}");
    }
    for text in [".", "..", "a/./b", "a/..", "%2E", "%2e.", ".%2e/a"] {
        assert_eq!(refused(text), KeyError::DotComponent, "{text:?}");
    }
    assert_eq!(canonical(".../.a/a."), ".../.a/a.");
}

#[test]
fn bad_escapes_and_bad_utf8_are_refused() {
    for text in ["%", "a%", "a%4", "%4g", "%%41", "a/%+1", "%\u{e9}"] {
        assert_eq!(refused(text), KeyError::BadEscape, "{text:?}");
    }
    // A stray byte, an overlong slash, an encoded surrogate, a character cut by the separator.
    for text in ["%FF", "%C0%AF", "%ED%A0%80", "%C3/%A9"] {
        assert_eq!(refused(text), KeyError::NotUtf8, "{text:?}");
    }
}

#[test]
fn limits_count_canonical_bytes_and_components() {
    let longest = "a".repeat(MAX_KEY_BYTES);
    assert_eq!(canonical(&longest), longest);
    assert_eq!(refused(&format!("{longest}a")), KeyError::TooLong);
    // Three bytes each on the way in, one each in canonical form.
    assert_eq!(canonical(&"%61".repeat(MAX_KEY_BYTES)), longest);
    // One byte each on the way in, three each in canonical form.
    assert!(CompositeKey::parse(&"\n".repeat(MAX_KEY_BYTES / 3)).is_ok());
    assert_eq!(refused(&"\n".repeat(MAX_KEY_BYTES / 3 + 1)), KeyError::TooLong);
    assert_eq!(refused(&"a".repeat(1 << 20)), KeyError::TooLong);

    let deepest = ["a"; MAX_COMPONENTS].join("/");
    assert_eq!(CompositeKey::parse(&deepest).unwrap().depth(), MAX_COMPONENTS);
    assert_eq!(refused(&format!("{deepest}/a")), KeyError::TooManyComponents);
}

#[test]
fn raw_components_are_data() {
    let key = CompositeKey::from_components(["a/b", "100%", "%41"]).unwrap();
    assert_eq!(key.as_str(), "a%2Fb/100%25/%2541");
    assert_eq!(key.components().collect::<Vec<_>>(), ["a%2Fb", "100%25", "%2541"]);
    assert_eq!(CompositeKey::from_components([]), Err(KeyError::Empty));
    assert_eq!(CompositeKey::from_components(["a", ""]), Err(KeyError::Empty));
    assert_eq!(CompositeKey::from_components([".."]), Err(KeyError::DotComponent));
}

#[test]
fn only_the_canonical_spelling_is_canonical() {
    assert!(CompositeKey::from_canonical("a/b%2Fc").is_some());
    for text in ["a/b%2fc", "%61", "a\n", "", "a/"] {
        assert_eq!(CompositeKey::from_canonical(text), None, "{text:?}");
    }
}

#[test]
fn order_is_byte_order_of_the_canonical_text() {
    // `!` sorts before `/`, so a sibling may come between a key and its children.
    let ascending = ["a", "a!", "a/b", "a0", "b", "\u{e9}", "\u{10000}"];
    let keys: Vec<_> = ascending.iter().map(|text| CompositeKey::parse(text).unwrap()).collect();
    assert!(keys.is_sorted_by(|a, b| a < b));
}

#[test]
fn portions_end_at_component_boundaries() {
    let key = CompositeKey::parse("user/1/avatar").unwrap();
    assert_eq!(key.portion(0), "");
    assert_eq!(key.portion(1), "user/");
    assert_eq!(key.portion(2), "user/1/");
    assert_eq!(key.portion(3), "user/1/avatar/");
    assert_eq!(key.portion(16), "user/1/avatar/");
    assert_eq!(key.component_after(0), Some("user/"));
    assert_eq!(key.component_after(2), Some("avatar/"));
    assert_eq!(key.component_after(3), None);
    assert_eq!(key.component_after(16), None);
    assert_eq!(key.slashed_prefixes().collect::<Vec<_>>(), ["user/", "user/1/", "user/1/avatar/"]);
}

#[test]
fn json_is_the_canonical_text() {
    let key: CompositeKey = serde_json::from_str(r#""a%2fb/\u00e9""#).unwrap();
    assert_eq!(serde_json::to_string(&key).unwrap(), "\"a%2Fb/\u{e9}\"");
    assert!(serde_json::from_str::<CompositeKey>(r#""a//b""#).is_err());
    assert!(serde_json::from_str::<CompositeKey>(r#""\ud800""#).is_err());
}
