//! Closed loops and what they took.

use std::panic::resume_unwind;
use std::sync::Barrier;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::Serialize;

/// Longest time of one lap that is told apart, in nanoseconds.
pub(crate) const LONGEST: u64 = 60_000_000_000;

/// Figures that were measured.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    /// Laps done.
    pub(crate) count: u64,
    /// Time that all loops took together.
    pub(crate) seconds: f64,
    /// Half of the laps took at most so many microseconds.
    pub(crate) p50_us: f64,
    /// 99 of 100 did.
    pub(crate) p99_us: f64,
    /// Processor time of this process so far, in seconds: of the program and of the system for it.
    pub(crate) cpu_seconds: f64,
}

impl Measured {
    /// Of laps in nanoseconds.
    pub(crate) fn new(laps: &Histogram<u64>, took: Duration) -> Result<Self> {
        let at = |quantile| laps.value_at_quantile(quantile) as f64 / 1e3;
        let (p50_us, p99_us) = (at(0.5), at(0.99));
        Ok(Self { count: laps.len(), seconds: took.as_secs_f64(), p50_us, p99_us, cpu_seconds: cpu_seconds()? })
    }
}

/// Processor time of this process so far.
pub(crate) fn cpu_seconds() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// One connection.
pub(crate) trait Lap {
    /// One exchange.
    fn lap(&mut self) -> Result<()>;
}

/// Runs `connections` loops for a time. `connect` opens the connection with that number and makes its
/// first exchange, before the clock starts.
pub(crate) fn run<L: Lap>(
    connections: usize,
    seconds: f64,
    connect: impl Fn(usize) -> Result<L> + Sync,
) -> Result<Measured> {
    let ready = Barrier::new(connections);
    let loops = std::thread::scope(|scope| {
        let spawn = |at| {
            let (connect, ready) = (&connect, &ready);
            scope.spawn(move || {
                let connection = connect(at);
                ready.wait();
                one(connection?, Duration::from_secs_f64(seconds))
            })
        };
        let threads: Vec<_> = (0..connections).map(spawn).collect();
        let join = |thread: ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let mut all = Histogram::new_with_bounds(1, LONGEST, 3)?;
    let mut took = Duration::ZERO;
    for (histogram, elapsed) in loops {
        all.add(histogram)?;
        took = took.max(elapsed);
    }
    Measured::new(&all, took)
}

fn one(mut connection: impl Lap, time: Duration) -> Result<(Histogram<u64>, Duration)> {
    let mut histogram = Histogram::new_with_bounds(1, LONGEST, 3)?;
    let begun = Instant::now();
    let mut before = begun;
    while before - begun < time {
        connection.lap().context("an exchange failed")?;
        let now = Instant::now();
        histogram.saturating_record((now - before).as_nanos() as u64);
        before = now;
    }
    Ok((histogram, before - begun))
}
