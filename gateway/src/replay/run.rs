//! Running the command.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

use foremap::analyzer::AnalyzerConfig;
use foremap::confidence::Reliability;
use foremap::key::CompositeKey;
use foremap::prefetch::PrefetchConfig;
use foremap_trace::{SYNTHETIC, Trace};
use indicatif::{ProgressBar, ProgressStyle};

use super::baseline::{Belady, Lru, Oracle, Ppm, PpmVariant, S3Fifo, Sight, next_uses};
use super::engine::{Engines, Local};
use super::method::{Kind, Method};
use super::options::{CacheSize, Handovers, Latency, Models, Replay, Share, Tuning};
use super::plot::{self, Reliabilities};
use super::report::{self, Quality, Row};
use super::rules::{Cache, Caches, Nothing, Player, Predictor};
use super::tally::Tally;
use crate::run::Failure;

/// Waste budgets of the curve that `--plot` draws.
const CURVE: [f64; 6] = [0.0, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Requests between two moves of the progress bar.
const TICK: u64 = 1_024;

/// How traces are replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Size of the caches.
    pub cache: CacheSize,
    /// Wasted prefetches per demand request that are allowed.
    pub waste_budget: f64,
    /// Who learns together.
    pub models: Models,
    /// All that an engine may keep, in bytes.
    pub memory: usize,
    /// How long a prefetch takes.
    pub latency: Latency,
    /// Settings of the engine and the cache, where they are not the product's.
    pub tuning: Tuning,
    /// Requests whose hits are counted together in [`Row::series`].
    pub series: Option<NonZeroUsize>,
}

impl Replay {
    /// How the traces are to be replayed.
    fn settings(&self) -> Settings {
        let latency = self.latency_ms.map(Latency::Millis);
        let share = self.share.map(|bytes| Share {
            bytes,
            every_ms: self.share_every,
            clients: self.share_clients,
            refresh_ms: self.share_refresh,
            handovers: self.share_instances.map(|instances| Handovers { instances, every_ms: self.share_handover }),
            liars: self.share_liars.map(|one_of| (one_of, self.share_lie)),
        });
        let alone = match (self.alone, self.held) {
            (true, _) => Models::Alone,
            (false, true) => Models::Held,
            (false, false) => Models::Pooled,
        };
        let models = share.map_or(alone, Models::Shared);
        Settings {
            cache: self.private.map_or(self.cache, |entries| CacheSize::Private(entries as usize)),
            waste_budget: self.waste_budget,
            models,
            memory: self.memory.unwrap_or(models.memory()),
            latency: latency.unwrap_or(Latency::Requests(self.latency_requests.unwrap_or(0))),
            tuning: self.tuning,
            series: self.series,
        }
    }
}

/// Replays all traces, prints the table, and writes what was asked for.
///
/// # Errors
/// [`Failure`]: a trace that cannot be read, a baseline that does not exist for it, a file that cannot be written.
pub fn run(options: &Replay) -> Result<(), Failure> {
    let settings = options.settings();
    let (mut rows, mut pictures) = (Vec::new(), Vec::new());
    for name in &options.traces {
        let trace = foremap_trace::open(name).map_err(|error| Failure::new(format!("{error:#}")))?;
        report_lines(name, &trace);
        let curve = if options.plot.is_some() { &CURVE[..] } else { &[] };
        let picture = replay(&short_name(name), &trace, &settings, &options.baseline, curve)?;
        rows.extend(picture.rows.iter().cloned());
        pictures.push(picture);
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&rows).map_err(|error| Failure::new(error.to_string()))?;
        std::fs::write(path, text + "\n").map_err(|error| cannot_write(path, &error.to_string()))?;
    }
    if let Some(path) = &options.plot {
        plot::draw(path, &pictures).map_err(|error| cannot_write(path, &error))?;
    }
    let written = std::io::stdout().write_all(report::table(&rows).as_bytes());
    written.map_err(|error| Failure::new(format!("cannot print: {error}")))
}

fn cannot_write(path: &Path, error: &str) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}

/// Replays one trace through the engine, and then through the baselines.
///
/// # Errors
/// [`Failure`] where a baseline does not exist for the trace or the settings, and where clients learn alone from a shared
/// cache.
pub fn replay_trace(name: &str, trace: &Trace, settings: &Settings, baselines: &[Method]) -> Result<Vec<Row>, Failure> {
    Ok(replay(name, trace, settings, baselines, &[])?.rows)
}

