//! Calls the change feeds that have a frame to send, whichever node of the process they are of.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foremap::node::{FeedNumber, Subject};
use foremap::protocol::{BatchRequest, Cursor, FeedId};
use futures_util::task::AtomicWaker;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Process;

/// Shortest time between two calls: what is written meanwhile shares a frame.
const TICK: Duration = Duration::from_millis(25);

thread_local! {
    static HERE: RefCell<Option<Arc<Calls>>> = const { RefCell::new(None) };
}

/// Calls for the connections that one thread serves: to wake each from another thread would cost as much as to write to it.
#[derive(Default)]
pub(crate) struct Calls {
    called: Mutex<Vec<Arc<AtomicWaker>>>,
    news: Notify,
}

impl Calls {
    /// Connections of feeds that are opened on this thread are called by way of `self` from now on.
    pub(crate) fn enter(self: &Arc<Self>) {
        HERE.with_borrow_mut(|here| *here = Some(self.clone()));
    }

    fn push(&self, waker: Arc<AtomicWaker>) -> bool {
        let mut called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        called.push(waker);
        called.len() == 1
    }

    /// Wakes the connections that were called, on the thread that serves them.
    pub(crate) async fn answer(&self) {
        self.news.notified().await;
        let called = std::mem::take(&mut *self.called.lock().unwrap_or_else(PoisonError::into_inner));
        called.iter().for_each(|waker| waker.wake());
    }
}

struct Place {
    waker: Arc<AtomicWaker>,
    /// Of the thread that serves it, where it serves nothing else.
    calls: Option<Arc<Calls>>,
}

/// How the connections of one node's feeds are woken, by feed.
#[derive(Default)]
pub(crate) struct Wakers(Mutex<HashMap<FeedNumber, Place>>);

impl Wakers {
    fn lock(&self) -> MutexGuard<'_, HashMap<FeedNumber, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the connection of `number`, which this thread serves, waits with. As many as the node has feeds.
    pub(crate) fn add(&self, number: FeedNumber) -> Arc<AtomicWaker> {
        let waker = Arc::new(AtomicWaker::new());
        let calls = HERE.with_borrow(Clone::clone);
        self.lock().insert(number, Place { waker: waker.clone(), calls });
        waker
    }

    pub(crate) fn remove(&self, number: FeedNumber) {
        self.lock().remove(&number);
    }

    fn wake(&self, numbers: &[FeedNumber]) {
        let mut threads: Vec<Arc<Calls>> = Vec::new();
        let places = self.lock();
        for place in numbers.iter().filter_map(|number| places.get(number)) {
            match &place.calls {
                None => place.waker.wake(),
                Some(calls) if calls.push(place.waker.clone()) => threads.push(calls.clone()),
                Some(_) => {}
            }
        }
        drop(places);
        // Only when all have been called, so that it is woken once.
        threads.iter().for_each(|calls| calls.news.notify_one());
    }

    fn wake_all(&self) {
        self.lock().values().for_each(|place| place.waker.wake());
    }
}

impl Process {
    /// Calls the feeds of all nodes whenever they are due, until `stop` becomes true; then all of them, to end.
    pub async fn pump(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut applied = self.applied();
        let mut last = Instant::now();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Ok(()) = applied.changed() => {}
                () = self.feed_news.notified() => {}
                () = self.feeds_due() => {}
            }
            tokio::time::sleep_until(last + TICK).await;
            last = Instant::now();
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
