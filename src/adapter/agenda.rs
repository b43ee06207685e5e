//! [`Agenda`]: actions for the host, and queues and timers of each scope.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use fxhash::FxHashMap;

use super::action::{Action, CallId, FlightId, RequestId, Scope};
use super::session_token::SessionToken;
use crate::Millis;
use crate::protocol::Cursor;

/// The scope of a client's own page or process: its feed, the feed's timers and its history belong to it.
pub(super) const OWN_SCOPE: Scope = 0;

/// Name of one fetch until it is settled.
pub(super) type FetchId = u32;

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
struct ScopeState {
    queue: Vec<FetchId>,
    /// Predicted keys that have to ride on what the next request sends.
    held: Vec<FetchId>,
    exchange_wanted: bool,
    /// Session token of those behind it.
    token: SessionToken,
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

/// Everything that is to be done: by the host at once, and by the adapter when it falls due.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    actions: VecDeque<Action>,
    scopes: FxHashMap<Scope, Box<ScopeState>>,
    last_id: u32,
}

impl Agenda {
    /// A name for a request, fetch, flight or call: none is given twice within 2^32.
    pub(super) fn fresh_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn scope(&mut self, scope: Scope) -> &mut ScopeState {
        self.scopes.entry(scope).or_default()
    }

    /// Queues a fetch for the next flush of `scope`.
    pub(super) fn queue(&mut self, scope: Scope, fetch: FetchId) {
        self.scope(scope).queue.push(fetch);
    }

    /// Takes the queue of `scope`, and whether an exchange is wanted with it.
    pub(super) fn take_queue(&mut self, scope: Scope) -> (Vec<FetchId>, bool) {
        let state = self.scope(scope);
        (std::mem::take(&mut state.queue), std::mem::take(&mut state.exchange_wanted))
    }

    /// Keeps back fetches until the next request of `scope`.
    pub(super) fn hold(&mut self, scope: Scope, fetches: impl IntoIterator<Item = FetchId>) {
        self.scope(scope).held.extend(fetches);
    }

    pub(super) fn take_held(&mut self, scope: Scope) -> Vec<FetchId> {
        std::mem::take(&mut self.scope(scope).held)
    }

    /// Queues a fetch that may be held.
    pub(super) fn release(&mut self, scope: Scope, fetch: FetchId) {
        let state = self.scope(scope);
        let held = state.held.iter().position(|&id| id == fetch);
        state.queue.extend(held.map(|at| state.held.swap_remove(at)));
    }

    /// Asks for an exchange with the next flush of `scope`.
    pub(super) fn want_exchange(&mut self, scope: Scope) {
        self.scope(scope).exchange_wanted = true;
    }

    pub(super) fn set_timer(&mut self, scope: Scope, at: Millis, timer: Timer) {
        self.scope(scope).timers.push(Reverse((at, timer)));
    }

    /// The next timer of `scope` that is due at `now`.
    pub(super) fn take_due(&mut self, now: Millis, scope: Scope) -> Option<Timer> {
        let state = self.scopes.get_mut(&scope)?;
        let &Reverse((at, timer)) = state.timers.peek()?;
        if at > now {
            return None;
        }
        state.timers.pop();
        Some(timer)
    }

    /// Tells the host when `scope` is due next, if that is sooner than it was told, or it has just called.
    pub(super) fn rearm(&mut self, now: Millis, scope: Scope, polled: bool) {
        let Some(state) = self.scopes.get_mut(&scope) else { return };
        if polled {
            state.wake = None;
        }
        let Some(at) = state.next_wake(now) else {
            if polled && state.token.len() == 0 && state.held.is_empty() {
                self.scopes.remove(&scope);
            }
            return;
        };
        if state.wake.is_none_or(|told| at < told) {
            state.wake = Some(at);
            self.act(Action::Wake { scope, at });
        }
    }

    /// Position that the session behind `scope` has seen in `shard`.
    pub(super) fn seen(&self, scope: Scope, shard: u16) -> u64 {
        self.scopes.get(&scope).map_or(0, |state| state.token.get(shard))
    }

    pub(super) fn token(&self, scope: Scope) -> impl Iterator<Item = Cursor> + '_ {
        self.scopes.get(&scope).into_iter().flat_map(|state| state.token.iter())
    }

    pub(super) fn raise_token(&mut self, scope: Scope, token: impl IntoIterator<Item = Cursor>) {
        let state = self.scope(scope);
        token.into_iter().for_each(|seen| state.token.raise(seen));
    }

    pub(super) fn forget_tokens(&mut self) {
        self.scopes.values_mut().for_each(|state| state.token = SessionToken::default());
    }

    pub(super) fn remove(&mut self, scope: Scope) {
        self.scopes.remove(&scope);
    }

    /// Scopes that have something to do.
    pub(super) fn scopes(&self) -> usize {
        self.scopes.len()
    }
}
