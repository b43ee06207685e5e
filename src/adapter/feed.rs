//! [`Feed`]: what is cached stays fresh for as long as a person thinks.
//!
//! Without a feed, everything cached is too old after one staleness bound, and most requests of real users come
//! later than that. So a client that is being used holds a feed from one gateway, over which changes are pushed, and
//! which says in between that there were none. It opens when what is cached is about to grow too old, follows the storage
//! shards of what is cached (batches add to them), and closes when nobody looks or nobody asks. The first frame makes
//! everything current that the log still tells about, so opening is also the exchange after a pause.
//!
//! A feed that breaks costs no answer: entries age from then on, and requests ask again as ever.

mod exchange;
mod hearing;
mod unheard;

use std::sync::Arc;

pub(super) use self::unheard::Unheard;
use super::action::{Action, Attention, FeedEnd, FlightId};
use super::agenda::{Agenda, OWN_SCOPE, Timer};
use super::config::FeedConfig;
use super::stats::{AdapterStats, FeedStats};
use super::transport::Transport;
use super::transport::retry::ATTEMPT_MS;
use crate::Millis;
use crate::cache::LocalCache;
use crate::clock::{ClockBroke, RemoteClocks};
use crate::protocol::{BatchRequest, ClockReading, FeedFrame, FeedReader, FeedStep, Hello};

/// Part of the staleness bound, in quarters, after which what is cached counts as about to grow too old.
const LAPSE_QUARTERS: Millis = 3;
/// Heartbeats that may stay away, and what may come on top, before a feed counts as dead.
const SILENT_BEATS: Millis = 2;
const SILENT_MS: Millis = 2_000;
/// A gateway that has no feeds, or refuses this one for good, is not asked again for so long.
const REFUSED_MS: Millis = 300_000;
/// Cost of opening a feed, of the credit that a client begins with and that every answer earns which only a feed kept fresh.
/// Each is a request, so the first one is opened on trust, and those after it where the ones before have paid for themselves
/// several times.
const COST: u32 = 4;
const MOST_CREDIT: u32 = 4 * COST;
/// Longest pause between two batches that name the feed: a gateway ends one that none has named for 230 minutes.
const NAMED_MS: Millis = 20 * 60_000;
/// Half of the longest wait after the first failure. It doubles with each, up to 64 times as much: each attempt is a request,
/// and a client that cannot hold a feed exchanges instead.
const FIRST_WAIT_MS: Millis = 500;
const MAX_FAILURES: u8 = 7;

/// Parts below the feed, lent to it for one event.
type Below<'a> = (&'a mut LocalCache, &'a mut Agenda, &'a mut Transport);

/// A feed that is open or being opened.
#[derive(Debug)]
struct OpenFeed {
    id: FlightId,
    origin: Arc<str>,
    /// Credit that it cost.
    paid: u32,
    asked_at: Millis,
    /// Latest moment that a batch named it.
    named_at: Millis,
    heard_at: Millis,
    reader: FeedReader,
    hello: Option<Hello>,
    /// Number of the newest frame.
    number: u32,
}

impl OpenFeed {
    /// Moment at which it counts as dead unless something is heard.
    fn silent_at(&self) -> Millis {
        match self.hello {
            Some(hello) => self.heard_at + SILENT_BEATS * Millis::from(hello.heartbeat_ms) + SILENT_MS,
            None => self.asked_at + Millis::from(ATTEMPT_MS),
        }
    }
}

/// The feed of one client, the exchanges that stand in for it, and what it knows of the gateways' clocks.
#[derive(Debug)]
pub(super) struct Feed {
    config: FeedConfig,
    max_staleness_ms: u32,
    attention: Attention,
    open: Option<OpenFeed>,
    /// True where its frames are passed on to others.
    relaying: bool,
    requests: u32,
    /// The last request, or return of the user.
    active_at: Millis,
    /// Sending of the newest exchange, or the moment that the newest frame speaks of; `None` where what is cached is of
    /// unknown age.
    fresh_at: Option<Millis>,
    /// Sending of the latest exchange.
    exchanged_at: Option<Millis>,
    not_before: Millis,
    failures: u8,
    credit: u32,
    /// True where another client of the host holds one that can be joined.
    at_hand: bool,
    avoid: Option<Arc<str>>,
    clocks: RemoteClocks,
    timer: Option<Millis>,
    counted: FeedStats,
    bytes_sent: u64,
    changes: u64,
    resets: u64,
    clock_breaks: u64,
}

impl Feed {
    pub(super) fn new(config: FeedConfig, max_staleness_ms: u32) -> Self {
        Self {
            config,
            max_staleness_ms,
            attention: Attention::default(),
            open: None,
            relaying: false,
            requests: 0,
            active_at: 0,
            fresh_at: None,
            exchanged_at: None,
            not_before: 0,
            failures: 0,
            credit: COST,
            at_hand: false,
            avoid: None,
            clocks: RemoteClocks::default(),
            timer: None,
            counted: FeedStats::default(),
            bytes_sent: 0,
            changes: 0,
            resets: 0,
            clock_breaks: 0,
        }
    }

