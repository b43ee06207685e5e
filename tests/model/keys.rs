//! Canonical text, order and prefixes.

use foremap::key::{CompositeKey, KeyPrefix, MAX_COMPONENTS, MAX_KEY_BYTES};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::config;
use crate::strategies::{component, key, prefix};

/// Canonical text by the definition, one character at a time.
fn naive_component(raw: &str) -> String {
    let escape = |c: char| matches!(c, '/' | '%') || c.is_ascii_control();
    raw.chars().map(|c| if escape(c) { format!("%{:02X}", c as u32) } else { c.to_string() }).collect()
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn canonicalisation_is_idempotent_and_bounded(text in "([a-c./%!\u{e9}]|%[0-9a-fA-F]{2}|[ -~]|\\PC){0,30}") {
        if let Ok(key) = CompositeKey::parse(&text) {
            prop_assert!(key.as_str().len() <= MAX_KEY_BYTES && (1..=MAX_COMPONENTS).contains(&key.depth()));
            prop_assert_eq!(CompositeKey::parse(key.as_str()), Ok(key.clone()));
            prop_assert!(!key.as_str().chars().any(|c| c.is_ascii_control()));
            prop_assert_eq!(key.components().count(), key.depth());
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>(), bytes in vec(any::<u8>(), 0..40)) {
        let hostile = String::from_utf8_lossy(&bytes);
        for text in [&text, &*hostile] {
            let _ = KeyPrefix::parse(text);
            if let Ok(key) = CompositeKey::parse(text) {
                prop_assert_eq!(CompositeKey::parse(key.as_str()), Ok(key));
            }
        }
    }

    #[test]
    fn components_are_data(raw in vec(component(), 1..=8)) {
        let key = CompositeKey::from_components(raw.iter().map(String::as_str)).unwrap();
        let expected: Vec<_> = raw.iter().map(|raw| naive_component(raw)).collect();
        prop_assert_eq!(key.as_str(), expected.join("/"));
        prop_assert_eq!(&CompositeKey::parse(key.as_str()).unwrap(), &key);
        // Escaping every byte is another spelling of the same key.
        let escaped = raw.iter().map(|raw| raw.bytes().map(|b| format!("%{b:02x}")).collect::<String>());
        prop_assert_eq!(CompositeKey::parse(&escaped.collect::<Vec<_>>().join("/")).unwrap(), key);
    }

    #[test]
    fn order_is_that_of_the_text(a in key(), b in key(), p in prefix(), q in prefix()) {
        prop_assert_eq!(a.cmp(&b), a.as_str().as_bytes().cmp(b.as_str().as_bytes()));
        prop_assert_eq!(p.cmp(&q), p.as_str().as_bytes().cmp(q.as_str().as_bytes()));
        prop_assert_eq!(a == b, a.as_str() == b.as_str());
    }

    #[test]
    fn a_prefix_covers_by_components(key in key(), prefix in prefix()) {
        let (key_parts, parts) = (key.components().collect::<Vec<_>>(), prefix.as_str().split('/').collect::<Vec<_>>());
        let expected = prefix == KeyPrefix::all() || key_parts.starts_with(&parts);
        prop_assert_eq!(prefix.covers(&key), expected);
        for depth in 0..=key.depth() {
            prop_assert!(KeyPrefix::parse(key.portion(depth)).unwrap().covers(&key));
        }
    }

    #[test]
    fn portions_are_leading_components(key in key(), depth in 0..20_usize) {
        let parts: Vec<_> = key.components().map(|part| format!("{part}/")).collect();
        prop_assert_eq!(key.portion(depth), parts[..depth.min(parts.len())].concat());
        prop_assert_eq!(key.component_after(depth), parts.get(depth).map(String::as_str));
    }

    #[test]
    fn json_round_trips(key in key(), prefix in prefix()) {
        let text = serde_json::to_string(&(&key, &prefix)).unwrap();
        prop_assert_eq!(serde_json::from_str::<(CompositeKey, KeyPrefix)>(&text).unwrap(), (key, prefix));
    }
}
