//! [`Wakers`]: how the connections of change feeds are called, on the threads that serve them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use foremap::node::FeedNumber;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

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
        let mut called = self.called.lock();
        called.push(waker);
        called.len() == 1
    }

    /// Wakes the connections that were called, on the thread that serves them.
    pub(crate) async fn answer(&self) {
        self.news.notified().await;
        let called = std::mem::take(&mut *self.called.lock());
        called.iter().for_each(|waker| waker.wake());
    }
}

struct FeedWaker {
    waker: Arc<AtomicWaker>,
    /// Of the thread that serves it, where it serves nothing else.
    calls: Option<Arc<Calls>>,
}

/// Wakers of the connections of one node's feeds, by feed.
#[derive(Default)]
pub(crate) struct Wakers(Mutex<HashMap<FeedNumber, FeedWaker>>);

impl Wakers {
    /// Adds the waker of the connection of `number`, which this thread serves. As many as the node has feeds.
    pub(crate) fn add(&self, number: FeedNumber) -> Arc<AtomicWaker> {
        let waker = Arc::new(AtomicWaker::new());
        let calls = HERE.with_borrow(Clone::clone);
        self.0.lock().insert(number, FeedWaker { waker: waker.clone(), calls });
        waker
    }

    pub(crate) fn remove(&self, number: FeedNumber) {
        self.0.lock().remove(&number);
    }

    pub(super) fn wake(&self, numbers: &[FeedNumber]) {
        let mut threads: Vec<Arc<Calls>> = Vec::new();
        let places = self.0.lock();
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

    pub(super) fn wake_all(&self) {
        self.0.lock().values().for_each(|place| place.waker.wake());
    }
}
