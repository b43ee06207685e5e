//! One trace through the engine and through baselines.

use anyhow::{Context as _, Result, anyhow, bail};
use foremap::analyzer::AnalyzerConfig;
use foremap::confidence::Reliability;
use foremap::key::CompositeKey;
use foremap::prefetch::PrefetchConfig;

use super::baseline::{Belady, Lru, Oracle, Ppm, PpmVariant, S3Fifo, Sight, next_uses};
use super::clock::Clock;
use super::engine::{Engines, Local, Summary};
use super::host::Host;
use super::method::{Kind, Method};
use super::report::{Quality, Row};
use super::rules::{Cache, Caches, Nothing, Player, Predictor};
use super::settings::{Models, Settings};
use super::tally::Tally;
use super::trace::Trace;

/// Requests after which a host is told how far a replay is.
const TICK: u64 = 1_024;

/// Figures of a trace.
pub struct Replayed {
    /// The engine's row, and then that of each baseline.
    pub rows: Vec<Row>,
    /// Reliability of the engine's predictions: all of them.
    pub all: Reliability,
    /// The same of those that were prefetched.
    pub issued: Reliability,
}

/// Replays one trace, which reports call `name`, through the engine, and then through the baselines.
///
/// # Errors
/// Where a baseline does not exist for the trace or the settings, and where clients learn alone from a shared cache.
pub fn replay(
    name: &str,
    trace: &Trace,
    settings: &Settings,
    baselines: &[Method],
    host: &dyn Host,
) -> Result<Replayed> {
    let private = settings.cache.is_private();
    if settings.models != Models::Pooled && !private {
        bail!("clients that learn alone need private caches");
    }
    if let Some(other) = baselines.iter().find(|method| !method.fits(private)) {
        let (kind, name) =
            if private { ("private caches", other.name(false)) } else { ("a shared cache", other.name(true)) };
        bail!("there is no baseline {name} with {kind}");
    }
    let runner = Runner { name, trace, settings, host };
    let (row, Summary { all, issued, .. }) = runner.foremap()?;
    let mut rows = vec![row];
    for method in baselines {
        rows.push(runner.baseline(*method)?);
    }
    Ok(Replayed { rows, all, issued })
}