/// What a trace gave.
pub(super) struct Picture {
    pub(super) trace: String,
    pub(super) rows: Vec<Row>,
    /// Waste and hit ratio of the engine over several budgets.
    pub(super) curve: Vec<(f64, f64)>,
    pub(super) reliabilities: Reliabilities,
}

fn replay(
    name: &str,
    trace: &Trace,
    settings: &Settings,
    baselines: &[Method],
    curve: &[f64],
) -> Result<Picture, Failure> {
    let private = settings.cache.is_private();
    if settings.models != Models::Pooled && !private {
        return Err(Failure::new("clients that learn alone need private caches"));
    }
    if let Some(other) = baselines.iter().find(|method| !method.fits(private)) {
        let (kind, name) =
            if private { ("private caches", other.name(false)) } else { ("a shared cache", other.name(true)) };
        return Err(Failure::new(format!("there is no baseline {name} with {kind}")));
    }
    let runs = 1 + baselines.iter().map(|method| method.runs(private)).sum::<usize>() + curve.len();
    let bar = progress((trace.requests.len() * runs) as u64);
    let runner = Runner { name, trace, settings, bar: &bar };
    bar.set_message(format!("{name} foremap"));
    let (row, reliabilities) = runner.foremap(settings.waste_budget)?;
    let mut rows = vec![row];
    for method in baselines {
        bar.set_message(format!("{name} {}", method.name(private)));
        rows.push(runner.baseline(*method)?);
    }
    let mut points = Vec::new();
    for &budget in curve {
        bar.set_message(format!("{name} foremap, waste budget {budget}"));
        let (row, _) = runner.foremap(budget)?;
        points.push((row.wasted_per_request, row.hit_ratio));
    }
    bar.finish_and_clear();
    Ok(Picture { trace: name.to_owned(), rows, curve: points, reliabilities })
}

/// One trace with its settings.
struct Runner<'a> {
    name: &'a str,
    trace: &'a Trace,
    settings: &'a Settings,
    bar: &'a ProgressBar,
}

