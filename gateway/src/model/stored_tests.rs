use std::sync::Arc;

use foremap::key::KeyPrefix;
use foremap::model::class_of;
use foremap::protocol::{KeyRule, QuantizedShare, Successors};

use super::*;
use crate::model::{ContentEncoding, ServedModel};

/// So many keys below `a` and as many below `b`, each leading to the next.
fn snapshot(keys: u32) -> ModelSnapshot {
    let text = |n: u32| format!("{}/{:08x}", if n < keys { "a" } else { "b" }, n.wrapping_mul(2_654_435_761));
    let mut texts: Vec<String> = (0..2 * keys).map(text).collect();
    texts.sort();
    let then = |next| Successors { visits: 2, next: vec![(next, QuantizedShare::of(0.5))] };
    let rule = |last| KeyRule { before: None, last, then: then((last + 1) % (2 * keys)) };
    ModelSnapshot {
        made: 7,
        name_bytes: 3,
        keys: texts,
        rules: (0..2 * keys).map(rule).collect(),
        ..Default::default()
    }
}

#[test]
fn the_class_is_the_largest_within() {
    for (bytes, class) in [(1_024, 0), (4_096, 0), (16_383, 0), (16_384, 1), (65_536, 2), (262_143, 2), (1 << 20, 3)] {
        assert_eq!(class_of(bytes), class, "{bytes}");
    }
}

#[test]
fn what_is_stored_is_read_again_and_nothing_else() {
    let stored = Stored::of(&[snapshot(3), snapshot(40)]).expect("readable");
    let bytes = stored.encode();
    let again = Stored::decode(&bytes).expect("its own bytes");
    assert_eq!((again.made, again.sizes.len()), (7, 2));
    assert_eq!(again.size(3).raw, snapshot(40).encode());
    assert_eq!(again.encode(), bytes);
    for len in 0..bytes.len() {
        assert!(Stored::decode(&bytes[..len]).is_err(), "{len}");
    }
    assert!(Stored::of(&[]).is_none());
    // Whatever inflates to more than a snapshot may have.
    let mut w = Writer::with_header(MAGIC, VERSION);
    w.list([compressed(&vec![0; 8 << 20])].iter(), |w, brotli| w.bytes(brotli));
    assert!(Stored::decode(&w.finish()).is_err());
}

#[tokio::test]
async fn whoever_may_read_less_gets_more_of_it() {
    // Of what is too large for the first class, half fits.
    let (small, large) = (snapshot(300), snapshot(600));
    let served = Arc::new(ServedModel::new(Stored::of(&[small, large]).expect("readable"), None));
    assert!(served.stored.sizes[0].brotli.len() <= CLASSES[0] && served.stored.sizes[1].brotli.len() > CLASSES[0]);
    let some: Arc<[KeyPrefix]> = ["a", "c", "a"].map(|text| KeyPrefix::parse(text).expect("valid")).into();
    let body = served.body(served.form(Some(some.clone()), 0, ContentEncoding::Brotli, None)).await.expect("made");
    assert!(body.bytes.len() <= CLASSES[0]);
    let plain = served.body(served.form(Some(some.clone()), 0, ContentEncoding::Identity, None)).await.expect("made");
    let model = ModelSnapshot::decode(&plain.bytes).expect("a model");
    assert_eq!(model.keys.len(), 600);
    assert!(model.keys.iter().all(|key| key.starts_with("a/")));
    assert_ne!(body.tag, plain.tag);
    assert_eq!(served.kept(), (2, 64));
    // The same prefixes in another order are the same.
    let other: Arc<[KeyPrefix]> = some.iter().rev().cloned().collect();
    assert_eq!(
        served.body(served.form(Some(other), 0, ContentEncoding::Brotli, None)).await.expect("kept").tag,
        body.tag
    );
    assert_eq!(served.kept().0, 2);
    let whole = served.body(served.form(None, 3, ContentEncoding::Brotli, None)).await.expect("made");
    assert_eq!(whole.bytes, served.stored.sizes[1].brotli);
    for n in 0..100 {
        let prefix = [KeyPrefix::parse(&format!("x{n}")).expect("valid")].into();
        served.body(served.form(Some(prefix), 0, ContentEncoding::Identity, None)).await.expect("made");
    }
    assert_eq!(served.kept(), (64, 64));
}
