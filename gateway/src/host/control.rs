//! [`ControlTask`]: carries out what the control machine of a process decides, and tells it what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foremap::control::{
    Beat, Command, Control, ControlConfig, Found, LeaderRecord, Member, OperatorAnswer, OperatorRequestId, Planned,
    StoreChange, StoreFailed, Times,
};
use foremap::load::LoadReport;
use foremap::partition::PartitionMap;
use futures_util::future::try_join_all;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::Process;
use super::control_handle::{OperatorRequest, OperatorRequests};
use super::operators::blocking;
use super::process_clock::unix_ms;
use super::warm::{Warmed, warm_up_in_time};
use crate::store::{Blob, Registry, Store, StoreError, Term};

/// Why a process may not join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinRefused {
    /// A live process elsewhere holds this node id.
    Taken(foremap::partition::NodeId),
    /// The store failed.
    Store(StoreError),
}

/// Registers `members`, which are all of one incarnation: the first heartbeat.
///
/// # Errors
/// [`JoinRefused`]; then none of them is registered.
pub async fn join(registry: &dyn Registry, members: &[Member]) -> Result<(), JoinRefused> {
    let mut joined: Vec<&Member> = Vec::with_capacity(members.len());
    for member in members {
        let refused = match registry.announce(member.clone(), ttl()).await {
            Ok(true) => {
                joined.push(member);
                continue;
            }
            Ok(false) => JoinRefused::Taken(member.id),
            Err(error) => JoinRefused::Store(error),
        };
        for member in joined {
            // What stays is forgotten by itself.
            let _ = registry.retract(member.id, member.incarnation).await;
        }
        return Err(refused);
    }
    Ok(())
}

/// Takes the registrations of `members`, which are all of one incarnation, back, and then its lease.
///
/// # Errors
/// The store's; what is left expires by itself.
async fn leave(registry: &dyn Registry, members: &[Member]) -> Result<(), StoreError> {
    try_join_all(members.iter().map(|member| registry.retract(member.id, member.incarnation))).await?;
    let incarnation = members.first().map_or(0, |member| member.incarnation);
    registry.take_lease(incarnation, Duration::ZERO).await.map(|_| ())
}

fn ttl() -> Duration {
    Duration::from_millis(ControlConfig::default().ttl_ms)
}

/// Result of a command.
enum CommandResult {
    Beat(Result<Found, StoreError>),
    Stored(StoreChange, Result<bool, StoreError>),
    Record(Result<LeaderRecord, StoreError>),
    Warm(u64, Warmed),
    Loads(Vec<Option<LoadReport>>),
    Planned(Option<Box<Planned>>),
}

/// Drives the control machine of one process.
pub struct ControlTask {
    process: Arc<Process>,
    control: Control,
    requests: OperatorRequests,
    /// Senders to those who wait for an answer.
    asked: BTreeMap<OperatorRequestId, oneshot::Sender<OperatorAnswer>>,
    last_id: OperatorRequestId,
    under_way: JoinSet<CommandResult>,
    warming: Option<AbortHandle>,
}

impl ControlTask {
    /// For `members`, which have [joined](join), the nodes of `process`.
    pub fn new(process: Arc<Process>, config: ControlConfig, members: Vec<Member>, requests: OperatorRequests) -> Self {
        let control = Control::new(config, members, process.map().borrow().clone());
        let (asked, under_way) = (BTreeMap::new(), JoinSet::new());
        Self { process, control, requests, asked, last_id: 0, under_way, warming: None }
    }

    fn times(&self) -> Times {
        Times { now: self.process.clock.now(), unix: unix_ms() }
    }

