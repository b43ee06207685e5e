//! The change feed: what is cached stays fresh for as long as a person thinks.
//!
//! Without a feed, everything cached is too old after one staleness bound, and most requests of real users come
//! later than that. So a client that is being used holds a feed from one gateway, over which changes are pushed, and
//! which says in between that there were none. It opens when what is cached is about to grow too old, follows the storage
//! shards of what is cached (batches add to them), and closes when nobody looks or nobody asks. The first frame makes
//! everything current that the log still tells about, so opening is also the exchange after a pause.
//!
//! A feed that breaks costs no answer: entries age from then on, and requests ask again as ever.

mod hearing;

use serde::Deserialize;

use super::action::{Action, FlightId, Scope};
use super::adapter::Adapter;
use super::retry::ATTEMPT_MS;
use super::scopes::Timer;
use super::stats::FeedStats;
use crate::Millis;
use crate::clock::RemoteClocks;
use crate::protocol::{BatchRequest, ClockReading, FeedFrame, FeedId, FeedReader, Hello};
use std::sync::Arc;

/// The scope that a client's feed and its timers belong to: the one of its page or process.
pub(super) const FEED_SCOPE: Scope = 0;
/// Part of the staleness bound, in quarters, after which what is cached counts as about to grow too old.
const LAPSE_QUARTERS: Millis = 3;
/// Heartbeats that may be missed, and what may come on top, before a feed counts as dead.
const SILENT_BEATS: Millis = 2;
const SILENT_MS: Millis = 2_000;
/// A gateway that has no feeds, or refuses this one for good, is not asked again for so long.
const REFUSED_MS: Millis = 300_000;
/// What opening a feed costs, of what a client begins with and what every answer earns that only a feed kept fresh. Each is
/// a request, so the first one is opened on trust, and those after it where the ones before have paid for themselves
/// several times.
const COST: u32 = 4;
const MOST_CREDIT: u32 = 4 * COST;
/// How often a batch names the feed at least: a gateway ends one that none has named for 230 minutes.
const NAMED_MS: Millis = 20 * 60_000;
/// Half of the longest wait after the first failure. It doubles with each, up to 64 times as much: each attempt is a request,
/// and a client that cannot hold a feed exchanges instead.
const FIRST_WAIT_MS: Millis = 500;
const MAX_FAILURES: u8 = 7;

/// When to hold a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FeedConfig {
    /// Whether the host can hold one at all: it can read an answer while it arrives, and its scope 0 lasts.
    pub enabled: bool,
    /// Closed after so many milliseconds without a request. People pause for minutes: with 5 minutes one in ten to five of
    /// the answers that a feed can keep fresh came after it had closed (traces of `cargo xtask bench tab`), with 20 one in
    /// a hundred to forty, with 30 none; a heartbeat costs some ten bytes, opening anew a request.
    pub idle_ms: u64,
    /// Not opened before so many requests. With 2 instead of 1 a shop's visitors, whose second request often repeats the
    /// first, lost a third of the answers that a feed keeps fresh.
    pub after_requests: u32,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self { enabled: false, idle_ms: 1_800_000, after_requests: 1 }
    }
}

/// Whether somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attention {
    /// The page is shown, or the process serves.
    #[default]
    Active,
    /// Hidden, frozen, off line, or asked to save data.
    Away,
}

/// How a feed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedEnd {
    /// The gateway ended it in good order, as it does after some minutes.
    Ended,
    /// It broke, or no connection came about.
    Broken,
    /// The gateway answered with another status than 200.
    Refused {
        /// That status.
        status: u16,
        /// Its `Retry-After` in milliseconds.
        retry_after: Option<Millis>,
    },
}

/// A feed that is open or being opened.
#[derive(Debug)]
pub(super) struct Open {
    id: FlightId,
    origin: Arc<str>,
    /// Credit that it cost.
    pub(super) paid: u32,
    asked_at: Millis,
    /// When a batch last named it.
    named_at: Millis,
    heard_at: Millis,
    reader: FeedReader,
    pub(super) hello: Option<Hello>,
    /// Number of the newest frame.
    pub(super) number: u32,
}

impl Open {
    /// When it counts as dead unless something is heard.
    fn silent_at(&self) -> Millis {
        match self.hello {
            Some(hello) => self.heard_at + SILENT_BEATS * Millis::from(hello.heartbeat_ms) + SILENT_MS,
            None => self.asked_at + Millis::from(ATTEMPT_MS),
        }
    }
}

/// The feed of one client, and what it knows of the gateways' clocks.
#[derive(Debug)]
pub(super) struct Feed {
    attention: Attention,
    pub(super) open: Option<Open>,
    /// Whether its frames are passed on to others.
    pub(super) relaying: bool,
    requests: u32,
    /// The last request, or return of the user.
    active_at: Millis,
    /// Sending of the newest exchange, or the moment that the newest frame speaks of; `None` where what is cached is of
    /// unknown age.
    pub(super) fresh_at: Option<Millis>,
    not_before: Millis,
    failures: u8,
    pub(super) credit: u32,
    /// Whether another client of the host holds one that can be joined.
    pub(super) at_hand: bool,
    avoid: Option<Arc<str>>,
    pub(super) clocks: RemoteClocks,
    timer: Option<Millis>,
    counted: FeedStats,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            attention: Attention::default(),
            open: None,
            relaying: false,
            requests: 0,
            active_at: 0,
            fresh_at: None,
            not_before: 0,
            failures: 0,
            credit: COST,
            at_hand: false,
            avoid: None,
            clocks: RemoteClocks::default(),
            timer: None,
            counted: FeedStats::default(),
        }
    }
}

