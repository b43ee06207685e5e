//! [`AdmissionControl`]: which requests a node takes on while it has more to do than it can.
//!
//! What is measured is how long requests wait before anybody begins with them, as in Breakwater (I. Cho et al., *Overload
//! Control for us-scale RPCs with Breakwater*, OSDI 2020): unlike how long they take, that is the same for cheap and for
//! expensive ones, and unlike the load of the processor it says what callers feel. From it follows how many may wait: a
//! bound that sinks by a fifth when more than one request in twenty waited over the target, and grows by a few when they did
//! not. Who has to go first follows from the bound, as in DAGOR (H. Zhou et al., *Overload Control for
//! Scaling WeChat Microservices*, SoCC 2018): what is fetched ahead where half as many wait, lists where three quarters do,
//! and what somebody waits for where all do. Each kind stays out for a second, so that one is shed as a whole before the
//! next one is.

use parking_lot::Mutex;

use crate::Millis;

/// A point in time or a length of it, in microseconds of the host's clock.
pub type Micros = u64;

/// Worth of a request. The first is shed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Nobody waits for it.
    Prefetch,
    /// A list, or the beginning of a feed: it takes as long as many others, and can come later.
    List,
    /// Somebody waits for it.
    Demand,
}

impl Priority {
    /// All of them, what is shed first at the front.
    pub const ALL: [Self; 3] = [Self::Prefetch, Self::List, Self::Demand];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefetch => "prefetch",
            Self::List => "list",
            Self::Demand => "demand",
        }
    }
}

/// Counts of what has come of requests so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdmissionStats {
    /// Taken on, by [`Priority`].
    pub admitted: [u64; 3],
    /// Refused, by [`Priority`].
    pub refused: [u64; 3],
    /// That wait.
    pub waiting: u64,
    /// Most that may.
    pub bound: u64,
}

/// Admits requests to a process, from many threads at once. Bounded: a few numbers. Every operation is O(1).
#[derive(Debug, Default)]
pub struct AdmissionControl(Mutex<Admission>);

impl AdmissionControl {
    /// A request that waits from now on, unless it is refused.
    ///
    /// # Errors
    /// When to come again, in milliseconds.
    pub fn enter(&self, now: Micros, priority: Priority) -> Result<(), Millis> {
        self.0.lock().enter(now, priority)
    }

    /// Part of a request that was taken on, which is of lower priority: whether it is left out. It waits with the rest.
    ///
    /// # Errors
    /// When to come again, in milliseconds.
    pub fn accompany(&self, now: Micros, priority: Priority) -> Result<(), Millis> {
        self.0.lock().accompany(now, priority)
    }

    /// A request that was taken on waits again, for something else.
    pub fn wait_again(&self) {
        self.0.lock().wait_again();
    }

    /// Somebody begins with a request that has waited since `since`.
    pub fn begin(&self, now: Micros, since: Micros) {
        self.0.lock().begin(now, since);
    }

    /// A request that waited is not wanted any more.
    pub fn give_up(&self) {
        self.0.lock().give_up();
    }

    /// Counters and fill.
    pub fn stats(&self) -> AdmissionStats {
        self.0.lock().stats()
    }
}

/// State that [`AdmissionControl`] decides by.
#[derive(Debug, Clone)]
struct Admission {
    bound: usize,
    waiting: usize,
    /// Until when what is fetched ahead, and lists, stay out.
    out_until: [Micros; 2],
    window: Window,
    /// Windows in a row whose requests waited too long.
    late_windows: u32,
    stats: AdmissionStats,
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    begun: Micros,
    begun_with: u32,
    late: u32,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            bound: Self::MOST,
            waiting: 0,
            out_until: [0; 2],
            window: Window::default(),
            late_windows: 0,
            stats: AdmissionStats::default(),
        }
    }
}

impl Admission {
    /// Time that requests may wait: what a hop inside a data centre takes, and no user notices.
    const TARGET: Micros = 500;
    /// Number of them that may wait at least, whatever was measured. Those that somebody works on do not count, so that one
    /// is there for whichever processor is the next to have nothing to do, and two that come together are both taken on.
    const LEAST: usize = 2;
    /// And at most: what a fast processor answers from memory within a few milliseconds.
    const MOST: usize = 1_024;
    /// Time that a kind of request stays out, and after which it is to be tried again.
    const HOLD_MS: Millis = 1_000;
    const HOLD: Micros = Self::HOLD_MS * 1_000;
    /// Shortest time after which the bound is set anew: many times what a request takes.
    const WINDOW: Micros = 20_000;
    /// Fewest requests to judge by, and how many of so many may wait longer than the target.
    const ENOUGH: u32 = 20;
    /// When a window in which fewer began says no more than that there is little to do.
    const STALE: Micros = 1_000_000;
    /// Late windows in a row after which nothing is fetched ahead: one or two may be a burst, or other work on the machine.
    const LATE_WINDOWS: u32 = 3;

    fn enter(&mut self, now: Micros, priority: Priority) -> Result<(), Millis> {
        self.accompany(now, priority)?;
        self.waiting += 1;
        Ok(())
    }

    fn accompany(&mut self, now: Micros, priority: Priority) -> Result<(), Millis> {
        let refused = self.is_out(now, priority);
        let count = if refused { &mut self.stats.refused } else { &mut self.stats.admitted };
        count[priority as usize] += 1;
        if refused { Err(Self::HOLD_MS) } else { Ok(()) }
    }

    fn wait_again(&mut self) {
        self.waiting += 1;
    }

    fn begin(&mut self, now: Micros, since: Micros) {
        self.waiting = self.waiting.saturating_sub(1);
        self.window.begun_with += 1;
        self.window.late += u32::from(now.saturating_sub(since) > Self::TARGET);
        self.close_window(now);
    }

    fn give_up(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    fn stats(&self) -> AdmissionStats {
        AdmissionStats { waiting: self.waiting as u64, bound: self.bound as u64, ..self.stats }
    }

    fn is_out(&mut self, now: Micros, priority: Priority) -> bool {
        self.close_window(now);
        let (waiting, bound) = (self.waiting, self.bound);
        // Rounded up: where none waits, nobody is out, however few may.
        let from = [bound.div_ceil(2), (bound * 3).div_ceil(4)];
        for (out_until, from) in self.out_until.iter_mut().zip(from) {
            if waiting >= from {
                *out_until = now + Self::HOLD;
            }
        }
        match priority {
            Priority::Demand => waiting >= bound,
            other => now < self.out_until[other as usize],
        }
    }

    fn close_window(&mut self, now: Micros) {
        let Window { begun, begun_with, late } = self.window;
        let age = now.saturating_sub(begun);
        if age < Self::WINDOW || (begun_with < Self::ENOUGH && age < Self::STALE) {
            return;
        }
        self.window = Window { begun: now, ..Window::default() };
        if begun_with < Self::ENOUGH {
            // So little to do is no overload, whatever was measured while there was one.
            self.bound = (self.bound * 2).min(Self::MOST);
            return;
        }
        if late * Self::ENOUGH > begun_with {
            self.bound = (self.bound * 4 / 5).max(Self::LEAST);
            self.late_windows += 1;
            if self.late_windows >= Self::LATE_WINDOWS {
                self.out_until[Priority::Prefetch as usize] = now + Self::HOLD;
            }
            return;
        }
        self.late_windows = 0;
        self.bound = (self.bound + 1 + self.bound / 16).min(Self::MOST);
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
