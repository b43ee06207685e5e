//! Keys and prefixes in text.

use foremap::key::{CompositeKey, KeyPrefix, MAX_COMPONENTS, MAX_KEY_BYTES};
use foremap::partition::StorageLayout;

/// `CompositeKey::parse`: the canonical text is the only one, within the limits, and every part of it agrees.
pub fn composite_key(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let raw = CompositeKey::from_components(text.split('\0'));
    if let Ok(key) = &raw {
        check(key);
    }
    let Ok(key) = CompositeKey::parse(text) else { return raw.is_ok() };
    check(&key);
    true
}

fn check(key: &CompositeKey) {
    let text = key.as_str();
    assert!((1..=MAX_KEY_BYTES).contains(&text.len()));
    assert!((1..=MAX_COMPONENTS).contains(&key.depth()));
    assert_eq!(CompositeKey::parse(text).as_ref().map(CompositeKey::as_str), Ok(text));
    assert!(!text.bytes().any(|b| b < 0x20 || b == 0x7f));
    assert_eq!(key.components().count(), key.depth());
    assert!(key.components().all(|part| !part.is_empty() && part != "." && part != ".."));
    let json = serde_json::to_string(key).expect("text");
    assert_eq!(serde_json::from_str::<CompositeKey>(&json).as_ref().ok(), Some(key));
    for depth in 1..=key.depth() {
        let prefix = KeyPrefix::parse(key.portion(depth)).expect("a portion is a prefix");
        assert!(prefix.covers(key) && prefix.depth() == depth);
        let layout = StorageLayout::default();
        assert!(layout.shards_of(&prefix).contains(&layout.shard(key)), "a list of the prefix reads the key's shard");
    }
}

/// `KeyPrefix::parse`: canonical, whole components, and only the empty text is every key.
pub fn key_prefix(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(prefix) = KeyPrefix::parse(text) else { return false };
    assert_eq!(prefix == KeyPrefix::all(), text.is_empty(), "a slip must not open the namespace");
    for spelling in [prefix.as_str(), prefix.slashed()] {
        assert_eq!(KeyPrefix::parse(spelling).as_ref(), Ok(&prefix));
    }
    let json = serde_json::to_string(&prefix).expect("text");
    assert_eq!(serde_json::from_str::<KeyPrefix>(&json).as_ref().ok(), Some(&prefix));
    assert!(prefix.depth() <= MAX_COMPONENTS && prefix.as_str().len() <= MAX_KEY_BYTES);
    if let Ok(key) = CompositeKey::parse(prefix.as_str()) {
        assert!(prefix.covers(&key));
        let sibling = format!("{}0", key.as_str());
        assert!(!CompositeKey::parse(&sibling).is_ok_and(|sibling| prefix.covers(&sibling)));
    }
    true
}
