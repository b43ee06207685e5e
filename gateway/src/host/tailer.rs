//! [`Tailers`]: follow the change log for all nodes of the process, one task for each group of shards.

use std::sync::Arc;
use std::time::Duration;

use foremap::node::LogPage;
use foremap::protocol::Cursor;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Process;
use crate::store::{ChangeLog, StoreError};

/// Longest time between two polls: the floor of every bounded answer's age on an idle store.
const INTERVAL: Duration = Duration::from_millis(100);
/// Shortest time between two polls, so that a busy writer does not make the tailer poll for each commit.
const PAUSE: Duration = Duration::from_millis(5);
/// Log entries of one shard in one poll; a longer tail follows at once.
const PAGE: usize = 1_024;

/// Follows the change log of every shard, once for all nodes of the process. Shards that fail together are followed
/// together, so that a machine that is silent holds up its own shards alone.
pub struct Tailers {
    process: Arc<Process>,
    groups: watch::Receiver<Arc<Vec<Vec<u16>>>>,
    begun: Vec<Tailer>,
}

impl Tailers {
    /// Takes the cursors of every group that answers, then polls it once: from then on memory can be filled.
    ///
    /// # Errors
    /// The store's, where no group answers at all.
    pub async fn start(process: Arc<Process>) -> Result<Self, StoreError> {
        let mut groups = process.store.groups();
        let now = groups.borrow_and_update().clone();
        let mut tailers: Vec<Tailer> = now.iter().map(|shards| Tailer::new(process.clone(), shards.clone())).collect();
        let begun = futures_util::future::join_all(tailers.iter_mut().map(Tailer::poll)).await;
        if begun.iter().all(Result::is_err)
            && let Some(Err(error)) = begun.into_iter().next()
        {
            return Err(error);
        }
        Ok(Self { process, groups, begun: tailers })
    }

    /// Polls until `stop` changes. Begins anew where shards have moved between groups.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let Self { process, mut groups, begun: mut tailers } = self;
        loop {
            let mut tasks: JoinSet<()> = tailers.drain(..).map(Tailer::run).collect();
            tokio::select! {
                _ = stop.changed() => return tasks.shutdown().await,
                changed = groups.changed() => {
                    if changed.is_err() {
                        // Nothing will move any more.
                        drop(stop.changed().await);
                        return tasks.shutdown().await;
                    }
                }
            }
            tasks.shutdown().await;
            let now = groups.borrow_and_update().clone();
            tailers = now.iter().map(|shards| Tailer::new(process.clone(), shards.clone())).collect();
        }
    }
}

/// Cursors at the ends of the logs of `shards`, in their order.
async fn ends(log: &dyn ChangeLog, shards: &[u16]) -> Result<Vec<Cursor>, StoreError> {
    let positions = log.positions(shards.to_vec()).await?;
    Ok(shards.iter().zip(positions).map(|(&shard, position)| Cursor { shard, position }).collect())
}

/// Follows the shards of one group.
struct Tailer {
    process: Arc<Process>,
    shards: Vec<u16>,
    /// Positions up to which the log was read; `None` until it was asked.
    cursors: Option<Vec<Cursor>>,
    /// Of the store that this is the log of.
    incarnation: u32,
}

impl Tailer {
    /// Goes on from what the nodes have applied already.
    fn new(process: Arc<Process>, shards: Vec<u16>) -> Self {
        let incarnation = process.incarnation_of_store();
        let cursors = process.applied_positions(&shards);
        Self { process, shards, cursors, incarnation }
    }

    async fn run(mut self) {
        let mut written = self.process.store.written();
        let mut failing = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                Ok(()) = written.changed() => {}
            }
            // Nothing but time tells readers of a store that fails: ages grow, and bounded reads go to the store.
            match self.poll().await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, shards = self.shards.len(), "the change log cannot be polled");
                    }
                    failing = true;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn poll(&mut self) -> Result<(), StoreError> {
        let incarnation = self.process.incarnation_of_store();
        if incarnation != self.incarnation {
            self.incarnation = incarnation;
            self.cursors = None;
        }
        if self.cursors.is_none() {
            self.cursors = Some(ends(&*self.process.store, &self.shards).await?);
        }
        let Some(cursors) = &mut self.cursors else { return Ok(()) };
        loop {
            let sent_at = self.process.clock.now();
            let pages = self.process.store.poll(cursors.clone(), PAGE).await?;
            // Nothing takes back what was told of a log, so this is another one: is there still a map?
            if let Some(page) = pages.iter().find(|page| page.position < page.after) {
                let LogPage { shard, position, after, .. } = page;
                self.process.look_for_map();
                let why = format!("the log of shard {shard} ends at {position} and went on to {after} before");
                return Err(StoreError::Corrupt(why));
            }
            for node in self.process.nodes() {
                let node = node.node();
                pages.iter().for_each(|page| node.apply_log_of(incarnation, sent_at, page));
            }
            for (cursor, page) in cursors.iter_mut().zip(&pages) {
                cursor.position = page.position;
            }
            self.process.announce();
            if pages.iter().all(|page| page.complete) {
                return Ok(());
            }
        }
    }
}