    /// Goes on until `stop` becomes true, then retracts the registrations and steps down.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let process = self.process.clone();
        let handle = &process.control;
        let (mut newer, mut leaving) = (handle.newer.subscribe(), handle.leaving.subscribe());
        loop {
            while let Some(command) = self.control.poll_command() {
                self.perform(command);
            }
            self.tell();
            let wait = Duration::from_millis(self.control.poll_timeout(self.times()));
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(done) = self.under_way.join_next() => {
                    if let Ok(done) = done {
                        self.take(done);
                    }
                }
                Some((request, answer)) = self.requests.0.recv() => self.ask(request, answer),
                () = handle.news.notified() => self.control.handle_news(),
                Ok(()) = newer.changed() => {
                    let epoch = *newer.borrow_and_update();
                    self.control.handle_newer_epoch(self.times(), epoch);
                }
                Ok(()) = leaving.changed() => self.control.handle_leave(),
                () = tokio::time::sleep(wait) => {}
            }
            self.control.handle_timeout(self.times());
        }
        self.end().await;
    }

    async fn end(mut self) {
        self.under_way.shutdown().await;
        let store = &self.process.store;
        if !store.is_shared() {
            return;
        }
        if let Err(error) = leave(&**store, self.control.members()).await {
            tracing::info!(%error, "the registration is left to expire");
        }
    }

    /// Lets everybody know where the machine stands.
    fn tell(&self) {
        let stats = self.control.stats();
        self.process.control.stats.send_if_modified(|known| {
            if stats.is_failing && !known.is_failing {
                tracing::warn!("the registry cannot be reached; traffic goes on, shifts wait");
            }
            if stats.is_doubled && !known.is_doubled {
                tracing::error!("another process has registered under a node id of this one: give each its own --node");
            }
            std::mem::replace(known, stats) != stats
        });
    }

    fn ask(&mut self, request: OperatorRequest, answer: oneshot::Sender<OperatorAnswer>) {
        self.last_id += 1;
        let (times, id) = (self.times(), self.last_id);
        self.asked.insert(id, answer);
        match request {
            OperatorRequest::Apply(seen) => self.control.handle_apply(times, id, seen),
            OperatorRequest::Freeze(frozen) => self.control.handle_freeze(times, id, frozen),
            OperatorRequest::Status => self.control.handle_status(times, id),
        }
    }

    fn perform(&mut self, command: Command) {
        let process = self.process.clone();
        match command {
            Command::Beat(beat) => {
                self.under_way.spawn(async move { CommandResult::Beat(self::beat(&process, beat).await) });
            }
            Command::Store { change, term } => {
                self.under_way.spawn(async move {
                    let stored = store(&*process.store, &change, term).await;
                    CommandResult::Stored(change, stored)
                });
            }
            Command::ReadRecord => {
                self.under_way.spawn(async move { CommandResult::Record(process.leader().await) });
            }
            Command::Follow(map) => {
                tracing::info!(epoch = %map.epoch, nodes = map.nodes.len(), "the map is in force");
                if let Err(error) = process.publish(&map) {
                    tracing::error!(%error, "the map in force cannot be used");
                }
            }
            Command::WarmUp { map, next } => {
                self.stop_warm_up();
                self.warming = Some(self.under_way.spawn(async move {
                    let warmed = warm_up_in_time(&process, &map, &next).await;
                    CommandResult::Warm(next.hash(), warmed)
                }));
            }
            Command::StopWarmUp => self.stop_warm_up(),
            Command::CollectLoads { map, round } => {
                self.under_way.spawn(async move { CommandResult::Loads(process.loads(&map, round).await) });
            }
            Command::Plan(job) => {
                self.under_way.spawn(async move { CommandResult::Planned(blocking(move || job.run(unix_ms())).await) });
            }
            Command::Answer(id, answer) => {
                if let Some(asked) = self.asked.remove(&id) {
                    // Whoever asked may be gone.
                    let _ = asked.send(answer);
                }
            }
        }
    }

    fn stop_warm_up(&mut self) {
        if let Some(task) = self.warming.take() {
            task.abort();
        }
    }

    fn take(&mut self, done: CommandResult) {
        let times = self.times();
        let control = &mut self.control;
        match done {
            CommandResult::Beat(found) => control.handle_beat(times, found.map_err(failed)),
            CommandResult::Stored(change, stored) => control.handle_stored(times, change, stored.map_err(failed)),
            CommandResult::Record(record) => control.handle_record(times, record.map_err(failed)),
            CommandResult::Warm(hash, Warmed { keys, failures }) => control.handle_warm(times, hash, keys, failures),
            CommandResult::Loads(reports) => control.handle_loads(times, reports),
            CommandResult::Planned(Some(planned)) => {
                let before = control.pending_plan().map(|plan| plan.base);
                control.handle_planned(times, planned);
                if let Some(plan) = control.pending_plan().filter(|plan| Some(plan.base) != before) {
                    tracing::info!(moves = plan.moves.len(), "shifting partitions\n{plan}");
                }
            }
            // It panicked, and its shifter is gone with it.
            CommandResult::Planned(None) => control.handle_plan_lost(times),
        }
    }
}

fn failed(error: StoreError) -> StoreFailed {
    tracing::info!(%error, "the store did not do what control asked for");
    StoreFailed
}

async fn beat(process: &Process, beat: Beat) -> Result<Found, StoreError> {
    let store = &process.store;
    let incarnation = beat.members.first().map_or(0, |member| member.incarnation);
    let lead = async {
        match beat.may_lead {
            true => store.take_lease(incarnation, ttl()).await,
            false => Ok(None),
        }
    };
    let members = async {
        match beat.reads_members {
            true => store.members().await.map(Some),
            false => Ok(None),
        }
    };
    let beats = try_join_all(beat.members.iter().map(|member| store.announce(member.clone(), ttl())));
    let (own, term, map, proposal) = tokio::try_join!(beats, lead, store.map(), store.blob(Blob::Proposal))?;
    Ok(Found {
        is_own: own.iter().all(|own| *own),
        term,
        map,
        // One that cannot be read is replaced as soon as there is something to propose.
        proposal: proposal.and_then(|bytes| PartitionMap::decode(&bytes).ok()).map(Arc::new),
        // After the others, so that it has these registrations in it.
        members: members.await?,
        store_ms: store.now_us() / 1_000,
    })
}

async fn store(store: &dyn Store, change: &StoreChange, term: Term) -> Result<bool, StoreError> {
    match change {
        StoreChange::Propose(map) => {
            tracing::info!(epoch = %map.epoch, nodes = map.nodes.len(), "proposing a map");
            store.put_blob(Blob::Proposal, Some(map.encode()), term).await
        }
        StoreChange::Clear | StoreChange::Withdraw => store.put_blob(Blob::Proposal, None, term).await,
        StoreChange::Flip { expect, map } => {
            let done = store.put_map(Some(*expect), map.clone(), term).await?;
            if done && store.is_shared() {
                store.put_blob(Blob::Proposal, None, term).await?;
            }
            Ok(done)
        }
        StoreChange::Begin(map) => {
            // What a namespace begins with, or whoever starts next may slice it in another way.
            store.prepare().await?;
            let done = store.put_map(None, map.clone(), 0).await?;
            if done {
                let incarnation = map.epoch.incarnation;
                tracing::error!(incarnation, "the store is empty: a new map is in force, and all clients begin anew");
            }
            Ok(done)
        }
        StoreChange::Record(record) => store.put_blob(Blob::Leader, Some(record.encode()), term).await,
    }
}
