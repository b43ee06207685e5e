//! Activities of an audit: writes, reads through each place, and the change feed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream};
use foremap::key::CompositeKey;
use foremap::protocol::{FeedFrame, FeedReader, MapKnowledge};
use futures_util::StreamExt as _;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Semaphore, watch};

use super::feed::{FeedNews, Follower};
use super::judge::{AcknowledgedWrite, Finding, Key, ObservedRead, Time};
use super::options::AuditPlan;
use super::tally::PathTally;
use super::web::{KeyAnswer, RequestError, Web};

/// Keys that are written.
pub(super) const KEYS: usize = 8;
/// Keys of every other read.
const BATCH: usize = 3;
/// Most requests under way to one place.
const MAX_IN_FLIGHT: usize = 64;
/// A write is tried so often under its id until its outcome is known.
const ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(250);
/// A feed says something at least every second.
const SILENCE: Duration = Duration::from_secs(5);
/// Interval at which the feed's gateway is asked for the time.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// Knowledge gained so far.
pub(super) struct AuditState {
    pub(super) keys: Vec<Key>,
    pub(super) follower: Follower,
    /// Of each place to read from, in order, and of the feed.
    pub(super) tallies: Vec<PathTally>,
    /// The map that gateways need not send again.
    map: Option<MapKnowledge>,
    /// Keys that are no longer judged, and why.
    pub(super) retired: Vec<String>,
}

/// An audit under way.
pub(super) struct Canary {
    pub(super) plan: AuditPlan,
    pub(super) keys: Vec<CompositeKey>,
    pub(super) web: Web,
    /// Origins to read from, gateways first.
    pub(super) places: Vec<String>,
    begun: Instant,
    state: Mutex<AuditState>,
    stop: watch::Receiver<bool>,
    turns: AtomicU64,
}