/// One trace with its settings.
struct Runner<'a> {
    name: &'a str,
    trace: &'a Trace,
    settings: &'a Settings,
    host: &'a dyn Host,
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

    fn play<K, C, P>(&self, method: &str, keys: &[K], caches: Caches<'_, C>, predictor: &mut P) -> Tally
    where
        K: Clone + Eq + std::hash::Hash,
        C: Cache<K>,
        P: Predictor<K>,
    {
        let mut replayed = 0;
        let progress = || {
            replayed += 1;
            if replayed % TICK == 0 {
                self.host.replayed(method, TICK);
            }
        };
        let Settings { cache, waste_budget, latency, series, .. } = *self.settings;
        let private = cache.is_private().then_some(self.trace.clients.len());
        let tally = Tally::new(keys.len(), private, waste_budget, series);
        let player = Player::new(keys, caches, predictor, latency, tally, Clock::calibrated(self.host));
        let tally = player.play(&self.trace.requests, progress);
        self.host.replayed(method, replayed % TICK);
        tally
    }

    fn foremap(&self) -> Result<(Row, Summary)> {
        let keys = parsed(self.trace)?;
        let mut engines = engines(self.settings, &self.trace.clients);
        let caches = self.caches(|| local(self.settings, self.trace));
        let name = Method::FOREMAP.name(false);
        let tally = self.play(&name, &keys, caches, &mut engines);
        let summary = engines.finish();
        let early = summary.early.as_ref().filter(|early| early.predictions() > 0);
        let own = Quality {
            models: Some(self.settings.models.name()),
            calibration_error: Some(summary.all.error()),
            calibration_error_issued: Some(summary.issued.error()),
            calibration_error_first: early.map(Reliability::error),
            peak_bytes: Some(summary.peak_bytes),
            shared: summary.shared,
        };
        Ok((self.row(name, &tally, own), summary))
    }

    fn baseline(&self, method: Method) -> Result<Row> {
        let entries = self.entries();
        let keys: Vec<u32> = (0..).take(self.trace.keys.len()).collect();
        let private = self.settings.cache.is_private();
        let name = method.name(private);
        let over_lru = |sight, ahead| {
            let mut oracle = Oracle::new(self.trace, ahead, sight);
            self.play(&name, &keys, self.caches(|| Lru::new(entries)), &mut oracle)
        };
        let tally = match method.0 {
            Kind::Foremap => return Ok(self.foremap()?.0),
            Kind::Lru => self.play(&name, &keys, self.caches(|| Lru::new(entries)), &mut Nothing),
            Kind::S3Fifo => self.play(&name, &keys, self.caches(|| S3Fifo::new(entries)), &mut Nothing),
            Kind::Belady => {
                let next = next_uses(self.trace, private);
                self.play(&name, &keys, self.caches(|| Belady::new(entries, next.clone())), &mut Nothing)
            }
            Kind::Oracle { ahead, known_only } => over_lru(if known_only { Sight::Known } else { Sight::Any }, ahead),
            Kind::Rules => {
                let marked = self.trace.foreseeable.clone();
                let marked = marked.context("the baseline oracle is for synthetic workloads only")?;
                over_lru(Sight::Marked(marked), 1)
            }
            Kind::Ppm(variant) => return Ok(self.ppm(variant, name, &keys)),
            Kind::PpmFamily(order) => {
                let rows = PpmVariant::all(order, private).into_iter();
                let rows = rows.map(|variant| self.ppm(variant, name.clone(), &keys)).collect();
                return best(rows, self.settings.waste_budget);
            }
        };
        Ok(self.row(name, &tally, Quality::default()))
    }

    fn ppm(&self, variant: PpmVariant, name: String, keys: &[u32]) -> Row {
        let mut ppm = Ppm::new(variant, self.trace);
        let caches = self.caches(|| Lru::new(self.entries()));
        let tally = self.play(&name, keys, caches, &mut ppm);
        self.row(name, &tally, Quality { peak_bytes: Some(ppm.bytes()), ..Quality::default() })
    }
}

/// The keys of a trace.
pub(super) fn parsed(trace: &Trace) -> Result<Vec<CompositeKey>> {
    trace.keys.iter().map(|key| CompositeKey::parse(key).map_err(|error| anyhow!(error.reason()))).collect()
}

/// The engines of all clients.
pub(super) fn engines<'a>(settings: &Settings, clients: &'a [String]) -> Engines<'a> {
    let Settings { models, memory, tuning, waste_budget, cache, .. } = *settings;
    let product = PrefetchConfig::default();
    let config = PrefetchConfig {
        waste_budget,
        threshold: tuning.threshold.unwrap_or(product.threshold),
        max_depth: tuning.max_depth.unwrap_or(product.max_depth),
        max_orders: tuning.max_orders.unwrap_or(product.max_orders),
        credit: if models.is_pooled() { PrefetchConfig::CREDIT_OF_MANY } else { product.credit },
        analyzer: AnalyzerConfig { memory_bytes: memory, ..AnalyzerConfig::default() },
        ..product
    };
    Engines::new(models, cache.is_private(), config, clients)
}

/// The cache of a client.
pub(super) fn local(settings: &Settings, trace: &Trace) -> Local {
    Local::new(settings.cache.entries(trace.keys.len()), settings.tuning.probation)
}

/// The row with most hits among those within the waste budget; where there is none, the one with least waste.
fn best(rows: Vec<Row>, waste_budget: f64) -> Result<Row> {
    let (within, beyond): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.wasted_per_request <= waste_budget);
    let most = within.into_iter().max_by(|a, b| a.hit_ratio.total_cmp(&b.hit_ratio));
    let least = || beyond.into_iter().min_by(|a, b| a.wasted_per_request.total_cmp(&b.wasted_per_request));
    most.or_else(least).context("the baseline has no variants")
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
