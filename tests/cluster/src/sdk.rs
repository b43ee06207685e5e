//! A client that is the published package's core, with several readers and a writer: one session.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use fastrand::Rng;
use foremap::adapter::{AdapterConfig, FeedConfig, Served};
use foremap::cache::CacheConfig;
use foremap::key::CompositeKey;
use foremap::protocol::Consistency;
use foremap_check::{Read, Write};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::host::{Asked, Sdk};
use crate::load::{INSISTENCE, Load, TIMEOUT_MS, pause};
use crate::recorder::{Call, Kind, What, age, found, level};
use crate::writing::Attempts;

/// Readers of one client.
const READERS: u64 = 3;

/// Newest versions that a session has seen, to compare and set.
type Seen = Arc<Mutex<HashMap<CompositeKey, u64>>>;

/// One caller within a client.
#[derive(Clone)]
struct Caller {
    load: Load,
    sdk: Sdk,
    session: u64,
    seen: Seen,
}

/// Starts the client `session` with its callers.
pub(crate) fn start(tasks: &mut JoinSet<()>, load: &Load, session: u64, seed: u64) -> Result<()> {
    let mut rng = Rng::with_seed(seed);
    let mut origins = load.origins.to_vec();
    rng.shuffle(&mut origins);
    // Small enough that some entries have to leave.
    let cache = CacheConfig { max_entries: 40, ..CacheConfig::default() };
    let feed = FeedConfig { enabled: true, ..FeedConfig::default() };
    let config = AdapterConfig { origins, seed: rng.u64(..), cache, feed, ..AdapterConfig::default() };
    let caller =
        Caller { load: load.clone(), sdk: Sdk::start(load.recorder.clock, config)?, session, seen: Seen::default() };
    for _ in 0..READERS {
        tasks.spawn(caller.clone().read_on(rng.fork()));
    }
    tasks.spawn(caller.write_on(rng.fork()));
    Ok(())
}

impl Caller {
    async fn read_on(self, mut rng: Rng) {
        while self.load.goes_on() {
            // Several at once travel as one batch.
            let count = if rng.u8(..4) == 0 { 5 } else { 1 };
            let reads: Vec<_> =
                (0..count).map(|_| (self.load.key(&mut rng), Load::level(&mut rng), rng.bool())).collect();
            join_all(reads.into_iter().map(|(key, (what, bound), bypass)| self.read(key, what, bound, bypass))).await;
            pause(&mut rng, Duration::from_millis(60)).await;
        }
    }

    async fn read(&self, key: CompositeKey, what: What, max_staleness_ms: u32, bypass_cache: bool) {
        let consistency = match what {
            What::Strong | What::Write => Consistency::Strong,
            What::Bounded => Consistency::Bounded,
            What::Any => Consistency::Any,
        };
        let stream = format!("s{}", self.session);
        let recorder = &self.load.recorder;
        let invoked = recorder.now();
        let asked = Asked { key: key.clone(), stream, consistency, max_staleness_ms, bypass_cache };
        let Some(got) = self.sdk.get(asked, TIMEOUT_MS).await else { return };
        let returned = got.at.max(invoked);
        let call = |succeeded| Call { kind: Kind::Sdk, what, invoked, returned, succeeded };
        match got.answer {
            Ok(answer) => {
                // What the client's own memory answers says nothing about gateways.
                if !matches!(answer.served, Served::Cache | Served::Negative | Served::Stale) {
                    recorder.call(call(true));
                }
                if let Some(keymap) = &answer.keymap {
                    self.saw(&key, keymap.version);
                }
                recorder.read(Read {
                    key: key.as_str().into(),
                    session: self.session,
                    level: level(what, max_staleness_ms),
                    invoked,
                    returned,
                    found: answer.keymap.map(|keymap| found(keymap.version, &keymap.fields.locator)),
                    age: age(answer.age_ms),
                    position: Some(answer.at.position),
                });
            }
            Err((code, detail)) => {
                recorder.call(call(false));
                let at = returned / 1_000;
                recorder.lock().failures.push(format!("{at} ms: {what:?} read of {}: {code}: {detail}", key.as_str()));
            }
        }
    }

    fn saw(&self, key: &CompositeKey, version: u64) {
        let mut seen = self.seen.lock();
        seen.insert(key.clone(), version);
    }

    async fn write_on(self, mut rng: Rng) {
        while self.load.goes_on() {
            self.write(&mut rng).await;
            pause(&mut rng, Duration::from_millis(60)).await;
        }
    }

    /// Calls with the same id until the outcome is known.
    async fn write(&self, rng: &mut Rng) {
        let seen = |key: &CompositeKey| self.seen.lock().get(key).copied().unwrap_or(0);
        let (write, recorder) = (self.load.write(rng, self.session, seen), &self.load.recorder);
        let first = recorder.now();
        let until = Instant::now() + INSISTENCE;
        let (mut attempts, mut outcome, mut shard) = (Attempts::default(), None, None);
        while outcome.is_none() && Instant::now() < until {
            let invoked = recorder.now();
            let Some(put) = self.sdk.write(write.clone(), attempts, TIMEOUT_MS).await else { break };
            let (returned, succeeded) = (recorder.now(), put.failed.is_none());
            recorder.call(Call { kind: Kind::Sdk, what: What::Write, invoked, returned, succeeded });
            if let Some(failure) = put.failed {
                recorder.lock().failures.push(format!("{} ms: {failure}", returned / 1_000));
                pause(rng, Duration::from_millis(100)).await;
            }
            put.nonsense.into_iter().for_each(|what| recorder.nonsense(what));
            (attempts, outcome, shard) = (put.attempts, put.outcome, put.shard);
        }
        let write_done = Write {
            key: write.key.as_str().into(),
            session: self.session,
            value: write.value.clone(),
            invoked: first,
            returned: recorder.now(),
            outcome: outcome.unwrap_or(attempts.outcome()),
        };
        recorder.wrote(write_done, &write.key, shard);
    }
}
