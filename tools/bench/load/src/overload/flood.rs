//! [`Flood`]: more batches than a gateway can answer, half of them for nobody.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use foremap::protocol::{BatchRequest, CONTENT_TYPE, Class, Consistency};
use tokio::task::LocalSet;

use super::wire::{self, Wire};
use crate::gateway::Http;
use crate::keys::Shape;

/// Connections that keep a gateway busy, and how long.
const BUSY: usize = 32;
const BUSY_SECONDS: f64 = 4.0;
/// Pause of one that was turned away: otherwise turning away is what is measured.
const TURNED_AWAY: Duration = Duration::from_millis(2);
/// Most connections of a flood, from so many addresses.
const MOST: usize = 1_024;
const ADDRESSES: usize = 16;
/// In which it is looked who was shed when.
const WINDOW: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

/// The same keys, asked for by somebody and fetched ahead; read from the store.
#[derive(Clone)]
pub(super) struct Batches {
    pub(super) demand: Vec<u8>,
    ahead: Vec<u8>,
}

impl Batches {
    pub(super) fn new(http: &mut Http, gateway: &str, shape: &Shape, keys: usize) -> Result<Self> {
        let body = http.batch_body(shape, keys, Consistency::Strong)?;
        let mut batch = BatchRequest::decode(&body).map_err(|error| anyhow!("the batch: {error}"))?;
        let of = |batch: &BatchRequest| wire::request(gateway, "POST /v1/batch", CONTENT_TYPE, &batch.encode());
        let demand = of(&batch);
        batch.items.iter_mut().for_each(|item| item.class = Class::Prefetch);
        Ok(Self { demand, ahead: of(&batch) })
    }
}

/// Batches a second that are answered where each connection asks again as soon as it is answered.
pub(super) fn capacity(gateway: &str, batches: &Batches) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = LocalSet::new().block_on(&runtime, async {
        let until = Instant::now() + Duration::from_secs_f64(BUSY_SECONDS);
        let one = |at: usize| async move {
            let mut wire = Wire::connect(gateway, (at % ADDRESSES) as u32).await?;
            let mut count = 0_u64;
            while Instant::now() < until {
                match wire.exchange(&batches.demand).await? {
                    200 => count += 1,
                    _ => tokio::time::sleep(TURNED_AWAY).await,
                }
            }
            Ok(count)
        };
        crate::feeds::join_all((0..BUSY).map(one)).await.into_iter().sum::<Result<u64>>()
    })?;
    Ok(count as f64 / BUSY_SECONDS)
}

/// One that is going on.
pub(super) struct Flood(JoinHandle<Result<Flooded>>);

/// Result of one.
#[derive(Debug, Default)]
pub(super) struct Flooded {
    answered: Vec<Answered>,
    /// Batches that there was no connection for.
    pub(super) unsent: u64,
}

#[derive(Debug, Clone, Copy)]
struct Answered {
    after: Duration,
    class: Class,
    status: u16,
}

impl Flood {
    /// `rate` batches a second, for so long.
    pub(super) fn start(gateway: &str, batches: Batches, rate: f64, seconds: f64) -> Self {
        let gateway = gateway.to_owned();
        Self(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(LocalSet::new().block_on(&runtime, flood(&gateway, &batches, rate, seconds)))
        }))
    }

    pub(super) fn end(self) -> Result<Flooded> {
        self.0.join().unwrap_or_else(|_| Err(anyhow!("the flood panicked")))
    }
}

/// State that its connections share.
struct Pool {
    gateway: String,
    idle: RefCell<Vec<Wire>>,
    open: Cell<usize>,
    flooded: RefCell<Flooded>,
    begun: Instant,
}

async fn flood(gateway: &str, batches: &Batches, rate: f64, seconds: f64) -> Flooded {
    let pool = Rc::new(Pool {
        gateway: gateway.to_owned(),
        idle: RefCell::default(),
        open: Cell::default(),
        flooded: RefCell::default(),
        begun: Instant::now(),
    });
    let requests = [(Class::Demand, Rc::from(&*batches.demand)), (Class::Prefetch, Rc::from(&*batches.ahead))];
    let mut sent = 0_u64;
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    while pool.begun.elapsed().as_secs_f64() < seconds {
        ticks.tick().await;
        while (sent as f64) < rate * pool.begun.elapsed().as_secs_f64() {
            let (class, request): &(Class, Rc<[u8]>) = &requests[sent as usize % 2];
            sent += 1;
            send(&pool, *class, request.clone());
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    pool.flooded.take()
}

fn send(pool: &Rc<Pool>, class: Class, request: Rc<[u8]>) {
    let wire = pool.idle.borrow_mut().pop();
    if wire.is_none() {
        if pool.open.get() == MOST {
            pool.flooded.borrow_mut().unsent += 1;
            return;
        }
        pool.open.set(pool.open.get() + 1);
    }
    let pool = pool.clone();
    tokio::task::spawn_local(async move {
        let exchanged = tokio::time::timeout(PATIENCE, exchange(&pool, wire, &request)).await;
        let status = match exchanged {
            Ok(Ok((wire, status))) => {
                pool.idle.borrow_mut().push(wire);
                status
            }
            _ => {
                pool.open.set(pool.open.get() - 1);
                0
            }
        };
        let after = pool.begun.elapsed();
        pool.flooded.borrow_mut().answered.push(Answered { after, class, status });
    });
}

async fn exchange(pool: &Pool, wire: Option<Wire>, request: &[u8]) -> Result<(Wire, u16)> {
    let mut wire = match wire {
        Some(wire) => wire,
        None => Wire::connect(&pool.gateway, 1 + (pool.open.get() % ADDRESSES) as u32).await?,
    };
    let status = wire.exchange(request).await?;
    Ok((wire, status))
}

impl Flooded {
    pub(super) fn admitted(&self) -> usize {
        self.answered.iter().filter(|one| one.status == 200).count()
    }

    /// Share of demand that was shed.
    pub(super) fn demand_shed(&self) -> f64 {
        let demand = || self.answered.iter().filter(|one| one.class == Class::Demand);
        demand().filter(|one| one.status == 503).count() as f64 / demand().count().max(1) as f64
    }

    /// Share of what was fetched ahead that was shed while demand was, and in how many windows it was.
    pub(super) fn prefetch_shed_while_demand_is(&self) -> (f64, usize) {
        let mut windows: Vec<[usize; 3]> = Vec::new();
        for one in &self.answered {
            let at = (one.after.as_micros() / WINDOW.as_micros()) as usize;
            windows.resize(windows.len().max(at + 1), [0; 3]);
            let is_shed = usize::from(one.status == 503);
            match one.class {
                Class::Demand => windows[at][0] += is_shed,
                Class::Prefetch => {
                    windows[at][1] += is_shed;
                    windows[at][2] += 1;
                }
            }
        }
        let shedding = windows.iter().filter(|[demand, ..]| *demand > 0);
        let (shed, all) = shedding.clone().fold((0, 0), |(shed, all), [_, more, count]| (shed + more, all + count));
        (if all == 0 { 1.0 } else { shed as f64 / all as f64 }, shedding.count())
    }
}
