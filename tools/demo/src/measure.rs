//! Figures that are measured of a replay.

use std::time::Duration;

use super::fleet::Mode;
use super::metrics::Prefetch;

/// Source of an answer, as the worker says in `foremap-source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A cache, within the staleness bound.
    Hit,
    /// A cached value, beyond the bound and confirmed by a gateway.
    Revalidated,
    /// A gateway.
    Network,
}

impl Source {
    /// Reads the header. Anything else, such as `stale`, has no place in an answer within the bound.
    pub(super) fn parse(header: &str) -> Option<Self> {
        match header {
            "cache" => Some(Self::Hit),
            "revalidated" => Some(Self::Revalidated),
            // A joined request waits for a gateway too, only for an answer that was already on its way.
            "network" | "joined" => Some(Self::Network),
            _ => None,
        }
    }
}

/// Answers of one replay.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// Latency of every request; sorted by [`Replayed::seal`].
    latencies: Vec<Duration>,
    /// Answers from a cache.
    pub(super) hits: usize,
    /// Answers confirmed by a gateway.
    pub(super) revalidated: usize,
}

impl Replayed {
    /// Adds an answer.
    pub(super) fn add(&mut self, latency: Duration, source: Source) {
        self.latencies.push(latency);
        match source {
            Source::Hit => self.hits += 1,
            Source::Revalidated => self.revalidated += 1,
            Source::Network => {}
        }
    }

    /// Puts the answers of several clients together, ready to be asked.
    pub(super) fn seal(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self::default();
        for part in parts {
            whole.latencies.extend(part.latencies);
            whole.hits += part.hits;
            whole.revalidated += part.revalidated;
        }
        whole.latencies.sort_unstable();
        whole
    }

    /// Number of answers.
    pub(super) fn requests(&self) -> usize {
        self.latencies.len()
    }

    /// Share of answers that came from a cache.
    pub(super) fn hit_ratio(&self) -> f64 {
        share(self.hits, self.requests())
    }

    /// Share of answers that a gateway confirmed.
    pub(super) fn revalidated_share(&self) -> f64 {
        share(self.revalidated, self.requests())
    }

    /// Mean latency in milliseconds.
    pub(super) fn mean_ms(&self) -> f64 {
        let total: Duration = self.latencies.iter().sum();
        total.as_secs_f64() * 1e3 / (self.requests().max(1) as f64)
    }

    /// The exact percentile by nearest rank, in milliseconds.
    pub(super) fn percentile_ms(&self, percent: usize) -> f64 {
        let rank = (self.requests() * percent).div_ceil(100).max(1);
        self.latencies.get(rank - 1).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// `part / whole`, and 0 of nothing.
pub(super) fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Counts of the servers meanwhile.
#[derive(Debug)]
pub(super) struct Measured {
    /// Requests that reached gateways.
    pub(super) gateway_requests: u64,
    /// The prefetches of the worker, or of all tabs.
    pub(super) prefetch: Prefetch,
    /// Tabs that got a model.
    pub(super) models: usize,
}

/// One mode's result.
#[derive(Debug)]
pub(super) struct ModeResult {
    /// Which mode.
    pub(super) mode: Mode,
    /// The answers.
    pub(super) replayed: Replayed,
    /// The servers' counts.
    pub(super) measured: Measured,
    /// Time that the replay took.
    pub(super) seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(milliseconds: impl IntoIterator<Item = u64>, source: Source) -> Replayed {
        let mut part = Replayed::default();
        milliseconds.into_iter().for_each(|ms| part.add(Duration::from_millis(ms), source));
        part
    }

    #[test]
    fn percentiles_are_nearest_rank_over_all_clients() {
        let whole = Replayed::seal([replayed(51..=100, Source::Network), replayed(1..=50, Source::Hit)]);
        assert_eq!((whole.percentile_ms(50), whole.percentile_ms(95), whole.percentile_ms(99)), (50.0, 95.0, 99.0));
        assert!((whole.mean_ms() - 50.5).abs() < 1e-9);
        assert_eq!((whole.hit_ratio(), whole.revalidated_share()), (0.5, 0.0));
    }

    #[test]
    fn nothing_measured_is_zero() {
        let nothing = Replayed::seal([]);
        assert_eq!((nothing.percentile_ms(99), nothing.mean_ms(), nothing.hit_ratio()), (0.0, 0.0, 0.0));
    }
}
