//! Metrics in Prometheus text.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foremap::control::ControlStats;
use foremap::load::LoadModel;
use foremap::node::{AdmissionStats, Node, NodeStats, PeerOutcome, PeerStats, Priority, Shares};
use foremap::partition::PartitionMap;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::connections::{ConnectionStats, Connections};
use super::model_metrics::{self, Row};
use super::permits::{MAX_EVENT_FEEDS, MAX_LISTS, MAX_MAP_WAITS};
use super::receiving::Receiving;
use crate::host::{NodeHandle, Process};
use crate::store::{ClockStatus, MasterStatus, Promise, troubles};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

/// Requests by route, and what the node counts itself.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
}

impl Metrics {
    pub(super) fn new(node: Arc<NodeHandle>, process: Arc<Process>, watched: Watched) -> Self {
        let id = node.id().to_string();
        let mut registry = Registry::with_prefix_and_labels("foremap", [("node".into(), id.into())].into_iter());
        let requests = Family::default();
        registry.register("http_requests", "HTTP requests answered", requests.clone());
        // From a memory hit to the longest wait of a client.
        let buckets: fn() -> Histogram =
            || Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0]);
        let seconds = Family::new_with_constructor(buckets);
        let help = "Time from the head of a request to the head of its answer";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, seconds.clone());
        registry.register_collector(Box::new(NodeCollector { node, process, watched }));
        Self { registry, requests, seconds }
    }

    pub(super) fn record(&self, route: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { route, status }).inc();
        self.seconds.get_or_create(&RouteLabels { route }).observe(took.as_secs_f64());
    }

    pub(super) fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Sources of what a node's HTTP server counts elsewhere.
pub(super) struct Watched {
    pub(super) event_feeds: Arc<Mutex<Shares>>,
    pub(super) lists: Arc<Mutex<Shares>>,
    pub(super) map_waits: Arc<AtomicUsize>,
    pub(super) connections: Arc<Connections>,
    pub(super) receiving: Arc<Receiving>,
}

struct NodeCollector {
    node: Arc<NodeHandle>,
    process: Arc<Process>,
    watched: Watched,
}

impl fmt::Debug for NodeCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeCollector({})", self.node.id())
    }
}

impl Collector for NodeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.node.node().stats();
        let (peers, control) = (self.process.peers(), *self.process.control().borrow());
        let counters = counters(&stats).into_iter().chain(process_counters(&peers, &control));
        let sharing = self.process.sharing.stats();
        let counters = counters.chain(shifter_counters(&control)).chain(model_metrics::counters(&sharing));
        let connections = self.watched.connections.stats();
        let (unfinished, unfinished_max) = self.watched.receiving.fill();
        for (name, help, value) in counters.chain(connection_counters(&self.watched, &connections)) {
            let counter = ConstCounter::new(value);
            let kind = EncodeMetric::metric_type(&counter);
            counter.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        if let Some(disk) = self.process.store.disk() {
            let counters = [
                ("store_write_failures", "Writes that failed or were refused as the disk did", disk.failed_writes),
                ("store_reopens", "Times that the store file was opened again after an error", disk.reopened),
            ];
            for (name, help, value) in counters {
                let counter = ConstCounter::new(value);
                counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
            }
            let broken = ConstGauge::new(i64::from(disk.is_broken));
            let help = "Whether the store file cannot be written now";
            broken.encode(encoder.encode_descriptor("store_broken", help, None, MetricType::Gauge)?)?;
        }
        forwards(&mut encoder, &peers)?;
        masters(&mut encoder, &self.process.store.masters())?;
        clocks(&mut encoder, &self.process.store.clocks())?;
        let event_feeds = self.watched.event_feeds.lock().taken();
        let lists = self.watched.lists.lock().taken();
        let admission = self.process.gate.stats();
        by_priority(&mut encoder, &admission)?;
        let durable = self.process.store.promise() == Promise::Durable;
        let (waiting, waiting_max) = self.process.store.waiting();
        let troubles = troubles(&*self.process.store).len();
        let newest = self.node.node().positions(self.process.clock.now()).iter().map(|at| at.position).max();
        let ahead_s = newest.unwrap_or(0).saturating_sub(self.process.store.now_us()) / 1_000_000;
        let queues = [
            ("connections", "Connections, those on reserved places included", connections.open),
            ("connections_max", "Bound of connections", connections.open_max),
            (
                "connections_reserved",
                "Connections on places that are reserved for questions about health",
                connections.reserved,
            ),
            ("unfinished_bytes", "Bytes held of heads and bodies that have arrived in part", unfinished),
            ("unfinished_bytes_max", "Bound of unfinished_bytes", unfinished_max),
            ("lists", "Lists under way", lists as u64),
            ("lists_max", "Bound of lists", MAX_LISTS as u64),
            ("admission_waiting", "Requests that nobody has begun with", admission.waiting),
            ("admission_waiting_max", "Bound of admission_waiting, as measured", admission.bound),
            ("event_feeds", "Change feeds being served as events", event_feeds as u64),
            ("event_feeds_max", "Bound of event_feeds", MAX_EVENT_FEEDS as u64),
            ("map_waits", "Requests that wait for a newer map", self.watched.map_waits.load(Ordering::Relaxed) as u64),
            ("map_waits_max", "Bound of map_waits", MAX_MAP_WAITS as u64),
            (
                "store_durable",
                "Whether acknowledged writes are on disk everywhere: the promise is durable",
                durable.into(),
            ),
            ("store_queue", "Writes waiting for the store", waiting as u64),
            ("store_queue_max", "Bound of store_queue", waiting_max as u64),
            (
                "store_versions_ahead_seconds",
                "How far the newest version is ahead of the time, as a clock was once",
                ahead_s,
            ),
            ("store_troubles", "What keeps the store from doing all that it should, as /readyz tells", troubles as u64),
        ];
        let map = self.node.node().map();
        let of_process = process_gauges(&peers, &control, &map).into_iter().chain(shifter_gauges(&control));
        let of_process = of_process.chain(model_metrics::gauges(&sharing));
        for (name, help, value) in gauges(&stats).into_iter().chain(queues).chain(of_process) {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let kind = EncodeMetric::metric_type(&gauge);
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        let worst = ConstGauge::new(control.shifter.worst);
        let help = "Load of the heaviest node over its share, as last measured by the coordinator";
        worst.encode(encoder.encode_descriptor("shifter_worst", help, None, MetricType::Gauge)?)?;
        Ok(())
    }
}

