//! One round.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use foremap_check::{Summary, Time};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::direct::Direct;
use crate::ends;
use crate::fault::{Fault, Struck};
use crate::feed::{self, FeedLog};
use crate::fleet::Fleet;
use crate::http::Http;
use crate::load::Load;
use crate::outage;
use crate::plan::{Plan, Step};
use crate::recorder::{Record, Recorder, What};
use crate::sdk;

/// Clients that are the package's core.
const SDKS: u64 = 4;
/// Clients that speak the protocol by themselves.
const DIRECTS: u64 = 4;
/// Load before the first fault, and after the last.
const QUIET: Duration = Duration::from_millis(700);
/// Longest time that feeds may take to tell what was written.
const FEED_PATIENCE: Duration = Duration::from_secs(20);

/// Result of a round.
#[derive(Debug, Default)]
pub(crate) struct RoundReport {
    pub(crate) seed: u64,
    pub(crate) replicas: usize,
    /// Which promise the store gave.
    pub(crate) is_durable: bool,
    pub(crate) faults: String,
    pub(crate) rolling: bool,
    /// Operations of the history.
    pub(crate) operations: usize,
    pub(crate) summary: Summary,
    /// Failed calls of clients of the package.
    pub(crate) failed: usize,
    /// Of these and others, reads without an answer.
    pub(crate) unavailable: [Time; 3],
    /// Longest waits after the death of a gateway that died alone.
    pub(crate) killed: Vec<Time>,
    /// The same for one that was paused.
    pub(crate) paused: Vec<Time>,
    /// Longest strong reads, and longest writes, while nothing but slots moved.
    pub(crate) moved: [Vec<Time>; 2],
    pub(crate) feed_changes: usize,
    pub(crate) feed_resumed: usize,
    pub(crate) feed_resets: usize,
    /// Seconds of faults, of healing, of reading and checking the ends.
    pub(crate) seconds: [f64; 3],
}

/// A round that broke a promise.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) what: String,
    /// All that was told, in order of time.
    pub(crate) history: String,
}

type SharedLog = Arc<Mutex<FeedLog>>;

/// Everything that runs during a round.
struct Round<'a> {
    plan: &'a Plan,
    fleet: &'a mut Fleet,
    runtime: &'a Runtime,
    load: Load,
    http: Http,
    tasks: JoinSet<()>,
    feeds: Vec<(SharedLog, String)>,
    stop_feeds: watch::Sender<bool>,
    report: RoundReport,
    /// When a gateway was killed or paused, alone, and until when nothing else was done.
    killed: Vec<(Time, Time)>,
    paused: Vec<(Time, Time)>,
    /// When slots moved, alone.
    moved: Vec<(Time, Time)>,
}

/// Runs the round of `plan`.
///
/// # Errors
/// Where the harness fails, or what must become whole does not. A broken promise is a result.
pub(crate) fn run(
    plan: &Plan,
    fleet: &mut Fleet,
    runtime: &Runtime,
    clock: Clock,
) -> Result<Result<RoundReport, Broken>> {
    let load = Load::new(Recorder::new(clock), fleet.origins(), plan.seed)?;
    let faults: Vec<String> = plan.steps.iter().map(shown).collect();
    let report = RoundReport {
        seed: plan.seed,
        replicas: plan.replicas,
        is_durable: plan.needs_durable(),
        faults: if plan.rolling { "rolling restart".to_owned() } else { faults.join(", ") },
        rolling: plan.rolling,
        ..RoundReport::default()
    };
    let round = Round {
        plan,
        fleet,
        runtime,
        load,
        http: Http::new(),
        tasks: JoinSet::new(),
        feeds: Vec::new(),
        stop_feeds: watch::Sender::new(false),
        report,
        killed: Vec::new(),
        paused: Vec::new(),
        moved: Vec::new(),
    };
    round.run()
}

fn shown(step: &Step) -> String {
    step.faults.iter().map(Fault::to_string).collect::<Vec<_>>().join(" + ")
}

