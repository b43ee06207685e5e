//! What a store keeps: registrations, version records, the format record.

use foremap::node::Member;
use foremap_gateway::store::record::{decode_format, decode_version, encode_format, encode_version};

use crate::wire::assert_only_form;

/// `Member::decode`.
pub fn member(data: &[u8]) -> bool {
    let Ok(member) = Member::decode(data) else { return false };
    assert_only_form(data, &member.encode());
    assert!((1..=300).contains(&member.origin.len()));
    true
}

/// A version record, as the redb store reads it.
pub fn version_record(data: &[u8]) -> bool {
    let Ok(record) = decode_version(7, data) else { return false };
    assert_eq!(record.version, 7);
    assert_only_form(data, &encode_version(&record));
    true
}

/// The format record, as the redb store reads it.
pub fn format_record(data: &[u8]) -> bool {
    let Ok(layout) = decode_format(data) else { return false };
    assert_only_form(data, &encode_format(layout));
    assert!(layout.is_valid());
    true
}
