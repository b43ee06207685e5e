//! [`Shifting`]: the Partition Shifter of the process that coordinates.
//!
//! Once a round the coordinator takes the load report of every node of the map, wherever it is: nodes count, and whoever
//! holds the office asks. So nobody has to know who that is, and a coordinator that ends takes nothing along. A node that
//! does not answer in time is left out of that round.
//!
//! What is planned goes the way of every map: proposal, warm-up, compare-and-set. A process with a store of its own has
//! no registry, and does the same by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use foremap::Millis;
use foremap::partition::{Epoch, NodeId, PartitionMap};
use foremap::shifter::{LoadReport, Move, Plan, PlanSettings, ROUND_MS, Shifter, ShifterAction, ShifterStats};
use serde::{Deserialize, Serialize};

use crate::store::{Blob, Store, StoreError, Term};

/// How long a plan may take to come in force before another is made: the warm-up, and two heartbeats of everybody.
const PATIENCE: Duration = Duration::from_secs(8);

/// Who acts on what the shifter plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ShifterMode {
    /// The shifter.
    #[default]
    Auto,
    /// Whoever asks for it: plans are made and told, and applied on demand only.
    DryRun,
    /// Nobody: no loads are collected.
    Off,
}

/// What the coordinator keeps in the store of its office.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct OfficeRecord {
    /// Where it answers.
    pub(crate) origin: String,
    /// Whether shifts are frozen. Outlives the coordinator.
    pub(crate) frozen: bool,
}

impl OfficeRecord {
    /// What is stored; the default where nothing is, or nothing that can be read.
    pub(crate) async fn read(store: &Arc<dyn Store>) -> Result<Self, StoreError> {
        let stored = store.blob(Blob::Office).await?;
        Ok(stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Stores it under `term`; says whether that is still in force.
    pub(crate) async fn write(&self, store: &Arc<dyn Store>, term: Term) -> Result<bool, StoreError> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        store.put_blob(Blob::Office, Some(bytes), term).await
    }
}

/// What `GET /v1/plan` tells.
#[derive(Debug, Clone, Serialize)]
pub struct ShifterStatus {
    /// Who acts on plans.
    pub mode: ShifterMode,
    /// Whether nothing is applied, by the freeze switch.
    pub frozen: bool,
    /// Epoch of the map in force.
    pub epoch: Epoch,
    /// Requests of each node in the last round of two seconds.
    pub loads: BTreeMap<NodeId, u32>,
    /// Counts, and fills of the load model.
    pub stats: ShifterStats,
    /// The last plan that came in force under this coordinator.
    pub last: Option<Plan>,
    /// The plan that waits to come in force.
    pub pending: Option<Plan>,
    /// What would be done now: the dry run.
    pub next: Plan,
}

/// Why a plan was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotApplied {
    /// The process does not coordinate.
    Elsewhere,
    /// The caller saw another map.
    Epoch(Epoch),
    /// Another plan is on its way.
    Pending,
}

/// Counters and the state of the shifter, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ShiftingStats {
    /// Of the shifter; zeros where the process does not coordinate.
    pub shifter: ShifterStats,
    /// Reports that nodes did not deliver, since start.
    pub lost: u64,
}

/// Plans while the process coordinates; otherwise idle. Bounded as the load model is.
///
/// The planner's lock is held for as long as planning takes, the other for single steps; where both are, that is the
/// inner one. So nobody but those who want a plan waits for planning.
#[derive(Default)]
pub struct Shifting {
    mode: OnceLock<ShifterMode>,
    /// There is one while the process coordinates.
    planner: Mutex<Option<Shifter>>,
    office: Mutex<Office>,
    /// Held while the stored [`OfficeRecord`] is read, changed and written.
    pub(super) record: tokio::sync::Mutex<()>,
}

/// What is to be told at any time.
#[derive(Default)]
struct Office {
    /// The term under which the process coordinates.
    term: Option<Term>,
    frozen: bool,
    pending: Option<Pending>,
    last: Option<Plan>,
    loads: BTreeMap<NodeId, u32>,
    /// As of the last round.
    stats: ShifterStats,
    lost: u64,
}

/// A plan that is on its way.
struct Pending {
    plan: Plan,
    /// Content hash of the map that it leads to.
    hash: u64,
    since: Instant,
    /// Somebody asked for it, so that it goes on while shifts are frozen.
    is_asked_for: bool,
}

impl Shifting {
    fn planner(&self) -> MutexGuard<'_, Option<Shifter>> {
        self.planner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn office(&self) -> MutexGuard<'_, Office> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes effect once.
    pub(super) fn set_mode(&self, mode: ShifterMode) {
        self.mode.get_or_init(|| mode);
    }

    /// Who acts on plans.
    pub fn mode(&self) -> ShifterMode {
        self.mode.get().copied().unwrap_or_default()
    }

    /// The term under which it coordinates.
    pub(super) fn term(&self) -> Option<Term> {
        self.office().term
    }

    /// Begins to coordinate under `term`, knowing nothing. O(partitions x nodes).
    pub(super) fn begin(&self, term: Term, map: &Arc<PartitionMap>, frozen: bool) {
        let shifter = Shifter::new(map.clone(), PlanSettings::default());
        let mut planner = self.planner();
        let mut office = self.office();
        *planner = Some(shifter);
        *office = Office { term: Some(term), frozen, lost: office.lost, ..Office::default() };
    }

    /// Coordinates no more.
    pub(super) fn end(&self) {
        let mut planner = self.planner();
        let mut office = self.office();
        *planner = None;
        *office = Office { lost: office.lost, ..Office::default() };
    }

