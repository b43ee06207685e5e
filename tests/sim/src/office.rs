//! Membership and the coordinator's office, through the simulated store: gateways register, one of them proposes maps, they
//! warm up, and a map comes in force, with everything else going wrong meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use foremap::Millis;
use foremap::control::{Coordinator, CoordinatorConfig, Member, MemberState, Seen, Step};
use foremap::key::KeyPrefix;
use foremap::partition::{Epoch, NodeId, PartitionMap, Portion};
use foremap::shifter::Move;

use super::cluster::{Command, MetaChange, MetaRead, MetaReply, Reply};
use super::mutant::Mutant;
use super::pipes::Errand;
use super::rng::Rng;
use super::world::{Event, LAST_READS, NODES, World, origin};

/// The group that has what concerns the namespace.
const GROUP: usize = 0;
/// How long a registration and the office hold, in microseconds of the master's clock: a history is too short for the
/// seconds of a real gateway.
const TTL_US: u64 = 800_000;
const CONFIG: CoordinatorConfig = CoordinatorConfig { grace_ms: 1_000, warm_ms: 300 };
const PROPOSAL: &str = "proposal";
/// Masters whose clocks jump keep registrations for that much longer.
const SETTLED: Millis = LAST_READS + 8_000;

/// A gateway as a member and as a candidate.
pub(crate) struct Candidate {
    coordinator: Coordinator,
    weight: u32,
    warm_for: u64,
}

impl Candidate {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { coordinator: Coordinator::new(CONFIG), weight: rng.range(0, 2) as u32, warm_for: 0 }
    }
}

/// What is known of the maps in force, as nobody in the system knows it.
#[derive(Default)]
pub(crate) struct Maps {
    /// Content hash of each, by its epoch.
    hashes: BTreeMap<Epoch, u64>,
    /// What somebody would like, besides the nodes that live.
    plan: Vec<Move>,
    /// The newest one that anybody has read.
    pub(crate) newest: Option<Arc<PartitionMap>>,
    flips: u64,
}

impl Maps {
    pub(crate) fn new(first: Arc<PartitionMap>) -> Self {
        Self { newest: Some(first), ..Self::default() }
    }
}

/// A round that waits for the store.
pub(crate) struct Round {
    /// The newest map that anybody had read when it was sent.
    newest: Option<Epoch>,
}

/// A step that waits for the store.
pub(crate) struct Performed {
    step: Step,
    term: u64,
}

impl World {
    /// The first map is in the store before anybody comes.
    pub(crate) fn found_map(&mut self) {
        let Some(map) = &self.maps.newest else { return };
        let change = MetaChange::PutMap { expect: None, map: map.clone(), term: 0 };
        let done = self.cluster.perform(GROUP, self.now_us(), &Command::ChangeMeta(change));
        debug_assert!(matches!(done, Ok((Reply::Meta(MetaReply::Done(true)), true))));
        // Somebody took the office, and was gone.
        let lead = MetaChange::Lead { incarnation: u64::MAX, ttl_us: TTL_US };
        let led = self.cluster.perform(GROUP, self.now_us(), &Command::ChangeMeta(lead));
        debug_assert!(matches!(led, Ok((Reply::Meta(MetaReply::Term(Some(_))), true))));
        for gateway in 0..self.gateways.len() {
            self.schedule(self.now, Event::Round { gateway });
        }
    }

    /// Somebody would like another map.
    pub(crate) fn wish(&mut self) {
        self.maps.plan.clear();
        if !self.is_active() {
            return;
        }
        let prefix = KeyPrefix::parse("user").expect("a valid prefix");
        let key = self.keys[self.rng.below(self.keys.len())].clone();
        let node = Some(self.rng.range(1, NODES.into()) as NodeId);
        self.maps.plan.push(match self.rng.below(5) {
            0 => Move::Place { prefix, portion: Portion { depth: 1, spread: self.rng.range(0, 3) as u8 } },
            1 => Move::Place { prefix, portion: Portion { depth: 2, spread: self.rng.range(0, 2) as u8 } },
            2 => Move::Merge { prefix },
            3 => Move::Assign { partition: self.rng.below(64) as u32, node },
            _ => Move::Replicate { key, nodes: node.into_iter().collect() },
        });
        if self.rng.chance(25) {
            let gateway = self.rng.below(self.gateways.len());
            self.schedule(self.now, Event::Restart { gateway });
        }
        let at = self.now + self.rng.range(200, 2_500);
        self.schedule(at, Event::Wish);
    }

    /// A heartbeat, and a look at the office, the map and the members.
    pub(crate) fn round(&mut self, gateway: usize) {
        if self.now > SETTLED {
            return;
        }
        let at = self.now + self.rng.range(40, 400);
        self.schedule(at, Event::Round { gateway });
        if !self.gateways[gateway].up {
            return;
        }
        let member = self.member(gateway);
        let incarnation = member.incarnation;
        let commands = vec![
            Command::ChangeMeta(MetaChange::Announce { member, ttl_us: TTL_US }),
            Command::ChangeMeta(MetaChange::Lead { incarnation, ttl_us: TTL_US }),
            Command::Meta(MetaRead::Map),
            Command::Meta(MetaRead::Blob(PROPOSAL)),
            Command::Meta(MetaRead::Members),
        ];
        let newest = self.maps.newest.as_ref().map(|map| map.epoch);
        self.send_pipe(gateway, GROUP, commands, Errand::Round(Round { newest }));
    }

