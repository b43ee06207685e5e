use super::*;
use crate::key::CompositeKey;

fn frames() -> Vec<FeedFrame> {
    let key = CompositeKey::parse("user/1/profile").expect("a key");
    let feed = FeedId { node: 3, number: 77 };
    let hello = Hello { feed, clock: MAX_VERSION, heartbeat_ms: 3_333, incarnation: u32::MAX, relayed: false };
    let change = Change { shard: 9, version: 1_000, key, deleted: true };
    vec![
        FeedFrame { hello: Some(hello), clock_ms: 5, age_ms: 2, ..FeedFrame::default() },
        FeedFrame { number: 1, clock_ms: 3_338, age_ms: 7, ..FeedFrame::default() },
        FeedFrame {
            number: 2,
            clock_ms: 4_000,
            steps: vec![FeedStep { shard: 9, from: 900, to: 1_000 }, FeedStep { shard: 10, from: 4, to: 4 }],
            late: vec![LateShard { shard: 8, age_ms: u32::MAX }],
            changes: vec![change],
            ..FeedFrame::default()
        },
    ]
}

fn stream() -> Vec<u8> {
    frames().iter().fold(FeedFrame::PREAMBLE.to_vec(), |mut bytes, frame| {
        bytes.extend(frame.encode());
        bytes
    })
}

#[test]
fn frames_are_read_however_the_bytes_are_cut() {
    let bytes = stream();
    for size in 1..=bytes.len() {
        let mut reader = FeedReader::default();
        let read: Vec<_> = bytes.chunks(size).flat_map(|chunk| reader.push(chunk).expect("a feed")).collect();
        assert_eq!(read, frames(), "in pieces of {size}");
        assert_eq!(reader.buffered(), 0);
    }
}

#[test]
fn a_heartbeat_is_small_and_shared_changes_make_the_same_bytes() {
    let frames = frames();
    assert!(frames[1].encode().len() <= 10);
    let changes: Vec<Vec<u8>> = frames[2].changes.iter().map(Change::encode).collect();
    let head = FeedFrame { changes: Vec::new(), ..frames[2].clone() };
    assert_eq!(head.encode_with(changes.iter().map(Vec::as_slice)), frames[2].encode());
    assert_eq!(head.encode_joined(changes.len(), &changes.concat()), frames[2].encode());
}

#[test]
fn what_is_no_feed_is_refused() {
    assert_eq!(FeedReader::default().push(b"FMCF\x02"), Err(DecodeError::BadMagic));
    assert_eq!(FeedReader::default().push(b"<html>"), Err(DecodeError::BadMagic));
    let mut reader = FeedReader::default();
    reader.push(&FeedFrame::PREAMBLE).expect("a beginning");
    assert_eq!(reader.push(&[0xff, 0xff, 0xff, 0x7f]), Err(DecodeError::TooMany("frame")));
    for bytes in [&[2, 0, 0, 0, 0, 0, 0][..], &[4, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 0, 0, 0, 0]] {
        assert!(FeedFrame::decode(bytes).is_err(), "{bytes:?}");
    }
    let step = FeedStep { shard: 1, from: MAX_VERSION, to: MAX_VERSION };
    let mut bytes = FeedFrame { steps: vec![step], ..FeedFrame::default() }.encode();
    let end = bytes.len() - 3;
    bytes[end] = 1;
    assert_eq!(FeedFrame::decode(&bytes[1..]), Err(DecodeError::BadValue("to")));
}
