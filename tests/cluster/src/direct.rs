//! A client that speaks the protocol by itself: one call after the other, its floors sent along, at any gateway.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use fastrand::Rng;
use foremap::key::CompositeKey;
use foremap::protocol::{
    BatchItem, BatchRequest, BatchResponse, CONTENT_TYPE, Class, Consistency, Cursor, ItemResult, Outcome,
};
use foremap_check::{Read, Time, Write};
use hyper::Method;

use crate::http::{Http, request};
use crate::load::{INSISTENCE, Load, TIMEOUT_MS, pause};
use crate::recorder::{Call, Kind, What, age, found, level};
use crate::writing::{Attempts, Told};

/// Longest wait for one answer: long enough for one that is on its way, short enough for another gateway.
const ATTEMPT: Duration = Duration::from_secs(2);

/// A session.
pub(crate) struct Direct {
    load: Load,
    session: u64,
    rng: Rng,
    http: Http,
    /// The gateway asked last.
    at: usize,
    floors: BTreeMap<u16, u64>,
    seen: HashMap<CompositeKey, u64>,
}

impl Direct {
    pub(crate) fn new(load: &Load, session: u64, seed: u64) -> Self {
        let (floors, seen) = (BTreeMap::new(), HashMap::new());
        Self { load: load.clone(), session, rng: Rng::with_seed(seed), http: Http::new(), at: 0, floors, seen }
    }

    /// Reads and writes until the round stops.
    pub(crate) async fn run(mut self) {
        while self.load.goes_on() {
            if self.rng.u8(..3) == 0 {
                self.write().await
            } else {
                self.read().await
            }
            pause(&mut self.rng, Duration::from_millis(40)).await;
        }
    }

    fn origin(&mut self) -> String {
        self.at = self.rng.usize(..self.load.origins.len());
        self.load.origins[self.at].clone()
    }

    fn next_origin(&mut self) -> String {
        self.at = (self.at + 1) % self.load.origins.len();
        self.load.origins[self.at].clone()
    }

    /// A batch over several shards. What fails, or comes too old, is asked for again at the next gateway, from the store.
    async fn read(&mut self) {
        let (what, bound) = Load::level(&mut self.rng);
        let mut keys: Vec<CompositeKey> = (0..self.rng.usize(1..7)).map(|_| self.load.key(&mut self.rng)).collect();
        keys.sort();
        keys.dedup();
        let invoked = self.load.recorder.now();
        let until = Instant::now() + Duration::from_millis(TIMEOUT_MS.into());
        let (mut origin, mut strong) = (self.origin(), what == What::Strong);
        loop {
            keys = self.ask(&origin, keys, what, strong, bound, invoked).await;
            if keys.is_empty() || Instant::now() > until {
                break;
            }
            (origin, strong) = (self.next_origin(), strong || what == What::Bounded);
            pause(&mut self.rng, Duration::from_millis(50)).await;
        }
        let returned = self.load.recorder.now();
        let kind = Kind::Direct;
        self.load.recorder.call(Call { kind, what, invoked, returned, succeeded: keys.is_empty() });
    }

    /// Asks once; returns the keys without an answer.
    async fn ask(
        &mut self,
        origin: &str,
        keys: Vec<CompositeKey>,
        what: What,
        strong: bool,
        bound: u32,
        invoked: Time,
    ) -> Vec<CompositeKey> {
        let consistency = match what {
            _ if strong => Consistency::Strong,
            What::Any => Consistency::Any,
            _ => Consistency::Bounded,
        };
        // They bind this batch; its own answers, of several nodes at several positions, do not bind each other.
        let sent_floors = self.floors.clone();
        let floors = sent_floors.iter().map(|(&shard, &position)| Cursor { shard, position }).collect();
        let item = |key: &CompositeKey| BatchItem { key: key.clone(), if_version: None, class: Class::Demand };
        let items = keys.iter().map(item).collect();
        let batch = BatchRequest { items, consistency, max_staleness_ms: bound, floors, ..BatchRequest::default() };
        let headers = [("content-type", CONTENT_TYPE)];
        let request = request(Method::POST, &format!("{origin}/v1/batch"), &headers, batch.encode());
        let sent = self.load.recorder.now();
        let reply = self.http.send(request, ATTEMPT).await;
        let returned = self.load.recorder.now();
        let Ok(reply) = reply else { return keys };
        if reply.status != 200 {
            if reply.status < 500 && reply.status != 429 {
                self.load.recorder.nonsense(format!("a batch was answered with {reply:?}"));
            }
            return keys;
        }
        match BatchResponse::decode(&reply.body) {
            Ok(response) if response.results.len() == keys.len() => {
                let mut open = Vec::new();
                for (key, result) in keys.into_iter().zip(response.results) {
                    let floor = sent_floors.get(&result.at.shard).copied().unwrap_or(0);
                    let taken = Taken { what, strong, bound, floor, invoked, sent, returned };
                    open.extend(self.take(key, result, &taken));
                }
                open
            }
            other => {
                self.load.recorder.nonsense(format!("a batch of {} keys was answered with {other:?}", keys.len()));
                keys
            }
        }
    }