impl Runner<'_> {
    fn entries(&self) -> usize {
        self.settings.cache.entries(self.trace.keys.len())
    }

    fn row(&self, method: String, tally: &Tally, own: Quality) -> Row {
        Row::new(self.name, method, self.trace.keys.len(), self.entries(), tally, own)
    }

    fn caches<'a, C>(&self, new: impl FnMut() -> C + 'a) -> Caches<'a, C> {
        Caches::new(self.settings.cache.is_private(), new)
    }

    fn play<K, C, P>(&self, keys: &[K], caches: Caches<'_, C>, predictor: &mut P, waste_budget: f64) -> Tally
    where
        K: Clone + Eq + std::hash::Hash,
        C: Cache<K>,
        P: Predictor<K>,
    {
        let mut replayed = 0;
        let progress = || {
            replayed += 1;
            if replayed % TICK == 0 {
                self.bar.inc(TICK);
            }
        };
        let private = self.settings.cache.is_private().then_some(self.trace.clients.len());
        let tally = Tally::new(keys.len(), private, waste_budget, self.settings.series);
        let player = Player::new(keys, caches, predictor, self.settings.latency, tally);
        let tally = player.play(&self.trace.requests, progress);
        self.bar.inc(replayed % TICK);
        tally
    }

    fn foremap(&self, waste_budget: f64) -> Result<(Row, Reliabilities), Failure> {
        let parse = |key: &String| CompositeKey::parse(key);
        let keys: Result<Vec<_>, _> = self.trace.keys.iter().map(parse).collect();
        let keys = keys.map_err(|error| Failure::new(error.reason()))?;
        let analyzer = AnalyzerConfig { memory_bytes: self.settings.memory, ..AnalyzerConfig::default() };
        let (tuning, product) = (self.settings.tuning, PrefetchConfig::default());
        let (models, private) = (self.settings.models, self.settings.cache.is_private());
        let config = PrefetchConfig {
            waste_budget,
            threshold: tuning.threshold.unwrap_or(product.threshold),
            max_depth: tuning.max_depth.unwrap_or(product.max_depth),
            max_orders: tuning.max_orders.unwrap_or(product.max_orders),
            credit: if models.is_pooled() { PrefetchConfig::CREDIT_OF_MANY } else { product.credit },
            analyzer,
            ..product
        };
        let mut engines = Engines::new(models, private, config, &self.trace.clients);
        let caches = self.caches(|| Local::new(self.entries(), tuning.probation));
        let tally = self.play(&keys, caches, &mut engines, waste_budget);
        let summary = engines.finish();
        let early = summary.early.as_ref().filter(|early| early.predictions() > 0);
        let own = Quality {
            models: Some(models.name()),
            calibration_error: Some(summary.all.error()),
            calibration_error_issued: Some(summary.issued.error()),
            calibration_error_first: early.map(Reliability::error),
            peak_bytes: Some(summary.peak_bytes),
            shared: summary.shared,
        };
        let reliabilities = Reliabilities::new(&summary);
        Ok((self.row(Method::FOREMAP.name(false), &tally, own), reliabilities))
    }

    fn baseline(&self, method: Method) -> Result<Row, Failure> {
        let entries = self.entries();
        let keys: Vec<u32> = (0..).take(self.trace.keys.len()).collect();
        let (budget, private) = (self.settings.waste_budget, self.settings.cache.is_private());
        let over_lru = |sight, ahead| {
            let mut oracle = Oracle::new(self.trace, ahead, sight);
            self.play(&keys, self.caches(|| Lru::new(entries)), &mut oracle, budget)
        };
        let tally = match method.0 {
            Kind::Foremap => return Ok(self.foremap(budget)?.0),
            Kind::Lru => self.play(&keys, self.caches(|| Lru::new(entries)), &mut Nothing, budget),
            Kind::S3Fifo => self.play(&keys, self.caches(|| S3Fifo::new(entries)), &mut Nothing, budget),
            Kind::Belady => {
                let next = next_uses(self.trace, private);
                self.play(&keys, self.caches(|| Belady::new(entries, next.clone())), &mut Nothing, budget)
            }
            Kind::Oracle { ahead, known_only } => over_lru(if known_only { Sight::Known } else { Sight::Any }, ahead),
            Kind::Rules => {
                let marked = self.trace.foreseeable.clone();
                let marked =
                    marked.ok_or_else(|| Failure::new("the baseline oracle is for synthetic workloads only"))?;
                over_lru(Sight::Marked(marked), 1)
            }
            Kind::Ppm(variant) => return Ok(self.ppm(variant, variant.name(private), &keys)),
            Kind::PpmFamily(order) => {
                let rows = PpmVariant::all(order, private).into_iter();
                return best(rows.map(|variant| self.ppm(variant, method.name(private), &keys)).collect(), budget);
            }
        };
        Ok(self.row(method.name(private), &tally, Quality::default()))
    }

    fn ppm(&self, variant: PpmVariant, name: String, keys: &[u32]) -> Row {
        let mut ppm = Ppm::new(variant, self.trace);
        let caches = self.caches(|| Lru::new(self.entries()));
        let tally = self.play(keys, caches, &mut ppm, self.settings.waste_budget);
        self.row(name, &tally, Quality { peak_bytes: Some(ppm.bytes()), ..Quality::default() })
    }
}

/// The row with most hits among those within the waste budget; where there is none, the one with least waste.
fn best(rows: Vec<Row>, waste_budget: f64) -> Result<Row, Failure> {
    let (within, beyond): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.wasted_per_request <= waste_budget);
    let most = within.into_iter().max_by(|a, b| a.hit_ratio.total_cmp(&b.hit_ratio));
    let least = || beyond.into_iter().min_by(|a, b| a.wasted_per_request.total_cmp(&b.wasted_per_request));
    most.or_else(least).ok_or_else(|| Failure::new("the baseline has no variants"))
}

/// Says on standard error what was wrong with a trace's lines.
fn report_lines(name: &str, trace: &Trace) {
    if trace.bad > 0 {
        tracing::warn!("{name}: {} bad lines left out", trace.bad);
        for (number, reason) in &trace.bad_lines {
            tracing::warn!("{name}:{number}: {reason}");
        }
    }
    if trace.passed_over > 0 {
        tracing::info!("{name}: {} lines are no reads and were passed over", trace.passed_over);
    }
}

/// A file's name without folder and ending; a synthetic workload's name as it is.
fn short_name(name: &str) -> String {
    if name.starts_with(SYNTHETIC) {
        return name.to_owned();
    }
    let file = Path::new(name).file_name().map_or_else(|| name.into(), |file| file.to_string_lossy());
    let short = file.strip_suffix(".gz").unwrap_or(&file);
    [".csv", ".log"].into_iter().find_map(|end| short.strip_suffix(end)).unwrap_or(short).to_owned()
}

fn progress(requests: u64) -> ProgressBar {
    let bar = ProgressBar::new(requests);
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {percent} % {eta}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
