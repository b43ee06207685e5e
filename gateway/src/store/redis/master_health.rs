//! [`MasterHealth`]: what is known of how one master does, and whether it is asked at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use foremap::breaker::{Breaker, BreakerConfig};
use foremap::node::ReplicaFence;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::connect::{Connector, Link};
use super::fence::{self, FenceReport, Unread};
use super::fence_keys::FenceKeys;
use super::options::Address;
use super::reply::Fault;
use crate::store::MasterStatus;

/// Two failures in a row: one may be a connection that was closed while idle. Then one request in 100 ms tries, later
/// one in a second, so that a master or replica that is back is used within a second.
const BREAKER: BreakerConfig = BreakerConfig { failures: 2, first_ms: 100, most_ms: 1_000 };

/// Why a master is not believed.
#[derive(Clone, Default)]
pub(super) struct MasterTrouble {
    why: Option<String>,
    /// Replicas that did not acknowledge.
    lacking: Vec<Address>,
}

/// Verdict on the settings of a master and its replicas.
#[derive(Clone, Default)]
pub(super) struct Fitness {
    unfit: Option<String>,
    is_durable: bool,
}

/// State that the queues of a master share.
pub(super) struct MasterHealth {
    pub(super) address: Address,
    connector: Connector,
    pub(super) fence: ReplicaFence,
    pub(super) fences: FenceKeys,
    breaker: Mutex<Breaker>,
    /// Description of the newest failure, until something succeeds.
    trouble: Mutex<MasterTrouble>,
    /// Replicas that must acknowledge, by the newest fence, and how many of those attached are not of the cluster.
    wait_for: AtomicU32,
    outside: AtomicU32,
    started: Instant,
    attempts: AtomicU64,
    failures: AtomicU64,
    fitness: Mutex<Fitness>,
    /// Told where this may not be the master any more.
    suspicion: Arc<Notify>,
}

