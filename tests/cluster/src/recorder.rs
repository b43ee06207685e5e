//! Record of what all clients of a round did and were told.

use std::sync::Arc;

use foremap::key::CompositeKey;
use foremap_check::{Found, History, Level, Outcome, Read, Time, Write};
use parking_lot::{Mutex, MutexGuard};

use crate::clock::Clock;

/// Ages are told in whole milliseconds, by the gateway that read the log, by one that forwarded, and by the client; each
/// may have cut one off at the beginning and one at the end.
const SLACK: Time = 6_000;

/// Kind of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The published package's core.
    Sdk,
    /// A client that speaks the protocol by itself.
    Direct,
}

/// Kind of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Bounded,
    Strong,
    Any,
    Write,
}

/// A call of a client that went to a gateway.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    pub(crate) what: What,
    pub(crate) invoked: Time,
    pub(crate) returned: Time,
    pub(crate) succeeded: bool,
}

/// An acknowledged write, as the change feed must tell it.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) key: CompositeKey,
    pub(crate) shard: u16,
    pub(crate) version: u64,
    pub(crate) deleted: bool,
}

/// All that was recorded.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) history: History,
    pub(crate) calls: Vec<Call>,
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Events that should not happen at all, in words.
    pub(crate) nonsense: Vec<String>,
    /// Failed calls of clients of the package, in words.
    pub(crate) failures: Vec<String>,
}

/// Shared by all clients of a round.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) clock: Clock,
    record: Arc<Mutex<Record>>,
}

impl Recorder {
    pub(crate) fn new(clock: Clock) -> Self {
        let history = History { slack: SLACK, ..History::default() };
        Self { clock, record: Arc::new(Mutex::new(Record { history, ..Record::default() })) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock()
    }

    /// All that was recorded so far.
    pub(crate) fn take(&self) -> Record {
        std::mem::take(&mut self.lock())
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) fn call(&self, call: Call) {
        self.lock().calls.push(call);
    }

    pub(crate) fn nonsense(&self, what: String) {
        self.lock().nonsense.push(what);
    }

    pub(crate) fn read(&self, read: Read) {
        self.lock().history.reads.push(read);
    }

    /// A write whose outcome was told, or that nobody asks about any more.
    pub(crate) fn wrote(&self, write: Write, key: &CompositeKey, shard: Option<u16>) {
        let mut record = self.lock();
        if let (Outcome::Acknowledged { version }, Some(shard)) = (write.outcome, shard) {
            let deleted = write.value.is_none();
            record.acknowledged.push(Acknowledged { key: key.clone(), shard, version, deleted });
        }
        record.history.writes.push(write);
    }
}

/// An answer as histories hold it; `age_ms` of the highest value says nothing.
pub(crate) fn found(version: u64, value: &str) -> Found {
    Found { version, value: value.into() }
}

/// An age in the time of histories.
pub(crate) fn age(age_ms: u64) -> Time {
    if age_ms >= u64::from(u32::MAX) { Time::MAX } else { age_ms * 1_000 }
}

/// The level of a history that a read asked for.
pub(crate) fn level(what: What, max_staleness_ms: u32) -> Level {
    match what {
        What::Strong | What::Write => Level::Strong,
        What::Bounded => Level::Bounded { max_staleness: Time::from(max_staleness_ms) * 1_000 },
        What::Any => Level::Any,
    }
}
