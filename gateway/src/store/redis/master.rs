//! [`Master`]: one master, its lanes and its health.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ::redis::Value;
use foremap::breaker::{Breaker, BreakerConfig};
use foremap::node::Fence;
use tokio::sync::Notify;

use super::connect::{Connector, Link, history};
use super::fences::Fences;
use super::lane::{Lane, MAX_QUEUE};
use super::options::Address;
use super::reply::Fault;
use crate::store::MasterStatus;

/// Two failures in a row: one may be a connection that was closed while idle. Then one request in 100 ms tries, later
/// one in a second, so that a master or replica that is back is used within a second.
const BREAKER: BreakerConfig = BreakerConfig { failures: 2, first_ms: 100, most_ms: 1_000 };

/// What is asked, by the lane it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The change log: one caller, ten times a second, who must not wait behind others.
    Poll,
    /// What changes nothing.
    Read,
    /// What changes something.
    Write,
}

/// Connections of each lane. A second one halves the wait for the fence of those who come just after it.
const CONNECTIONS: [usize; 3] = [1, 2, 2];

/// What the lanes of a master share.
pub(super) struct Health {
    address: Address,
    connector: Connector,
    fence: AtomicU32,
    pub(super) fences: Fences,
    breaker: Mutex<Breaker>,
    started: Instant,
    attempts: AtomicU64,
    failures: AtomicU64,
    /// Told where this may not be the master any more.
    suspicion: Arc<Notify>,
}

impl Health {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether a pipeline may be sent now.
    pub(super) fn enter(&self) -> bool {
        let enters = self.breaker().enter(self.now());
        self.attempts.fetch_add(u64::from(enters), Ordering::Relaxed);
        enters
    }

    fn is_open(&self) -> bool {
        self.breaker().is_open(self.now())
    }

    /// What those hear who are kept away.
    pub(super) fn refusal(&self) -> Fault {
        Fault::Refused(format!("{} did not answer lately, or its replicas did not", self.address))
    }

    /// Notes a failure, and says it with the address.
    pub(super) fn failed(&self, why: &str) -> String {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.breaker().failed(self.now());
        self.suspect();
        format!("{}: {why}", self.address)
    }

    /// Has the topology asked for.
    pub(super) fn suspect(&self) {
        self.suspicion.notify_one();
    }

    pub(super) async fn connect(&self) -> Result<Link, Fault> {
        match self.connector.link(&self.address).await {
            Ok(Some(link)) => Ok(link),
            Ok(None) => {
                self.breaker().succeeded();
                self.suspect();
                Err(Fault::Elsewhere(format!("{} is no master", self.address)))
            }
            Err(error) => Err(Fault::Refused(self.failed(&error.to_string()))),
        }
    }

    /// Replicas that must acknowledge.
    pub(super) fn required(&self) -> u32 {
        self.fence.load(Ordering::Relaxed)
    }

    /// Judges the answers to the three commands of a fence on a connection that was opened in the history `since`:
    /// `None` if it holds.
    pub(super) fn fenced(&self, since: &str, answers: [Option<Value>; 3]) -> Option<Fault> {
        let [raised, acknowledged, told] = answers;
        match (raised, acknowledged) {
            // It answers, as a master of other data now.
            (Some(Value::Int(_)), Some(Value::Int(_))) if told.and_then(history).as_deref() != Some(since) => {
                self.breaker().succeeded();
                self.suspect();
                Some(Fault::Dropped(format!("{}: it was not master all along", self.address)))
            }
            (Some(Value::Int(_)), Some(Value::Int(count))) => {
                let required = self.required();
                if Fence::new(required).holds(u32::try_from(count).unwrap_or(0)) {
                    self.breaker().succeeded();
                    return None;
                }
                let why = format!("{count} of {required} replicas acknowledged");
                Some(Fault::Uncounted(self.failed(&why)))
            }
            // The slot of the fence is not here, or no longer.
            (Some(Value::ServerError(error)), _) | (_, Some(Value::ServerError(error))) => {
                let moved = Fault::of_error(&error).is_elsewhere();
                let why = format!("the fence was refused: {} {}", error.code(), error.details().unwrap_or_default());
                if moved {
                    // It answers; it only is not the one to ask.
                    self.breaker().succeeded();
                    self.suspect();
                    return Some(Fault::Uncounted(format!("{}: {why}", self.address)));
                }
                Some(Fault::Uncounted(self.failed(&why)))
            }
            _ => Some(Fault::Uncounted(self.failed("the fence was not answered"))),
        }
    }
}

/// One master.
pub(super) struct Master {
    health: Arc<Health>,
    lanes: [Lane; 3],
}

impl Master {
    pub(super) fn new(address: Address, connector: Connector, replicas: u32, suspicion: Arc<Notify>) -> Self {
        let health = Arc::new(Health {
            address,
            connector,
            fence: AtomicU32::new(replicas),
            fences: Fences::default(),
            breaker: Mutex::new(Breaker::new(BREAKER)),
            started: Instant::now(),
            attempts: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            suspicion,
        });
        let lanes = CONNECTIONS.map(|connections| Lane::new(&health, connections));
        Self { health, lanes }
    }

    pub(super) fn address(&self) -> &Address {
        &self.health.address
    }

    /// From now on this many replicas must acknowledge.
    pub(super) fn require(&self, replicas: u32) {
        self.health.fence.store(replicas, Ordering::Relaxed);
    }

    /// From now on fences raise one of these keys.
    pub(super) fn offer(&self, fences: Vec<String>) {
        self.health.fences.offer(fences);
    }

    /// The lane of `kind`, unless requests are to be refused at once.
    pub(super) fn lane(&self, kind: Kind) -> Result<&Lane, Fault> {
        if self.health.is_open() {
            return Err(self.health.refusal());
        }
        Ok(&self.lanes[kind as usize])
    }

    /// Writes that wait, and the most that may.
    pub(super) fn writes_waiting(&self) -> (usize, usize) {
        (self.lanes[Kind::Write as usize].waiting(), MAX_QUEUE)
    }

    pub(super) fn status(&self) -> MasterStatus {
        MasterStatus {
            address: self.health.address.to_string(),
            open: self.health.is_open(),
            attempts: self.health.attempts.load(Ordering::Relaxed),
            failures: self.health.failures.load(Ordering::Relaxed),
            waiting: (self.lanes.iter().map(Lane::waiting).sum(), MAX_QUEUE * self.lanes.len()),
            replicas: self.health.required(),
        }
    }
}
