//! From a request to a fetch: joins one under way, waits beside that of another scope, or starts one.

use super::{Fetch, Note, Progress, RequestContext, Requests, Waiting};
use crate::Millis;
use crate::adapter::action::{Answer, GetRequest, RequestId, Scope, Served};
use crate::adapter::agenda::{Agenda, FetchId, Timer};
use crate::analyzer::Access;
use crate::cache::{Hit, LocalCache, Lookup};
use crate::key::CompositeKey;
use crate::prefetch::PrefetchOutcome;
use crate::protocol::{Class, Consistency, ErrorCode};

/// Pause between two looks of a parked request whether another scope's fetch has landed: a few times per round trip.
const PARK_STEP_MS: Millis = 4;
/// Longest parking before the latency of the origin is known.
const PARK_UNKNOWN_MS: Millis = 100;

impl Requests {
    /// An answer a little beyond the bound, where the caller takes it while it is asked for anew (RFC 5861, 3).
    pub(in crate::adapter) fn serve_stale(
        &mut self,
        request: &GetRequest<'_>,
        stale: Option<Hit>,
        cache: &LocalCache,
        agenda: &mut Agenda,
    ) -> Result<Answer, Option<Hit>> {
        let most = request.max_staleness_ms.saturating_add(request.stale_while_revalidate_ms);
        let serves = |hit: &Hit| {
            request.stale_while_revalidate_ms > 0
                && hit.at.age_ms <= most
                && hit.at.age_ms != u32::MAX
                && self.session.is_current(agenda, request.scope, hit.at)
        };
        let Some(hit) = stale.as_ref().filter(|hit| serves(hit)).cloned() else { return Err(stale) };
        if !self.is_fetching(&request.key) {
            let fetch = Fetch {
                held: hit.keymap.clone(),
                needed_after: cache.needed_after(&request.key),
                ..Fetch::new(request.scope, request.key.clone(), Class::Demand, request.max_staleness_ms)
            };
            self.enqueue(fetch, agenda);
        }
        Ok(Answer::stale(hit, request.max_staleness_ms))
    }

    /// Joins a fetch under way, or starts one. Returns what the request was to the analyzer.
    pub(in crate::adapter) fn dht_request(
        &mut self,
        cx: &mut RequestContext<'_>,
        id: RequestId,
        mut waiting: Waiting,
    ) -> Access {
        if self.waiting.len() >= self.max_waiting {
            let detail = format!("{} requests are waiting already", self.max_waiting);
            self.reject(id, ErrorCode::TooManyRequests, detail, cx.agenda);
            return Access::Miss;
        }
        cx.agenda.set_timer(waiting.scope, waiting.deadline, Timer::Deadline(id));
        waiting.needed_after = cx.cache.needed_after(&waiting.key);
        let (mine, elsewhere) = self.find_joinable(cx, &waiting);
        let access = if let Some(fetch) = mine {
            waiting.joined = true;
            self.join(cx, id, &mut waiting, fetch)
        } else if let Some(fetch) = elsewhere {
            waiting.joined = true;
            self.park(cx, id, &mut waiting, fetch)
        } else {
            waiting.fetch = Some(self.start_fetch(&waiting, id, cx.agenda));
            Access::Miss
        };
        self.waiting.insert(id, Box::new(waiting));
        access
    }

    /// A fetch of the same scope to join, and one of another scope to wait beside.
    ///
    /// A strong read joins only what is not sent yet: one that is may have read the store before this request began. No
    /// read joins what left before an invalidation or own write of its key.
    fn find_joinable(&self, cx: &RequestContext<'_>, waiting: &Waiting) -> (Option<FetchId>, Option<FetchId>) {
        let mut found = (None, None);
        for (id, fetch) in self.fetches.of_key(&waiting.key) {
            let flight = fetch.flight().and_then(|flight| cx.transport.flight(flight));
            let sent = fetch.flight().is_some();
            let overtaken = flight.and_then(|f| f.fence()).is_some_and(|f| cx.cache.is_overtaken(f, &waiting.key));
            if (waiting.unsent_only && (sent || !fetch.strong)) || overtaken {
                continue;
            }
            if fetch.scope == waiting.scope {
                found.0 = Some(id);
            } else if sent {
                found.1 = Some(id);
            }
        }
        found
    }

    fn join(&mut self, cx: &mut RequestContext<'_>, id: RequestId, waiting: &mut Waiting, fetch_id: FetchId) -> Access {
        waiting.fetch = Some(fetch_id);
        let access = self.claim(fetch_id, cx.agenda);
        if let Some(fetch) = self.fetches.get_mut(fetch_id) {
            fetch.waiters.push(id);
            fetch.max_staleness_ms = fetch.max_staleness_ms.min(waiting.max_staleness_ms);
            fetch.needed_after = fetch.needed_after.max(waiting.needed_after);
        }
        access
    }

