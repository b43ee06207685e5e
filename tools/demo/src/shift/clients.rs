//! The clients: each asks for batches of keys at a steady pace, every key at the node that serves it by the map.
//!
//! Nothing is tried again: what fails once, counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use foremap::key::CompositeKey;
use foremap::partition::{Epoch, NodeId};
use foremap::protocol::{BatchItem, BatchRequest, BatchResponse, CONTENT_TYPE, Class, Outcome};
use foremap_bench::http;
use parking_lot::Mutex;

use super::demand::Demand;
use super::route::{Route, Routes};
use crate::load::locator;
use crate::measure::{Replayed, Source};

/// Clients at once.
const CLIENTS: u64 = 8;
/// Keys that a client asks for at once, in one request to each node concerned.
const BATCH: usize = 20;
/// From one batch of a client to its next: 4,000 keys a second in all.
const PACE: Duration = Duration::from_millis(40);
/// Failures that are told in words.
const SHOWN_FAILURES: usize = 5;

/// Answers since the last look, and failures since the start.
#[derive(Default)]
struct Told {
    latencies: Replayed,
    requests: u64,
    keys: u64,
    failed: u64,
    failures: Vec<String>,
}

/// Outcomes of all requests.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Requests sent.
    pub(super) requests: u64,
    /// Keys asked for in them.
    pub(super) keys: u64,
    /// Requests that were not answered well.
    pub(super) failed: u64,
    /// Some of these, in words.
    pub(super) failures: Vec<String>,
}

struct Shared {
    demand: Demand,
    routes: Routes,
    is_hot: AtomicBool,
    stop: AtomicBool,
    told: Mutex<Told>,
}

/// Running clients; dropping them ends them.
pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Starts them, with the map of the node at `origin`.
    pub(super) fn start(origin: &str, demand: Demand) -> Result<Self> {
        let shared = Arc::new(Shared {
            demand,
            routes: Routes::new(origin)?,
            is_hot: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            told: Mutex::default(),
        });
        let start = |number| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.client(number))
        };
        let threads = (0..CLIENTS).map(start).collect();
        Ok(Self { shared, threads })
    }

    /// From now on one tenant is hot.
    pub(super) fn turn_hot(&self) {
        self.shared.is_hot.store(true, Ordering::Relaxed);
    }

    /// Epoch of the map that they go by.
    pub(super) fn epoch(&self) -> Epoch {
        self.shared.routes.newest().known.epoch
    }

    /// Latencies of the requests answered since this was last asked.
    pub(super) fn latencies(&self) -> Replayed {
        Replayed::seal([std::mem::take(&mut self.shared.told.lock().latencies)])
    }

    /// Ends them, and tells what became of their requests.
    pub(super) fn end(mut self) -> Outcomes {
        self.stop();
        let mut told = self.shared.told.lock();
        let (requests, keys, failed) = (told.requests, told.keys, told.failed);
        Outcomes { requests, keys, failed, failures: std::mem::take(&mut told.failures) }
    }

    fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic has been shown where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn client(&self, number: u64) {
        let agent = http::agent();
        let mut random = fastrand::Rng::with_seed(number);
        let mut next = Instant::now() + PACE.mul_f64(number as f64 / CLIENTS as f64);
        // Replicas of a key take turns by it: elsewhere for each client.
        let mut salt = random.u64(..);
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            // Who is late does not catch up at once.
            next = (next + PACE).max(Instant::now());
            salt = salt.wrapping_add(1);
            let route = self.routes.newest();
            let hot = self.is_hot.load(Ordering::Relaxed);
            let mut groups: BTreeMap<NodeId, Vec<&CompositeKey>> = BTreeMap::new();
            for key in (0..BATCH).map(|_| self.demand.draw(hot, &mut random)) {
                groups.entry(route.placement.server(key, salt)).or_default().push(key);
            }
            for (node, keys) in groups {
                self.exchange(&agent, &route, node, &keys);
            }
        }
    }

    /// Asks once, and notes what became of it.
    fn exchange(&self, agent: &ureq::Agent, route: &Route, node: NodeId, keys: &[&CompositeKey]) {
        let start = Instant::now();
        let answered = self.ask(agent, route, node, keys);
        let latency = start.elapsed();
        let mut told = self.told.lock();
        told.requests += 1;
        told.keys += keys.len() as u64;
        match answered {
            Ok(()) => told.latencies.add(latency, Source::Network),
            Err(error) => {
                told.failed += 1;
                if told.failures.len() < SHOWN_FAILURES {
                    told.failures.push(format!("{error:#}"));
                }
            }
        }
    }

    fn ask(&self, agent: &ureq::Agent, route: &Route, node: NodeId, keys: &[&CompositeKey]) -> Result<()> {
        let origin = &route.placement.map().node(node).context("the map names a node that it does not have")?.origin;
        let url = format!("{origin}/v1/batch");
        let item = |key: &&CompositeKey| BatchItem { key: (*key).clone(), if_version: None, class: Class::Demand };
        let items = keys.iter().map(item).collect();
        let batch = BatchRequest { items, map: Some(route.known), ..BatchRequest::default() };
        let request = agent.post(&url).header("content-type", CONTENT_TYPE);
        let mut answer = request.send(&batch.encode()[..]).with_context(|| format!("POST {url}"))?;
        let body = answer.body_mut().read_to_vec().with_context(|| format!("POST {url}"))?;
        ensure!(answer.status() == 200, "POST {url}: {} {}", answer.status(), String::from_utf8_lossy(&body));
        let response = BatchResponse::decode(&body).with_context(|| format!("POST {url}"))?;
        check(keys, &response).with_context(|| format!("POST {url}"))?;
        response.map.as_ref().map_or(Ok(()), |update| self.routes.learn(update))
    }
}

/// Fails unless every key is answered with what was written for it.
fn check(keys: &[&CompositeKey], response: &BatchResponse) -> Result<()> {
    let (asked, answered) = (keys.len(), response.results.len());
    ensure!(asked == answered, "{asked} keys were asked for, {answered} answered");
    for (key, result) in keys.iter().zip(&response.results) {
        match &result.outcome {
            Outcome::Found { keymap } if keymap.key == **key && keymap.fields.locator == locator(key.as_str()) => {}
            other => bail!("{} was answered with {other:?}", key.as_str()),
        }
    }
    Ok(())
}
