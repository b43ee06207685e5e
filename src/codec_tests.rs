use super::*;

fn varint(value: u64) -> Vec<u8> {
    let mut w = Writer::default();
    w.varint(value);
    w.finish()
}

#[test]
fn varints_round_trip_at_every_length() {
    for bits in 0..=64_u32 {
        for value in [1_u64.checked_shl(bits).unwrap_or(0).wrapping_sub(1), 1_u64.checked_shl(bits).unwrap_or(0)] {
            let bytes = varint(value);
            let mut r = Reader::new(&bytes);
            assert_eq!(r.varint(), Ok(value));
            assert!(r.is_empty());
        }
    }
    assert_eq!(varint(u64::MAX).len(), 10);
}

#[test]
fn a_varint_has_one_form() {
    let refused: [&[u8]; 4] =
        [&[0x80, 0], &[0xff, 0x80, 0], &[0xff; 11], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]];
    for bytes in refused {
        assert_eq!(Reader::new(bytes).varint(), Err(DecodeError::BadValue("varint")), "{bytes:x?}");
    }
    assert_eq!(Reader::new(&[0x80]).varint(), Err(DecodeError::Truncated));
}

#[test]
fn ranges_are_checked() {
    assert_eq!(Reader::new(&varint(7)).at_most(7, "n"), Ok(7));
    assert_eq!(Reader::new(&varint(8)).at_most(7, "n"), Err(DecodeError::BadValue("n")));
    assert_eq!(Reader::new(&varint(1 << 32)).u32("n"), Err(DecodeError::BadValue("n")));
    assert_eq!(Reader::new(&[2]).option(Reader::u8), Err(DecodeError::BadValue("option")));
    assert_eq!(Reader::new(&[1, 0xff]).str("text"), Err(DecodeError::BadValue("text")));
}

#[test]
fn a_length_is_checked_before_anything_is_taken() {
    for length in [2, 1 << 20, u64::from(u32::MAX), u64::MAX] {
        let mut bytes = varint(length);
        bytes.push(b'a');
        assert_eq!(Reader::new(&bytes).bytes(), Err(DecodeError::Truncated));
    }
}

#[test]
fn a_list_has_a_limit_and_must_be_complete() {
    let mut bytes = varint(1_000_000);
    bytes.extend([0; 40]);
    assert_eq!(Reader::new(&bytes).list(1_000_000, "items", |r| r.u64_le()), Err(DecodeError::Truncated));
    assert_eq!(Reader::new(&bytes).list(999_999, "items", |r| r.u64_le()), Err(DecodeError::TooMany("items")));
    assert_eq!(Reader::new(&[2, 7, 8]).list(2, "items", Reader::u8), Ok(vec![7, 8]));
}

#[test]
fn headers_are_checked() {
    let bytes = Writer::with_header(*b"FMXX", 3).finish();
    assert!(Reader::with_header(&bytes, *b"FMXX", 3).is_ok());
    assert_eq!(Reader::with_header(&bytes, *b"FMXY", 3).unwrap_err(), DecodeError::BadMagic);
    assert_eq!(Reader::with_header(&bytes, *b"FMXX", 1).unwrap_err(), DecodeError::BadVersion(3));
    assert_eq!(Reader::with_header(&bytes[..4], *b"FMXX", 3).unwrap_err(), DecodeError::Truncated);
    assert_eq!(Reader::new(&[0]).finish(), Err(DecodeError::Trailing));
}

#[test]
fn hashes_in_json_are_exactly_sixteen_digits() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Hash(#[serde(with = "super::hex")] u64);
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Pair(#[serde(with = "super::hex::pair")] [u64; 2]);

    assert_eq!(serde_json::to_string(&Hash(0xab)).unwrap(), r#""00000000000000ab""#);
    assert_eq!(serde_json::from_str::<Hash>(r#""FFFFFFFFFFFFFFFF""#).unwrap().0, u64::MAX);
    for text in [r#""""#, r#""ab""#, r#""+0000000000000ab""#, r#""000000000000000g""#, r#""00000000000000000""#, "1"] {
        assert!(serde_json::from_str::<Hash>(text).is_err(), "{text}");
    }
    let pair = r#"["0000000000000001","fedcba9876543210"]"#;
    let read: Pair = serde_json::from_str(pair).unwrap();
    assert_eq!(read.0, [1, 0xfedc_ba98_7654_3210]);
    assert_eq!(serde_json::to_string(&read).unwrap(), pair);
}
