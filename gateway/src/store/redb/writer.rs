//! The writer thread: group commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redb::Database;
use foremap::key::CompositeKey;
use tokio::sync::{mpsc, oneshot, watch};

use super::apply::WriteTables;
use super::error::failed;
use super::handle::{Handle, NotBegun};
use super::meta::{self, MetaChange, MetaOutcome};
use super::options::Retention;
use crate::store::{Clock, ShardRead, StoreError, Write, WriteOutcome};

/// Most writes in one commit: bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 512;
/// Most writes waiting for the writer: whoever comes later waits outside.
pub(super) const MAX_QUEUE: usize = 4_096;

/// Between two attempts to write while nothing can be written: each costs a few pages and an fsync.
const PROBE: Duration = Duration::from_millis(500);

/// The same where opening the file again takes long, at most.
const MOST_PROBE: Duration = Duration::from_secs(60);

/// Work for the writer, with where its result goes.
pub(super) enum WriterJob {
    Write {
        shard: u16,
        write: Write,
        reply: ReplySender<ShardRead<WriteOutcome>>,
    },
    RemoveVersion {
        shard: u16,
        key: CompositeKey,
        version: u64,
        reply: ReplySender<ShardRead<WriteOutcome>>,
    },
    Meta {
        change: MetaChange,
        reply: ReplySender<MetaOutcome>,
    },
    /// Writes something, to see whether that works.
    Probe,
    /// Takes back what a probe has written.
    ProbeEnd,
    Close {
        reply: ReplySender<()>,
    },
}

pub(super) type ReplySender<T> = oneshot::Sender<Result<T, StoreError>>;

/// Answer that is due after the commit, and its recipient.
enum Due {
    Write(ReplySender<ShardRead<WriteOutcome>>, Result<ShardRead<WriteOutcome>, StoreError>),
    Meta(ReplySender<MetaOutcome>, Result<MetaOutcome, StoreError>),
}

impl Due {
    fn send(self, committed: &Result<(), StoreError>) {
        // A caller that went away does not need its answer.
        match self {
            Self::Write(reply, outcome) => drop(reply.send(committed.clone().and(outcome))),
            Self::Meta(reply, outcome) => drop(reply.send(committed.clone().and(outcome))),
        }
    }
}

pub(super) struct RedbWriter {
    handle: Arc<Handle>,
    retention: Retention,
    clock: Clock,
    visible: watch::Sender<u64>,
    /// For probes, while nothing can be written.
    queue: mpsc::WeakSender<WriterJob>,
}

impl RedbWriter {
    pub(super) fn new(
        handle: Arc<Handle>,
        retention: Retention,
        clock: Clock,
        visible: watch::Sender<u64>,
        queue: mpsc::WeakSender<WriterJob>,
    ) -> Self {
        Self { handle, retention, clock, visible, queue }
    }

    /// Runs until the queue closes or a [`WriterJob::Close`] arrives.
    pub(super) fn run(self, mut queue: mpsc::Receiver<WriterJob>) {
        while let Some(first) = queue.blocking_recv() {
            let mut jobs = vec![first];
            while jobs.len() < MAX_GROUP
                && let Ok(job) = queue.try_recv()
            {
                jobs.push(job);
            }
            let mut closing = None;
            let mut group = Vec::with_capacity(jobs.len());
            for job in jobs {
                match job {
                    WriterJob::Close { reply } => closing = Some(reply),
                    job => group.push(job),
                }
            }
            self.commit(group);
            if let Some(reply) = closing {
                drop(reply.send(Ok(())));
                return;
            }
        }
    }