    /// The moves that the coordinator is to put in force on top of `map`.
    pub(super) fn moves(&self, map: &PartitionMap) -> Vec<Move> {
        let office = self.office();
        let pending = office.pending.as_ref().filter(|pending| pending.plan.base == map.epoch);
        pending.map_or_else(Vec::new, |pending| pending.plan.moves.clone())
    }

    /// Whether the map with this hash is still to come in force.
    pub(super) fn awaits(&self, hash: u64) -> bool {
        self.office().pending.as_ref().is_some_and(|pending| pending.hash == hash)
    }

    /// Takes in a round's reports, judges the last plan, and makes the next; returns its map where there is one. `None` among
    /// the reports is a node that did not answer.
    pub(super) fn round(&self, map: &Arc<PartitionMap>, reports: Vec<Option<LoadReport>>) -> Option<Arc<PartitionMap>> {
        let now = unix_ms();
        let mut planner = self.planner();
        let shifter = planner.as_mut()?;
        let (asked, hash) = (reports.len(), map.hash());
        let mut loads = BTreeMap::new();
        for report in reports.into_iter().flatten() {
            loads.insert(report.node, report.requests.all);
            shifter.observe(&report, now);
        }
        let lost = asked - loads.len();
        let in_force = {
            let mut office = self.office();
            office.loads = loads;
            office.lost += lost as u64;
            office.follow(map.epoch, hash)
        };
        match in_force {
            true => shifter.published(map),
            false => shifter.set_map(map.clone()),
        }
        let (frozen, waits) = {
            let mut office = self.office();
            office.stats = shifter.stats();
            (office.frozen, office.pending.is_some())
        };
        if waits {
            return None;
        }
        shifter.freeze(frozen || self.mode() == ShifterMode::DryRun);
        let action = shifter.plan(now);
        self.office().stats = shifter.stats();
        self.await_map(action?, false)
    }

    /// What the shifter knows and would do; `None` where the process does not coordinate. Takes as long as planning.
    pub fn status(&self) -> Option<ShifterStatus> {
        let planner = self.planner();
        let shifter = planner.as_ref()?;
        let next = shifter.dry_run(unix_ms());
        let office = self.office();
        Some(ShifterStatus {
            mode: self.mode(),
            frozen: office.frozen,
            epoch: shifter.map().epoch,
            loads: office.loads.clone(),
            stats: self.counted(&office, shifter.stats()),
            last: office.last.clone(),
            pending: office.pending.as_ref().map(|pending| pending.plan.clone()),
            next,
        })
    }

    /// Puts what the dry run tells on its way, whatever the mode, also while frozen. Where the caller names the epoch that
    /// it saw, that has to be the map in force. An empty plan does nothing.
    ///
    /// # Errors
    /// [`NotApplied`].
    pub(super) fn apply(&self, seen: Option<Epoch>) -> Result<(Plan, Option<Arc<PartitionMap>>), NotApplied> {
        let mut planner = self.planner();
        let Some(shifter) = planner.as_mut() else { return Err(NotApplied::Elsewhere) };
        if self.office().pending.is_some() {
            return Err(NotApplied::Pending);
        }
        let epoch = shifter.map().epoch;
        if seen.is_some_and(|seen| seen != epoch) {
            return Err(NotApplied::Epoch(epoch));
        }
        let Some(action) = shifter.apply(unix_ms()) else { return Ok((Plan::default(), None)) };
        let ShifterAction::Publish { plan, .. } = &action;
        Ok((plan.clone(), self.await_map(action, true)))
    }

    /// The map that is on its way now; `None` where shifts were frozen while it was planned.
    fn await_map(&self, action: ShifterAction, is_asked_for: bool) -> Option<Arc<PartitionMap>> {
        let ShifterAction::Publish { map, plan } = action;
        let (told, moves) = (plan.to_string(), plan.moves.len());
        let pending = Pending { plan, hash: map.hash(), since: Instant::now(), is_asked_for };
        {
            let mut office = self.office();
            if office.frozen && !is_asked_for {
                return None;
            }
            office.pending = Some(pending);
        }
        tracing::info!(epoch = %map.epoch, moves, "shifting partitions\n{told}");
        Some(map)
    }

    /// Stops applying plans, also one on its way that nobody asked for; or resumes it.
    pub(super) fn freeze(&self, frozen: bool) {
        let mut office = self.office();
        office.frozen = frozen;
        office.pending.take_if(|pending| frozen && !pending.is_asked_for);
    }

    /// Counters and fills.
    pub fn stats(&self) -> ShiftingStats {
        let office = self.office();
        ShiftingStats { shifter: self.counted(&office, office.stats), lost: office.lost }
    }

    /// `stats` with the switch as it is now.
    fn counted(&self, office: &Office, stats: ShifterStats) -> ShifterStats {
        let stops = office.frozen || self.mode() == ShifterMode::DryRun;
        ShifterStats { frozen: office.term.is_some() && stops, ..stats }
    }
}

impl Office {
    /// Lets go of a plan that came in force with the map of this epoch and hash, or cannot any more; says whether it came.
    fn follow(&mut self, epoch: Epoch, hash: u64) -> bool {
        let done = self.pending.take_if(|pending| pending.hash == hash);
        self.pending.take_if(|pending| pending.plan.base != epoch || pending.since.elapsed() > PATIENCE);
        let in_force = done.is_some();
        self.last = done.map(|done| done.plan).or(self.last.take());
        in_force
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}

/// The number of the round that has just ended, and how long it is until the next one does.
pub(super) fn round_now() -> (u64, Duration) {
    let now = unix_ms();
    (now / ROUND_MS, Duration::from_millis(ROUND_MS - now % ROUND_MS))
}

#[cfg(test)]
#[path = "shifting_tests.rs"]
mod tests;
