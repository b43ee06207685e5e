use super::*;

fn id(n: u64) -> KeyId {
    KeyId::of_bytes(0, &n.to_le_bytes())
}

#[test]
fn remembers_text_and_what_is_known() {
    let mut store = TextStore::new(1 << 14);
    store.touch(id(1), b"user/1", 10);
    store.touch(id(2), b"", 11);
    store.touch(id(1), b"user/1", 12);
    assert_eq!(store.text(id(1)), Some(&b"user/1"[..]));
    assert_eq!(store.text(id(2)), Some(&b""[..]));
    assert_eq!(store.text(id(3)), None);
    assert_eq!(store.known(id(1)), Some(Known { seen: 12, count: 2, ..Known::default() }));
    store.book(id(1), id(2));
    store.book(id(1), id(3));
    store.pay_back(id(1), id(2));
    assert_eq!(store.known(id(1)).map(|known| known.predicted), Some(Record { trials: 2, successes: 1 }));
    assert_eq!(store.known(id(2)).map(|known| known.predicts), Some(Record { trials: 1, successes: 1 }));
    assert_eq!(store.len(), 2);
}

#[test]
fn records_forget_by_halves() {
    let mut record = Record::default();
    for n in 0..1_000 {
        record.book();
        if n < 500 {
            record.pay_back();
        }
    }
    assert!(record.trials < Record::WINDOW && record.successes == 0, "{record:?}");
}

#[test]
fn what_is_in_use_outlives_a_scan_and_a_scan_leaves_no_trace() {
    let mut store = TextStore::new(1 << 14);
    for n in 0..50_000 {
        store.touch(id(n), format!("scanned/{n}").as_bytes(), n as u32);
        store.touch(id(1_000_000), b"in use", n as u32);
    }
    assert_eq!(store.text(id(1_000_000)), Some(&b"in use"[..]));
    assert_eq!(store.known(id(1_000_000)).map(|known| known.count), Some(u8::MAX));
    assert_eq!(store.text(id(0)), None);
    assert!(store.used_bytes() <= store.bound() && store.bytes() <= 1 << 14);
    assert!(store.evicted() > 49_000 && store.len() < 700, "{} {}", store.evicted(), store.len());
}

#[test]
fn a_text_too_long_is_not_kept() {
    let mut store = TextStore::new(4_096);
    store.touch(id(1), &[b'x'; 1_024], 0);
    assert_eq!((store.text(id(1)), store.len()), (None, 0));
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
        fn tells_only_what_it_was_told(accesses in prop::collection::vec((0_u64..200, 0_usize..90), 1..2_000)) {
            let mut store = TextStore::new(4_096);
            let mut told: HashMap<u64, (Vec<u8>, u32)> = HashMap::new();
            for (now, (n, pad)) in accesses.into_iter().enumerate() {
                let text = format!("{n}{}", "x".repeat(n as usize * 7 % 60 + pad / 90)).into_bytes();
                store.touch(id(n), &text, now as u32);
                told.insert(n, (text, now as u32));
                prop_assert!(store.text(id(n)).is_some());
            }
            let mut kept = 0;
            for (n, (text, seen)) in &told {
                if let Some(known) = store.text(id(*n)) {
                    kept += 1;
                    prop_assert_eq!(known, &text[..]);
                    prop_assert_eq!(store.known(id(*n)).map(|known| known.seen), Some(*seen));
                }
            }
            prop_assert_eq!(kept, store.len());
            prop_assert!(store.used_bytes() <= store.bound());
        }
    }
}