    /// One transaction for the group; every caller hears of it only after the fsync.
    fn commit(&self, group: Vec<WriterJob>) {
        if group.is_empty() {
            return;
        }
        let is_probe = |job: &WriterJob| matches!(job, WriterJob::Probe);
        let (was_broken, writes) =
            (self.handle.health().broken.clone(), group.iter().filter(|job| !is_probe(job)).count());
        if let Some((why, _)) = &was_broken
            && !group.iter().any(is_probe)
        {
            self.handle.health().failed_writes += writes as u64;
            let error = StoreError::Unavailable(format!("nothing can be written: {why}"));
            return group.into_iter().filter_map(|job| untouched(job, &error)).for_each(|due| due.send(&Ok(())));
        }
        // redb asserts on some kinds of damage that no checksum covers.
        let opening = std::cell::Cell::new(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.transact(group, &opening)));
        let Ok((due, committed)) = outcome else {
            // Whoever waits hears that the outcome is not known, as their replies were dropped.
            let why = "its structure is inconsistent";
            self.handle.damaged(&StoreError::Corrupt(why.into()));
            return self.broken(opening.get(), why.into(), writes);
        };
        match &committed {
            Ok(()) => {
                if was_broken.is_some() {
                    self.healed();
                }
                self.visible.send_modify(|count| *count += 1);
            }
            Err(error) => {
                if matches!(error, StoreError::Corrupt(_)) {
                    self.handle.damaged(error);
                }
                self.broken(opening.get(), error.to_string(), writes);
            }
        }
        for due in due {
            due.send(&committed);
        }
    }

    /// Nothing can be written any more, until a probe can. Reads go on in the file opened anew.
    fn broken(&self, opening: u64, why: String, writes: usize) {
        let mut health = self.handle.health();
        health.failed_writes += writes as u64;
        let is_new = health.broken.is_none();
        if is_new {
            tracing::error!("the store cannot be written, it tries again: {why}");
            health.broken = Some((why, Instant::now()));
        }
        drop(health);
        self.handle.reopen(opening);
        if is_new {
            self.probe();
        }
    }

    /// A probe was written: there is room, which is given back.
    fn healed(&self) {
        let opening = std::cell::Cell::new(0);
        let (_, removed) = self.transact(vec![WriterJob::ProbeEnd], &opening);
        if let Err(error) = removed {
            return self.broken(opening.get(), error.to_string(), 0);
        }
        let broken = self.handle.health().broken.take();
        if let Some((_, since)) = broken {
            let seconds = since.elapsed().as_secs();
            tracing::info!(seconds, "the store can be written again");
        }
    }

    /// Asks for a probe now and then, while it is needed.
    fn probe(&self) {
        let (handle, queue) = (self.handle.clone(), self.queue.clone());
        if std::mem::replace(&mut handle.health().is_probing, true) {
            return;
        }
        let asks = move || {
            loop {
                // Where opening takes long, as a large file is read, it is not what the disk is busy with.
                let took = handle.health().took;
                std::thread::sleep(PROBE.max(took * 10).min(MOST_PROBE));
                let mut health = handle.health();
                let wanted = queue.upgrade().filter(|_| health.broken.is_some());
                health.is_probing = wanted.is_some();
                drop(health);
                if wanted.is_none_or(|queue| queue.blocking_send(WriterJob::Probe).is_err()) {
                    return;
                }
            }
        };
        let started = std::thread::Builder::new().name("store-probe".into()).spawn(asks);
        if let Err(error) = started {
            tracing::error!(%error, "no thread: the store is not written again before a restart");
        }
    }

    /// Performs `group` in one transaction; says what to tell whom, and whether it was committed.
    fn transact(&self, group: Vec<WriterJob>, opening: &std::cell::Cell<u64>) -> (Vec<Due>, Result<(), StoreError>) {
        let refuse = |group: Vec<WriterJob>, error: StoreError| {
            let due = group.into_iter().filter_map(|job| untouched(job, &error)).collect();
            (due, Err(error))
        };
        let txn = match self.handle.begin(Database::begin_write) {
            Ok((number, txn)) => {
                opening.set(number);
                txn
            }
            Err(NotBegun::Failed(number, error)) => {
                opening.set(number);
                return refuse(group, failed(error));
            }
            Err(NotBegun::Shut) => {
                opening.set(self.handle.opening());
                return refuse(group, StoreError::Unavailable("the file is not open".into()));
            }
        };
        let mut tables = match WriteTables::open(&txn) {
            Ok(tables) => tables,
            Err(error) => return refuse(group, failed(error)),
        };
        let mut broken = None;
        let mut due = Vec::with_capacity(group.len());
        for job in group {
            match job {
                WriterJob::Write { shard, write, reply } => {
                    let outcome = tables.write(shard, write, (self.clock)(), self.retention);
                    due.push(Due::Write(reply, outcome));
                }
                WriterJob::RemoveVersion { shard, key, version, reply } => {
                    let outcome = tables.remove_version(shard, key.as_str(), version);
                    due.push(Due::Write(reply, outcome));
                }
                WriterJob::Meta { change, reply } => {
                    let outcome = meta::apply(&txn, &change, (self.clock)());
                    due.push(Due::Meta(reply, outcome));
                }
                WriterJob::Probe => broken = broken.or(meta::probe(&txn, true).err()),
                WriterJob::ProbeEnd => broken = broken.or(meta::probe(&txn, false).err()),
                WriterJob::Close { .. } => {}
            }
        }
        let broken = tables.broken.take().or(broken);
        drop(tables);
        let committed = match broken {
            // Half of a write may be in the transaction: none of it may become visible.
            Some(error) => {
                drop(txn);
                Err(error)
            }
            // A commit that fails may have reached the disk or not.
            None => txn.commit().map_err(|error| StoreError::Unknown(error.to_string())),
        };
        (due, committed)
    }
}

/// Answer to a job whose transaction never began.
fn untouched(job: WriterJob, error: &StoreError) -> Option<Due> {
    match job {
        WriterJob::Write { reply, .. } | WriterJob::RemoveVersion { reply, .. } => {
            Some(Due::Write(reply, Err(error.clone())))
        }
        WriterJob::Meta { reply, .. } => Some(Due::Meta(reply, Err(error.clone()))),
        WriterJob::Close { .. } | WriterJob::Probe | WriterJob::ProbeEnd => None,
    }
}
