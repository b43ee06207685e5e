//! The writer thread: group commit.

use std::sync::Arc;

use ::redb::Database;
use foremap::key::CompositeKey;
use tokio::sync::{mpsc, oneshot, watch};

use super::apply::{Retention, Tables, failed};
use super::meta::{self, MetaChange, MetaOutcome};
use crate::store::{Clock, Read, StoreError, Write, WriteOutcome};

/// Most writes in one commit: bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 512;
/// Most writes waiting for the writer: whoever comes later waits outside.
pub(super) const MAX_QUEUE: usize = 4_096;

/// Work for the writer, with where its result goes.
pub(super) enum Job {
    Write { shard: u16, write: Write, reply: Reply<Read<WriteOutcome>> },
    RemoveVersion { shard: u16, key: CompositeKey, version: u64, reply: Reply<Read<WriteOutcome>> },
    Meta { change: MetaChange, reply: Reply<MetaOutcome> },
    Close { reply: Reply<()> },
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What to tell whom after the commit.
enum Due {
    Write(Reply<Read<WriteOutcome>>, Result<Read<WriteOutcome>, StoreError>),
    Meta(Reply<MetaOutcome>, Result<MetaOutcome, StoreError>),
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

pub(super) struct Writer {
    pub(super) db: Arc<Database>,
    pub(super) retention: Retention,
    pub(super) clock: Clock,
    pub(super) visible: watch::Sender<u64>,
}

impl Writer {
    /// Runs until the queue closes or a [`Job::Close`] arrives.
    pub(super) fn run(self, mut queue: mpsc::Receiver<Job>) {
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
                    Job::Close { reply } => closing = Some(reply),
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
    fn commit(&self, group: Vec<Job>) {
        if group.is_empty() {
            return;
        }
        let (due, committed) = match self.transact(group) {
            Ok(done) => done,
            Err((group, error)) => (group.into_iter().filter_map(Self::untouched).collect(), Err(error)),
        };
        if committed.is_ok() {
            self.visible.send_modify(|count| *count += 1);
        }
        for due in due {
            due.send(&committed);
        }
    }

    /// A job whose transaction never began.
    fn untouched(job: Job) -> Option<Due> {
        let error = || StoreError::Unavailable("no transaction".into());
        match job {
            Job::Write { reply, .. } | Job::RemoveVersion { reply, .. } => Some(Due::Write(reply, Err(error()))),
            Job::Meta { reply, .. } => Some(Due::Meta(reply, Err(error()))),
            Job::Close { .. } => None,
        }
    }

    #[expect(clippy::type_complexity, reason = "the group goes back to the caller where nothing was begun")]
    fn transact(&self, group: Vec<Job>) -> Result<(Vec<Due>, Result<(), StoreError>), (Vec<Job>, StoreError)> {
        let txn = match self.db.begin_write() {
            Ok(txn) => txn,
            Err(error) => return Err((group, failed(error))),
        };
        let mut tables = match Tables::open(&txn) {
            Ok(tables) => tables,
            Err(error) => return Err((group, failed(error))),
        };
        let mut due = Vec::with_capacity(group.len());
        for job in group {
            match job {
                Job::Write { shard, write, reply } => {
                    let outcome = tables.write(shard, write, (self.clock)(), self.retention);
                    due.push(Due::Write(reply, outcome));
                }
                Job::RemoveVersion { shard, key, version, reply } => {
                    let outcome = tables.remove_version(shard, key.as_str(), version);
                    due.push(Due::Write(reply, outcome));
                }
                Job::Meta { change, reply } => {
                    let outcome = meta::apply(&txn, &change, (self.clock)());
                    due.push(Due::Meta(reply, outcome));
                }
                Job::Close { .. } => {}
            }
        }
        let broken = tables.broken.take();
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
        Ok((due, committed))
    }
}
