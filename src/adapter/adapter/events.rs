//! Events: what happened to what the host performs, to the host itself, and in other clients of the session.

use std::sync::Arc;

use super::Adapter;
use crate::Millis;
use crate::adapter::action::{
    Action, Attention, CallId, FailureKind, FeedEnd, FlightId, Listing, Own, OwnWrite, RequestId, Scope,
};
use crate::adapter::agenda::{FetchId, OWN_SCOPE};
use crate::adapter::feed::Unheard;
use crate::adapter::requests::FetchFailure;
use crate::adapter::session::Incarnation;
use crate::adapter::transport::Flight;
use crate::adapter::transport::retry::pause_until;
use crate::analyzer::Access;
use crate::cache::Source;
use crate::key::CompositeKey;
use crate::protocol::{BatchResponse, ClockReading, ErrorCode, FeedFrame, Keymap, ReadPoint};

impl Adapter {
    /// The response of an [`Action::Send`]; `retry_after` is its `Retry-After` in milliseconds. One of a flight that was
    /// aborted, or is not known, changes nothing. O(keys + changes).
    pub fn handle_response(
        &mut self,
        now: Millis,
        flight: FlightId,
        status: u16,
        retry_after: Option<Millis>,
        body: &[u8],
    ) {
        let Some(batch) = self.transport.take(flight) else { return };
        let Flight::Batch { scope, ref origin, ref fetches, .. } = *batch else { return };
        self.transport.count_received(body.len());
        if self.requests.is_demanded(fetches) {
            self.ahead.earn(body.len());
        }
        if status == 200 && retry_after.is_some() {
            // It has answered what somebody waits for, and left out the rest.
            self.ahead.pause(pause_until(now, retry_after));
        }
        let decoded = if status == 200 { BatchResponse::decode(body).ok() } else { None };
        match decoded.filter(|response| response.results.len() == fetches.len()) {
            Some(response) => {
                self.transport.succeeded(now, origin, now.saturating_sub(batch.sent_at()));
                self.land(now, flight, &batch, response);
                self.drive_feed(now);
            }
            None => {
                let code = if status == 200 { ErrorCode::BadAnswer } else { code_of(status, body) };
                // A gateway that turns somebody away is there.
                if matches!(code, ErrorCode::TooManyRequests | ErrorCode::Overloaded) {
                    self.ahead.pause(self.transport.pause(now, origin, retry_after));
                } else if code.retryable() {
                    self.transport.failed(now, origin);
                }
                let detail = format!("{origin} answered {status}");
                self.lose(now, flight, fetches, &FetchFailure::of(origin, code, detail, retry_after));
            }
        }
        self.settle_evicted(now);
        self.agenda.rearm(now, scope, false);
    }

    /// An [`Action::Send`] or [`Action::Attempt`] that brought no response.
    pub fn handle_failure(&mut self, now: Millis, flight: FlightId, kind: FailureKind) {
        let Some(failed) = self.transport.take(flight) else { return };
        let (scope, origin) = (failed.scope(), failed.origin().clone());
        let code = match kind {
            FailureKind::Network => ErrorCode::Network,
            FailureKind::Timeout => ErrorCode::Timeout,
            FailureKind::Aborted => ErrorCode::Aborted,
        };
        if kind != FailureKind::Aborted {
            self.transport.failed(now, &origin);
        }
        match *failed {
            Flight::Batch { ref fetches, .. } => {
                let detail = format!("{origin} could not be reached");
                self.lose(now, flight, fetches, &FetchFailure::of(&origin, code, detail, None));
            }
            Flight::Call { call, .. } => {
                self.transport.call_failed(now, call, &origin, code, None, &mut self.agenda);
            }
        }
        self.agenda.rearm(now, scope, false);
    }

    fn land(&mut self, now: Millis, flight: FlightId, batch: &Flight, response: BatchResponse) {
        let Flight::Batch { sent_at, session, ref fetches, .. } = *batch else { return };
        if !self.note_incarnation(now, response.epoch.incarnation) {
            let detail = "the gateway answers for a store that is gone".to_owned();
            return self.lose(now, flight, fetches, &FetchFailure::new(ErrorCode::Unavailable, detail));
        }
        self.note_answer(now, sent_at, response.clock);
        if let Some(update) = &response.map {
            self.transport.update_map(update);
        }
        // Changes first: a value in this answer is at least as new as they are. Cursors of the store before this one say
        // nothing about where this one's log was followed.
        if session == self.requests.session().resets() {
            self.feed.take_changes(sent_at, &response, &mut self.cache);
        }
        self.with_requests(now, |requests, cx| {
            let results = fetches.iter().zip(response.results);
            results.for_each(|(&id, result)| requests.settle(cx, flight, batch, id, result));
        });
    }

    fn lose(&mut self, now: Millis, flight: FlightId, fetches: &[FetchId], failure: &FetchFailure) {
        self.with_requests(now, |requests, cx| {
            fetches.iter().for_each(|&id| requests.lose(cx, flight, id, failure));
        });
    }

