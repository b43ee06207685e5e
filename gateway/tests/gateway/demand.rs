//! Requests as many clients send them: each key to the node that serves it by the map in force.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use foremap::key::CompositeKey;
use foremap::node::NodeStats;
use foremap::partition::{NodeId, PartitionMap, Placement};
use foremap::protocol::{BatchItem, BatchRequest, Class, Outcome};
use foremap_gateway::host::Process;
use parking_lot::{Mutex, MutexGuard};

use crate::shared::until;

const TENANTS: u64 = 90;
const KEYS: u64 = 30;
/// The hot tenant is large, so that much of what is asked for changes its home.
const HOT_KEYS: u64 = 1_500;
const BATCH: usize = 20;
/// 4,000 keys a second.
const TICK: Duration = Duration::from_millis(5);

/// A key of tenant 0, which turns hot.
pub(crate) fn hot_key(n: u64) -> CompositeKey {
    CompositeKey::parse(&format!("t0/files/{}", n % HOT_KEYS)).expect("valid")
}

/// Counts of what was asked for since the last look.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    pub(crate) by_node: BTreeMap<NodeId, u64>,
    pub(crate) requests: u64,
    /// Of these, the first for its key at its node: what a node could not know from serving.
    pub(crate) first: u64,
}

impl Counts {
    /// Load of the heaviest of `nodes` nodes over the mean.
    pub(crate) fn worst(&self, nodes: usize) -> f64 {
        let most = self.by_node.values().max().copied().unwrap_or(0);
        most as f64 * nodes as f64 / self.requests.max(1) as f64
    }
}

struct Shared {
    processes: Mutex<Vec<Arc<Process>>>,
    is_hot: AtomicBool,
    stop: AtomicBool,
    counts: Mutex<Counts>,
    seen: Mutex<HashSet<(NodeId, CompositeKey)>>,
    failures: Mutex<Vec<String>>,
}

/// Runs until it ends.
pub(crate) struct Demand {
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

impl Demand {
    pub(crate) fn start(processes: &[Arc<Process>]) -> Self {
        let shared = Arc::new(Shared {
            processes: Mutex::new(processes.to_vec()),
            is_hot: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            counts: Mutex::default(),
            seen: Mutex::default(),
            failures: Mutex::default(),
        });
        let task = tokio::spawn(shared.clone().run());
        Self { shared, task }
    }

    /// From now on, half of all requests are for tenant 0, and a tenth for one key.
    pub(crate) fn turn_hot(&self) {
        self.shared.is_hot.store(true, Ordering::Relaxed);
    }

    /// From now on, only these are asked.
    pub(crate) fn ask_only(&self, processes: &[Arc<Process>]) {
        *lock(&self.shared.processes) = processes.to_vec();
    }

    /// Waits for so many requests, and tells how they were spread.
    pub(crate) async fn next(&self, requests: u64) -> Counts {
        lock(&self.shared.counts).clone_from(&Counts::default());
        until("requests are answered", || lock(&self.shared.counts).requests >= requests).await;
        std::mem::take(&mut *lock(&self.shared.counts))
    }

    /// Waits until next to no request is the first for its key at its node; tells how the last ones were spread.
    pub(crate) async fn is_known(&self) -> Counts {
        let begun = tokio::time::Instant::now();
        loop {
            let counts = self.next(8_000).await;
            if counts.first * 50 < counts.requests {
                return counts;
            }
            let (first, requests) = (counts.first, counts.requests);
            assert!(begun.elapsed() < Duration::from_secs(60), "{first} of {requests} are first ones");
        }
    }

    /// Waits until the heaviest of `nodes` nodes is below `bound` over thousands of requests.
    pub(crate) async fn evens_out(&self, nodes: usize, bound: f64) -> f64 {
        let begun = tokio::time::Instant::now();
        loop {
            let worst = self.next(6_000).await.worst(nodes);
            if worst < bound {
                return worst;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the heaviest node stays at {worst:.2} of the mean");
        }
    }

    /// Sums of what the nodes counted.
    pub(crate) fn stats(&self) -> NodeStats {
        let mut sum = NodeStats::default();
        for process in &*lock(&self.shared.processes) {
            for node in process.nodes() {
                let stats = node.node().stats();
                sum.keys += stats.keys;
                sum.memory_hits += stats.memory_hits;
                sum.warmed += stats.warmed;
            }
        }
        sum
    }

    /// Ends it, and returns what failed.
    pub(crate) async fn end(self) -> Vec<String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("no panic");
        std::mem::take(&mut *lock(&self.shared.failures))
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            ((random >> 32) * below) >> 32
        };
        let mut placement: Option<Placement> = None;
        let mut ticks = tokio::time::interval(TICK);
        for salt in 0_u64.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            ticks.tick().await;
            let hot = self.is_hot.load(Ordering::Relaxed);
            let keys: Vec<_> = (0..BATCH).map(|_| key(hot, &mut draw)).collect();
            let processes = lock(&self.processes).clone();
            let map: Arc<PartitionMap> = processes[0].map().borrow().clone();
            if placement.as_ref().is_none_or(|placement| placement.map().epoch != map.epoch) {
                placement = Some(Placement::new(map));
            }
            let mut groups: BTreeMap<NodeId, Vec<CompositeKey>> = BTreeMap::new();
            for key in keys {
                let node = placement.as_ref().expect("just made").server(&key, salt);
                groups.entry(node).or_default().push(key);
            }
            for (node, keys) in groups {
                self.ask(&processes, node, keys).await;
            }
        }
    }

    async fn ask(&self, processes: &[Arc<Process>], id: NodeId, keys: Vec<CompositeKey>) {
        let found = processes.iter().find_map(|process| {
            let node = process.nodes().find(|node| node.id() == id)?;
            Some((process, node))
        });
        // A node that is gone: whoever is asked instead answers as well.
        let (process, node) = found.unwrap_or_else(|| (&processes[0], processes[0].nodes().next().expect("a node")));
        let item = |key: &CompositeKey| BatchItem { key: key.clone(), if_version: None, class: Class::Demand };
        let request =
            BatchRequest { items: keys.iter().map(item).collect(), max_staleness_ms: 5_000, ..BatchRequest::default() };
        let failed = match process.batch(node, &request).await {
            Ok(response) => {
                let failed =
                    |outcome: &Outcome| matches!(outcome, Outcome::Error { .. }).then(|| format!("{outcome:?}"));
                response.results.iter().find_map(|result| failed(&result.outcome))
            }
            Err(problem) => Some(format!("{problem:?}")),
        };
        lock(&self.failures).extend(failed);
        let (mut counts, mut seen) = (lock(&self.counts), lock(&self.seen));
        *counts.by_node.entry(id).or_default() += keys.len() as u64;
        counts.requests += keys.len() as u64;
        counts.first += keys.into_iter().filter(|key| seen.insert((id, key.clone()))).count() as u64;
    }
}

fn key(hot: bool, draw: &mut impl FnMut(u64) -> u64) -> CompositeKey {
    match draw(10) {
        0 if hot => hot_key(0),
        1..=4 if hot => hot_key(draw(HOT_KEYS)),
        _ => {
            let text = format!("t{}/files/{}", 1 + draw(TENANTS), draw(KEYS));
            CompositeKey::parse(&text).expect("valid")
        }
    }
}
