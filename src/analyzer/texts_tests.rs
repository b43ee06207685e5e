use super::*;

fn id(text: &str) -> KeyId {
    KeyId::of_bytes(7, text.as_bytes())
}

fn touch(store: &mut TextStore, text: &str, seen: u32) {
    store.touch(id(text), text.as_bytes(), seen);
}

fn known(store: &TextStore, text: &str) -> bool {
    let mut buffer = Vec::new();
    match store.text(id(text), &mut buffer) {
        Some(found) => {
            assert_eq!(found, text.as_bytes());
            true
        }
        None => false,
    }
}

#[test]
fn remembers_text_and_what_is_known() {
    let mut store = TextStore::new(1 << 14, 7);
    touch(&mut store, "user/123456", 10);
    touch(&mut store, "", 11);
    touch(&mut store, "user/123456", 12);
    assert!(known(&store, "user/123456") && known(&store, "") && !known(&store, "user/3"));
    let (one, two) = (id("user/123456"), id(""));
    assert_eq!(store.known(one), Some(Known { seen: 12, count: 2, ..Known::default() }));
    store.book(one, two);
    store.book(one, id("user/3"));
    store.pay_back(one, two);
    assert_eq!(store.known(one).map(|known| known.predicted), Some(Record { trials: 2, successes: 1 }));
    assert_eq!(store.known(two).map(|known| known.predicts), Some(Record { trials: 1, successes: 1 }));
    assert_eq!(store.len(), 2);
}

#[test]
fn what_is_in_use_outlives_a_scan_and_a_scan_leaves_no_trace() {
    let mut store = TextStore::new(1 << 14, 7);
    for n in 0..50_000 {
        touch(&mut store, &format!("scanned/{n}"), n);
        touch(&mut store, "in use", n);
    }
    assert!(known(&store, "in use") && !known(&store, "scanned/0"));
    assert_eq!(store.known(id("in use")).map(|known| known.count), Some(u8::MAX));
    assert!(store.used_bytes() <= store.bound() && store.bytes() <= 1 << 14);
    assert!(store.evicted() > 49_000 && store.len() < 700, "{} {}", store.evicted(), store.len());
}

#[test]
fn short_keys_fill_the_store_to_the_brim() {
    let mut store = TextStore::new(1 << 18, 7);
    // 14 bytes each, with three of four slots in use: few buckets overflow.
    for n in 0..12_000 {
        touch(&mut store, &format!("{:010}", u64::from(n) * 7_919), n);
    }
    assert!(store.len() > 11_700, "{} full buckets", store.evicted());
}

#[test]
fn all_in_use_is_no_endless_round() {
    let mut store = TextStore::new(4_096, 7);
    for n in 0..10_000 {
        for old in 0..40 {
            touch(&mut store, &format!("one of many that stay/{old}"), n);
        }
        touch(&mut store, &format!("new/{n}"), n);
        assert!(known(&store, &format!("new/{n}")));
    }
}

#[test]
fn a_text_too_long_is_not_kept() {
    let mut store = TextStore::new(4_096, 7);
    touch(&mut store, &"x".repeat(1_024), 0);
    assert!(!known(&store, &"x".repeat(1_024)));
    assert_eq!(store.len(), 0);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is asked for: what the store tells is what it was told last, it knows the newest key, and
        /// its count of entries is that of the keys it still tells.
        #[test]
        fn tells_only_what_it_was_told(accesses in prop::collection::vec((0_usize..200, 0_usize..90), 1..2_000)) {
            let mut store = TextStore::new(4_096, 7);
            let mut told: HashMap<String, u32> = HashMap::new();
            for (now, (n, pad)) in accesses.into_iter().enumerate() {
                let text = format!("{n}{}{n}", ["x", "0", "\u{e9}"][n % 3].repeat(n * 7 % 60 + pad / 89));
                touch(&mut store, &text, now as u32);
                prop_assert!(known(&store, &text));
                told.insert(text, now as u32);
            }
            let mut kept = 0;
            for (text, seen) in &told {
                if known(&store, text) {
                    kept += 1;
                    prop_assert_eq!(store.known(id(text)).map(|known| known.seen), Some(*seen));
                }
            }
            prop_assert_eq!(kept, store.len());
            prop_assert!(store.used_bytes() <= store.bound());
        }
    }
}