fn counters(s: &NodeStats) -> [Row; 26] {
    [
        ("keys", "Keys asked for", s.keys),
        ("prefetch_keys", "Keys asked for as a prefetch", s.prefetch_keys),
        ("memory_hits", "Keys answered from memory", s.memory_hits),
        ("memory_too_old", "Keys in memory, but over the caller's bound or behind its floor", s.memory_too_old),
        ("store_reads", "Keys read from the store", s.store_reads),
        ("store_failures", "Store reads that failed", s.store_failures),
        ("stale_answers", "Keys answered over the bound as the store failed", s.stale_answers),
        ("forwarded", "Keys sent to their owner", s.forwarded),
        ("forward_failures", "Forwarded keys read from the store after all", s.forward_failures),
        ("received_forwards", "Keys received from another gateway", s.received_forwards),
        ("fills", "Store reads that entered memory", s.fills),
        ("fills_refused", "Store reads that the log may have overtaken", s.fills_refused),
        ("warmed", "Fills for keys that the node was about to own", s.warmed),
        ("log_entries", "Change log entries applied", s.log_entries),
        ("log_gaps", "Gaps in change logs, the first page of each shard included", s.log_gaps),
        ("invalidated", "Memory entries dropped by the log", s.invalidated),
        ("evictions", "Memory entries dropped for want of room", s.evictions),
        ("hot_uncounted", "Keys that the hot set left out, as another thread was counting", s.hot_uncounted),
        ("resets", "Cursors that recent changes did not reach back to", s.resets),
        ("maps_full", "Partition maps handed out whole", s.maps_full),
        ("maps_delta", "Partition maps handed out as a delta", s.maps_delta),
        ("feeds_opened", "Change feeds opened", s.feeds_opened),
        ("feeds_refused", "Change feeds refused for want of places, or of the subject's", s.feeds_refused),
        ("feed_frames", "Frames made for change feeds", s.feed_frames),
        ("feed_gaps", "Steps of feeds that recent changes did not reach back to", s.feed_gaps),
        ("feed_shards_added", "Shards added to change feeds", s.feed_shards_added),
    ]
}

/// Encodes the counts of what was taken on and what was not.
fn by_priority(encoder: &mut DescriptorEncoder<'_>, admission: &AdmissionStats) -> Result<(), fmt::Error> {
    let families = [
        ("requests_admitted", "Requests, or what was fetched ahead with them, that were taken on", admission.admitted),
        ("requests_shed", "The same refused, as the node had more to do than it could", admission.refused),
    ];
    for (name, help, counts) in families {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (priority, count) in Priority::ALL.into_iter().zip(counts) {
            ConstCounter::new(count).encode(family.encode_family(&[("priority", priority.name())])?)?;
        }
    }
    Ok(())
}