    fn is_idle(&self, now: Millis) -> bool {
        now.saturating_sub(self.active_at) >= self.config.idle_ms
    }

    /// Returns whether one that is open stays, as far as the user is concerned.
    fn is_kept(&self, now: Millis) -> bool {
        self.config.enabled && self.attention == Attention::Active && !self.is_idle(now)
    }

    /// Returns whether there should be one.
    fn is_wanted(&self, now: Millis) -> bool {
        self.is_kept(now) && self.requests >= self.config.after_requests && (self.credit >= COST || self.at_hand)
    }

    /// Moment at which what is cached is about to grow too old.
    fn lapses_at(&self) -> Millis {
        self.fresh_at.map_or(0, |at| at + Millis::from(self.max_staleness_ms) * LAPSE_QUARTERS / 4)
    }

    fn opens_at(&self) -> Millis {
        if self.failures > 0 {
            // Exchanges stand in meanwhile, and while they do nothing lapses.
            return self.not_before;
        }
        self.lapses_at().max(self.not_before)
    }

    /// Returns whether a feed keeps entries fresh, or is about to.
    pub(super) fn serves(&self, now: Millis) -> bool {
        self.open.is_some() || (self.is_wanted(now) && self.not_before <= now && self.failures == 0)
    }

    /// Somebody looks, or nobody does. On return what is cached is made current before it is asked for.
    pub(super) fn set_attention(&mut self, now: Millis, attention: Attention, (cache, agenda, transport): Below<'_>) {
        let before = std::mem::replace(&mut self.attention, attention);
        if before == Attention::Active {
            return self.drive(now, (cache, agenda, transport));
        }
        self.come_back(now, (cache, agenda, transport));
    }

    /// The host woke up: a feed that was open may never speak again.
    pub(super) fn resume(&mut self, now: Millis, (cache, agenda, transport): Below<'_>) {
        self.close(cache, agenda);
        self.come_back(now, (cache, agenda, transport));
    }

    /// The user is back, if somebody looks: makes current what is cached.
    pub(super) fn come_back(&mut self, now: Millis, (cache, agenda, transport): Below<'_>) {
        // A page that is loaded in the background is made current when somebody looks.
        if self.attention == Attention::Active {
            self.active_at = now;
            self.catch_up(now, cache, agenda, transport);
        }
        self.drive(now, (cache, agenda, transport));
    }

    /// Makes what is cached current, in one request, where it is no longer young.
    fn catch_up(&mut self, now: Millis, cache: &LocalCache, agenda: &mut Agenda, transport: &mut Transport) {
        if cache.is_empty() || now < self.lapses_at() || self.open.is_some() {
            return;
        }
        let may_open = self.config.enabled && now >= self.not_before;
        if !may_open || !self.open(now, cache, agenda, transport) {
            agenda.want_exchange(OWN_SCOPE);
        }
    }

    /// The age of what is cached is not known any more.
    pub(super) fn forget_age(&mut self) {
        self.fresh_at = None;
    }

    /// A clock stood still or was set: nothing that was under way has an age.
    pub(super) fn forget_clocks(&mut self, cache: &mut LocalCache, agenda: &mut Agenda) {
        self.clock_breaks += 1;
        self.close(cache, agenda);
        self.fresh_at = None;
    }

    /// Drops what is known of the gateways' clocks.
    pub(super) fn clear_clocks(&mut self) {
        self.clocks.clear();
    }

    /// An answer from the cache would not have been fresh enough without a feed.
    pub(super) fn earn(&mut self) {
        self.credit = (self.credit + 1).min(MOST_CREDIT);
    }

    /// Notes a demand request.
    pub(super) fn note_request(&mut self, now: Millis) {
        self.requests = self.requests.saturating_add(1);
        self.active_at = now;
    }

    /// Notes an answer to what was sent at `sent_at`, with the clock that came with it.
    pub(super) fn note_answer(
        &mut self,
        now: Millis,
        sent_at: Millis,
        clock: Option<ClockReading>,
    ) -> Result<(), ClockBroke> {
        self.fresh_at = self.fresh_at.max(Some(sent_at));
        match clock.filter(|_| self.config.enabled) {
            Some(clock) => self.clocks.observe(clock, sent_at, Some(now), now),
            None => Ok(()),
        }
    }

