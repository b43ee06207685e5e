//! State of the whole namespace: the map, the registry, the coordinator's lease and its blobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use foremap::control::Member;
use foremap::node::{MAX_LIFE_US, is_alive};
use foremap::partition::{Epoch, NodeId, PartitionMap};

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meta {
    map: Option<Arc<PartitionMap>>,
    /// With the moment at which each expires.
    members: BTreeMap<NodeId, (u64, Member)>,
    lease: Lease,
    blobs: BTreeMap<&'static str, Arc<[u8]>>,
}

/// The coordinator's lease.
#[derive(Debug, Clone, Copy, Default)]
struct Lease {
    term: u64,
    incarnation: u64,
    expires_us: u64,
}

/// A question about it.
#[derive(Debug, Clone, Copy)]
pub enum MetaRead {
    /// The map.
    Map,
    /// The members whose time has not expired.
    Members,
    /// A blob, by its name.
    Blob(&'static str),
}

/// A change of it. Spans are in microseconds.
#[derive(Debug, Clone)]
pub enum MetaChange {
    /// Stores a map if the stored one has the epoch `expect`.
    PutMap {
        /// Epoch of the stored one.
        expect: Option<Epoch>,
        /// The new one.
        map: Arc<PartitionMap>,
        /// The coordinator's term.
        term: u64,
    },
    /// Registers a member.
    Announce {
        /// The member.
        member: Member,
        /// For how long.
        ttl_us: u64,
    },
    /// Takes a registration back.
    Retract {
        /// The member's number.
        id: NodeId,
        /// Of which start.
        incarnation: u64,
    },
    /// Takes or keeps the lease.
    Lead {
        /// Start of the node that takes it.
        incarnation: u64,
        /// For how long; zero resigns.
        ttl_us: u64,
    },
    /// Stores or removes a blob.
    PutBlob {
        /// Its name.
        blob: &'static str,
        /// Its content.
        content: Option<Arc<[u8]>>,
        /// The coordinator's term.
        term: u64,
    },
}

/// Reply to either.
#[derive(Debug, Clone, PartialEq)]
pub enum MetaReply {
    /// The map.
    Map(Option<Arc<PartitionMap>>),
    /// The members.
    Members(Vec<Member>),
    /// The blob.
    Blob(Option<Arc<[u8]>>),
    /// True if it was done.
    Done(bool),
    /// The term, if the lease is held.
    Term(Option<u64>),
}

impl Meta {
    pub(crate) fn read(&self, read: MetaRead, now_us: u64) -> MetaReply {
        let live = || {
            self.members.values().filter(|(expires, _)| is_alive(*expires, now_us)).map(|(_, member)| member.clone())
        };
        match read {
            MetaRead::Map => MetaReply::Map(self.map.clone()),
            MetaRead::Members => MetaReply::Members(live().collect()),
            MetaRead::Blob(name) => MetaReply::Blob(self.blobs.get(name).cloned()),
        }
    }

    pub(crate) fn change(&mut self, change: &MetaChange, now_us: u64) -> MetaReply {
        match change {
            MetaChange::PutMap { expect, map, term } => {
                let stored = self.map.as_ref().map(|map| map.epoch);
                if stored != *expect || (expect.is_some() && *term < self.lease.term) {
                    return MetaReply::Done(false);
                }
                self.map = Some(map.clone());
                MetaReply::Done(true)
            }
            MetaChange::Announce { member, ttl_us } => {
                let other = |(expires, held): &(u64, Member)| {
                    is_alive(*expires, now_us) && held.incarnation != member.incarnation && held.origin != member.origin
                };
                if self.members.get(&member.id).is_some_and(other) {
                    return MetaReply::Done(false);
                }
                self.members.insert(member.id, (now_us.saturating_add((*ttl_us).min(MAX_LIFE_US)), member.clone()));
                MetaReply::Done(true)
            }
            MetaChange::Retract { id, incarnation } => {
                let own = self.members.get(id).is_some_and(|(_, held)| held.incarnation == *incarnation);
                if own {
                    self.members.remove(id);
                }
                MetaReply::Done(own)
            }
            MetaChange::Lead { incarnation, ttl_us } => self.lead(*incarnation, now_us, *ttl_us),
            MetaChange::PutBlob { blob, content, term } => {
                if *term < self.lease.term {
                    return MetaReply::Done(false);
                }
                match content {
                    Some(content) => self.blobs.insert(blob, content.clone()),
                    None => self.blobs.remove(blob),
                };
                MetaReply::Done(true)
            }
        }
    }

    fn lead(&mut self, incarnation: u64, now_us: u64, ttl_us: u64) -> MetaReply {
        let lease = &mut self.lease;
        if lease.incarnation != incarnation || !is_alive(lease.expires_us, now_us) {
            // A resignation of what is not held changes nothing.
            if is_alive(lease.expires_us, now_us) || ttl_us == 0 {
                return MetaReply::Term(None);
            }
            lease.term += 1;
            lease.incarnation = incarnation;
        }
        lease.expires_us = now_us.saturating_add(ttl_us.min(MAX_LIFE_US));
        MetaReply::Term((ttl_us > 0).then_some(lease.term))
    }
}
