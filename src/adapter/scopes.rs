//! Per scope: what waits to be sent, and when to look again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fxhash::FxHashMap;

use super::fetches::FetchId;
use super::floors::Floors;
use super::{CallId, FlightId, RequestId, Scope};
use crate::Millis;
use crate::protocol::Cursor;

/// Something that falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A request has waited for its whole time-out.
    Deadline(RequestId),
    /// A request looks whether another scope's fetch has landed.
    Parked(RequestId),
    /// A failed fetch is sent again.
    Retry(FetchId),
    /// A failed call is attempted again.
    CallRetry(CallId),
    /// An answer takes unusually long.
    Hedge(FlightId),
    /// The change feed is due for something.
    Feed,
}

/// The queue and the timers of one scope. Timers of things that are over are skipped when they fall due, so there are
/// at most a few per waiting request.
#[derive(Debug, Default)]
pub(super) struct ScopeState {
    pub(super) queue: Vec<FetchId>,
    /// Predicted keys that have to ride on what the next request sends.
    pub(super) held: Vec<FetchId>,
    pub(super) exchange_wanted: bool,
    pub(super) floors: Floors,
    timers: BinaryHeap<Reverse<(Millis, Timer)>>,
    wake: Option<Millis>,
}

impl ScopeState {
    fn next_wake(&self, now: Millis) -> Option<Millis> {
        if !self.queue.is_empty() || self.exchange_wanted {
            return Some(now);
        }
        self.timers.peek().map(|Reverse((at, _))| *at)
    }
}

/// All scopes that have something to do.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    states: FxHashMap<Scope, Box<ScopeState>>,
}

impl Scopes {
    pub(super) fn get(&mut self, scope: Scope) -> &mut ScopeState {
        self.states.entry(scope).or_default()
    }

    pub(super) fn set_timer(&mut self, scope: Scope, at: Millis, timer: Timer) {
        self.get(scope).timers.push(Reverse((at, timer)));
    }

    /// The next timer of `scope` that is due at `now`.
    pub(super) fn take_due(&mut self, now: Millis, scope: Scope) -> Option<Timer> {
        let state = self.states.get_mut(&scope)?;
        let &Reverse((at, timer)) = state.timers.peek()?;
        if at > now {
            return None;
        }
        state.timers.pop();
        Some(timer)
    }

    /// When the host must call again, if that is sooner than it was told, or it has just called.
    pub(super) fn rearm(&mut self, now: Millis, scope: Scope, polled: bool) -> Option<Millis> {
        let state = self.states.get_mut(&scope)?;
        if polled {
            state.wake = None;
        }
        let Some(next) = state.next_wake(now) else {
            if polled && state.floors.len() == 0 && state.held.is_empty() {
                self.states.remove(&scope);
            }
            return None;
        };
        if state.wake.is_some_and(|told| told <= next) {
            return None;
        }
        state.wake = Some(next);
        Some(next)
    }

    /// Position that the session behind `scope` has seen in `shard`.
    pub(super) fn floor(&self, scope: Scope, shard: u16) -> u64 {
        self.states.get(&scope).map_or(0, |state| state.floors.get(shard))
    }

    pub(super) fn floors(&self, scope: Scope) -> impl Iterator<Item = Cursor> + '_ {
        self.states.get(&scope).into_iter().flat_map(|state| state.floors.iter())
    }

    pub(super) fn forget_floors(&mut self) {
        self.states.values_mut().for_each(|state| state.floors = Floors::default());
    }

    pub(super) fn remove(&mut self, scope: Scope) {
        self.states.remove(&scope);
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }
}
