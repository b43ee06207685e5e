//! The reference: every write with the real time of its commit, and what each gateway has seen of the log.

use foremap::key::CompositeKey;
use foremap::partition::{MapNode, PartitionMap, StorageLayout};

/// Real time in milliseconds.
pub type Real = u64;

/// Keys there are; a quarter of them is asked for most.
pub(crate) const KEYS: u8 = 8;
/// Storage shards.
pub(crate) const SHARDS: u16 = 2;
/// Gateways.
pub(crate) const GATEWAYS: usize = 3;
/// Clients: the page, and another one beside it that may follow the first one's feed.
pub(crate) const CLIENTS: usize = 2;
/// Changes in one answer and one frame.
pub(crate) const PAGE: usize = 3;

/// One write, as it was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: u8,
    /// Its version and position.
    pub version: u64,
    /// When.
    pub committed: Real,
    /// True if it removed the key.
    pub deleted: bool,
    /// The client's write that it is, if it is one.
    pub put: Option<u32>,
}

/// A client's write that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// Its number.
    pub number: u32,
    /// The key.
    pub key: u8,
    /// True if it removes the key.
    pub deletes: bool,
}

/// Knowledge of one gateway, and its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Writes of the log that it has applied.
    pub applied: usize,
    /// When it last asked for the log.
    pub polled: Real,
    /// Positions up to which it has forgotten the changes.
    pub kept_from: [u64; SHARDS as usize],
    /// Names its clock.
    pub clock: u64,
    /// Reading of that clock at real time 0.
    pub offset: u64,
    /// Deviation of its rate, in millionths.
    pub ppm: i64,
}

impl Memory {
    /// Reading of its clock, in milliseconds.
    pub fn clock_ms(&self, real: Real) -> u64 {
        run(real, self.ppm) + self.offset
    }

    /// Age of its knowledge, as it counts.
    pub fn age_ms(&self, real: Real) -> u32 {
        (self.clock_ms(real) - self.clock_ms(self.polled)) as u32
    }
}

/// Reading at `real` of a clock that is `ppm` millionths fast.
pub(crate) fn run(real: Real, ppm: i64) -> u64 {
    (real as f64 * (1.0 + ppm as f64 / 1e6)) as u64
}

/// Kind of events that prevail in a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Everything, all the time.
    Wild,
    /// Somebody reads, and others write.
    Calm,
    /// Somebody writes, lists, invalidates, and goes on elsewhere.
    Busy,
    /// Somebody reads the same keys in the same order.
    Walk,
}

/// Settings that a sequence begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Events that prevail.
    pub course: Course,
    /// Most entries of a cache.
    pub max_entries: usize,
    /// True if clients hold feeds.
    pub feeds: bool,
    /// True if they predict.
    pub predicts: bool,
    /// Deviations of the rates of the clients' monotonic and wall clocks, and of the gateways' clocks, in millionths.
    pub ppm: [i64; 3],
    /// Longest life of a negative entry.
    pub negative_ttl_ms: u64,
}

/// The reference state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// Settings that it began with.
    pub shape: Shape,
    /// Real time.
    pub now: Real,
    /// For how long clocks of hosts stood still.
    pub stood_still: Real,
    /// By how much wall clocks were set forward.
    pub wall_set: i64,
    /// All writes, of all stores.
    pub log: Vec<Write>,
    /// For each store: its first write, and when it came to be.
    pub stores: Vec<(usize, Real)>,
    /// The gateways.
    pub gateways: [Memory; GATEWAYS],
    /// Clients' writes that are not committed.
    pub puts: Vec<Put>,
    /// Clients' writes so far.
    pub put_count: u32,
    /// Clocks so far.
    pub clocks: u64,
}

/// The shard of a key, as its layout says.
pub(crate) fn shard(key: u8) -> u16 {
    LAYOUT.shard(&name(key))
}

/// All shards for all keys.
pub(crate) const LAYOUT: StorageLayout = StorageLayout { shards: SHARDS, depth: 0, fan: SHARDS };

/// The text of a key: two prefixes.
pub(crate) fn name(key: u8) -> CompositeKey {
    NAMES.with(|names| names[usize::from(key)].clone())
}

thread_local! {
    static NAMES: Vec<CompositeKey> = (0..KEYS)
        .filter_map(|key| CompositeKey::parse(&format!("u/{}/{key}", key % 2)).ok())
        .collect();
}

/// Which key that is; `u8::MAX` for any that nobody writes.
pub(crate) fn number(key: &CompositeKey) -> u8 {
    NAMES.with(|names| names.iter().position(|name| name == key).map_or(u8::MAX, |at| at as u8))
}

/// The tag of a key's keymaps.
pub(crate) fn tag(key: u8) -> String {
    format!("t{}", key % 3)
}

/// Origin at which a gateway answers.
pub(crate) fn origin(gateway: usize) -> String {
    format!("http://{gateway}.example")
}

/// The map of a store.
pub(crate) fn map(store: usize) -> PartitionMap {
    let node = |id: usize| MapNode { id: id as u32 + 1, origin: origin(id), weight: 1 };
    let mut map = PartitionMap::new(1, 64, LAYOUT, (0..GATEWAYS).map(node).collect());
    map.epoch.incarnation = store as u32 + 1;
    map
}

