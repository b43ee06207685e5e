//! Arbitrary and damaged bytes: an error or a value that encodes to the same bytes, never a panic.

use foremap::partition::{MapDelta, PartitionMap};
use foremap::protocol::{BatchRequest, BatchResponse, FeedFrame, FeedReader, Keymap, ListPage};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::config;
use crate::strategies::{binary_request, feed_frame, keymap, list_page, map, response, two_maps};

/// Hands `bytes` to every decoder; what one accepts must be the only form of its value.
///
/// A delta is accepted in any order and an unknown error code is read as
/// another one, so for these two the value is compared, not the bytes.
fn decode(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(map) = PartitionMap::decode(bytes) {
        prop_assert_eq!(map.encode(), bytes);
    }
    if let Ok(delta) = MapDelta::decode(bytes) {
        prop_assert_eq!(MapDelta::decode(&delta.encode()), Ok(delta));
    }
    if let Ok(request) = BatchRequest::decode(bytes) {
        prop_assert_eq!(request.encode(), bytes);
    }
    if let Ok(response) = BatchResponse::decode(bytes) {
        prop_assert_eq!(BatchResponse::decode(&response.encode()), Ok(response));
    }
    if let Ok(keymap) = Keymap::decode(bytes) {
        prop_assert_eq!(keymap.encode(), bytes);
    }
    if let Ok(page) = ListPage::decode(bytes) {
        prop_assert_eq!(page.encode(), bytes);
    }
    if let Ok(frames) = FeedReader::default().push(bytes)
        && !frames.is_empty()
    {
        prop_assert!(bytes.starts_with(&feed(&frames)));
    }
    Ok(())
}

/// One valid message of any kind.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        map().prop_map(|map| map.encode()),
        two_maps().prop_map(|(old, new)| MapDelta::between(&old, &new).expect("one namespace").encode()),
        binary_request().prop_map(|request| request.encode()),
        response(true).prop_map(|response| response.encode()),
        keymap().prop_map(|keymap| keymap.encode()),
        list_page().prop_map(|page| page.encode()),
        vec(feed_frame(), 1..4).prop_map(|frames| feed(&frames)),
    ]
}

fn feed(frames: &[FeedFrame]) -> Vec<u8> {
    frames.iter().fold(FeedFrame::PREAMBLE.to_vec(), |feed, frame| [feed, frame.encode()].concat())
}

/// Damage at a place: a byte replaced, inserted or removed, or a large varint put in.
#[derive(Debug, Clone)]
enum Damage {
    Replace(u8),
    Insert(u8),
    Remove,
    Huge,
}

fn damage() -> impl Strategy<Value = (prop::sample::Index, Damage)> {
    let damage = prop_oneof![
        any::<u8>().prop_map(Damage::Replace),
        any::<u8>().prop_map(Damage::Insert),
        Just(Damage::Remove),
        Just(Damage::Huge),
    ];
    (any::<prop::sample::Index>(), damage)
}

fn apply(bytes: &mut Vec<u8>, at: usize, damage: &Damage) {
    match damage {
        Damage::Replace(byte) => bytes[at] = *byte,
        Damage::Insert(byte) => bytes.insert(at, *byte),
        Damage::Remove => _ = bytes.remove(at),
        Damage::Huge => _ = bytes.splice(at..=at, [0xff, 0xff, 0xff, 0xff, 0x0f]),
    }
}

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn arbitrary_bytes(bytes in vec(any::<u8>(), 0..200), kind in 0..8_usize) {
        decode(&bytes)?;
        // Behind a valid header, so that the fields are reached.
        let headers = [b"FMAP\x01", b"FMDL\x01", b"FMBQ\x02", b"FMBA\x02", b"FMKM\x01", b"FMLP\x01", &FeedFrame::PREAMBLE];
        let frame = [&[bytes.len() as u8 & 0x7f][..], &bytes].concat();
        decode(&[&headers[kind.min(6)][..], if kind == 7 { &frame } else { &bytes }].concat())?;
    }

    #[test]
    fn damaged_messages(mut bytes in message(), damages in vec(damage(), 1..4)) {
        for (at, damage) in &damages {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                apply(&mut bytes, at, damage);
            }
        }
        decode(&bytes)?;
    }

    #[test]
    fn cut_messages(bytes in message(), end in any::<prop::sample::Index>()) {
        let end = end.index(bytes.len());
        let cut = &bytes[..end];
        prop_assert!(PartitionMap::decode(cut).is_err() && MapDelta::decode(cut).is_err());
        prop_assert!(BatchRequest::decode(cut).is_err() && BatchResponse::decode(cut).is_err());
        prop_assert!(Keymap::decode(cut).is_err() && ListPage::decode(cut).is_err());
    }
}