    /// Notes an answer to what was sent at `sent_at`, with the clock that came with it.
    fn note_answer(&mut self, now: Millis, sent_at: Millis, clock: Option<ClockReading>) {
        if self.feed.note_answer(now, sent_at, clock).is_err() {
            self.forget_ages(now);
        }
    }

    /// Notes the incarnation that a gateway tells of. A newer one is a new store: positions of the old one mean nothing in
    /// it, and would keep the session from ever reading again. `false` for an older one, whose answer must not be used.
    pub(super) fn note_incarnation(&mut self, now: Millis, incarnation: u32) -> bool {
        let noted = self.requests.session_mut().note(incarnation);
        if noted == Incarnation::New {
            self.agenda.forget_tokens();
            self.cache.start_over(now);
            self.settle_evicted(now);
            self.requests.forget_stale();
            self.transport.forget_map();
            self.feed.abandon(&mut self.cache, &mut self.agenda);
            self.handle_resume(now);
            self.agenda.act(Action::SessionReset { incarnation });
        }
        noted != Incarnation::Gone
    }

    /// The response of an [`Action::Attempt`]. The host keeps it: if the call ends with it,
    /// [`CallEnd::Response`](crate::adapter::CallEnd::Response) follows.
    pub fn handle_call_response(&mut self, now: Millis, flight: FlightId, status: u16, retry_after: Option<Millis>) {
        let handled = self.transport.handle_call_response(now, flight, status, retry_after, &mut self.agenda);
        if let Some((scope, paused)) = handled {
            paused.into_iter().for_each(|until| self.ahead.pause(until));
            self.agenda.rearm(now, scope, false);
        }
    }

    /// The caller gave up on a request: [`Action::Fail`] with `ABORTED` follows, unless it is answered already.
    pub fn handle_cancel(&mut self, now: Millis, request: RequestId) {
        if let Some(scope) = self.with_requests(now, |requests, cx| requests.cancel(cx, request)) {
            self.agenda.rearm(now, scope, false);
        }
    }

    /// The caller gave up on a call: nothing more follows for it than [`Action::Abort`].
    pub fn handle_call_cancel(&mut self, call: CallId) {
        self.transport.cancel_call(call, &mut self.agenda);
    }

    /// A scope ends: what still waits in it is rejected, what is on its way is aborted.
    pub fn handle_scope_end(&mut self, now: Millis, scope: Scope) {
        for request in self.requests.of_scope(scope) {
            self.handle_cancel(now, request);
        }
        self.requests.close_scope(scope);
        self.hand_over_notes(now);
        self.transport.close_scope(scope, &mut self.agenda);
        if scope == OWN_SCOPE {
            self.feed.abandon(&mut self.cache, &mut self.agenda);
        }
        self.agenda.remove(scope);
    }

    /// Bytes of the feed `feed`, as they arrived; of any other they are passed over.
    pub fn handle_feed_bytes(&mut self, now: Millis, feed: FlightId, bytes: &[u8]) {
        if !self.feed.is_open(feed) {
            return;
        }
        let frames = self.feed.read(now, bytes, (&mut self.cache, &mut self.agenda, &mut self.transport));
        for frame in frames {
            match self.hear(now, &frame) {
                Ok(()) => continue,
                Err(Unheard::ClockBroke) => self.forget_ages(now),
                Err(Unheard::Lost) => {}
            }
            break;
        }
        self.settle_evicted(now);
        self.drive_feed(now);
        self.agenda.rearm(now, OWN_SCOPE, false);
    }

    /// Takes in one frame of the feed.
    fn hear(&mut self, now: Millis, frame: &FeedFrame) -> Result<(), Unheard> {
        let is_next = self.feed.follow(now, frame, (&mut self.cache, &mut self.agenda, &mut self.transport))?;
        if !is_next {
            return Ok(());
        }
        let of_store = frame.hello.is_none_or(|hello| self.note_incarnation(now, hello.incarnation));
        self.feed.hear(now, frame, of_store, (&mut self.cache, &mut self.agenda, &mut self.transport))
    }

    /// The feed `feed` is over; of any other it is passed over.
    pub fn handle_feed_end(&mut self, now: Millis, feed: FlightId, end: FeedEnd) {
        if self.feed.is_open(feed) {
            self.feed.lose(now, end, (&mut self.cache, &mut self.agenda, &mut self.transport));
            self.drive_feed(now);
            self.agenda.rearm(now, OWN_SCOPE, false);
        }
    }

    /// Somebody looks, or nobody does. On return what is cached is made current before it is asked for: by the feed, or
    /// by one exchange where there is none.
    pub fn handle_attention(&mut self, now: Millis, attention: Attention) {
        self.feed.set_attention(now, attention, (&mut self.cache, &mut self.agenda, &mut self.transport));
        self.agenda.rearm(now, OWN_SCOPE, false);
    }