    /// Records an answer, or returns the key.
    fn take(&mut self, key: CompositeKey, result: ItemResult, taken: &Taken) -> Option<CompositeKey> {
        let found = match result.outcome {
            Outcome::Found { keymap } if keymap.key == key => Some(found(keymap.version, &keymap.fields.locator)),
            Outcome::Missing => None,
            Outcome::Error { code, .. } if code.retryable() => return Some(key),
            other => {
                self.load.recorder.nonsense(format!("{} was answered with {other:?}", key.as_str()));
                return None;
            }
        };
        let age = age(result.at.age_ms.into()).saturating_add(taken.returned - taken.sent);
        let late = age > Time::from(taken.bound) * 1_000;
        if taken.what == What::Bounded && !taken.strong && late {
            return Some(key);
        }
        let floor = self.floors.entry(result.at.shard).or_default();
        if result.at.position < taken.floor {
            let (has, needs, session) = (result.at.position, taken.floor, self.session);
            let what = format!("{} was read by session {session} at {has}, below its floor {needs}", key.as_str());
            self.load.recorder.nonsense(what);
        }
        *floor = result.at.position.max(*floor);
        if let Some(found) = &found {
            self.seen.insert(key.clone(), found.version);
        }
        self.load.recorder.read(Read {
            key: key.as_str().into(),
            session: self.session,
            level: level(taken.what, taken.bound),
            invoked: taken.invoked,
            returned: taken.returned,
            found,
            age,
            position: Some(result.at.position),
        });
        None
    }

    /// Tries a write at one gateway after the other under its id, until the outcome is known.
    async fn write(&mut self) {
        let seen = |key: &CompositeKey| self.seen.get(key).copied().unwrap_or(0);
        let write = self.load.write(&mut self.rng, self.session, seen);
        let invoked = self.load.recorder.now();
        let until = Instant::now() + INSISTENCE;
        let mut origin = self.origin();
        let (mut attempts, mut outcome, mut shard) = (Attempts::default(), None, None);
        while outcome.is_none() && Instant::now() < until {
            let told = Told::of(&self.http.send(write.attempt(&origin), ATTEMPT).await);
            outcome = attempts.add(&told, write.expect);
            match told {
                Told::Written { version, shard: of, position } => {
                    shard = Some(of);
                    self.seen.insert(write.key.clone(), version);
                    let floor = self.floors.entry(of).or_default();
                    *floor = position.max(*floor);
                }
                Told::Nonsense(what) => self.load.recorder.nonsense(what),
                Told::Conflict { .. } => {}
                Told::NotDone | Told::Unknown => {
                    origin = self.next_origin();
                    pause(&mut self.rng, Duration::from_millis(50)).await;
                }
            }
        }
        let returned = self.load.recorder.now();
        let (session, kind, succeeded) = (self.session, Kind::Direct, outcome.is_some());
        self.load.recorder.call(Call { kind, what: What::Write, invoked, returned, succeeded });
        let done = Write {
            key: write.key.as_str().into(),
            session,
            value: write.value.clone(),
            invoked,
            returned,
            outcome: outcome.unwrap_or(attempts.outcome()),
        };
        self.load.recorder.wrote(done, &write.key, shard);
    }
}

/// Terms on which an answer was asked for.
struct Taken {
    what: What,
    /// This attempt asked the store.
    strong: bool,
    bound: u32,
    /// The session's position in the shard when this attempt was sent.
    floor: u64,
    invoked: Time,
    sent: Time,
    returned: Time,
}