impl MasterHealth {
    pub(super) fn new(address: Address, connector: Connector, fence: ReplicaFence, suspicion: Arc<Notify>) -> Self {
        Self {
            address,
            connector,
            fence,
            fences: FenceKeys::default(),
            breaker: Mutex::new(Breaker::new(BREAKER)),
            trouble: Mutex::default(),
            fitness: Mutex::default(),
            wait_for: AtomicU32::new(fence.replicas()),
            outside: AtomicU32::new(0),
            started: Instant::now(),
            attempts: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            suspicion,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Tells whether a pipeline may be sent now, and counts those that may.
    pub(super) fn enter(&self) -> bool {
        let enters = self.breaker.lock().enter(self.now());
        self.attempts.fetch_add(u64::from(enters), Ordering::Relaxed);
        enters
    }

    pub(super) fn is_open(&self) -> bool {
        self.breaker.lock().is_open(self.now())
    }

    /// From now on takes writes if it is fit to: `unfit` says why it is not.
    pub(super) fn judge(&self, unfit: Option<String>, is_durable: bool) {
        let address = &self.address;
        let before = std::mem::replace(&mut *self.fitness.lock(), Fitness { unfit: unfit.clone(), is_durable });
        match unfit {
            Some(why) if before.unfit.as_ref() != Some(&why) => {
                tracing::error!("the shards of master {address} take no writes: {why}");
            }
            None if before.unfit.is_some() => tracing::info!("the shards of master {address} take writes again"),
            _ => {}
        }
    }

    /// Why it takes no writes, where it does not.
    pub(super) fn unfit(&self) -> Option<Fault> {
        let fitness = self.fitness.lock();
        let why = fitness.unfit.as_ref()?;
        Some(Fault::Refused(format!("{} takes no writes: {why}", self.address)))
    }

    /// Status of the master, with the requests that wait for it and the most that may.
    pub(super) fn status(&self, waiting: (usize, usize)) -> MasterStatus {
        let (trouble, fitness) = (self.trouble.lock().clone(), self.fitness.lock().clone());
        MasterStatus {
            address: self.address.to_string(),
            open: self.is_open(),
            attempts: self.attempts.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            waiting,
            replicas: self.wait_for(),
            outside: self.outside.load(Ordering::Relaxed),
            lacking: trouble.lacking.iter().map(Address::to_string).collect(),
            trouble: trouble.why,
            unfit: fitness.unfit,
            is_durable: fitness.is_durable,
        }
    }

    /// Answer to those who are kept away.
    pub(super) fn refusal(&self) -> Fault {
        let why = self.trouble.lock().why.clone();
        Fault::Refused(format!("{}: {}", self.address, why.as_deref().unwrap_or("it did not answer lately")))
    }

    /// Notes a failure, and says it with the address.
    pub(super) fn failed(&self, why: &str) -> String {
        self.failed_for(why, Vec::new())
    }

    fn failed_for(&self, why: &str, lacking: Vec<Address>) -> String {
        let told = format!("{}: {why}", self.address);
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.breaker.lock().failed(self.now());
        *self.trouble.lock() = MasterTrouble { why: Some(why.to_owned()), lacking };
        self.suspect();
        told
    }

    fn succeeded(&self) {
        self.breaker.lock().succeeded();
        *self.trouble.lock() = MasterTrouble::default();
    }

    /// Has the topology asked for.
    pub(super) fn suspect(&self) {
        self.suspicion.notify_one();
    }

    pub(super) async fn connect(&self) -> Result<Link, Fault> {
        match self.connector.link(&self.address).await {
            Ok(Some(link)) => Ok(link),
            Ok(None) => {
                self.succeeded();
                self.suspect();
                Err(Fault::Elsewhere(format!("{} is no master", self.address)))
            }
            Err(error) => Err(Fault::Refused(self.failed(&error.to_string()))),
        }
    }

    /// Replicas whose acknowledgement a fence waits for.
    pub(super) fn wait_for(&self) -> u32 {
        self.wait_for.load(Ordering::Relaxed)
    }

    /// Notes who is attached; returns how many acknowledgements there must be.
    pub(super) fn learn(&self, told: &FenceReport) -> u32 {
        let needed = told.waits_for(self.fence);
        self.wait_for.store(needed, Ordering::Relaxed);
        self.outside.store(u32::try_from(told.outside()).unwrap_or(u32::MAX), Ordering::Relaxed);
        needed
    }

    /// Judges the answers to a fence on a connection that was opened in the history `since`: `None` if it holds.
    pub(super) fn fenced(&self, since: &str, told: Result<FenceReport, Unread>) -> Option<Fault> {
        match told {
            // It answers, as a master of other data now.
            Ok(told) if told.history.as_deref() != Some(since) => {
                self.succeeded();
                self.suspect();
                Some(Fault::Dropped(format!("{}: it was not master all along", self.address)))
            }
            Ok(told) => {
                let lacks = told.lacks(self.fence);
                if lacks.is_empty() {
                    self.succeeded();
                    return None;
                }
                let why: Vec<String> = lacks.iter().map(|lack| fence::words(lack, self.fence)).collect();
                let lacking = lacks.iter().filter_map(fence::whom).cloned().collect();
                Some(Fault::Uncounted(self.failed_for(&why.join("; "), lacking)))
            }
            // The slot of the fence is not here, or no longer.
            Err(Unread::Refused(error)) => {
                let moved = Fault::of_error(&error).is_elsewhere();
                let why = format!("the fence was refused: {} {}", error.code(), error.details().unwrap_or_default());
                if moved {
                    // It answers; it only is not the one to ask.
                    self.succeeded();
                    self.suspect();
                    return Some(Fault::Uncounted(format!("{}: {why}", self.address)));
                }
                Some(Fault::Uncounted(self.failed(&why)))
            }
            Err(Unread::Odd) => Some(Fault::Uncounted(self.failed("the fence was not answered"))),
        }
    }
}