fn connection_counters(watched: &Watched, connections: &ConnectionStats) -> [Row; 4] {
    let (late, no_room) = watched.receiving.counters();
    [
        ("connections_refused", "Connections closed for want of a place", connections.refused),
        ("connections_displaced", "Connections without a head that were closed for others", connections.displaced),
        ("requests_late", "Heads and bodies that took too long", late),
        ("requests_no_room", "Heads and bodies refused for want of unfinished_bytes", no_room),
    ]
}

/// The same for every node of the process.
fn process_counters(peers: &PeerStats, control: &ControlStats) -> [Row; 7] {
    [
        ("peer_breaker_opens", "Times that a peer was given up for a while", peers.breaker_opens),
        ("membership_failures", "Rounds of membership that the store failed", control.failures),
        ("proposals", "Maps proposed by this process as leader", control.proposals),
        ("flips", "Maps put in force by this process as leader", control.flips),
        ("coordinator_refusals", "Steps refused as the term was over or the map had changed", control.refusals),
        ("warm_keys", "Keys read ahead of owning them", control.warm_keys),
        ("warm_failures", "Owners or store reads that failed a warm-up", control.warm_failures),
    ]
}

/// The same for every node of the process.
fn process_gauges(peers: &PeerStats, control: &ControlStats, map: &PartitionMap) -> [Row; 9] {
    [
        ("epoch", "Number of the map's epoch", map.epoch.number),
        ("map_nodes", "Nodes of the map", map.nodes.len() as u64),
        ("members", "Members registered, as last seen as leader", control.members),
        ("leads", "Whether the process is the coordinator", u64::from(control.term.is_some())),
        ("term", "The coordinator's term, 0 without the lease", control.term.unwrap_or(0)),
        ("peers_open", "Peers that are not asked for a while", peers.open),
        ("peer_forwards", "Forwards under way to other processes", peers.in_flight),
        ("peer_forwards_max", "Bound of peer_forwards", peers.in_flight_max),
        ("warm_keys_max", "Bound of the keys read ahead of one map", Node::MAX_HOT_KEYS as u64),
    ]
}

/// Zeros where another process coordinates.
fn shifter_counters(control: &ControlStats) -> [Row; 6] {
    let s = &control.shifter;
    [
        ("load_reports", "Load reports taken in", s.reports),
        ("load_reports_refused", "Load reports counted before, or of another time", s.refused),
        ("load_reports_lost", "Load reports that a node did not deliver", control.lost),
        ("shifts", "Plans of the Partition Shifter that came in force", s.plans),
        ("shifts_reverted", "Of these, those that took another back", s.reverts),
        ("shifts_unfit", "Plans that no map can hold, as it would have too many rules or hot keys", s.unfit),
    ]
}

/// The same.
fn shifter_gauges(control: &ControlStats) -> [Row; 11] {
    let fill = &control.shifter.fill;
    [
        ("shifter_frozen", "Whether plans are not applied", control.shifter.frozen.into()),
        ("model_prefixes", "Prefixes in the load model", fill.prefixes as u64),
        ("model_prefixes_max", "Bound of model_prefixes", LoadModel::MAX_PREFIXES as u64),
        ("model_cells", "Parts of prefixes in the load model", fill.cells as u64),
        ("model_cells_max", "Bound of model_cells", LoadModel::MAX_CELLS as u64),
        ("model_keys", "Keys in the load model", fill.keys as u64),
        ("model_keys_max", "Bound of model_keys", LoadModel::MAX_KEYS as u64),
        ("model_pairs", "Pairs of prefixes in the load model", fill.pairs as u64),
        ("model_pairs_max", "Bound of model_pairs", LoadModel::MAX_PAIRS as u64),
        ("model_incarnations", "Incarnations of nodes in the load model", fill.incarnations as u64),
        ("model_incarnations_max", "Bound of model_incarnations", LoadModel::MAX_INCARNATIONS as u64),
    ]
}

fn forwards(encoder: &mut DescriptorEncoder<'_>, peers: &PeerStats) -> Result<(), fmt::Error> {
    let help = "Requests for other processes' nodes, by what became of them";
    let mut family = encoder.encode_descriptor("forwards", help, None, MetricType::Counter)?;
    for (outcome, count) in PeerOutcome::ALL.into_iter().zip(peers.outcomes) {
        ConstCounter::new(count).encode(family.encode_family(&[("outcome", outcome.name())])?)?;
    }
    Ok(())
}

