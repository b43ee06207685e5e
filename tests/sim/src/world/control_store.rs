//! Control machines at the store: heartbeats and changes.

use std::sync::Arc;

use foremap::control::{Beat, Found, LeaderRecord, Member, StoreChange, StoreFailed, new_owners};
use foremap::partition::{Epoch, PartitionMap};

use super::world::World;
use crate::cluster::{Command, MetaChange, MetaRead, MetaReply, Reply};
use crate::mutant::Mutant;
use crate::pipe::Errand;
use crate::seat::{CONFIG, Faults, Pending, TTL};

/// The group that has what concerns the namespace.
pub(super) const GROUP: usize = 0;
const PROPOSAL: &str = "proposal";
pub(super) const RECORD: &str = "record";

impl World {
    pub(super) fn send_beat(&mut self, gateway: usize, beat: Beat) {
        let Beat { members, may_lead, reads_members } = beat;
        let incarnation = members.first().map_or(0, |member| member.incarnation);
        let mut commands = vec![Command::Meta(MetaRead::Map), Command::Meta(MetaRead::Blob(PROPOSAL))];
        let announce = |member| Command::ChangeMeta(MetaChange::Announce { member, ttl_us: TTL * 1_000 });
        commands.extend(members.into_iter().map(announce));
        if may_lead {
            commands.push(Command::ChangeMeta(MetaChange::Lead { incarnation, ttl_us: TTL * 1_000 }));
        }
        if reads_members {
            commands.push(Command::Meta(MetaRead::Members));
        }
        let newest = self.maps.newest.as_ref().map(|map| map.epoch);
        self.send_pipe(gateway, GROUP, commands, Errand::Control(Pending::Beat { newest }));
    }

    pub(super) fn send_change(&mut self, gateway: usize, pending: Pending) {
        let Pending::Store { change, term, is_flipped, .. } = &pending else { return };
        let blob = |blob, content: Option<Vec<u8>>| {
            let content = content.map(Arc::from);
            Command::ChangeMeta(MetaChange::PutBlob { blob, content, term: *term })
        };
        let term = if self.mutant == Some(Mutant::TermInsisted) { u64::MAX } else { *term };
        let put = |expect: Option<Epoch>, map: &Arc<PartitionMap>, term| {
            Command::ChangeMeta(MetaChange::PutMap { expect, map: map.clone(), term })
        };
        let commands = match change {
            StoreChange::Propose(map) => vec![blob(PROPOSAL, Some(map.encode()))],
            StoreChange::Clear | StoreChange::Withdraw => vec![blob(PROPOSAL, None)],
            StoreChange::Flip { .. } if *is_flipped => vec![blob(PROPOSAL, None)],
            StoreChange::Flip { expect, map } if self.mutant == Some(Mutant::MapInsisted) => {
                // Whichever map is in force by now, one of these replaces it.
                let later = |by| Epoch { number: expect.number + by, ..*expect };
                (0..4).map(|by| put(Some(later(by)), map, u64::MAX)).collect()
            }
            StoreChange::Flip { expect, map } => vec![put(Some(*expect), map, term)],
            StoreChange::Begin(map) => vec![put(None, map, 0)],
            StoreChange::Record(record) => vec![blob(RECORD, Some(record.encode()))],
        };
        self.send_pipe(gateway, GROUP, commands, Errand::Control(pending));
    }

    /// Takes replies from behind the fence; `None` where there are none.
    pub(super) fn control_done(&mut self, gateway: usize, pending: Pending, replies: Option<Vec<Reply>>) {
        let meta = |reply| match reply {
            Reply::Meta(reply) => Some(reply),
            _ => None,
        };
        let replies = replies.map(|replies| replies.into_iter().filter_map(meta).collect::<Vec<_>>());
        let times = self.times(gateway);
        match pending {
            Pending::Beat { newest } => {
                let found = replies.ok_or(StoreFailed).map(|replies| self.found_in(gateway, newest, replies));
                self.gateways[gateway].seat.control.handle_beat(times, found);
            }
            Pending::Record => {
                let record = replies.ok_or(StoreFailed).map(|mut replies| match replies.pop() {
                    Some(MetaReply::Blob(blob)) if self.mutant != Some(Mutant::FreezeForgotten) => {
                        LeaderRecord::read(blob.as_deref())
                    }
                    _ => LeaderRecord::default(),
                });
                self.gateways[gateway].seat.control.handle_record(times, record);
            }
            Pending::Store { change, term, faults, is_flipped } => {
                let stored = replies.ok_or(StoreFailed).map(|replies| replies.first() == Some(&MetaReply::Done(true)));
                if stored == Ok(true) && !is_flipped {
                    self.note_change(&change, faults);
                    if matches!(change, StoreChange::Flip { .. }) {
                        let cleared = Pending::Store { change, term, faults, is_flipped: true };
                        return self.send_change(gateway, cleared);
                    }
                }
                let stored = if is_flipped { stored.map(|_| true) } else { stored };
                self.gateways[gateway].seat.control.handle_stored(times, change, stored);
            }
        }
        self.drive_control(gateway);
    }

