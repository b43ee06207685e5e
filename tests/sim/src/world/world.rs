//! [`World`]: virtual time, and everybody in it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use foremap::Millis;
use foremap::key::CompositeKey;
use foremap::node::{MAX_AHEAD_US, ReplicaFence};
use foremap::partition::{MapNode, PartitionMap, StorageLayout};
use foremap_check::History;

use crate::check::Violation;
use crate::client::Client;
use crate::clocks::JUMP_US;
use crate::cluster::{Cluster, Retention, Server};
use crate::event::Event;
use crate::feeds::Feeds;
use crate::gateway::Gateway;
use crate::maps::Maps;
use crate::mutant::Mutant;
use crate::net::Net;
use crate::nodes::{NODES, origin};
use crate::pipe::Pipe;
use crate::profile::Profile;
use crate::rng::Rng;
use crate::session::Session;
use crate::tally::Tally;
use crate::times::ACTIVE_UNTIL;
use crate::truth::Truth;

/// Versions kept of a key: more than a history writes, as a write id is known for as long as its version.
pub(super) const VERSIONS: usize = 1_000;
pub(super) const SHARDS: u16 = 6;
/// More than a history has.
pub(super) const MAX_STEPS: u64 = 1_000_000;
/// True time when a history begins, in microseconds: clocks are set back by less.
const EPOCH_US: u64 = 100_000_000;
const PLAIN_CLIENTS: usize = 2;
const ISOLATES: usize = 2;
const USERS: usize = 3;
const HOT_KEYS: usize = 3;

/// One history: its people and machines, what is under way between them, and what is certain to stay.
pub(super) struct World {
    pub(super) now: Millis,
    pub(super) step: u64,
    /// Steps since `now` began.
    pub(super) tick: u64,
    pub(super) rng: Rng,
    pub(super) profile: Profile,
    pub(super) mutant: Option<Mutant>,
    pub(super) cluster: Cluster,
    pub(super) fence: ReplicaFence,
    pub(super) truth: Truth,
    pub(super) history: History,
    pub(super) net: Net,
    /// In each group, the server that somebody replicates from who is not of the cluster.
    pub(super) outside: Vec<Option<usize>>,
    pub(super) pipes: BTreeMap<u64, Pipe>,
    pub(super) keys: Vec<CompositeKey>,
    pub(super) maps: Maps,
    pub(super) gateways: Vec<Gateway>,
    pub(super) clients: Vec<Client>,
    pub(super) sessions: Vec<Session>,
    pub(super) feeds: Feeds,
    /// The server whose clock is far ahead.
    pub(super) far_ahead: Option<Server>,
    /// No version is higher, but by counting on.
    pub(super) found_us: u64,
    pub(super) tally: Tally,
    pub(super) violation: Option<Violation>,
    last_id: u64,
    queue: BinaryHeap<Reverse<(Millis, u64)>>,
    events: BTreeMap<u64, Event>,
    sequence: u64,
    judge: Judge,
    pub(super) log: Option<Vec<String>>,
}

/// Judge of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// Every check there is, as things happen and in the end.
    All,
    /// Only [`foremap_check`], in the end: all that a test on real processes has.
    HistoryAlone,
}

impl World {
    pub(super) fn new(seed: u64, mutant: Option<Mutant>, judge: Judge, logs: bool) -> Self {
        let mut rng = Rng::new(seed);
        let profile = Profile::new(&mut rng);
        let layout = StorageLayout { shards: SHARDS, depth: 1, fan: rng.range(1, 3) as u16 };
        let map = Arc::new(PartitionMap::new(7, 64, layout, nodes(&[1, 1, 1])));
        let names = ["profile", "avatar", "rights", "inbox", "theme"];
        let key = |n: usize| CompositeKey::parse(&format!("user/{}/{}", n / 5, names[n % 5])).expect("a valid key");
        let (masters, replicas) = (rng.range(2, 3) as usize, rng.range(1, 2) as usize);
        let retention = Retention { versions: VERSIONS, log_entries: rng.pick(&[8, 30, 1_000]) };
        let cluster = Cluster::new(layout, retention, masters, replicas);
        let gateways = (0..NODES).map(|n| Gateway::new(n + 1, &map, (masters, replicas as u32), &mut rng)).collect();
        let clients = (0..PLAIN_CLIENTS + ISOLATES).map(|n| Client::new(n >= PLAIN_CLIENTS, &mut rng)).collect();
        let session = |n| Session::new((n < PLAIN_CLIENTS).then_some(n));
        Self {
            now: 1_000,
            step: 0,
            tick: 0,
            rng,
            profile,
            mutant,
            fence: ReplicaFence::new(cluster.replicas()),
            cluster,
            truth: Truth::new(layout),
            history: History::default(),
            net: Net::default(),
            outside: vec![None; masters],
            pipes: BTreeMap::new(),
            keys: (0..25).map(key).collect(),
            maps: Maps::new(map),
            gateways,
            clients,
            sessions: (0..PLAIN_CLIENTS + USERS).map(session).collect(),
            feeds: Feeds::default(),
            far_ahead: None,
            found_us: 0,
            tally: Tally::default(),
            violation: None,
            last_id: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            judge,
            log: logs.then(Vec::new),
        }
    }

    pub(super) fn schedule(&mut self, at: Millis, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((at.max(self.now), self.sequence)));
        self.events.insert(self.sequence, event);
    }

    /// The next event, with the time that it happens at; `None` where nothing is left.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        let Reverse((at, sequence)) = self.queue.pop()?;
        self.tick = if self.now == at { self.tick + 1 } else { 0 };
        self.now = at;
        self.step += 1;
        self.events.remove(&sequence)
    }

    pub(super) fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Tells whether callers still call and things still break.
    pub(super) fn is_active(&self) -> bool {
        self.now < ACTIVE_UNTIL
    }

    /// True in `percent` of a hundred cases while things may break.
    pub(super) fn fault(&mut self, percent: u64) -> bool {
        self.rng.chance(percent * self.profile.faults) && self.is_active()
    }

    /// Time that a message takes over the network.
    pub(super) fn delay(&mut self) -> Millis {
        self.profile.delay(&mut self.rng)
    }

    /// Inside a data centre.
    pub(super) fn short_delay(&mut self) -> Millis {
        // A store behind a network that is never well answers nobody.
        if self.is_active() { self.profile.short_delay(&mut self.rng) } else { self.rng.range(0, 12) }
    }

    /// A key to do something to.
    pub(super) fn any_key(&mut self) -> usize {
        let hot = self.rng.chance(self.profile.hot);
        self.rng.below(if hot { HOT_KEYS } else { self.keys.len() })
    }

    pub(super) fn violate(&mut self, rule: &'static str, detail: String) {
        if self.judge == Judge::All {
            self.violation.get_or_insert(Violation { rule, detail });
        }
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{:>6} {}", self.now, line()));
        }
    }

    /// True time, as servers with a good clock have it.
    pub(super) fn now_us(&self) -> u64 {
        EPOCH_US + self.now * 1_000
    }

    /// The highest version that a write may be given: no clock is far ahead that writes, but one may have been.
    pub(super) fn highest(&self) -> u64 {
        self.found_us.max(self.now_us() + MAX_AHEAD_US + 2 * JUMP_US) + MAX_STEPS
    }
}

fn nodes(weights: &[u32]) -> Vec<MapNode> {
    let node = |(at, &weight): (usize, &u32)| MapNode { id: at as u32 + 1, origin: origin(at as u32 + 1), weight };
    weights.iter().enumerate().map(node).collect()
}