/// By the address of the master: as many as the store's cluster has.
fn masters(encoder: &mut DescriptorEncoder<'_>, masters: &[MasterStatus]) -> Result<(), fmt::Error> {
    type Figure = (&'static str, &'static str, MetricType, fn(&MasterStatus) -> u64);
    const FIGURES: [Figure; 9] = [
        ("store_master_pipelines", "Pipelines sent to a store master", MetricType::Counter, |m| m.attempts),
        ("store_master_failures", "Of these, those whose answers did not count", MetricType::Counter, |m| m.failures),
        ("store_master_open", "Whether a master is not asked for a while", MetricType::Gauge, |m| m.open.into()),
        ("store_master_queue", "Requests waiting for a master", MetricType::Gauge, |m| m.waiting.0 as u64),
        ("store_master_queue_max", "Bound of store_master_queue", MetricType::Gauge, |m| m.waiting.1 as u64),
        ("store_master_replicas", "Replicas that must acknowledge", MetricType::Gauge, |m| m.replicas.into()),
        ("store_master_unfit", "Whether its shards take no writes", MetricType::Gauge, |m| m.unfit.is_some().into()),
        ("store_master_durable", "Whether all its servers acknowledge from disk", MetricType::Gauge, |m| {
            m.is_durable.into()
        }),
        ("store_master_outside", "Attached replicas that are not of its cluster", MetricType::Gauge, |m| {
            m.outside.into()
        }),
    ];
    for (name, help, kind, figure) in FIGURES.into_iter().filter(|_| !masters.is_empty()) {
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for master in masters {
            let labels = [("master", master.address.as_str())];
            let encoder = family.encode_family(&labels)?;
            match kind {
                MetricType::Counter => ConstCounter::new(figure(master)).encode(encoder)?,
                _ => ConstGauge::new(i64::try_from(figure(master)).unwrap_or(i64::MAX)).encode(encoder)?,
            }
        }
    }
    let lacking = |master: &MasterStatus| !master.lacking.is_empty();
    if masters.iter().any(lacking) {
        let help = "1 for each replica whose acknowledgement a master lacks, so that nothing is told of what it said";
        let mut family = encoder.encode_descriptor("store_replica_lacking", help, None, MetricType::Gauge)?;
        for master in masters {
            for replica in &master.lacking {
                let labels = [("master", master.address.as_str()), ("replica", replica.as_str())];
                ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

/// By the address of the server, as many as the store's cluster has, and this machine.
fn clocks(encoder: &mut DescriptorEncoder<'_>, clocks: &[ClockStatus]) -> Result<(), fmt::Error> {
    if clocks.is_empty() {
        return Ok(());
    }
    let help =
        "How far a clock is ahead of the time that most agree on; nothing is written by one that is a minute ahead";
    let mut family = encoder.encode_descriptor("clock_ahead", help, Some(&Unit::Seconds), MetricType::Gauge)?;
    for clock in clocks {
        let seconds = ConstGauge::new(clock.ahead_ms as f64 / 1_000.0);
        seconds.encode(family.encode_family(&[("clock", clock.whose.as_str())])?)?;
    }
    Ok(())
}

fn gauges(s: &NodeStats) -> [Row; 24] {
    [
        ("memory_entries", "Keymaps and absences in memory", s.memory_entries),
        ("memory_entries_max", "Bound of memory_entries", s.memory_entries_max),
        ("memory_bytes", "Bytes in memory", s.memory_bytes),
        ("memory_bytes_max", "Bound of memory_bytes", s.memory_bytes_max),
        ("ring_entries", "Recent changes held", s.ring_entries),
        ("ring_entries_max", "Bound of ring_entries", s.ring_entries_max),
        ("map_history", "Partition maps held to base deltas on", s.map_history),
        ("map_history_max", "Bound of map_history", s.map_history_max),
        ("load_partitions", "Partitions counted for the load report", s.load_partitions),
        ("load_partitions_max", "Bound of load_partitions", s.load_partitions_max),
        ("load_prefixes", "Prefixes counted for the load report", s.load_prefixes),
        ("load_prefixes_max", "Bound of load_prefixes", s.load_prefixes_max),
        ("load_cells", "Parts of prefixes counted for the load report", s.load_cells),
        ("load_cells_max", "Bound of load_cells", s.load_cells_max),
        ("load_keys", "Keys counted for the load report", s.load_keys),
        ("load_keys_max", "Bound of load_keys", s.load_keys_max),
        ("load_pairs", "Pairs of prefixes counted for the load report", s.load_pairs),
        ("load_pairs_max", "Bound of load_pairs", s.load_pairs_max),
        ("hot_keys", "Keys in the hot set", s.hot_keys),
        ("hot_keys_max", "Bound of hot_keys", s.hot_keys_max),
        ("feeds", "Change feeds being served in binary form", s.feeds),
        ("feeds_max", "Bound of feeds", s.feeds_max),
        ("feed_shards", "Shards that change feeds follow", s.feed_shards),
        ("feed_shards_max", "Bound of feed_shards", s.feed_shards_max),
    ]
}
