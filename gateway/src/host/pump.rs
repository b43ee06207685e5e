//! Calls the change feeds that have a frame to send, whichever node of the process they are of.

use std::sync::Arc;
use std::time::Duration;

use foremap::node::Subject;
use foremap::protocol::{BatchRequest, Cursor, FeedId};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::Process;

/// Shortest time between two calls: what is written meanwhile shares a frame.
const TICK: Duration = Duration::from_millis(25);

impl Process {
    /// Calls the feeds of all nodes whenever they are due, until `stop` becomes true; then all of them, to end.
    pub async fn pump(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut applied = self.applied();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Ok(()) = applied.changed() => {}
                () = self.feed_news.notified() => {}
                () = self.feeds_due() => {}
            }
            ticks.tick().await;
            for node in self.nodes() {
                let due = node.node().feeds().due(self.clock.now());
                if !due.is_empty() {
                    node.wakers.wake(&due);
                }
            }
        }
        self.nodes().for_each(|node| node.wakers.wake_all());
    }

    async fn feeds_due(&self) {
        match self.nodes().filter_map(|node| node.node().feeds().next_due()).min() {
            None => std::future::pending().await,
            Some(due) => tokio::time::sleep(Duration::from_millis(due.saturating_sub(self.clock.now()))).await,
        }
    }

    /// Adds the shards of `cursors` to `feed`, if `subject` opened it, at whichever node it is. One of another process is
    /// told in the background, unless the request for it came from another process: whoever waits for an answer does
    /// not wait for that, and where it fails the reader misses the steps that it asked for.
    pub(crate) fn extend(self: &Arc<Self>, feed: FeedId, subject: Subject, cursors: Vec<Cursor>, is_forwarded: bool) {
        if let Some(node) = self.node(feed.node) {
            if node.node().feeds().extend(self.clock.now(), feed.number, subject, &cursors) {
                self.feed_news.notify_one();
            }
            return;
        }
        if is_forwarded || cursors.is_empty() {
            return;
        }
        let process = self.clone();
        tokio::spawn(async move {
            let map = process.map().borrow().clone();
            let request = BatchRequest { cursors, feed: Some(feed), forwarded: true, ..BatchRequest::default() };
            process.peers.forward(map.node(feed.node), &request, subject).await;
        });
    }
}
