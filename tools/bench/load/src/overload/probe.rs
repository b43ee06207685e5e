//! [`Probe`]: a client with a thread of its own, which asks at its own pace and says what it saw.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use tokio::task::LocalSet;

use super::wire::Wire;
use crate::laps::LONGEST;

/// Batches a second, and questions about health.
const DEMAND_RATE: u32 = 200;
const HEALTH_RATE: u32 = 100;
/// A request that takes longer is one that is not answered.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Probe {
    gateway: String,
    demand: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone, Copy)]
struct Answered {
    /// Since the beginning.
    after: Duration,
    took: Duration,
    status: u16,
}

/// Answers that it got.
pub(super) struct Seen {
    demand: Vec<Answered>,
    health: Vec<Answered>,
}

impl Probe {
    pub(super) fn new(gateway: &str, demand: Vec<u8>) -> Self {
        Self { gateway: gateway.to_owned(), demand }
    }

    /// Asks for so long.
    pub(super) fn watch(&self, seconds: f64) -> Result<Seen> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, async {
            let health = super::wire::request(&self.gateway, "GET /healthz", "text/plain", b"");
            let demand = ask(&self.gateway, self.demand.clone(), DEMAND_RATE, seconds);
            let (demand, health) = tokio::join!(demand, ask(&self.gateway, health, HEALTH_RATE, seconds));
            Ok(Seen { demand: demand?, health: health? })
        })
    }
}

/// Sends `request` at `rate`, whether or not the last one was answered. Its times count from when each was due.
async fn ask(gateway: &str, request: Vec<u8>, rate: u32, seconds: f64) -> Result<Vec<Answered>> {
    let (answered, idle) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
    let request: Rc<[u8]> = request.into();
    let begun = Instant::now();
    let mut under_way = Vec::new();
    let count = (seconds * f64::from(rate)) as u32;
    for at in 0..count {
        let due = begun + Duration::from_secs(1) / rate * at;
        tokio::time::sleep_until(due.into()).await;
        // The timer is late by up to a millisecond, which is not the gateway's.
        let due = Instant::now();
        let (gateway, request) = (gateway.to_owned(), request.clone());
        let (answered, idle) = (answered.clone(), idle.clone());
        under_way.push(tokio::task::spawn_local(async move {
            let status = tokio::time::timeout(PATIENCE, once(&gateway, &request, &idle)).await;
            let status = status.ok().and_then(Result::ok).unwrap_or(0);
            answered.borrow_mut().push(Answered { after: due - begun, took: due.elapsed(), status });
        }));
    }
    for one in under_way {
        one.await?;
    }
    let answered = answered.take();
    Ok(answered)
}

async fn once(gateway: &str, request: &[u8], idle: &RefCell<Vec<Wire>>) -> Result<u16> {
    let held = idle.borrow_mut().pop();
    let mut wire = match held {
        Some(wire) => wire,
        None => Wire::connect(gateway, 0).await?,
    };
    let status = wire.exchange(request).await?;
    idle.borrow_mut().push(wire);
    Ok(status)
}

impl Seen {
    /// That quantile of the times of batches that were answered; a request without an answer counts as endless.
    pub(super) fn demand(&self, quantile: f64) -> Result<f64> {
        of(self.demand.iter().filter(|answered| answered.status != 503), quantile).context("no batch was answered")
    }

    /// The same of questions about health.
    pub(super) fn health(&self, quantile: f64) -> Result<f64> {
        of(self.health.iter(), quantile).context("no question about health was answered")
    }

    /// The 95th percentile of what was asked within a time.
    pub(super) fn demand_within(&self, from: f64, seconds: f64) -> Option<f64> {
        let within = from..from + seconds;
        // Refused is not answered.
        if self.demand.iter().any(|one| within.contains(&one.after.as_secs_f64()) && one.status != 200) {
            return None;
        }
        of(self.demand.iter().filter(|one| within.contains(&one.after.as_secs_f64())), 0.95)
    }
}

fn of<'a>(answered: impl Iterator<Item = &'a Answered>, quantile: f64) -> Option<f64> {
    let mut times = Histogram::<u64>::new_with_bounds(1, LONGEST, 3).ok()?;
    for one in answered {
        let took = if one.status == 200 { one.took.as_nanos() as u64 } else { LONGEST };
        times.saturating_record(took);
    }
    (!times.is_empty()).then(|| times.value_at_quantile(quantile) as f64 / 1e6)
}
