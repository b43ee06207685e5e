//! Raw calls: writes, lists and other routes, which the host performs itself.
//!
//! The adapter chooses the origin and decides about retries; it never sees the
//! body. A call must be safe to repeat: writes carry a `write_id`.

use std::sync::Arc;

use super::action::{Action, CallEnd, CallId, FlightId, Scope};
use super::adapter::Adapter;
use super::retry::{ATTEMPT_MS, MAX_ATTEMPTS};
use super::scopes::Timer;
use super::sending::Flight;
use crate::Millis;
use crate::key::CompositeKey;
use crate::order::ascending;
use crate::protocol::ErrorCode;

/// A raw call under way.
#[derive(Debug)]
pub(super) struct Call {
    scope: Scope,
    key: Option<CompositeKey>,
    deadline: Millis,
    attempts: u8,
    avoid: Option<Arc<str>>,
}

impl Adapter {
    /// Starts a raw call, addressed to the owner of `key` if there is one. [`Action::Attempt`] follows at once, or
    /// [`Action::CallEnd`] with `TOO_MANY_REQUESTS` where as many calls are under way as requests may wait.
    pub fn call(&mut self, now: Millis, scope: Scope, timeout_ms: u32, key: Option<CompositeKey>) -> CallId {
        let id = self.fresh_id();
        self.retries.deposit();
        self.counters.calls += 1;
        if self.calls.len() >= self.config.max_waiting {
            self.act(Action::CallEnd { call: id, end: CallEnd::Failed(ErrorCode::TooManyRequests) });
            return id;
        }
        let deadline = now + Millis::from(timeout_ms);
        self.calls.insert(id, Box::new(Call { scope, key, deadline, attempts: 0, avoid: None }));
        self.attempt_call(now, id);
        id
    }

    pub(super) fn attempt_call(&mut self, now: Millis, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.attempts += 1;
        let (scope, key, avoid) = (call.scope, call.key.clone(), call.avoid.take());
        let timeout_ms = (call.deadline.saturating_sub(now) as u32).clamp(1, 2 * ATTEMPT_MS);
        let origin = self.origin_for(now, key.as_ref(), avoid.as_deref());
        let flight = self.fresh_id();
        self.flights.insert(flight, Box::new(Flight::Call { scope, origin: origin.clone(), sent_at: now, call: id }));
        self.act(Action::Attempt { scope, call: id, flight, origin, timeout_ms });
    }

    /// The response of an [`Action::Attempt`]. The host keeps it: if the call ends with it, [`CallEnd::Response`]
    /// follows.
    pub fn on_call_done(&mut self, now: Millis, flight: FlightId, status: u16, retry_after: Option<Millis>) {
        let Some(flight) = self.flights.remove(&flight) else { return };
        let (scope, origin, sent_at) = (flight.scope(), flight.origin().clone(), flight.sent_at());
        let Flight::Call { call, .. } = *flight else { return };
        if matches!(status, 429 | 503) && retry_after.is_some() {
            self.pause_origin(now, &origin, retry_after);
        }
        if matches!(status, 408 | 429 | 500 | 502 | 503 | 504) {
            self.call_failed(now, call, &origin, ErrorCode::Unavailable, Some(retry_after));
        } else {
            self.origins.succeeded(now, &origin, now.saturating_sub(sent_at));
            self.end_call(call, CallEnd::Response);
        }
        self.rearm(now, scope, false);
    }

    /// `response` is `Some` where the host holds an answer, with its `Retry-After`.
    pub(super) fn call_failed(
        &mut self,
        now: Millis,
        id: CallId,
        origin: &Arc<str>,
        code: ErrorCode,
        response: Option<Option<Millis>>,
    ) {
        let Some(call) = self.calls.get(&id) else { return };
        let delay = self.jitter.delay(call.attempts, response.flatten());
        let worth_it = code.retryable() && call.attempts < MAX_ATTEMPTS && now + delay < call.deadline;
        if worth_it
            && self.may_retry()
            && let Some(call) = self.calls.get_mut(&id)
        {
            call.avoid = Some(origin.clone());
            self.counters.retries += 1;
            self.scopes.set_timer(call.scope, now + delay, Timer::CallRetry(id));
            return;
        }
        self.end_call(id, if response.is_some() { CallEnd::Response } else { CallEnd::Failed(code) });
    }

    fn end_call(&mut self, id: CallId, end: CallEnd) {
        if self.calls.remove(&id).is_some() {
            self.act(Action::CallEnd { call: id, end });
        }
    }

    /// Forgets the calls of a scope that ends, those between two attempts included.
    pub(super) fn drop_calls(&mut self, scope: Scope) {
        self.calls.retain(|_, call| call.scope != scope);
    }

    /// The caller gave up on a call.
    pub fn cancel_call(&mut self, id: CallId) {
        self.calls.remove(&id);
        let of_call = |f: &Flight| matches!(f, Flight::Call { call, .. } if *call == id);
        let flights = self.flights.iter().filter(|(_, f)| of_call(f)).map(|(&flight, _)| flight);
        for flight in ascending(flights) {
            self.flights.remove(&flight);
            self.act(Action::Abort { flight });
        }
    }
}
