use super::*;
use crate::protocol::Class;

fn items(texts: &[&str]) -> Vec<BatchItem> {
    let item = |text: &&str| BatchItem {
        key: CompositeKey::parse(text).expect("valid"),
        if_version: None,
        class: Class::Demand,
    };
    texts.iter().map(item).collect()
}

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

#[test]
fn both_ends_name_the_same_keys() {
    let mut fetched = Fetched::default();
    fetched.push(&items(&["a", "b"]));
    fetched.push(&items(&["c", "a"]));
    for (text, name) in [("a", 1), ("c", 2), ("b", 3), ("d", 0)] {
        assert_eq!(fetched.name(&key(text)), name, "{text}");
    }
    assert_eq!(fetched.key(3), Some(&key("b")));
    assert_eq!((fetched.key(0), fetched.key(5)), (None, None));
}

#[test]
fn memory_is_bounded_and_the_reach_is_the_same_however_batches_were_cut() {
    let texts: Vec<String> = (0..1_000).map(|at| format!("key/{at}")).collect();
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (mut one, mut many) = (Fetched::default(), Fetched::default());
    one.push(&items(&all));
    all.chunks(7).for_each(|some| many.push(&items(some)));
    for at in [999, 999 - Rider::REACH + 1, 999 - Rider::REACH] {
        let key = key(&format!("key/{at}"));
        assert_eq!(one.name(&key), many.name(&key), "{at}");
    }
    assert_eq!(one.name(&key("key/999")), 1);
    assert_eq!(one.name(&key(&format!("key/{}", 999 - Rider::REACH))), 0);
    assert!(many.bytes() <= 2 * Rider::REACH * "key/999".len());
}

#[test]
fn a_link_is_of_what_the_batch_says() {
    let rider = Rider { after: Some(7), asked: vec![1, 0, 3] };
    let links = [
        rider.link(&items(&["a", "b"])),
        rider.link(&items(&["b", "a"])),
        Rider { after: Some(8), ..rider.clone() }.link(&items(&["a", "b"])),
        Rider { asked: vec![1, 3], ..rider.clone() }.link(&items(&["a", "b"])),
    ];
    assert_eq!(links[0], rider.link(&items(&["a", "b"])));
    assert!(links[1..].iter().all(|&link| link != links[0]), "{links:?}");
}

#[test]
fn length_is_that_of_the_binary_form() {
    for (after, asked) in [(None, 0), (Some(0), 0), (Some(255), 63), (None, 64), (Some(1), Rider::MAX_ASKED)] {
        let rider = Rider { after, asked: vec![127; asked] };
        let mut w = Writer::default();
        rider.write(&mut w);
        let bytes = w.finish();
        assert_eq!(bytes.len(), rider.len());
        assert_eq!(Rider::read(&mut Reader::new(&bytes)), Ok(rider));
    }
    for bad in [&[2, 128][..], &[1], &[4, 1], &[0x84, 4]] {
        assert!(Rider::read(&mut Reader::new(bad)).is_err(), "{bad:?}");
    }
}
