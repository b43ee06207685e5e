//! [`Plan`]: from a workload and measured costs to machines. Pure arithmetic.
//!
//! Gateways share what is asked of them; besides, each follows every log and polls every master. Masters share keys,
//! reads and writes; besides, each is polled by every gateway. Either number depends on the other, so they are raised in turn
//! until both stand, or until a [`Wall`] is hit.

use serde::Serialize;

use super::coefficients::Costs;
use super::workload::Workload;
use foremap::node::Feeds;

/// Storage shards of a namespace, S. A master has one at least.
pub(super) const SHARDS: f64 = 256.0;
/// Storage shards below one first component, F.
pub(super) const FAN: f64 = 16.0;
/// Fewest gateways: so that one may fail.
const LEAST_GATEWAYS: f64 = 2.0;
/// Fewest masters of a Redis Cluster.
const LEAST_MASTERS: f64 = 3.0;
/// Most nodes of a partition map.
pub(super) const MOST_NODES: f64 = 4_096.0;
/// Most events a second of one feed: the pause between two polls of the log is 5 ms.
const MOST_EVENTS: f64 = 200.0;
/// A core's microseconds in a second.
const CORE: f64 = 1e6;
/// Raises of one number after the other; each but the last adds a machine.
const MOST_RAISES: usize = 10_000;

/// Limit that decides on a number of machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// Processor time.
    Processor,
    /// Memory.
    Memory,
    /// Change feeds of one node.
    Feeds,
    /// As few as are sensible.
    Least,
}

/// Limit beyond which more machines no longer help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wall {
    /// Every gateway follows all logs, and that alone takes all it has.
    Tailing,
    /// Masters have one storage shard each, and that is too much for one.
    Shards,
    /// Reads of the logs by all gateways together take most of what masters have.
    Polling,
    /// The map names as many nodes as it can.
    Nodes,
}

/// The machines of a workload, and what they do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Plan {
    /// Gateway processes, on a machine each.
    pub(crate) gateways: f64,
    /// Limit that decides on their number.
    pub(crate) gateways_by: Limit,
    /// Masters.
    pub(crate) masters: f64,
    /// Limit that decides on their number.
    pub(crate) masters_by: Limit,
    /// Redis servers, replicas included.
    pub(crate) servers: f64,
    /// Busy cores of a gateway.
    pub(crate) gateway_busy: f64,
    /// Busy share of the fullest master's one core.
    pub(crate) master_busy: f64,
    /// Bytes of keymaps in the memory of a gateway.
    pub(crate) gateway_bytes: f64,
    /// Bytes in the memory of the fullest master.
    pub(crate) master_bytes: f64,
    /// Log entries a second that all gateways together follow.
    pub(crate) log_entries: f64,
    /// Cores of all gateways together that do so.
    pub(crate) log_cores: f64,
    /// Cores of gateways and masters together that polling takes at rest.
    pub(crate) idle_cores: f64,
    /// Bytes of the partition map.
    pub(crate) map_bytes: f64,
    /// Change-feed events a second, of all clients.
    pub(crate) events: f64,
    /// Bytes of them.
    pub(crate) event_bytes: f64,
    /// Most writes a second below one first component.
    pub(crate) component_writes: f64,
}

impl Plan {
    /// The fewest machines that carry `workload`. More of anything never takes fewer machines.
    ///
    /// # Errors
    /// The [`Wall`] that is in the way.
    pub(crate) fn of(workload: &Workload, costs: &Costs) -> Result<Self, Wall> {
        let (mut gateways, mut masters) = (LEAST_GATEWAYS, LEAST_MASTERS);
        for _ in 0..MOST_RAISES {
            let (m, masters_by) = masters_for(workload, costs, gateways)?;
            let (g, gateways_by) = gateways_for(workload, costs, m.max(masters))?;
            if g <= gateways && m <= masters {
                return Ok(Self::with(workload, costs, (gateways, gateways_by), (masters, masters_by)));
            }
            (gateways, masters) = (g.max(gateways), m.max(masters));
        }
        Err(Wall::Polling)
    }

    fn with(w: &Workload, c: &Costs, gateways: (f64, Limit), masters: (f64, Limit)) -> Self {
        let ((gateways, gateways_by), (masters, masters_by)) = (gateways, masters);
        let fullest = shards_of_fullest(masters) / SHARDS;
        let events = w.clients * events_of_client(w);
        let polled = gateways * c.idle_master / 100.0;
        let write = write_at_master(c, gateways);
        Self {
            gateways,
            gateways_by,
            masters,
            masters_by,
            servers: masters * (1.0 + w.replicas),
            gateway_busy: (shared_by_gateways(w, c) / gateways + each_gateway(w, c, masters)) / CORE,
            master_busy: shared_by_masters(w, c, gateways) * fullest / CORE + polled,
            gateway_bytes: held_bytes(w, c) / gateways,
            master_bytes: stored_bytes(w, c) * fullest,
            log_entries: gateways * w.writes(),
            log_cores: gateways * w.writes() * c.tail_us / CORE,
            idle_cores: gateways * masters * (c.idle_gateway + c.idle_master) / 100.0,
            map_bytes: map_bytes(w, c, gateways),
            events,
            event_bytes: events * c.event_bytes,
            component_writes: FAN.min(masters) * (w.busy - polled).max(0.0) * CORE / write,
        }
    }
}

