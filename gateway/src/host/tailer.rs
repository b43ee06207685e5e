//! [`Tailer`]: follows the change log for all nodes of the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Process;
use crate::store::StoreError;

/// Longest time between two polls: the floor of every bounded answer's age on an idle store.
const INTERVAL: Duration = Duration::from_millis(100);
/// Shortest time between two polls, so that a busy writer does not make the tailer poll for each commit.
const PAUSE: Duration = Duration::from_millis(5);
/// Log entries of one shard in one poll; a longer tail follows at once.
const PAGE: usize = 1_024;

/// Follows the change log of every shard, once for all nodes of the process.
pub struct Tailer {
    process: Arc<Process>,
    cursors: Vec<u64>,
}

impl Tailer {
    /// Takes the log's cursors, then does the first poll: from then on memory can be filled.
    ///
    /// # Errors
    /// The store's.
    pub async fn start(process: Arc<Process>) -> Result<Self, StoreError> {
        let cursors = process.store.positions().await?;
        let mut tailer = Self { process, cursors };
        tailer.poll().await?;
        Ok(tailer)
    }

    /// Polls until `stop` changes.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut written = self.process.store.written();
        let mut failing = false;
        loop {
            tokio::select! {
                _ = stop.changed() => return,
                _ = tokio::time::sleep(INTERVAL) => {}
                Ok(()) = written.changed() => {}
            }
            // Nothing but time tells readers of a store that fails: ages grow, and bounded reads go to the store.
            match self.poll().await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "the change log cannot be polled");
                    }
                    failing = true;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn poll(&mut self) -> Result<(), StoreError> {
        loop {
            let sent_at = self.process.clock.now();
            let pages = self.process.store.poll(self.cursors.clone(), PAGE).await?;
            for node in self.process.nodes() {
                let mut node = node.lock();
                pages.iter().for_each(|page| node.apply_log(sent_at, page));
            }
            for page in &pages {
                if let Some(cursor) = self.cursors.get_mut(usize::from(page.shard)) {
                    *cursor = page.position;
                }
            }
            self.process.announce();
            if pages.iter().all(|page| page.complete) {
                return Ok(());
            }
        }
    }
}
