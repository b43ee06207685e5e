//! Metrics of the shared model. All of them are of the process.

use foremap::model::{Allowances, Outbox};

use crate::host::SharingStats;

pub(super) fn counters(s: &SharingStats) -> [Row; 14] {
    let (inbox, merger) = (&s.inbox, &s.merger);
    [
        ("summaries", "Summaries taken in: told by clients, or made of what their batches tell", inbox.received),
        ("batches_followed", "Batches that told what led to them", inbox.observer.batches),
        ("batches_continued", "Of these, those that followed one that is known", inbox.observer.continued),
        ("batch_names_unknown", "Keys named by batches that were not known", inbox.observer.unknown),
        ("summaries_refused", "Summaries refused: malformed, of foreign keys, or over what may be told", inbox.refused),
        ("summaries_dropped", "Summaries dropped for want of room before the leader took them", inbox.outbox.dropped),
        ("summaries_taken", "Summaries that the leader has taken", inbox.taken),
        ("summary_pages_lost", "Pages of summaries that a node did not hand over to this process as leader", s.lost),
        ("summaries_merged", "Summaries merged as leader, those of leaders before it included", merger.merged),
        ("summaries_known", "Summaries that had been merged before", merger.known),
        ("summaries_malformed", "Summaries that could not be read as leader", s.malformed),
        ("shared_observations", "Requests that followed another, as merged by the leader", merger.observations),
        ("shared_observations_capped", "Of these, those over what one client may add in an hour", merger.capped),
        ("snapshots", "Snapshots of the shared model made by this process as leader", s.snapshots),
    ]
}

pub(super) fn gauges(s: &SharingStats) -> [Row; 25] {
    let (inbox, merger) = (&s.inbox, &s.merger);
    [
        ("followed_clients", "Clients followed from batch to batch", inbox.observer.clients as u64),
        ("followed_clients_max", "Bound of followed_clients", inbox.observer.max_clients as u64),
        ("followed_bytes", "Bytes of what is known of them", inbox.observer.bytes as u64),
        ("followed_bytes_max", "Bound of followed_bytes", inbox.observer.max_bytes as u64),
        ("outbox_summaries", "Summaries that wait for the leader", inbox.outbox.entries as u64),
        ("outbox_summaries_max", "Bound of outbox_summaries", Outbox::MAX_ENTRIES as u64),
        ("outbox_bytes", "Bytes of the summaries that wait for the leader", inbox.outbox.bytes as u64),
        ("outbox_bytes_max", "Bound of outbox_bytes", Outbox::MAX_BYTES as u64),
        ("summary_addresses", "Addresses whose summaries are limited", inbox.addresses as u64),
        ("summary_addresses_max", "Bound of summary_addresses", Allowances::MAX_CLIENTS as u64),
        ("shared_ways", "Ways from key to key that are merged by the leader", merger.ways as u64),
        ("shared_ways_max", "Bound of shared_ways", merger.ways_max as u64),
        ("shared_keys", "Keys on these ways", merger.keys as u64),
        ("shared_key_bytes", "Bytes of their texts", merger.key_bytes as u64),
        ("shared_shares", "Pairs of a client and a way in the present hour", merger.shares as u64),
        ("shared_shares_max", "Bound of shared_shares", merger.shares_max as u64),
        ("shared_instances", "Instances of clients whose epochs are remembered as leader", merger.instances as u64),
        ("shared_instances_max", "Bound of shared_instances", merger.instances_max as u64),
        (
            "snapshot_bytes",
            "Compressed bytes of the largest form of the snapshot that is served",
            s.snapshot_bytes as u64,
        ),
        ("snapshot_made", "When it was made, in milliseconds since 1970", s.snapshot_made),
        ("snapshot_age_ms", "Milliseconds since this process has it", s.snapshot_age_ms),
        ("snapshot_bodies", "Forms of it for callers who may not read everything", s.bodies as u64),
        ("snapshot_bodies_max", "Bound of snapshot_bodies", s.bodies_max as u64),
        ("snapshots_earlier", "Earlier snapshots that a difference may lead from", s.earlier as u64),
        ("snapshots_earlier_max", "Bound of snapshots_earlier", s.earlier_max as u64),
    ]
}

pub(super) type Row = (&'static str, &'static str, u64);