    fn park(&mut self, cx: &mut RequestContext<'_>, id: RequestId, waiting: &mut Waiting, fetch_id: FetchId) -> Access {
        let now = cx.now;
        let flight = self.fetches.get(fetch_id).and_then(Fetch::flight).and_then(|flight| cx.transport.flight(flight));
        let expected = flight.map_or(0.0, |flight| cx.transport.latency_ms(flight.origin()));
        let patience = if expected > 0.0 { (2.0 * expected) as Millis } else { PARK_UNKNOWN_MS };
        let sent_at = flight.map_or(now, |flight| flight.sent_at());
        waiting.park_until = (sent_at + patience.max(PARK_STEP_MS)).max(now + PARK_STEP_MS);
        cx.agenda.set_timer(waiting.scope, now + PARK_STEP_MS, Timer::Parked(id));
        self.claim(fetch_id, cx.agenda)
    }

    /// Turns a fetch that nobody waited for into one that somebody does.
    fn claim(&mut self, id: FetchId, agenda: &mut Agenda) -> Access {
        self.fetches.promote(id);
        let Some(fetch) = self.fetches.get_mut(id) else { return Access::Miss };
        let unsent = fetch.progress == Progress::Queued;
        if std::mem::take(&mut fetch.rides) && unsent {
            agenda.release(fetch.scope, id);
            self.notes.push(Note::Asked);
        }
        if !std::mem::take(&mut fetch.issued) {
            return Access::Miss;
        }
        // Unsent it goes out as demand now, as if it had never been issued.
        let (outcome, access) = match unsent {
            true => (PrefetchOutcome::Refunded, Access::Miss),
            false => (PrefetchOutcome::Late, Access::Late),
        };
        self.notes.push(Note::Ended(fetch.key.clone(), outcome));
        access
    }

    /// Looks again for a parked request; gives up waiting and fetches itself when the time is over.
    pub(in crate::adapter) fn unpark(&mut self, cx: &mut RequestContext<'_>, id: RequestId) {
        let Some(waiting) = self.waiting.get(&id).filter(|w| w.fetch.is_none()) else { return };
        if let Lookup::Hit(hit) = cx.cache.peek(cx.now, &waiting.key, waiting.max_staleness_ms)
            && self.session.is_current(cx.agenda, waiting.scope, hit.at)
        {
            self.waiting.remove(&id);
            self.resolve(id, Answer { served: Served::Joined, ..Answer::cached(hit) }, cx.agenda);
            return;
        }
        let scope = waiting.scope;
        let under_way = self.fetches.of_key(&waiting.key).any(|(_, f)| f.scope != scope);
        if under_way && cx.now < waiting.park_until {
            cx.agenda.set_timer(scope, cx.now + PARK_STEP_MS, Timer::Parked(id));
            return;
        }
        if let Some(mut waiting) = self.waiting.remove(&id) {
            waiting.joined = false;
            waiting.fetch = Some(self.start_fetch(&waiting, id, cx.agenda));
            self.waiting.insert(id, waiting);
        }
    }

    fn start_fetch(&mut self, waiting: &Waiting, id: RequestId, agenda: &mut Agenda) -> FetchId {
        self.notes.push(Note::Asked);
        let fetch = Fetch {
            waiters: vec![id],
            strong: waiting.consistency == Consistency::Strong,
            needed_after: waiting.needed_after,
            held: waiting.stale.as_ref().and_then(|hit| hit.keymap.clone()),
            ..Fetch::new(waiting.scope, waiting.key.clone(), Class::Demand, waiting.max_staleness_ms)
        };
        self.enqueue(fetch, agenda)
    }

    /// Starts a fetch that nobody waits for. Where the engine `issued` it, it is owed the outcome; where it `rides`, it
    /// goes out only with something else.
    pub(in crate::adapter) fn start_prefetch(
        &mut self,
        cx: &mut RequestContext<'_>,
        (scope, key): (Scope, CompositeKey),
        max_staleness_ms: u32,
        issued: bool,
        rides: bool,
    ) {
        let needed_after = cx.cache.needed_after(&key);
        let held = match cx.cache.peek(cx.now, &key, u32::MAX) {
            Lookup::Hit(hit) | Lookup::Stale(hit) => hit.keymap,
            Lookup::Miss => None,
        };
        let fetch = Fetch::new(scope, key, Class::Prefetch, max_staleness_ms);
        self.enqueue(Fetch { issued, rides, needed_after, held, ..fetch }, cx.agenda);
    }
}
