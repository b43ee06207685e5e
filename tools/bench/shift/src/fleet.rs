//! Clients, nodes and a coordinator in simulated time, in steps of a tenth of a second.
//!
//! The shifter sees what nodes report and nothing else: each request of a client, chosen by chance, is counted by the
//! collector of the node that serves it. Reports are lost now and then, and arrive late. A new map reaches each client
//! group and each node at a time of its own, up to a second late; until then they go by the one before. What is
//! measured is the load that nodes can expect at each moment, so that chance in the requests is not in the figures.

use std::sync::Arc;

use foremap::load::{LoadCollector, LoadReport, ROUND_MS, ServedRequest};
use foremap::partition::{DEFAULT_PARTITIONS, MapNode, PartitionMap, StorageLayout};
use foremap::shifter::{Plan, PlanSettings, Shifter, ShifterAction};
use foremap_replay::Random;

use crate::view::View;
use crate::workload::Workload;

/// Steps of a round of 2 s.
pub const STEPS: u64 = 20;
const STEP_MS: u64 = 100;
/// Steps from the end of a round until the reports are there, and until a map made from them is published.
const REPORTED: u64 = 3;
const PUBLISHED: u64 = 4;
/// Groups of clients that hear of a map at the same time.
const CLIENTS: usize = 20;
/// Latest, in steps.
const LATEST: usize = 10;
/// One report in so many is lost.
const LOST: usize = 200;
/// One batch in so many goes whole to one node, which scatters it.
const WHOLE: usize = 4;

/// Settings of a fleet.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Nodes.
    pub nodes: usize,
    /// Virtual partitions.
    pub partitions: u32,
    /// Requests a second for each node, on average.
    pub rate: usize,
    /// Seed of everything.
    pub seed: u64,
    /// Milliseconds since 1970 at the start.
    pub start_ms: u64,
    /// Of the planner.
    pub plan: PlanSettings,
}

impl Settings {
    /// A fleet of so many nodes and partitions, with the usual settings.
    pub fn new(nodes: usize, partitions: u32) -> Self {
        let plan = PlanSettings::default();
        Self { nodes, partitions, rate: 2_000, seed: 1, start_ms: 1_764_000_000_000, plan }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(16, DEFAULT_PARTITIONS)
    }
}

/// A map on its way.
#[derive(Debug)]
struct Spread {
    view: View,
    published: u64,
    clients: Vec<u64>,
    nodes: Vec<u64>,
}

/// A plan that was carried out.
#[derive(Debug, Clone)]
pub struct Done {
    /// The step of its publication.
    pub step: u64,
    /// The plan.
    pub plan: Plan,
    /// Share of all entries with another home.
    pub entries: f64,
    /// Bytes of the delta.
    pub delta: Vec<u8>,
    /// Time it took to make.
    pub took_ms: f64,
}

/// See the module.
#[derive(Debug)]
pub struct Fleet {
    /// Keys that clients ask for.
    pub workload: Workload,
    /// Source of chance.
    pub rng: Random,
    /// The coordinator.
    pub shifter: Shifter,
    /// Plans carried out.
    pub done: Vec<Done>,
    /// Bytes of all reports, and how many there were.
    pub reports: (u64, u64),
    /// Time to take in the reports of a round, by round.
    pub merge_ms: Vec<f64>,
    /// Time to plan, by round, whether or not anything came of it: the fastest of [`Fleet::plan_runs`].
    pub plan_ms: Vec<f64>,
    /// Times that each plan is made, for its time.
    pub plan_runs: usize,
    settings: Settings,
    base: Vec<u16>,
    collectors: Vec<LoadCollector>,
    maps: Vec<Spread>,
    waiting: Vec<LoadReport>,
    proposed: Option<(Arc<PartitionMap>, Plan, f64)>,
    step: u64,
    skipped_ms: u64,
}

impl Fleet {
    /// A fleet before its first request, with a map without rules.
    pub fn new(settings: Settings, workload: Workload) -> Self {
        let node = |id| MapNode { id, origin: format!("https://node-{id:04}.example.net"), weight: 1 };
        let nodes = (1..=settings.nodes as u32).map(node).collect();
        let map = Arc::new(PartitionMap::new(settings.seed, settings.partitions, StorageLayout::default(), nodes));
        let base = map.rendezvous();
        let shifter = Shifter::new(Arc::clone(&map), settings.plan);
        let collectors =
            (0..settings.nodes).map(|at| LoadCollector::new(map.seeds[1], at as u64, settings.start_ms)).collect();
        let view = View::new(map, &base, &workload);
        let first = Spread { view, published: 0, clients: vec![0; CLIENTS], nodes: vec![0; settings.nodes] };
        Self {
            workload,
            rng: Random::apart(settings.seed),
            shifter,
            done: Vec::new(),
            reports: (0, 0),
            merge_ms: Vec::new(),
            plan_ms: Vec::new(),
            plan_runs: 1,
            base,
            collectors,
            maps: vec![first],
            waiting: Vec::new(),
            proposed: None,
            step: 0,
            skipped_ms: 0,
            settings,
        }
    }

    /// Steps made.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Milliseconds since 1970.
    pub fn now(&self) -> u64 {
        self.settings.start_ms + self.skipped_ms + self.step * STEP_MS
    }

    /// Lets time pass without requests, in whole rounds.
    pub fn skip(&mut self, ms: u64) {
        self.skipped_ms += ms / (STEPS * STEP_MS) * (STEPS * STEP_MS);
        let now = self.now();
        for collector in &mut self.collectors {
            collector.take(now, 0, 0, now / ROUND_MS);
        }
    }