impl Canary {
    pub(super) fn new(plan: AuditPlan, keys: Vec<CompositeKey>, stop: watch::Receiver<bool>) -> Self {
        let numbered = |what: &'static str| {
            move |(at, origin): (usize, &String)| PathTally::new(format!("{what} {} {origin}", at + 1), false)
        };
        let mut tallies: Vec<PathTally> = plan.origins.iter().enumerate().map(numbered("gateway")).collect();
        tallies.extend(plan.workers.iter().enumerate().map(numbered("worker")));
        if plan.feed {
            tallies.push(PathTally::new(format!("feed {}", plan.origins[0]), true));
        }
        let state = AuditState {
            keys: keys.iter().map(|_| Key::default()).collect(),
            follower: Follower::default(),
            tallies,
            map: None,
            retired: Vec::new(),
        };
        Self {
            web: Web::new(plan.token.as_deref(), plan.bound_ms),
            places: plan.origins.iter().chain(&plan.workers).cloned().collect(),
            plan,
            keys,
            begun: Instant::now(),
            state: Mutex::new(state),
            stop,
            turns: AtomicU64::new(0),
        }
    }

    fn now(&self) -> Time {
        Time::try_from(self.begun.elapsed().as_micros()).unwrap_or(Time::MAX)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, AuditState> {
        self.state.lock()
    }

    /// A name for a write, and a number to choose keys by.
    fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits, and tells whether to go on.
    async fn pause(&self, pause: Duration) -> bool {
        let mut stop = self.stop.clone();
        let stopped = stop.wait_for(|stop| *stop);
        tokio::time::timeout(pause, stopped).await.is_err()
    }

    /// Writes key `at`, or removes it, once, in so many attempts.
    pub(super) async fn write(&self, at: usize, delete: bool, attempts: u32) -> Result<(), RequestError> {
        let (key, sent, turn) = (self.keys[at].as_str(), self.now(), self.turn());
        self.state().keys[at].writes(sent, delete);
        let id = format!("{key}-{turn}");
        let mut last = RequestError::Silent("never tried".into());
        for attempt in 0..attempts {
            let origin = &self.plan.origins[(turn as usize + attempt as usize) % self.plan.origins.len()];
            match self.web.write(origin, key, &id, delete).await {
                Ok(ack) => {
                    self.wrote(
                        at,
                        ack.shard,
                        AcknowledgedWrite { version: ack.version, deleted: delete, sent, acknowledged: self.now() },
                    );
                    return Ok(());
                }
                Err(fault) => last = fault,
            }
            tokio::time::sleep(PAUSE * attempt).await;
        }
        Err(last)
    }

    fn wrote(&self, at: usize, shard: u16, written: AcknowledgedWrite) {
        let mut state = self.state();
        let AuditState { keys, follower, tallies, .. } = &mut *state;
        keys[at].wrote(written);
        if !self.plan.feed {
            return;
        }
        follower.follow(shard, written.version);
        if let Some(told) = follower.wrote(shard, written.version, written.acknowledged) {
            self.count(tallies, &[told], || format!("version {} of {}", written.version, self.keys[at].as_str()));
        }
    }

    /// Removes key `at` for good.
    pub(super) async fn remove(&self, at: usize) -> Result<(), RequestError> {
        let (key, id) = (self.keys[at].as_str(), format!("{}-last", self.keys[at].as_str()));
        let mut last = Ok(());
        for (attempt, origin) in (0..ATTEMPTS).zip(self.plan.origins.iter().cycle()) {
            match self.web.write(origin, key, &id, true).await {
                Ok(_) | Err(RequestError::Missing) => return Ok(()),
                Err(fault) => last = Err(fault),
            }
            tokio::time::sleep(PAUSE * attempt).await;
        }
        last
    }

    /// Writes key `at` until told to stop.
    pub(super) async fn write_on(self: Arc<Self>, at: usize) {
        let interval = self.plan.write_interval(self.keys.len());
        // Not all at once.
        let mut pause = interval * u32::try_from(at).unwrap_or(0) / u32::try_from(KEYS).unwrap_or(1);
        let mut turn = 0_u64;
        while self.pause(pause).await {
            turn += 1;
            if let Err(fault) = self.write(at, turn.is_multiple_of(4), ATTEMPTS).await {
                let mut state = self.state();
                state.keys[at].retire();
                state.retired.push(format!("{} is no longer judged: its write {fault}", self.keys[at].as_str()));
                return;
            }
            pause = interval;
        }
    }

    /// Reads through place `at` until told to stop.
    pub(super) async fn read_on(self: Arc<Self>, at: usize) {
        let interval = self.plan.read_interval();
        let room = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        let mut due = tokio::time::interval(interval);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                _ = due.tick() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            let Ok(permit) = room.clone().try_acquire_owned() else {
                self.state().tallies[at].skipped += 1;
                continue;
            };
            let canary = self.clone();
            tokio::spawn(async move {
                let result = canary.read(at).await;
                if let Err(fault) = result {
                    canary.state().tallies[at].failure(fault.to_string());
                }
                drop(permit);
            });
        }
        // Those under way.
        drop(room.acquire_many(MAX_IN_FLIGHT as u32).await);
    }

    /// One request: every other one is a batch, as clients send them.
    pub(super) async fn read(&self, at: usize) -> Result<(), RequestError> {
        let (place, turn) = (&self.places[at], self.turn() as usize);
        let sent = self.now();
        if turn.is_multiple_of(2) {
            let key = turn / 2 % self.keys.len();
            let answer = self.web.get(place, self.keys[key].as_str()).await?;
            self.answered(at, key, sent, &answer);
            return Ok(());
        }
        let chosen: Vec<usize> = (0..BATCH).map(|n| (turn / 2 + n * n) % self.keys.len()).collect();
        let keys: Vec<CompositeKey> = chosen.iter().map(|&key| self.keys[key].clone()).collect();
        let map = self.state().map;
        let batch = self.web.batch(place, &keys, map).await?;
        if batch.map.is_some() {
            self.state().map = batch.map;
        }
        let mut failed = false;
        for (&key, answer) in chosen.iter().zip(&batch.answers) {
            match answer {
                Some(answer) => self.answered(at, key, sent, answer),
                None => failed = true,
            }
        }
        if failed { Err(RequestError::Refused("a key of a batch".into())) } else { Ok(()) }
    }

    fn answered(&self, at: usize, key: usize, sent: Time, answer: &KeyAnswer) {
        let KeyAnswer { found, claimed, position } = *answer;
        let mut state = self.state();
        let read = ObservedRead { sent, returned: self.now(), found, claimed, position };
        let Some(judged) = state.keys[key].judge(&read, self.plan.bound()) else { return };
        let about = || {
            let version = found.map_or_else(|| "nothing".to_owned(), |version| format!("version {version}"));
            let ms = |time: Time| time / 1_000;
            format!(
                "{version} of {}, asked for at {} ms, answered at {} ms, claimed age {} ms, stale for at least {} ms",
                self.keys[key].as_str(),
                ms(sent),
                ms(read.returned),
                ms(claimed),
                ms(judged.at_least)
            )
        };
        state.tallies[at].answer(&judged, claimed, about);
    }

    /// Opens the feed.
    pub(super) async fn open(&self) -> Result<BodyDataStream, RequestError> {
        let cursors = {
            let mut state = self.state();
            state.follower.opens(self.now());
            state.follower.cursors()
        };
        Ok(Body::new(self.web.feed(&self.plan.origins[0], cursors).await?).into_data_stream())
    }

    /// Reads the feed, and opens it anew where it ends.
    pub(super) async fn follow_on(self: Arc<Self>, mut body: BodyDataStream) {
        loop {
            let why = self.follow(body).await;
            loop {
                if let Some(tally) = self.state().tallies.last_mut() {
                    tally.failure(why.clone());
                }
                tokio::time::sleep(PAUSE).await;
                match self.open().await {
                    Ok(opened) => {
                        body = opened;
                        break;
                    }
                    Err(fault) => tracing::debug!("the feed {fault}"),
                }
            }
        }
    }

    /// Until the feed ends, and why it did.
    async fn follow(&self, mut body: BodyDataStream) -> String {
        let mut reader = FeedReader::default();
        loop {
            let data = match tokio::time::timeout(SILENCE, body.next()).await {
                Err(_) => return format!("was silent for {} s", SILENCE.as_secs()),
                Ok(None) => return "ended".into(),
                Ok(Some(Err(error))) => return format!("broke: {error}"),
                Ok(Some(Ok(data))) => data,
            };
            let received = self.now();
            let frames = match reader.push(&data) {
                Ok(frames) => frames,
                Err(error) => return format!("sends what is no frame: {error}"),
            };
            for frame in &frames {
                if let Err(why) = self.frame(received, frame) {
                    return why.to_owned();
                }
            }
        }
    }

    fn frame(&self, received: Time, frame: &FeedFrame) -> Result<(), &'static str> {
        let is_own = |key: &str| key.strip_prefix(&self.plan.prefix).is_some_and(|rest| rest.starts_with('/'));
        let mut state = self.state();
        let AuditState { follower, tallies, .. } = &mut *state;
        let told = follower.frame(received, frame, self.plan.bound(), is_own)?;
        self.count(tallies, &told, || format!("frame {} at {} ms", frame.number, received / 1_000));
        Ok(())
    }

    fn count(&self, tallies: &mut [PathTally], told: &[FeedNews], about: impl Fn() -> String) {
        let Some(tally) = tallies.last_mut() else { return };
        for told in told {
            match told {
                FeedNews::Change { delay } => tally.change(*delay, self.plan.bound()),
                FeedNews::Omitted => tally.found(&[Finding::Position], &about),
                FeedNews::Gap => tally.gaps += 1,
                FeedNews::Frame { at_least, claimed, findings } => {
                    tally.judged += 1;
                    tally.stale += u64::from(*at_least > 0);
                    tally.at_least.record(*at_least);
                    tally.claimed.record(*claimed);
                    tally.found(findings, &about);
                }
            }
        }
    }

    /// Asks the feed's gateway for the time, again and again.
    pub(super) async fn ask_time(self: Arc<Self>) {
        while self.pause(CLOCK_INTERVAL).await {
            let (sent, map) = (self.now(), self.state().map);
            // Without an answer the clock is known less exactly.
            let answer = self.web.batch(&self.plan.origins[0], &[], map).await;
            if let Some(clock) = answer.ok().and_then(|answer| answer.clock) {
                self.state().follower.showed(clock, sent);
            }
        }
    }
}