    fn found_in(&mut self, gateway: usize, newest: Option<Epoch>, replies: Vec<MetaReply>) -> Found {
        let (is_own, store_ms) = (!replies.contains(&MetaReply::Done(false)), self.now_us() / 1_000);
        let mut found = Found { is_own, term: None, map: None, proposal: None, members: None, store_ms };
        for reply in replies {
            match reply {
                MetaReply::Map(map) => found.map = map,
                MetaReply::Blob(blob) => {
                    found.proposal = blob.and_then(|bytes| PartitionMap::decode(&bytes).ok()).map(Arc::new);
                }
                MetaReply::Term(term) => found.term = term,
                MetaReply::Members(members) => found.members = Some(members),
                MetaReply::Done(_) => {}
            }
        }
        self.maps.term = self.maps.term.max(found.term.unwrap_or(0));
        if let Some(proposal) = &found.proposal {
            // Whoever stored it may not have heard so.
            self.maps.proposed.entry(proposal.hash()).or_insert(self.now);
        }
        match &found.map {
            Some(map) => self.check_map(newest, map),
            None => self.violate("map", format!("gateway {gateway} finds no map in the store")),
        }
        if let Some(members) = &mut found.members {
            self.gateways[gateway].seat.members.clone_from(members);
        }
        found
    }

    /// A map is of one epoch only, and maps do not go back.
    fn check_map(&mut self, newest: Option<Epoch>, map: &Arc<PartitionMap>) {
        let hash = map.hash();
        let first = *self.maps.hashes.entry(map.epoch).or_insert(hash);
        if first != hash {
            self.violate("map", format!("two maps of epoch {}", map.epoch));
        }
        if newest.is_some_and(|newest| map.epoch < newest) {
            self.violate("map", format!("epoch {} came after {newest:?}", map.epoch));
        }
        if self.maps.newest.as_ref().is_none_or(|newest| newest.epoch < map.epoch) {
            self.maps.newest = Some(map.clone());
        }
    }

    /// Reasons for which a change must not take effect any more, as far as is known when it is sent.
    pub(super) fn faults(&self, gateway: usize, change: &StoreChange, term: u64) -> Faults {
        let stale = term < self.maps.term && !matches!(change, StoreChange::Begin(_));
        let StoreChange::Flip { expect, map: next } = change else { return Faults { stale, ..Faults::default() } };
        let Some(map) = self.maps.newest.as_ref().filter(|map| map.epoch == *expect) else {
            return Faults { stale, ..Faults::default() };
        };
        let planned = |map: &PartitionMap| (map.rules.clone(), map.exceptions.clone(), map.hot.clone());
        let frozen = self.maps.is_frozen && planned(map) != planned(next) && map.nodes == next.nodes;
        let hash = next.hash();
        let had_time = self.maps.proposed.get(&hash).is_some_and(|&at| self.now >= at + CONFIG.coordinator.warm_ms);
        let owners = new_owners(map, next);
        let is_cold = |member: &&Member| {
            let host = &self.gateways[member.id as usize - 1];
            let is_same = host.seat.control.members().iter().any(|own| own.incarnation == member.incarnation);
            owners.contains(&member.id) && is_same && !host.seat.warmed.contains(&hash)
        };
        let cold = !had_time && self.gateways[gateway].seat.members.iter().any(|member| is_cold(&member));
        Faults { stale, frozen, cold }
    }

    fn note_change(&mut self, change: &StoreChange, faults: Faults) {
        match change {
            StoreChange::Propose(map) => {
                self.maps.proposed.entry(map.hash()).or_insert(self.now);
            }
            StoreChange::Flip { map, .. } => {
                self.maps.flips += 1;
                let planned = !map.exceptions.is_empty() || !map.hot.is_empty() || !map.rules.is_empty();
                self.tally.add("maps with a plan in force", u64::from(planned));
            }
            StoreChange::Clear | StoreChange::Withdraw | StoreChange::Begin(_) | StoreChange::Record(_) => {}
        }
        if faults.stale {
            self.violate("lease", format!("a change of an earlier term than {} took effect", self.maps.term));
        }
        if faults.frozen {
            self.violate("freeze", "a plan came in force after a freeze was answered".to_owned());
        }
        if faults.cold {
            self.violate("warm", "a map came in force before its new owners were warm".to_owned());
        }
    }
}