    /// Changes what clients ask for.
    pub fn change(&mut self, change: impl FnOnce(&mut Workload, &mut Random)) {
        change(&mut self.workload, &mut self.rng);
        for map in &mut self.maps {
            map.view.weigh(&self.workload);
        }
    }

    /// The newest view.
    pub fn newest(&self) -> &View {
        &self.maps[self.maps.len() - 1].view
    }

    /// Rendezvous winners by partition.
    pub fn base(&self) -> &[u16] {
        &self.base
    }

    /// One step: requests, and at their times reports, plans and maps.
    pub fn advance(&mut self) {
        self.serve();
        self.step += 1;
        match self.step % STEPS {
            0 => self.report(),
            REPORTED => self.plan(),
            PUBLISHED => self.publish(),
            _ => {}
        }
        self.forget();
    }

    fn view_of(&self, heard: impl Fn(&Spread) -> u64) -> usize {
        self.maps.iter().rposition(|map| map.published + heard(map) <= self.step).unwrap_or(0)
    }

    fn serve(&mut self) {
        let requests = self.settings.nodes * self.settings.rate / 10;
        let now = self.now();
        let clients: Vec<usize> = (0..CLIENTS).map(|client| self.view_of(|map| map.clients[client])).collect();
        let nodes: Vec<usize> = (0..self.settings.nodes).map(|node| self.view_of(|map| map.nodes[node])).collect();
        let mut batch = Vec::new();
        let mut served = 0;
        while served < requests {
            self.workload.draw(&mut self.rng, &mut batch);
            let salt = self.rng.bits();
            let view = &self.maps[clients[self.rng.index(CLIENTS)]].view;
            for &key in &batch {
                let node = usize::from(view.node(key, salt));
                let own = &self.maps[nodes[node]].view;
                let (partition, depth) = own.places[key as usize];
                let key_text = &self.workload.keys[key as usize];
                let replicated = own.is_hot(key);
                self.collectors[node].observe(now, ServedRequest { key: key_text, partition, depth, replicated });
            }
            if batch.len() > 1 && self.rng.index(WHOLE) == 0 {
                let node = usize::from(view.node(batch[0], salt));
                let own = &self.maps[nodes[node]].view;
                let keys = batch.iter().map(|&key| (&self.workload.keys[key as usize], own.places[key as usize].1));
                self.collectors[node].together(now, keys);
            }
            served += batch.len();
        }
    }

    fn report(&mut self) {
        let (now, round) = (self.now(), self.now() / ROUND_MS);
        for (at, collector) in self.collectors.iter_mut().enumerate() {
            let report = collector.take(now, at as u32 + 1, 1, round);
            let bytes = report.encode();
            self.reports = (self.reports.0 + bytes.len() as u64, self.reports.1 + 1);
            if self.rng.index(LOST) > 0 {
                self.waiting.push(LoadReport::decode(&bytes).unwrap_or_else(|error| panic!("an own report: {error}")));
            }
        }
    }

    fn plan(&mut self) {
        let now = self.now();
        let begun = std::time::Instant::now();
        for report in self.waiting.drain(..) {
            self.shifter.observe(&report, now);
        }
        self.merge_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        let timed = |plan: &mut dyn FnMut()| {
            let begun = std::time::Instant::now();
            plan();
            begun.elapsed().as_secs_f64() * 1e3
        };
        let mut took = f64::INFINITY;
        for _ in 1..self.plan_runs {
            took = took.min(timed(&mut || drop(self.shifter.dry_run(now))));
        }
        let mut action = None;
        took = took.min(timed(&mut || action = self.shifter.plan(now)));
        self.plan_ms.push(took);
        if let Some(ShifterAction::Publish { map, plan }) = action {
            self.proposed = Some((map, plan, took));
        }
    }

    fn publish(&mut self) {
        let Some((map, plan, took_ms)) = self.proposed.take() else { return };
        self.shifter.published(&map);
        let last = self.newest();
        let view = last.next(Arc::clone(&map), &self.base, &self.workload);
        let delta =
            foremap::partition::MapDelta::between(&last.map, &map).map_or_else(Vec::new, |delta| delta.encode());
        self.done.push(Done { step: self.step, plan, entries: last.rehomed(&view), delta, took_ms });
        let rng = &mut self.rng;
        let mut late = |count: usize| (0..count).map(|_| 1 + rng.index(LATEST) as u64).collect::<Vec<_>>();
        let (clients, nodes) = (late(CLIENTS), late(self.settings.nodes));
        self.maps.push(Spread { view, published: self.step, clients, nodes });
    }

    /// Drops maps that nobody goes by any more.
    fn forget(&mut self) {
        let all_have = |map: &Spread| map.published + (LATEST as u64) < self.step;
        if let Some(at) = self.maps.iter().rposition(all_have) {
            self.maps.drain(..at);
        }
    }

    /// Expected load of the heaviest node over the mean, at this moment.
    pub fn imbalance(&self) -> f64 {
        let mut loads = vec![0.0; self.settings.nodes];
        for client in 0..CLIENTS {
            let view = &self.maps[self.view_of(|map| map.clients[client])].view;
            for (load, of_view) in loads.iter_mut().zip(&view.loads) {
                *load += of_view / CLIENTS as f64;
            }
        }
        max_over_mean(&loads)
    }
}

/// The largest over the mean.
pub fn max_over_mean(loads: &[f64]) -> f64 {
    let total: f64 = loads.iter().sum();
    loads.iter().copied().fold(0.0, f64::max) * loads.len() as f64 / total
}