impl Round<'_> {
    fn run(mut self) -> Result<Result<RoundReport, Broken>> {
        let start = Instant::now();
        self.start_clients()?;
        std::thread::sleep(QUIET);
        let plan = self.plan;
        for step in &plan.steps {
            self.step(step).with_context(|| format!("seed {}: {}", plan.seed, shown(step)))?;
        }
        self.report.seconds[0] = start.elapsed().as_secs_f64();
        let start = Instant::now();
        self.fleet.redis.wait_until_whole()?;
        self.fleet.wait_until_ready()?;
        std::thread::sleep(QUIET);
        self.load.stop();
        let Self { runtime, mut tasks, .. } = self;
        self.tasks = JoinSet::new();
        runtime.block_on(async { while tasks.join_next().await.is_some() {} });
        self.report.seconds[1] = start.elapsed().as_secs_f64();
        self.judge()
    }

    fn start_clients(&mut self) -> Result<()> {
        let _context = self.runtime.enter();
        for (at, prefix) in [(0, String::new()), (2, format!("r{}-0", self.plan.seed))] {
            let log = SharedLog::default();
            let stop = self.stop_feeds.subscribe();
            self.runtime.spawn(feed::follow(self.load.clone(), prefix.clone(), at, log.clone(), stop));
            let covered = if prefix.is_empty() { self.load.prefix.to_string() } else { format!("{prefix}/") };
            self.feeds.push((log, covered));
        }
        let deadline = Instant::now() + FEED_PATIENCE;
        while !self.feeds.iter().all(|(log, _)| lock(log).has_begun()) {
            if Instant::now() > deadline {
                bail!("a change feed does not begin");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let seed = self.plan.seed.wrapping_mul(1_000);
        for session in 1..=SDKS {
            sdk::start(&mut self.tasks, &self.load, session, seed + session)?;
        }
        for session in SDKS + 1..=SDKS + DIRECTS {
            self.tasks.spawn(Direct::new(&self.load, session, seed + session).run());
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        let began = self.load.recorder.now();
        let mut struck = Vec::new();
        for &fault in &step.faults {
            struck.push(Struck::by(fault, self.fleet, &self.load.prefix)?);
        }
        for fault in &struck {
            fault.take_effect(self.fleet)?;
        }
        std::thread::sleep(step.hold);
        for fault in struck {
            fault.end(self.fleet)?;
        }
        self.fleet.wait_until_ready()?;
        if step.faults.iter().any(|fault| !fault.is_of_gateway()) {
            self.fleet.redis.wait_until_whole()?;
        }
        self.runtime.block_on(ends::wait_until_whole(&self.http, &self.load))?;
        let ended = self.load.recorder.now();
        match step.faults[..] {
            [Fault::GatewayKilled { .. }] => self.killed.push((began, ended)),
            [Fault::GatewayPaused { .. }] => self.paused.push((began, ended)),
            [Fault::SlotsMoved { .. }] => self.moved.push((began, ended)),
            _ => {}
        }
        // Reads begun until then should not meet the next fault.
        std::thread::sleep(QUIET);
        Ok(())
    }

    fn judge(mut self) -> Result<Result<RoundReport, Broken>> {
        let start = Instant::now();
        let ends = self.runtime.block_on(ends::ends(&self.http, &self.load));
        let mut record = self.load.recorder.take();
        let ends = match ends {
            Ok(ends) => ends,
            Err(error) => return Ok(Err(broken(format!("{error:#}"), &record))),
        };
        let kept = ends::kept(&ends);
        record.history.finals = ends;
        let mut faults = std::mem::take(&mut record.nonsense);
        faults.extend(self.judge_feeds(&record, &kept));
        match foremap_check::check(&record.history) {
            Ok(summary) => self.report.summary = summary,
            Err(violation) => faults.insert(0, violation.to_string()),
        }
        self.report.failed = record.failures.len();
        if self.plan.rolling && !record.failures.is_empty() {
            let (count, first) = (record.failures.len(), record.failures[..record.failures.len().min(5)].join("; "));
            faults.push(format!("{count} calls failed during a rolling restart: {first}"));
        }
        if !faults.is_empty() {
            faults.truncate(10);
            return Ok(Err(broken(faults.join("\n"), &record)));
        }
        self.report.operations = record.history.reads.len() + record.history.writes.len();
        self.report.unavailable =
            [What::Bounded, What::Strong, What::Write].map(|what| outage::unavailable(&record.calls, what));
        let recovery = |&(from, until): &(Time, Time)| outage::recovery(&record.calls, from, until);
        self.report.killed = self.killed.iter().filter_map(recovery).collect();
        self.report.paused = self.paused.iter().filter_map(recovery).collect();
        self.report.moved = [What::Strong, What::Write].map(|what| {
            let longest = |&(from, until): &(Time, Time)| outage::longest(&record.calls, what, from, until);
            self.moved.iter().filter_map(longest).collect()
        });
        self.report.seconds[2] = start.elapsed().as_secs_f64();
        Ok(Ok(self.report))
    }

    /// Lets the feeds come to the last write, ends them, and says what they told wrongly.
    fn judge_feeds(&mut self, record: &Record, kept: &std::collections::BTreeSet<u64>) -> Vec<String> {
        let deadline = Instant::now() + FEED_PATIENCE;
        let behind = |(log, _): &(SharedLog, String)| !lock(log).has_reached(&record.acknowledged);
        while self.feeds.iter().any(behind) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let late = self.feeds.iter().filter(|feed| behind(feed)).count();
        self.stop_feeds.send_replace(true);
        let mut faults = Vec::new();
        if late > 0 {
            faults.push(format!("{late} change feeds did not come to the last write"));
        }
        for (log, prefix) in &self.feeds {
            let log = lock(log);
            faults.extend(log.faults(&record.acknowledged, prefix, kept));
            self.report.feed_changes += log.changes();
            self.report.feed_resumed += log.resumed;
            self.report.feed_resets += log.resets();
        }
        faults
    }
}

fn lock(log: &SharedLog) -> parking_lot::MutexGuard<'_, FeedLog> {
    log.lock()
}

fn broken(what: String, record: &Record) -> Broken {
    let history = &record.history;
    let reads = history.reads.iter().map(|read| (read.invoked, format!("{}: {read}", read.key)));
    let writes = history.writes.iter().map(|write| (write.invoked, format!("{}: {write}", write.key)));
    let mut lines: Vec<(Time, String)> = reads.chain(writes).collect();
    lines.sort_unstable();
    let lines = lines.into_iter().map(|(_, line)| line);
    let ends = history.finals.iter().map(|end| format!("{end:?}"));
    let failures = record.failures.iter().map(|failure| format!("failed: {failure}"));
    Broken { what, history: lines.chain(ends).chain(failures).collect::<Vec<_>>().join("\n") }
}