    fn member(&self, gateway: usize) -> Member {
        let host = &self.gateways[gateway];
        let id = gateway as NodeId + 1;
        Member {
            id,
            incarnation: u64::from(host.incarnation) * u64::from(NODES) + u64::from(id),
            origin: origin(id),
            weight: host.candidate.weight,
            state: MemberState::Serving,
            warm_for: host.candidate.warm_for,
        }
    }

    /// What a round found counts, as it is behind the fence.
    pub(crate) fn round_done(&mut self, gateway: usize, round: &Round, replies: Vec<Reply>) {
        let mut replies = replies.into_iter().filter_map(|reply| match reply {
            Reply::Meta(reply) => Some(reply),
            _ => None,
        });
        let (Some(_), Some(MetaReply::Term(term)), Some(MetaReply::Map(Some(map)))) =
            (replies.next(), replies.next(), replies.next())
        else {
            return self.violate("map", format!("gateway {gateway} finds no map in the store"));
        };
        let (Some(MetaReply::Blob(proposal)), Some(MetaReply::Members(members))) = (replies.next(), replies.next())
        else {
            return;
        };
        self.check_map(round, &map);
        if let Err(error) = self.gateways[gateway].node.publish_map(map.clone()) {
            self.violate("map", format!("a node refused a map in force: {error}"));
        }
        let proposal = proposal.and_then(|bytes| PartitionMap::decode(&bytes).ok()).map(Arc::new);
        // Some are done warming up by the next round, some are slow.
        if let Some(proposal) = &proposal
            && self.rng.chance(60)
        {
            self.gateways[gateway].candidate.warm_for = proposal.hash();
        }
        let seen = Seen { members: &members, map: &map, proposal: proposal.as_ref(), plan: &self.maps.plan };
        let host = &mut self.gateways[gateway];
        let now = host.local(self.now);
        let step = host.candidate.coordinator.round(now, term, &seen);
        self.take_step(gateway, Performed { step, term: term.unwrap_or(0) });
    }

    /// A map is of one epoch only, and maps do not go back.
    fn check_map(&mut self, round: &Round, map: &Arc<PartitionMap>) {
        let hash = map.hash();
        let first = *self.maps.hashes.entry(map.epoch).or_insert(hash);
        if first != hash {
            self.violate("map", format!("two maps of epoch {}", map.epoch));
        }
        if round.newest.is_some_and(|newest| map.epoch < newest) {
            self.violate("map", format!("epoch {} came after {:?}", map.epoch, round.newest));
        }
        if self.maps.newest.as_ref().is_none_or(|newest| newest.epoch < map.epoch) {
            self.maps.newest = Some(map.clone());
        }
    }

    fn take_step(&mut self, gateway: usize, performed: Performed) {
        let term = performed.term;
        let blob = |content: Option<Vec<u8>>| {
            let content = content.map(Arc::from);
            Command::ChangeMeta(MetaChange::PutBlob { blob: PROPOSAL, content, term })
        };
        let command = match &performed.step {
            Step::Rest => return,
            Step::Propose(map) => blob(Some(map.encode())),
            Step::Clear => blob(None),
            Step::Flip { expect, map } => {
                let put = |expect, term| MetaChange::PutMap { expect: Some(expect), map: map.clone(), term };
                if self.mutant == Some(Mutant::MapInsisted) {
                    // Whichever map is in force by now, one of these replaces it.
                    let later = |by| Epoch { number: expect.number + by, ..*expect };
                    let commands = (0..4).map(|by| Command::ChangeMeta(put(later(by), u64::MAX))).collect();
                    return self.send_pipe(gateway, GROUP, commands, Errand::Step(performed));
                }
                Command::ChangeMeta(put(*expect, term))
            }
        };
        self.send_pipe(gateway, GROUP, vec![command], Errand::Step(performed));
    }

    /// After a flip the proposal goes; one that stays is cleared by whoever finds it.
    pub(crate) fn step_done(&mut self, gateway: usize, performed: &Performed, replies: &[Reply]) {
        let done = matches!(replies.first(), Some(Reply::Meta(MetaReply::Done(true))));
        self.tally.add("steps refused", u64::from(!done));
        if let (Step::Flip { .. }, true) = (&performed.step, done) {
            self.maps.flips += 1;
            self.take_step(gateway, Performed { step: Step::Clear, term: performed.term });
        }
    }

    /// In the end, the map has whoever lives.
    pub(crate) fn check_office(&mut self) {
        self.tally.add("maps in force", self.maps.flips);
        let Some(map) = self.maps.newest.clone() else { return };
        let weights: Vec<u32> = self.gateways.iter().map(|gateway| gateway.candidate.weight).collect();
        let named: Vec<u32> = map.nodes.iter().map(|node| node.weight).collect();
        // Where nobody wants anything, the last map stays.
        if weights.iter().any(|&weight| weight > 0) && weights != named {
            self.violate(
                "map",
                format!("members of weights {weights:?} live, and the map in force is {:?}", map.nodes),
            );
        }
    }
}