/// By how much keys, requests and clients can grow together (or must shrink, where it is below 1) until a wall is hit,
/// and which. `None` where none is hit before 10^12 times as much.
pub(crate) fn furthest(workload: &Workload, costs: &Costs) -> Option<(f64, Wall)> {
    const DOUBLINGS: i32 = 40;
    let fits = |factor: f64| Plan::of(&workload.times(factor), costs);
    let first = (-DOUBLINGS..=DOUBLINGS).map(|at| 2_f64.powi(at)).find(|&factor| fits(factor).is_err())?;
    let (mut fitting, mut over) = (first / 2.0, first);
    for _ in 0..30 {
        let middle = (fitting + over) / 2.0;
        if fits(middle).is_ok() { fitting = middle } else { over = middle }
    }
    Some((fitting, fits(over).err()?))
}

/// Microseconds a second of what gateways share.
fn shared_by_gateways(w: &Workload, c: &Costs) -> f64 {
    let read = c.batch_us + (w.batch - 1.0) * c.key_us;
    // Its log entry is counted with those that every gateway follows.
    let write = (c.write_us - c.tail_us).max(0.0);
    let events = w.clients * events_of_client(w);
    w.reads() * read + w.misses() * c.miss_us + w.writes() * write + events * c.event_us
}

/// Microseconds a second that each gateway has to spend, however many there are.
fn each_gateway(w: &Workload, c: &Costs, masters: f64) -> f64 {
    w.writes() * c.tail_us + masters * c.idle_gateway / 100.0 * CORE
}

fn gateways_for(w: &Workload, c: &Costs, masters: f64) -> Result<(f64, Limit), Wall> {
    let room = w.gateway_cores * w.busy * CORE - each_gateway(w, c, masters);
    if room <= 0.0 || w.writes() > c.tail_rate * w.busy {
        return Err(Wall::Tailing);
    }
    let needs = [
        (LEAST_GATEWAYS, Limit::Least),
        ((shared_by_gateways(w, c) / room).ceil(), Limit::Processor),
        ((held_bytes(w, c) / (w.gateway_memory * w.full)).ceil(), Limit::Memory),
        ((w.clients / Feeds::MAX as f64).ceil(), Limit::Feeds),
    ];
    let most = largest(needs);
    if most.0 > MOST_NODES { Err(Wall::Nodes) } else { Ok(most) }
}

/// Microseconds a second of what masters share.
fn shared_by_masters(w: &Workload, c: &Costs, gateways: f64) -> f64 {
    w.misses() * c.master_read_us + w.writes() * write_at_master(c, gateways)
}

/// A write's cost includes the polls of one gateway that follows.
fn write_at_master(c: &Costs, gateways: f64) -> f64 {
    (c.master_write_us + (gateways - 1.0) * c.master_tail_us).max(1e-3)
}

fn masters_for(w: &Workload, c: &Costs, gateways: f64) -> Result<(f64, Limit), Wall> {
    // A master runs on one core.
    let room = w.busy * CORE - gateways * c.idle_master / 100.0 * CORE;
    if room <= 0.0 {
        return Err(Wall::Polling);
    }
    let needs = [
        (LEAST_MASTERS, Limit::Least),
        (shared_by_masters(w, c, gateways) / room, Limit::Processor),
        (stored_bytes(w, c) / (w.master_memory * w.full), Limit::Memory),
    ];
    let (need, by) = largest(needs);
    // Shards are not divided: the fullest master decides.
    let shards = (SHARDS / need).floor();
    if shards < 1.0 {
        let most = shared_by_masters(w, c, gateways) / 2.0;
        let followed = w.writes() * (gateways - 1.0) * c.master_tail_us;
        let polled = gateways * c.idle_master / 100.0 > w.busy / 2.0;
        let by_gateways = by == Limit::Processor && (polled || followed > most);
        return Err(if by_gateways { Wall::Polling } else { Wall::Shards });
    }
    Ok(if by == Limit::Least { (need, by) } else { ((SHARDS / shards).ceil(), by) })
}

fn shards_of_fullest(masters: f64) -> f64 {
    (SHARDS / masters).ceil()
}

fn largest<const N: usize>(needs: [(f64, Limit); N]) -> (f64, Limit) {
    needs.into_iter().fold((0.0, Limit::Least), |most, need| if need.0 > most.0 { need } else { most })
}

/// One a second says that nothing happened; writes between two polls share one.
fn events_of_client(w: &Workload) -> f64 {
    1.0 + (w.writes() * w.interest).min(MOST_EVENTS)
}

fn stored_bytes(w: &Workload, c: &Costs) -> f64 {
    let key = c.redis_fixed_bytes + c.redis_key_factor * w.key_bytes + c.redis_value_factor * w.value_bytes;
    let version = c.version_bytes + w.key_bytes + w.value_bytes;
    w.keys * (key + (w.versions - 1.0) * version)
}

fn held_bytes(w: &Workload, c: &Costs) -> f64 {
    let entry = c.entry_fixed_bytes + c.entry_key_factor * w.key_bytes + c.entry_value_factor * w.value_bytes;
    w.keys * w.held_share * entry
}

fn map_bytes(w: &Workload, c: &Costs, gateways: f64) -> f64 {
    let nodes = (gateways - 2.0) * c.map_node_bytes;
    c.map_bytes + nodes + w.rules * c.map_rule_bytes + w.exceptions * c.map_exception_bytes
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
