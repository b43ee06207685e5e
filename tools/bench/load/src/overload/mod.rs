//! A gateway under everything that keeps it from its work: connections that say nothing, requests that do not end, and more
//! requests than it can answer. One client with a thread of its own asks all the while, and another writes.

mod crowd;
mod flood;
mod probe;
mod survived;
pub(crate) mod wire;
mod writer;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::crowd::{Crowd, Kind};
use self::flood::Flood;
use self::probe::{Probe, Seen};
use self::survived::{Beside, Survived};
use self::writer::Writer;
use crate::gateway::Http;
use crate::keys::Shape;

/// Longest that crowds may take to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Shorter than the gateway waits for a head: all of a crowd is there meanwhile.
const CROWD_SECONDS: f64 = 7.0;
/// Seconds for which the end of an overload is looked for.
const RECOVERY_SECONDS: f64 = 15.0;

/// Everything, one after the other; about two minutes.
#[derive(clap::Args)]
pub(crate) struct Overload {
    /// `host:port` of the gateway
    #[arg(long)]
    gateway: String,
    /// The process whose memory is looked at
    #[arg(long)]
    pid: u32,
    /// Keys of a batch
    #[arg(long, default_value_t = 256)]
    keys: usize,
    /// Connections of each crowd that costs its members next to nothing
    #[arg(long, default_value_t = 10_000)]
    crowd: usize,
    /// Connections of each crowd that sends what it can
    #[arg(long, default_value_t = 2_000)]
    senders: usize,
    /// Seconds for which more is asked for than can be answered
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    #[command(flatten)]
    shape: Shape,
}

impl Overload {
    pub(crate) fn run(&self) -> Result<Survived> {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
        let batches = self.batches()?;
        let mut survived = Survived::default();
        let writer = Writer::start(&self.gateway, &self.shape)?;
        let probe = Probe::new(&self.gateway, batches.demand.clone());
        // Once before it counts: whatever is made when it is first needed.
        probe.watch(2.0)?;
        let unloaded = probe.watch(8.0)?;
        (survived.unloaded_p95, survived.unloaded_p99) = (unloaded.demand(0.95)?, unloaded.demand(0.99)?);
        survived.unloaded_health_p99 = unloaded.health(0.99)?;
        survived.silent = self.beside(&probe, Kind::Silent)?;
        survived.slow = self.beside(&probe, Kind::Slow)?;
        for (head, body) in [(Kind::LongHead, Kind::LongBody), (Kind::ShortHead, Kind::ShortBody)] {
            survived.unfinished_bytes = survived.unfinished_bytes.max(self.unfinished(head, body)?);
        }
        self.flood(&probe, batches, &mut survived)?;
        (survived.written, survived.lost) = writer.read_back()?;
        Ok(survived)
    }

    fn batches(&self) -> Result<flood::Batches> {
        let mut http = Http::connect(&self.gateway)?;
        for at in 0..self.keys {
            http.put(&self.shape, at)?;
        }
        flood::Batches::new(&mut http, &self.gateway, &self.shape, self.keys)
    }

    fn beside(&self, probe: &Probe, kind: Kind) -> Result<Beside> {
        let crowd = Crowd::gather(&self.gateway, kind, self.crowd)?;
        let deadline = Instant::now() + PATIENCE;
        while crowd.came() < self.crowd {
            ensure!(Instant::now() < deadline, "{} of {} connections came", crowd.came(), self.crowd);
            std::thread::sleep(Duration::from_millis(5));
        }
        let open = crowd.open();
        let seen = probe.watch(CROWD_SECONDS)?;
        Ok(Beside { open, open_after: crowd.open(), p99: seen.demand(0.99)?, health_p99: seen.health(0.99)? })
    }

    /// Most memory that two crowds took together.
    fn unfinished(&self, heads: Kind, bodies: Kind) -> Result<f64> {
        std::thread::sleep(Duration::from_secs(1));
        let before = resident_bytes(self.pid)?;
        let mut most = before;
        let crowds =
            [Crowd::gather(&self.gateway, heads, self.senders)?, Crowd::gather(&self.gateway, bodies, self.senders)?];
        let (begun, mut all_came) = (Instant::now(), None);
        // A while longer than the last one takes to send what it has.
        while all_came.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(3)) {
            let came = crowds.iter().map(Crowd::came).sum::<usize>();
            ensure!(begun.elapsed() < PATIENCE, "{came} of {} connections came", 2 * self.senders);
            if all_came.is_none() && came == 2 * self.senders {
                all_came = Some(Instant::now());
            }
            most = most.max(resident_bytes(self.pid)?);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(most - before)
    }

    fn flood(&self, probe: &Probe, batches: flood::Batches, survived: &mut Survived) -> Result<()> {
        survived.capacity = flood::capacity(&self.gateway, &batches)?;
        std::thread::sleep(Duration::from_secs(2));
        survived.memory_before = resident_bytes(self.pid)?;
        survived.offered = 3.0 * survived.capacity;
        let flood = Flood::start(&self.gateway, batches, survived.offered, self.seconds);
        let seen = probe.watch(self.seconds)?;
        let flooded = flood.end()?;
        let recovery = probe.watch(RECOVERY_SECONDS)?;
        survived.memory_after = resident_bytes(self.pid)?;
        (survived.admitted_p95, survived.health_p99) = (seen.demand(0.95)?, seen.health(0.99)?);
        survived.unsent = flooded.unsent;
        survived.admitted_per_second = flooded.admitted() as f64 / self.seconds;
        survived.demand_shed = flooded.demand_shed();
        (survived.prefetch_shed, survived.shedding) = flooded.prefetch_shed_while_demand_is();
        survived.recovered_after_s = recovered(&recovery, survived.unloaded_p95)?;
        Ok(())
    }
}

/// Seconds until the first of two halves of a second in a row whose 95th percentile is at most a half over what it was.
fn recovered(seen: &Seen, unloaded_p95: f64) -> Result<f64> {
    const WINDOW: f64 = 0.5;
    let count = (RECOVERY_SECONDS / WINDOW) as usize;
    let is_well =
        |at: usize| seen.demand_within(at as f64 * WINDOW, WINDOW).is_some_and(|p95| p95 <= 1.5 * unloaded_p95);
    let first = (0..count - 1).find(|&at| is_well(at) && is_well(at + 1));
    Ok(first.map_or(RECOVERY_SECONDS, |at| at as f64 * WINDOW))
}

fn resident_bytes(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()).context("the system does not say")?;
    Ok(kilobytes.parse::<f64>()? * 1_024.0)
}
