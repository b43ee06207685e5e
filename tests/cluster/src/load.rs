//! Choices that clients draw from: keys, levels, pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use foremap::key::CompositeKey;

use crate::recorder::{Recorder, What};
use crate::writing::{Expect, WriteRequest};

/// First components of keys: each spreads over up to 16 shards.
const FIRST: usize = 6;
/// Keys below each.
const SECOND: usize = 10;
/// Every call of a client ends after so long, as with the package.
pub(crate) const TIMEOUT_MS: u32 = 10_000;
/// A write is tried under its id for so long: its outcome should be known.
pub(crate) const INSISTENCE: Duration = Duration::from_secs(15);

/// State that all clients of a round share.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) recorder: Recorder,
    pub(crate) origins: Arc<[String]>,
    pub(crate) keys: Arc<[CompositeKey]>,
    /// Prefix that all keys begin with.
    pub(crate) prefix: Arc<str>,
    stop: Arc<AtomicBool>,
    writes: Arc<AtomicU64>,
}

impl Load {
    /// The load of the round with `seed`, whose keys no other round has.
    pub(crate) fn new(recorder: Recorder, origins: Vec<String>, seed: u64) -> anyhow::Result<Self> {
        let key = |nth: usize| CompositeKey::parse(&format!("r{seed}-{}/k{}", nth / SECOND, nth % SECOND));
        let keys = (0..FIRST * SECOND).map(key).collect::<Result<Vec<_>, _>>();
        let keys = keys.map_err(|error| anyhow::anyhow!("a key: {}", error.reason()))?;
        let prefix = format!("r{seed}-").into();
        let (stop, writes) = (Arc::default(), Arc::default());
        Ok(Self { recorder, origins: origins.into(), keys: keys.into(), prefix, stop, writes })
    }

    /// Clients end after the call that they are in.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Mostly a few hot keys.
    pub(crate) fn key(&self, rng: &mut Rng) -> CompositeKey {
        let among = if rng.u8(..100) < 40 { 8 } else { self.keys.len() };
        // Hot ones of several first components.
        self.keys[rng.usize(..among) * 7 % self.keys.len()].clone()
    }

    /// A level and a bound in milliseconds.
    pub(crate) fn level(rng: &mut Rng) -> (What, u32) {
        match rng.u8(..100) {
            0..15 => (What::Strong, 2_000),
            15..25 => (What::Any, 2_000),
            25..50 => (What::Bounded, 500),
            _ => (What::Bounded, 2_000),
        }
    }

    /// A write of `session`; no other one of the run puts its value or has its id.
    pub(crate) fn write(&self, rng: &mut Rng, session: u64, seen: impl Fn(&CompositeKey) -> u64) -> WriteRequest {
        let nth = self.writes.fetch_add(1, Ordering::Relaxed);
        let key = self.key(rng);
        let value = format!("{}s{session}-w{nth}", self.prefix);
        let expect = match rng.u8(..10) {
            0..2 => match seen(&key) {
                0 => Expect::Absent,
                version => Expect::Version(version),
            },
            _ => Expect::Any,
        };
        let delete = rng.u8(..10) == 0 && expect != Expect::Absent;
        WriteRequest { id: value.clone(), key, value: (!delete).then(|| value.into()), expect }
    }
}

/// A pause between two calls, `mean` on average.
pub(crate) async fn pause(rng: &mut Rng, mean: Duration) {
    tokio::time::sleep(mean.mul_f64(rng.f64() * 2.0)).await;
}