impl Feed {
    fn is_idle(&self, now: Millis, config: &FeedConfig) -> bool {
        now.saturating_sub(self.active_at) >= config.idle_ms
    }

    /// Whether one that is open stays, as far as the user is concerned.
    fn is_kept(&self, now: Millis, config: &FeedConfig) -> bool {
        config.enabled && self.attention == Attention::Active && !self.is_idle(now, config)
    }

    /// Whether there should be one.
    fn is_wanted(&self, now: Millis, config: &FeedConfig) -> bool {
        self.is_kept(now, config) && self.requests >= config.after_requests && (self.credit >= COST || self.at_hand)
    }

    /// When what is cached is about to grow too old.
    fn lapses_at(&self, max_staleness_ms: u32) -> Millis {
        self.fresh_at.map_or(0, |at| at + Millis::from(max_staleness_ms) * LAPSE_QUARTERS / 4)
    }

    /// Its name at the gateway, once that has said it.
    fn name(&self) -> Option<FeedId> {
        Some(self.open.as_ref()?.hello?.feed)
    }

    pub(super) fn stats(&self) -> FeedStats {
        FeedStats {
            open: self.open.as_ref().is_some_and(|open| open.hello.is_some()),
            buffered: self.open.as_ref().map_or(0, |open| open.reader.buffered()),
            max_buffered: FeedFrame::MAX_BYTES,
            clocks: self.clocks.len(),
            max_clocks: RemoteClocks::BOUND,
            ..self.counted
        }
    }
}

impl Adapter {
    /// Somebody looks, or nobody does. On return what is cached is made current before it is asked for: by the feed, or
    /// by one exchange where there is none.
    pub fn set_attention(&mut self, now: Millis, attention: Attention) {
        let before = std::mem::replace(&mut self.feed.attention, attention);
        if attention == Attention::Active && before == Attention::Away {
            self.feed.active_at = now;
            self.catch_up(now);
        }
        self.feed_due(now);
        self.rearm(now, FEED_SCOPE, false);
    }

    /// The host woke up: what a feed had under way may never speak again, and is not waited for.
    pub fn resume(&mut self, now: Millis) {
        self.close_feed();
        if self.feed.attention == Attention::Active {
            self.feed.active_at = now;
            self.catch_up(now);
        }
        self.feed_due(now);
        self.rearm(now, FEED_SCOPE, false);
    }

    /// A page begins with what an earlier one had cached.
    pub(super) fn come_back(&mut self, now: Millis) {
        self.feed.fresh_at = None;
        // One that is loaded in the background is made current when somebody looks.
        if self.feed.attention == Attention::Active {
            self.feed.active_at = now;
            self.catch_up(now);
        }
        self.feed_due(now);
        self.rearm(now, FEED_SCOPE, false);
    }

    /// The clock stood still or was set: ages are not known any more, and what is under way has one that is not known.
    pub fn clock_broke(&mut self, now: Millis) {
        self.feed.clocks.clear();
        self.forget_ages(now);
        self.rearm(now, FEED_SCOPE, false);
    }

    fn forget_ages(&mut self, now: Millis) {
        self.counters.clock_breaks += 1;
        self.cache.forget_ages(now);
        let until = self.cache.invalidated_until(now);
        let needed = self.waiting.values_mut().map(|waiting| &mut waiting.needed_after);
        let needed = needed.chain(self.fetches.values_mut().map(|fetch| &mut fetch.needed_after));
        needed.filter(|at| **at > 0).for_each(|at| *at = until);
        self.close_feed();
        self.feed.fresh_at = None;
        self.feed_due(now);
    }

    /// Makes what is cached current, in one request, where it is no longer young.
    pub(super) fn catch_up(&mut self, now: Millis) {
        if self.cache.is_empty() || now < self.feed.lapses_at(self.config.max_staleness_ms) || self.feed.open.is_some()
        {
            return;
        }
        let may_open = self.config.feed.enabled && now >= self.feed.not_before;
        if !may_open || !self.open_feed(now) {
            self.scopes.get(FEED_SCOPE).exchange_wanted = true;
        }
    }

    /// An answer from the cache would not have been fresh enough without a feed.
    pub(super) fn feed_paid(&mut self) {
        self.feed.credit = (self.feed.credit + 1).min(MOST_CREDIT);
    }

    /// Notes a demand request.
    pub(super) fn feed_request(&mut self, now: Millis) {
        self.feed.requests = self.feed.requests.saturating_add(1);
        self.feed.active_at = now;
        self.feed_due(now);
    }

