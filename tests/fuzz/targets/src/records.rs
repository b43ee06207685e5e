//! Records that a store keeps: registrations, version records, the format record; and what nodes report of their load.

use foremap::control::Member;
use foremap::load::{LoadModel, LoadReport};
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

/// `LoadReport::decode`, as a coordinator reads what a node answers, and what it does with it.
pub fn load_report(data: &[u8]) -> bool {
    let Ok(report) = LoadReport::decode(data) else { return false };
    assert_only_form(data, &report.encode());
    assert!(data.len() <= LoadReport::MAX_BYTES);
    let mut model = LoadModel::new(64);
    assert!(model.merge(&report, report.round), "nothing is known that it could repeat");
    let once = model.clone();
    assert!(!model.merge(&report, report.round) && model == once, "it counts once");
    let next = LoadReport { number: report.number + 1, round: report.round + 1, ..report };
    assert!(model.merge(&next, next.round));
    let is_load = |load: f64| load.is_finite() && load >= 0.0;
    assert!(is_load(model.requests()) && (0..64).all(|partition| is_load(model.partition(partition))));
    assert!(model.prefixes(0.0).all(|now| is_load(now.load) && now.cells.iter().all(|&(_, load)| is_load(load))));
    assert!(model.keys(0.0).all(|(_, load)| is_load(load)));
    true
}