    /// The host woke up: what a feed had under way may never speak again, and is not waited for.
    pub fn handle_resume(&mut self, now: Millis) {
        self.feed.resume(now, (&mut self.cache, &mut self.agenda, &mut self.transport));
        self.agenda.rearm(now, OWN_SCOPE, false);
    }

    /// The clock stood still or was set: ages are not known any more, and what is under way has one that is not known.
    pub fn handle_clock_break(&mut self, now: Millis) {
        self.feed.clear_clocks();
        self.forget_ages(now);
        self.agenda.rearm(now, OWN_SCOPE, false);
    }

    fn forget_ages(&mut self, now: Millis) {
        self.cache.forget_ages(now);
        self.requests.forget_ages(self.cache.invalidated_until(now));
        self.feed.forget_clocks(&mut self.cache, &mut self.agenda);
        self.drive_feed(now);
    }

    /// Another client of this host holds a feed, which costs nothing to join, or holds none any more.
    pub fn handle_feed_at_hand(&mut self, now: Millis, at_hand: bool) {
        self.feed.set_at_hand(at_hand);
        self.drive_feed(now);
        self.agenda.rearm(now, OWN_SCOPE, false);
    }

    /// Everything cached has expired: other clients of the session may have written or invalidated something unheard. It is
    /// confirmed before it is served.
    pub fn handle_expiry(&mut self, now: Millis) {
        self.cache.forget_ages(now);
        self.feed.forget_age();
    }

    /// An own write was acknowledged: no older version of its key is returned to this session any more, and what it
    /// wrote is cached, as old as the sending of the first attempt. It is not where the session has seen more of the shard
    /// meanwhile, which may be a newer version of the key.
    pub fn handle_write(&mut self, now: Millis, write: OwnWrite) {
        let OwnWrite { key, version, shard, position, own, fence } = write;
        let session = self.requests.session_mut();
        let seen = session.token().get(shard);
        session.raise(shard, position.max(version));
        self.cache.wrote(&key, version);
        let value = match own {
            _ if version < seen => return self.settle_evicted(now),
            Own::Unknown => return self.settle_evicted(now),
            Own::Deleted => None,
            Own::Put(fields) => Some(Arc::new(Keymap { key: key.clone(), version, fields })),
        };
        let at = ReadPoint { shard, position: version, age_ms: 0 };
        let fence = self.cache.fence(fence.sent_at());
        self.cache.insert(now, fence, &key, value, at, Source::Demand);
        self.settle_evicted(now);
    }

    /// A page of a list arrived: what is on it is cached, and the analyzer learns that its prefix was listed, if this is the
    /// first page. O(1) a keymap.
    pub fn handle_list(&mut self, now: Millis, scope: Scope, stream: &str, listing: &Listing<'_>) {
        let Listing { prefix, fence, page, first } = *listing;
        if !self.note_incarnation(now, page.epoch.incarnation) {
            return;
        }
        self.note_answer(now, fence.sent_at(), page.clock);
        for (keymap, at) in &page.items {
            if !prefix.covers(&keymap.key) {
                continue;
            }
            if at.position < self.requests.session().least(&self.agenda, scope, at.shard) {
                // Older than what the session has seen of the shard, yet perhaps newer than what is cached of this key.
                self.cache.saw(&keymap.key, keymap.version);
                continue;
            }
            self.requests.session_mut().raise(at.shard, at.position);
            self.cache.insert(now, fence, &keymap.key, Some(Arc::new(keymap.clone())), *at, Source::Demand);
        }
        if let Some(key) = CompositeKey::parse(prefix.as_str()).ok().filter(|_| first) {
            self.prefetch_after(now, scope, stream, &key, Access::Hit);
            if page.items.first().is_none_or(|(keymap, _)| keymap.key != key) {
                // What is listed is often no keymap itself.
                self.ahead.handle_absence(now, &key);
            }
        }
        self.drive_feed(now);
        self.settle_evicted(now);
        self.agenda.rearm(now, scope, false);
    }
}

/// The code of an error answer: the one its problem details name, or the one that fits the status.
fn code_of(status: u16, body: &[u8]) -> ErrorCode {
    let text = std::str::from_utf8(&body[..body.len().min(4_096)]).unwrap_or("");
    if let Some(code) =
        named_code(text).and_then(|name| ErrorCode::ALL.iter().copied().find(|code| code.as_str() == name))
    {
        return code;
    }
    ErrorCode::of_status(status)
}

/// The text of the member `code`. Problem details are small and flat, and inside wasm there is no JSON parser.
fn named_code(json: &str) -> Option<&str> {
    let mut between_quotes = json.split('"');
    while between_quotes.any(|piece| piece == "code") {
        if between_quotes.next()?.trim() == ":" {
            return between_quotes.next();
        }
    }
    None
}