    /// Notes an answer to what was sent at `sent_at`, with the clock that came with it.
    pub(super) fn feed_answer(&mut self, now: Millis, sent_at: Millis, clock: Option<ClockReading>) {
        self.feed.fresh_at = self.feed.fresh_at.max(Some(sent_at));
        if let Some(clock) = clock
            && self.config.feed.enabled
            && self.feed.clocks.observe(clock, sent_at, Some(now), now).is_err()
        {
            self.forget_ages(now);
        }
    }

    /// Whether a feed keeps entries fresh, or is about to.
    pub(super) fn feed_serves(&self, now: Millis) -> bool {
        self.feed.open.is_some()
            || (self.feed.is_wanted(now, &self.config.feed) && self.feed.not_before <= now && self.feed.failures == 0)
    }

    /// Lets `request` add what the feed does not follow yet: the shards of its keys, and those of entries that have none
    /// so far. Now and then it names the feed without that, so that the gateway does not end it. Returns `false` where there
    /// is no feed.
    pub(super) fn feed_joins(&mut self, now: Millis, request: &mut BatchRequest) -> bool {
        let Some(name) = self.feed.name() else { return false };
        let cursors = self.cache.cursors();
        let news = self
            .map()
            .is_none_or(|map| request.items.iter().any(|item| !self.cache.is_fed(map.storage.shard(&item.key))));
        if let Some(open) = &mut self.feed.open
            && (news || !cursors.is_empty() || now >= open.named_at + NAMED_MS)
        {
            open.named_at = now;
            request.feed = Some(name);
            request.cursors = cursors;
        }
        true
    }

    /// Does what is due, and sees to it that it is called again.
    pub(super) fn feed_due(&mut self, now: Millis) {
        if self.feed.timer.is_some_and(|at| at <= now) {
            self.feed.timer = None;
        }
        let config = self.config.feed;
        // One that is open stays where a change has just dropped the last entry: it will be asked for again.
        let kept = self.feed.is_kept(now, &config);
        match &self.feed.open {
            Some(_) if !kept => {
                if self.feed.is_idle(now, &config) {
                    // Whoever comes back after that begins anew.
                    self.feed.credit = self.feed.credit.max(COST);
                }
                self.close_feed();
            }
            Some(open) if now >= open.silent_at() => self.feed_lost(now, FeedEnd::Broken),
            Some(_) => {}
            None if self.wants_feed(now) && now >= self.feed_opens_at() => _ = self.open_feed(now),
            None => {}
        }
        let next = match &self.feed.open {
            Some(open) => Some(open.silent_at().min(self.feed.active_at + config.idle_ms)),
            None if self.wants_feed(now) => Some(self.feed_opens_at().max(now + 1)),
            None => None,
        };
        if let Some(at) = next
            && self.feed.timer.is_none_or(|timer| at < timer)
        {
            self.feed.timer = Some(at);
            self.scopes.set_timer(FEED_SCOPE, at, Timer::Feed);
            // Whoever called may have been about another scope.
            self.rearm(now, FEED_SCOPE, false);
        }
    }

    fn wants_feed(&self, now: Millis) -> bool {
        !self.cache.is_empty() && self.feed.is_wanted(now, &self.config.feed)
    }

    fn feed_opens_at(&self) -> Millis {
        if self.feed.failures > 0 {
            // Exchanges stand in meanwhile, and while they do nothing lapses.
            return self.feed.not_before;
        }
        self.feed.lapses_at(self.config.max_staleness_ms).max(self.feed.not_before)
    }

    /// Asks for a feed of everything cached. `false` where nothing cached can be followed.
    fn open_feed(&mut self, now: Millis) -> bool {
        let cursors = self.cache.cursors();
        if cursors.is_empty() {
            // Followed again as soon as something new is cached.
            self.feed.not_before = now + Millis::from(self.config.max_staleness_ms).max(1_000);
            return false;
        }
        let origin = self.origins.choose(now, None, self.feed.avoid.take().as_deref());
        let id = self.fresh_id();
        let request =
            BatchRequest { cursors, max_staleness_ms: self.config.max_staleness_ms, ..BatchRequest::default() };
        let body = request.encode();
        self.counters.bytes_sent += body.len() as u64;
        self.feed.counted.opened += 1;
        let paid = if self.feed.at_hand { 0 } else { self.feed.credit.min(COST) };
        self.feed.credit -= paid;
        self.feed.open = Some(Open {
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
        self.act(Action::OpenFeed { scope: FEED_SCOPE, feed: id, origin, body });
        true
    }

    /// It ends through no fault of the user's: its scope does, and with that its timers, or its store is gone.
    pub(super) fn drop_feed(&mut self) {
        self.feed.credit = self.feed.credit.max(COST);
        self.close_feed();
        self.feed.timer = None;
    }

    fn close_feed(&mut self) {
        if let Some(open) = self.feed.open.take() {
            self.cache.feed_ended();
            self.act(Action::CloseFeed { scope: FEED_SCOPE, feed: open.id });
        }
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
