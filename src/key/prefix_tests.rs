use super::*;

fn prefix(text: &str) -> KeyPrefix {
    KeyPrefix::parse(text).unwrap()
}

fn covers(text: &str, key: &str) -> bool {
    prefix(text).covers(&CompositeKey::parse(key).unwrap())
}

#[test]
fn a_prefix_is_whole_components() {
    assert!(covers("user/1", "user/1"));
    assert!(covers("user/1", "user/1/avatar"));
    assert!(!covers("user/1", "user/10"));
    assert!(!covers("user/1", "user"));
    assert!(!covers("user/1", "user/1%2Favatar"));
    assert!(covers("", "user/1"));
}

#[test]
fn a_closing_slash_is_allowed_and_dropped() {
    assert_eq!(prefix("user/1/"), prefix("user/1"));
    assert_eq!(prefix("user/1").slashed(), "user/1/");
    assert_eq!(prefix("user/%31").as_str(), "user/1");
    assert_eq!(prefix(""), KeyPrefix::all());
    assert_eq!((KeyPrefix::all().slashed(), KeyPrefix::all().depth()), ("", 0));
}

#[test]
fn a_lone_slash_is_not_the_prefix_of_everything() {
    for text in ["/", "//", "a//", "/a"] {
        assert_eq!(KeyPrefix::parse(text), Err(KeyError::Empty), "{text:?}");
    }
    assert_eq!(KeyPrefix::parse("a/.."), Err(KeyError::DotComponent));
}

#[test]
fn order_is_that_of_keys() {
    // By the closing slash, `a!/` would come before `a/`.
    let ascending = ["", "a", "a!", "a/b", "a0"].map(prefix);
    assert!(ascending.is_sorted_by(|a, b| a < b));
}

#[test]
fn json_is_the_canonical_text() {
    let read: KeyPrefix = serde_json::from_str(r#""a%2fb/""#).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), r#""a%2Fb""#);
    assert!(serde_json::from_str::<KeyPrefix>(r#""/""#).is_err());
}
