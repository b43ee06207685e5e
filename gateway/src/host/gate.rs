//! [`Gate`]: where requests wait before anybody begins with them.

use std::future::poll_fn;
use std::task::Poll;

use foremap::Millis;
use foremap::node::{AdmissionControl, AdmissionStats, Micros, Priority};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::ProcessClock;

/// Admits requests to a process, and measures how long they wait.
pub struct Gate {
    clock: ProcessClock,
    admission: AdmissionControl,
    /// `None` where reads take no time of this machine.
    reads: Option<Semaphore>,
}

impl Gate {
    /// `reads_here` where the store is read by this process: then as many reads go on at once as there are processors, for
    /// they take processor time rather than wait for the disk, and more would only make each of them slower.
    pub(super) fn new(clock: ProcessClock, reads_here: bool) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let reads = reads_here.then(|| Semaphore::new(processors.max(2)));
        Self { clock, admission: AdmissionControl::default(), reads }
    }

    /// Returns when it is the request's turn, behind all that this thread knew of before it.
    ///
    /// # Errors
    /// When to come again, in milliseconds.
    pub async fn enter(&self, priority: Priority) -> Result<(), Millis> {
        let since = self.clock.now_us();
        self.admission.enter(since, priority)?;
        let waiting = GateWaiter { gate: self, since: Some(since) };
        let mut has_waited = false;
        // Whatever is ready is looked at first: only then is it known how many wait.
        poll_fn(|cx| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        waiting.begin();
        Ok(())
    }

    /// Admits what is fetched ahead with a request that was admitted.
    ///
    /// # Errors
    /// When to come again, in milliseconds.
    pub(crate) fn accompany(&self, priority: Priority) -> Result<(), Millis> {
        self.admission.accompany(self.clock.now_us(), priority)
    }

    /// Returns when the store may be read; it is for as long as the permit lives.
    pub async fn read(&self) -> Option<SemaphorePermit<'_>> {
        let reads = self.reads.as_ref()?;
        if let Ok(permit) = reads.try_acquire() {
            return Some(permit);
        }
        let since = self.clock.now_us();
        self.admission.wait_again();
        let waiting = GateWaiter { gate: self, since: Some(since) };
        // It is never closed.
        let permit = reads.acquire().await.ok();
        waiting.begin();
        permit
    }

    /// Counters and fill.
    pub fn stats(&self) -> AdmissionStats {
        self.admission.stats()
    }
}

/// A request that waits; where it is dropped it does not any more.
struct GateWaiter<'a> {
    gate: &'a Gate,
    since: Option<Micros>,
}

impl GateWaiter<'_> {
    fn begin(mut self) {
        if let Some(since) = self.since.take() {
            self.gate.admission.begin(self.gate.clock.now_us(), since);
        }
    }
}

impl Drop for GateWaiter<'_> {
    fn drop(&mut self) {
        if self.since.is_some() {
            self.gate.admission.give_up();
        }
    }
}
