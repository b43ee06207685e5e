//! [`Membership`]: keeps the nodes of a process registered, follows the map, and coordinates while it holds the office.

use std::sync::Arc;
use std::time::Duration;

use foremap::Millis;
use foremap::control::{Coordinator, CoordinatorConfig, Member, MemberState, Seen, Step};
use foremap::partition::{NodeId, PartitionMap};
use futures_util::future::try_join_all;
use tokio::sync::watch;

use super::Process;
use super::warm::WarmUp;
use crate::run::incarnation_now;
use crate::store::{Blob, Store, StoreError, Term};

/// Time between two rounds: a heartbeat, and one look at the map and the office.
const BEAT: Duration = Duration::from_secs(1);
/// The same while a proposal is stored: everybody waits for its end.
const BRISK: Duration = Duration::from_millis(200);
/// Shortest time between two rounds, whoever asks for one.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a registration and the office hold without a heartbeat: two may be lost.
const TTL: Duration = Duration::from_secs(3);
/// Two lives of a registration for a restart, and as long for warming up as a bounded read may be stale.
const COORDINATOR: CoordinatorConfig = CoordinatorConfig { grace_ms: 2 * TTL.as_millis() as Millis, warm_ms: 2_000 };

/// Counters since start, and where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MembershipStats {
    /// Members that were registered when it last looked: the coordinator looks in each round.
    pub members: u64,
    /// Its term in office; 0 out of office.
    pub term: Term,
    /// Rounds that failed, as the store did.
    pub failures: u64,
    /// Proposals that it stored.
    pub proposals: u64,
    /// Maps that it put in force.
    pub flips: u64,
    /// What it wanted to store and was refused, as its term was over or the map had changed.
    pub refusals: u64,
    /// Keys read ahead of a flip.
    pub warm_keys: u64,
    /// Owners that could not tell their hot keys, and chunks of keys that could not be read.
    pub warm_failures: u64,
    /// It was leaving, and no map or nobody else waits for it any more.
    pub has_left: bool,
}

/// Why a process may not join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A live process elsewhere holds this node id.
    Taken(NodeId),
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The membership of one process: one registration for each of its nodes, and one candidate for the office.
pub struct Membership {
    process: Arc<Process>,
    incarnation: u64,
    members: Vec<Member>,
    coordinator: Coordinator,
    warm_up: WarmUp,
    is_failing: bool,
    is_doubled: bool,
}

impl Membership {
    /// Registers `members`, which are all of one incarnation: the first heartbeat.
    ///
    /// # Errors
    /// [`Refused`]; then none of them is registered.
    pub async fn join(store: &dyn Store, members: &[Member]) -> Result<(), Refused> {
        let mut joined: Vec<&Member> = Vec::with_capacity(members.len());
        for member in members {
            let refused = match store.announce(member.clone(), TTL).await {
                Ok(true) => {
                    joined.push(member);
                    continue;
                }
                Ok(false) => Refused::Taken(member.id),
                Err(error) => Refused::Store(error),
            };
            for member in joined {
                // What stays is forgotten by itself.
                let _ = store.retract(member.id, member.incarnation).await;
            }
            return Err(refused);
        }
        Ok(())
    }

    /// Keeps `members`, which have [joined](Self::join), for the nodes of `process`.
    pub fn new(process: Arc<Process>, members: Vec<Member>) -> Self {
        let incarnation = members.first().map_or(0, |member| member.incarnation);
        if let Some(member) = members.first() {
            process.registered.get_or_init(|| member.origin.clone());
        }
        let warm_up = WarmUp::new(process.clone());
        let coordinator = Coordinator::new(COORDINATOR);
        Self { process, incarnation, members, coordinator, warm_up, is_failing: false, is_doubled: false }
    }