    /// Does what is due, and sees to it that it is called again.
    pub(super) fn drive(&mut self, now: Millis, (cache, agenda, transport): Below<'_>) {
        if self.timer.is_some_and(|at| at <= now) {
            self.timer = None;
        }
        // One that is open stays where a change has just dropped the last entry: it will be asked for again.
        let kept = self.is_kept(now);
        match &self.open {
            Some(_) if !kept => {
                if self.is_idle(now) {
                    // Whoever comes back after that begins anew.
                    self.credit = self.credit.max(COST);
                }
                self.close(cache, agenda);
            }
            Some(open) if now >= open.silent_at() => self.lose(now, FeedEnd::Broken, (cache, agenda, transport)),
            Some(_) => {}
            None if !cache.is_empty() && self.is_wanted(now) && now >= self.opens_at() => {
                _ = self.open(now, cache, agenda, transport);
            }
            None => {}
        }
        let next = match &self.open {
            Some(open) => Some(open.silent_at().min(self.active_at + self.config.idle_ms)),
            None if !cache.is_empty() && self.is_wanted(now) => Some(self.opens_at().max(now + 1)),
            None => None,
        };
        if let Some(at) = next
            && self.timer.is_none_or(|timer| at < timer)
        {
            self.timer = Some(at);
            agenda.set_timer(OWN_SCOPE, at, Timer::Feed);
            // Whoever called may have been about another scope.
            agenda.rearm(now, OWN_SCOPE, false);
        }
    }

    /// Asks for a feed of everything cached. `false` where nothing cached can be followed.
    fn open(&mut self, now: Millis, cache: &LocalCache, agenda: &mut Agenda, transport: &Transport) -> bool {
        let cursors = cache.cursors();
        let max_staleness_ms = self.max_staleness_ms;
        if cursors.is_empty() {
            // Followed again as soon as something new is cached.
            self.not_before = now + Millis::from(max_staleness_ms).max(1_000);
            return false;
        }
        let origin = transport.origin_for(now, None, self.avoid.take().as_deref());
        let id = agenda.fresh_id();
        let body = BatchRequest { cursors, max_staleness_ms, ..BatchRequest::default() }.encode();
        self.bytes_sent += body.len() as u64;
        self.counted.opened += 1;
        let paid = if self.at_hand { 0 } else { self.credit.min(COST) };
        self.credit -= paid;
        self.open = Some(OpenFeed {
            id,
            origin: origin.clone(),
            paid,
            asked_at: now,
            named_at: now,
            heard_at: now,
            reader: FeedReader::default(),
            hello: None,
            number: 0,
        });
        agenda.act(Action::OpenFeed { scope: OWN_SCOPE, feed: id, origin, body });
        true
    }

    /// Closes a feed that ends through no fault of the user's: its scope does, and with that its timers, or its store is
    /// gone.
    pub(super) fn abandon(&mut self, cache: &mut LocalCache, agenda: &mut Agenda) {
        self.credit = self.credit.max(COST);
        self.close(cache, agenda);
        self.timer = None;
    }

    /// Closes the feed, if there is one.
    fn close(&mut self, cache: &mut LocalCache, agenda: &mut Agenda) -> Option<OpenFeed> {
        let open = self.open.take()?;
        cache.feed_ended();
        agenda.act(Action::CloseFeed { scope: OWN_SCOPE, feed: open.id });
        Some(open)
    }

    pub(super) fn set_relaying(&mut self, relaying: bool) {
        self.relaying = relaying;
    }

    pub(super) fn set_at_hand(&mut self, at_hand: bool) {
        self.at_hand = at_hand;
    }

    /// A first frame, as bytes of a feed, for another client of this host that is to follow this one's from here on.
    pub(super) fn opening(&self, now: Millis, cache: &LocalCache) -> Option<Vec<u8>> {
        let open = self.open.as_ref()?;
        let (hello, number) = (open.hello?, open.number);
        let clock_ms = self.clocks.shows(hello.clock, now)?.ms;
        let steps = cache.fed().map(|(shard, to)| FeedStep { shard, from: to, to }).collect();
        let hello = Some(Hello { relayed: true, ..hello });
        let frame = FeedFrame { hello, number, clock_ms, age_ms: u32::MAX, steps, ..FeedFrame::default() };
        Some([&FeedFrame::PREAMBLE[..], &frame.encode()].concat())
    }

    /// Adds counts and fills.
    pub(super) fn report(&self, stats: &mut AdapterStats) {
        stats.feed = FeedStats {
            open: self.open.as_ref().is_some_and(|open| open.hello.is_some()),
            buffered: self.open.as_ref().map_or(0, |open| open.reader.buffered()),
            max_buffered: FeedFrame::MAX_BYTES,
            clocks: self.clocks.len(),
            max_clocks: RemoteClocks::BOUND,
            ..self.counted
        };
        stats.bytes_sent += self.bytes_sent;
        stats.bytes_received += self.counted.bytes;
        (stats.changes, stats.resets, stats.clock_breaks) = (self.changes, self.resets, self.clock_breaks);
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
