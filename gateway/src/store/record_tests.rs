use super::*;

fn marker(id: &str) -> VersionRecord {
    VersionRecord { version: 7, keymap: None, created: true, id: WriteId::new(id) }
}

#[test]
fn a_record_is_read_as_it_was_written() {
    for record in [marker("w-1"), marker("")] {
        assert_eq!(decode_version(7, &encode_version(&record)), Ok(record));
    }
}

#[test]
fn a_damaged_record_is_not_taken_for_another_one() {
    let whole = encode_version(&marker("w-1"));
    let longer = [&whole[..], b"x"].concat();
    // A line feed is no letter of a write id: without it the retry of the write would not be known.
    let mut other_id = whole.clone();
    other_id[3] = b'\n';
    for bytes in [&longer, &other_id, &whole[..whole.len() - 1].to_vec()] {
        assert!(matches!(decode_version(7, bytes), Err(StoreError::Corrupt(_))), "{bytes:?}");
    }
}

#[test]
fn a_layout_that_contradicts_itself_is_refused() {
    let layout = StorageLayout { shards: 4, depth: 1, fan: 2 };
    assert_eq!(decode_format(&encode_format(layout)), Ok(layout));
    let wide = StorageLayout { fan: 5, ..layout };
    assert_eq!(decode_format(&encode_format(wide)), Err(DecodeError::BadValue("layout")));
}