    /// Repeats rounds until `stop` becomes true, then retracts the registrations and resigns.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let process = self.process.clone();
        loop {
            let wait = match self.round().await {
                Ok(wait) => {
                    self.is_failing = false;
                    wait
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(%error, "the registry cannot be reached; traffic goes on, shifts wait");
                    }
                    // It may have lost the office meanwhile.
                    process.membership.send_modify(|stats| {
                        stats.failures += 1;
                        stats.term = 0;
                    });
                    BEAT
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(wait.saturating_sub(PAUSE)) => {}
                () = process.news.notified() => {}
            }
        }
        self.end().await;
    }

    async fn end(self) {
        let store = &self.process.store;
        let retracted = self.members.iter().map(|member| store.retract(member.id, member.incarnation));
        let ended = async {
            try_join_all(retracted).await?;
            store.lead(self.incarnation, Duration::ZERO).await
        };
        if let Err(error) = ended.await {
            tracing::info!(%error, "the registration is left to expire");
        }
    }

    /// One heartbeat, one look at everything, and one step where it is in office. Returns when the next one is due.
    async fn round(&mut self) -> Result<Duration, StoreError> {
        let process = self.process.clone();
        let store = &process.store;
        let is_leaving = process.is_leaving();
        for member in &mut self.members {
            member.state = if is_leaving { MemberState::Leaving } else { MemberState::Serving };
            member.warm_for = self.warm_up.done();
        }
        // Who leaves keeps the office until it is gone, so that it is let go soon, but does not take it.
        let may_lead = !is_leaving || process.membership.borrow().term > 0;
        let lead = async {
            match may_lead {
                true => store.lead(self.incarnation, TTL).await,
                false => Ok(None),
            }
        };
        let beats = try_join_all(self.members.iter().map(|member| store.announce(member.clone(), TTL)));
        let (beats, term, map, proposal) = tokio::try_join!(beats, lead, store.map(), store.blob(Blob::Proposal))?;
        self.warn_of_doubles(beats.iter().all(|own| *own));
        let map = match map {
            Some(map) => map,
            None => self.found_anew().await?,
        };
        if let Err(error) = process.publish(&map) {
            return Err(StoreError::Corrupt(format!("map: {error}")));
        }
        // One that cannot be read is replaced as soon as there is something to propose.
        let proposal = proposal.and_then(|bytes| PartitionMap::decode(&bytes).ok()).map(Arc::new);
        self.warm_up.follow(&map, proposal.as_ref());
        let members = match term.is_some() || is_leaving {
            true => Some(store.members().await?),
            false => None,
        };
        process.membership.send_modify(|stats| stats.term = term.unwrap_or(0));
        if let Some(members) = &members {
            self.note(is_leaving, &map, members);
        }
        let plan = process.shifting.moves(&map);
        let members = members.as_deref().unwrap_or_default();
        let seen = Seen { members, map: &map, proposal: proposal.as_ref(), plan: &plan };
        let step = self.coordinator.round(process.clock.now(), term, &seen);
        let went_on = self.perform(term.unwrap_or(0), step).await?;
        Ok(match (went_on, proposal) {
            (true, _) => PAUSE,
            (false, Some(_)) => BRISK,
            (false, None) if is_leaving => BRISK,
            (false, None) => BEAT,
        })
    }

    /// The map is gone, and so is what else was stored, as after FLUSHALL, or a restart on an empty disk: makes a new one, or
    /// takes that of whoever was first. Its incarnation is a later one, so clients hear that the store is another one.
    async fn found_anew(&self) -> Result<Arc<PartitionMap>, StoreError> {
        let store = &self.process.store;
        let known = self.process.map().borrow().clone();
        // What a namespace begins with, or whoever starts next may slice it in another way.
        store.prepare().await?;
        let mut next = PartitionMap::new(known.seeds[0], known.partitions, known.storage, known.nodes.clone());
        next.epoch.incarnation = incarnation_now(&**store).max(known.epoch.incarnation.saturating_add(1));
        next.seeds = known.seeds;
        let next = Arc::new(next);
        if store.put_map(None, next.clone(), 0).await? {
            let incarnation = next.epoch.incarnation;
            tracing::error!(incarnation, "the store is empty: a new map is in force, and all clients begin anew");
            return Ok(next);
        }
        store.map().await?.ok_or_else(|| StoreError::Unavailable("the partition map is gone".to_owned()))
    }

    fn note(&self, is_leaving: bool, map: &PartitionMap, members: &[Member]) {
        let is_own = |id: NodeId| self.members.iter().any(|own| own.id == id);
        let is_named = map.nodes.iter().any(|node| is_own(node.id));
        let others = members.iter().any(|member| member.state == MemberState::Serving && !is_own(member.id));
        self.process.membership.send_modify(|stats| {
            stats.members = members.len() as u64;
            stats.has_left = is_leaving && !(is_named && others);
        });
    }

    /// Says whether it changed something, so that there is more to do.
    async fn perform(&self, term: Term, step: Step) -> Result<bool, StoreError> {
        let store = &self.process.store;
        let stats = &self.process.membership;
        let done = match step {
            Step::Rest => return Ok(false),
            Step::Propose(map) => {
                tracing::info!(epoch = %map.epoch, nodes = map.nodes.len(), "proposing a map");
                let done = store.put_blob(Blob::Proposal, Some(map.encode()), term).await?;
                stats.send_modify(|stats| stats.proposals += u64::from(done));
                done
            }
            Step::Flip { expect, map } => {
                let done = store.put_map(Some(expect), map.clone(), term).await?;
                if done {
                    tracing::info!(epoch = %map.epoch, nodes = map.nodes.len(), "the map is in force");
                    stats.send_modify(|stats| stats.flips += 1);
                    store.put_blob(Blob::Proposal, None, term).await?;
                }
                done
            }
            Step::Clear => store.put_blob(Blob::Proposal, None, term).await?,
        };
        stats.send_modify(|stats| stats.refusals += u64::from(!done));
        Ok(done)
    }

    /// A process that was away for long may find its id taken. Its answers stay right, as truth is in the store.
    fn warn_of_doubles(&mut self, is_own: bool) {
        if !is_own && !self.is_doubled {
            tracing::error!("another process has registered under a node id of this one: give each its own --node");
        }
        self.is_doubled = !is_own;
    }
}