impl Truth {
    /// A world in which nothing was written.
    pub fn new(shape: Shape) -> Self {
        let now = 1_000_000;
        let memory = |id: usize| Memory {
            applied: 0,
            polled: now,
            kept_from: [0; SHARDS as usize],
            clock: id as u64 + 1,
            offset: 5_000_000 * id as u64,
            ppm: shape.ppm[2] * if id == 1 { -1 } else { 1 },
        };
        Self {
            shape,
            now,
            stood_still: 0,
            wall_set: 0,
            log: Vec::new(),
            stores: vec![(0, 0)],
            gateways: [memory(0), memory(1), memory(2)],
            puts: Vec::new(),
            put_count: 0,
            clocks: GATEWAYS as u64,
        }
    }

    /// The store there is.
    pub fn store(&self) -> usize {
        self.stores.len() - 1
    }

    fn first(&self) -> usize {
        self.stores[self.store()].0
    }

    /// The writes of a store.
    pub fn writes_of(&self, store: usize) -> &[Write] {
        let end = self.stores.get(store + 1).map_or(self.log.len(), |next| next.0);
        &self.log[self.stores[store].0..end]
    }

    /// Position of a shard's log among the first `applied` writes of all.
    pub fn position(&self, of: u16, applied: usize) -> u64 {
        let writes = &self.log[self.first()..applied.max(self.first())];
        writes.iter().rev().find(|write| shard(write.key) == of).map_or(0, |write| write.version)
    }

    /// The newest write of `key` in `store` at or below `position`.
    pub fn at(&self, store: usize, key: u8, position: u64) -> Option<&Write> {
        self.writes_of(store).iter().rev().find(|write| write.key == key && write.version <= position)
    }

    /// When what `store` held of `key` at `position` was replaced by something newer, if it was.
    pub fn replaced(&self, store: usize, key: u8, position: u64) -> Option<Real> {
        let next = self.writes_of(store).iter().find(|write| write.key == key && write.version > position);
        next.map(|write| write.committed).or_else(|| self.stores.get(store + 1).map(|next| next.1))
    }

    /// The newest write of `key` that was committed before `at`, in the present store.
    pub fn newest_before(&self, key: u8, at: Real) -> u64 {
        let writes = self.writes_of(self.store()).iter().rev();
        writes.filter(|write| write.key == key).find(|write| write.committed < at).map_or(0, |write| write.version)
    }

    fn commit(&mut self, key: u8, deleted: bool, put: Option<u32>) {
        let last = self.log.last().map_or(0, |write| write.version);
        let version = (10 * self.now).max(last + 1);
        self.log.push(Write { key, version, committed: self.now, deleted, put });
    }

    /// A client's write.
    pub fn commit_put(&mut self, pick: usize) {
        if !self.puts.is_empty() {
            let put = self.puts.remove(pick % self.puts.len());
            self.commit(put.key, put.deletes, Some(put.number));
        }
    }

    /// Somebody else's write.
    pub fn write(&mut self, key: u8, deletes: bool) {
        self.commit(key, deletes, None);
    }

    /// A gateway learns of everything.
    pub fn poll(&mut self, gateway: usize) {
        (self.gateways[gateway].applied, self.gateways[gateway].polled) = (self.log.len(), self.now);
    }

    /// All gateways do.
    pub fn poll_all(&mut self) {
        (0..GATEWAYS).for_each(|gateway| self.poll(gateway));
    }

    /// A gateway forgets the changes that it knows.
    pub fn truncate(&mut self, gateway: usize) {
        let applied = self.gateways[gateway].applied;
        let ends: Vec<u64> = (0..SHARDS).map(|of| self.position(of, applied)).collect();
        self.gateways[gateway].kept_from.copy_from_slice(&ends);
    }

    /// A gateway is another process from now on.
    pub fn restart(&mut self, gateway: usize) {
        self.clocks += 1;
        let (now, clocks) = (self.now, self.clocks);
        self.poll(gateway);
        self.truncate(gateway);
        let memory = &mut self.gateways[gateway];
        memory.clock = clocks;
        memory.offset = (1_000 * clocks * clocks) % 7_777_777;
        memory.polled = now;
    }

    /// All data is gone, and the store is another one.
    pub fn renew_store(&mut self) {
        self.stores.push((self.log.len(), self.now));
        self.puts.clear();
        for gateway in 0..GATEWAYS {
            self.gateways[gateway].kept_from = [0; SHARDS as usize];
            self.restart(gateway);
        }
    }

    /// Readings of the clocks of a client's host, in milliseconds: the monotonic one and the wall clock.
    pub fn host_clocks(&self, client: usize) -> (f64, f64) {
        let [monotonic, wall, _] = self.shape.ppm.map(|ppm| if client == 0 { ppm } else { -ppm });
        let awake = (self.now - self.stood_still) as f64 * (1.0 + monotonic as f64 / 1e6);
        (awake - 900_000.0, self.now as f64 * (1.0 + wall as f64 / 1e6) + self.wall_set as f64)
    }
}
