//! Raw calls: writes, lists and other routes, which the host performs itself.
//!
//! The adapter chooses the origin and decides about retries; it never sees the body. A call must be safe to repeat:
//! writes carry a `write_id`.

use std::sync::Arc;

use super::retry::{ATTEMPT_MS, MAX_ATTEMPTS};
use super::{Call, Flight, Transport};
use crate::Millis;
use crate::adapter::action::{Action, CallEnd, CallId, FlightId, Scope};
use crate::adapter::agenda::{Agenda, Timer};
use crate::key::CompositeKey;
use crate::order::ascending;
use crate::protocol::ErrorCode;

impl Transport {
    /// Starts a call and makes its first attempt, unless as many are under way as may be.
    pub(in crate::adapter) fn start_call(
        &mut self,
        now: Millis,
        scope: Scope,
        timeout_ms: u32,
        key: Option<CompositeKey>,
        agenda: &mut Agenda,
    ) -> CallId {
        let id = agenda.fresh_id();
        self.deposit_retry();
        self.counts.calls += 1;
        if self.calls.len() >= self.max_calls {
            agenda.act(Action::CallEnd { call: id, end: CallEnd::Failed(ErrorCode::TooManyRequests) });
            return id;
        }
        let deadline = now + Millis::from(timeout_ms);
        self.calls.insert(id, Box::new(Call { scope, key, deadline, attempts: 0, avoid: None }));
        self.attempt_call(now, id, agenda);
        id
    }

    pub(in crate::adapter) fn attempt_call(&mut self, now: Millis, id: CallId, agenda: &mut Agenda) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.attempts += 1;
        let (scope, key, avoid) = (call.scope, call.key.clone(), call.avoid.take());
        let timeout_ms = (call.deadline.saturating_sub(now) as u32).clamp(1, 2 * ATTEMPT_MS);
        let origin = self.origin_for(now, key.as_ref(), avoid.as_deref());
        let flight = agenda.fresh_id();
        self.flights.insert(flight, Box::new(Flight::Call { scope, origin: origin.clone(), sent_at: now, call: id }));
        agenda.act(Action::Attempt { scope, call: id, flight, origin, timeout_ms });
    }

    /// Takes the response of an attempt. Returns the scope of its call, and until when the gateway asks for a pause.
    pub(in crate::adapter) fn handle_call_response(
        &mut self,
        now: Millis,
        flight: FlightId,
        status: u16,
        retry_after: Option<Millis>,
        agenda: &mut Agenda,
    ) -> Option<(Scope, Option<Millis>)> {
        let Flight::Call { scope, origin, sent_at, call } = *self.take(flight)? else { return None };
        let is_busy = matches!(status, 429 | 503) && retry_after.is_some();
        let paused = is_busy.then(|| self.pause(now, &origin, retry_after));
        if matches!(status, 408 | 429 | 500 | 502 | 503 | 504) {
            self.call_failed(now, call, &origin, ErrorCode::Unavailable, Some(retry_after), agenda);
        } else {
            self.succeeded(now, &origin, now.saturating_sub(sent_at));
            self.end_call(call, CallEnd::Response, agenda);
        }
        Some((scope, paused))
    }

    /// Attempts a call again after a pause, while attempts, budget and its time allow. `response` is `Some` where the
    /// host holds an answer, with its `Retry-After`.
    pub(in crate::adapter) fn call_failed(
        &mut self,
        now: Millis,
        id: CallId,
        origin: &Arc<str>,
        code: ErrorCode,
        response: Option<Option<Millis>>,
        agenda: &mut Agenda,
    ) {
        let Some(call) = self.calls.get(&id) else { return };
        let delay = self.jitter.delay(call.attempts, response.flatten());
        let worth_it = code.retryable() && call.attempts < MAX_ATTEMPTS && now + delay < call.deadline;
        if worth_it
            && self.take_retry()
            && let Some(call) = self.calls.get_mut(&id)
        {
            call.avoid = Some(origin.clone());
            agenda.set_timer(call.scope, now + delay, Timer::CallRetry(id));
            return;
        }
        let end = if response.is_some() { CallEnd::Response } else { CallEnd::Failed(code) };
        self.end_call(id, end, agenda);
    }

    fn end_call(&mut self, id: CallId, end: CallEnd, agenda: &mut Agenda) {
        if self.calls.remove(&id).is_some() {
            agenda.act(Action::CallEnd { call: id, end });
        }
    }

    /// Forgets a call, and aborts its attempt.
    pub(in crate::adapter) fn cancel_call(&mut self, id: CallId, agenda: &mut Agenda) {
        self.calls.remove(&id);
        let of_call = |f: &Flight| matches!(f, Flight::Call { call, .. } if *call == id);
        let flights = self.flights.iter().filter(|(_, f)| of_call(f)).map(|(&flight, _)| flight);
        for flight in ascending(flights) {
            self.abort(flight, agenda);
        }
    }
}
