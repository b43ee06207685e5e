//! Counts of a run, and the figures that come of them.

use foremap::Millis;
use foremap::adapter::{Answer, Served};
use serde::Serialize;

/// Running counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) visits: u64,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    served: [u64; 6],
    /// Waiting time of each answered request, in milliseconds.
    waited: Vec<u32>,
    pub(crate) http: Http,
    pub(crate) feeds: Feeds,
    pub(crate) models: Models,
    /// Of all bodies, both ways, but for those of feeds.
    pub(crate) bytes: u64,
    pub(crate) ahead: Ahead,
    pub(crate) beyond: u64,
    pub(crate) backwards: u64,
    pub(crate) invented: u64,
}

/// HTTP requests by what they carry.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Http {
    /// With a key that somebody waits for.
    pub(crate) demand: u64,
    /// With prefetches alone.
    pub(crate) ahead: u64,
    /// Without keys, for changes.
    pub(crate) exchange: u64,
}

/// Change feeds.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Feeds {
    pub(crate) opened: u64,
    /// Of what opened them, and of all that came by them.
    pub(crate) bytes: u64,
}

/// Cost of sharing a model.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Models {
    /// Models that followed an answer, and their bytes, compressed.
    pub(crate) read: u64,
    pub(crate) read_bytes: u64,
    /// Summaries told, and the bytes of them and of what batches told.
    pub(crate) told: u64,
    pub(crate) told_bytes: u64,
}

/// Fates of prefetches.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Ahead {
    pub(crate) issued: u64,
    /// Answered a request without waiting.
    pub(crate) used: u64,
    /// Still under way when they were asked for.
    pub(crate) late: u64,
    /// There, but too old at first use, or changed since.
    pub(crate) outdated: u64,
}

impl Tally {
    pub(crate) fn answered(&mut self, answer: &Answer, waited: Millis) {
        self.served[answer.served as usize] += 1;
        self.waited.push(u32::try_from(waited).unwrap_or(u32::MAX));
    }

    fn served(&self, served: Served) -> u64 {
        self.served[served as usize]
    }

    pub(crate) fn figures(mut self, run: Run) -> Figures {
        self.waited.sort_unstable();
        let requests = self.requests.max(1) as f64;
        let rate = |count: u64| count as f64 / requests;
        let percent = |count: u64| 100.0 * count as f64 / requests;
        let Ahead { issued, used, late, outdated } = self.ahead;
        let mean = self.waited.iter().map(|&ms| f64::from(ms)).sum::<f64>() / self.waited.len().max(1) as f64;
        Figures {
            run,
            requests: self.requests,
            visits: self.visits,
            failed: self.failed,
            hit: percent(self.served(Served::Cache) + self.served(Served::Negative)),
            revalidated: percent(self.served(Served::Revalidated)),
            joined: percent(self.served(Served::Joined)),
            network: percent(self.served(Served::Network)),
            mean_ms: mean,
            p50_ms: percentile(&self.waited, 50),
            p95_ms: percentile(&self.waited, 95),
            http_demand: rate(self.http.demand),
            http_ahead: rate(self.http.ahead),
            http_exchange: rate(self.http.exchange),
            feeds_opened: rate(self.feeds.opened),
            feeds_per_visit: self.feeds.opened as f64 / self.visits.max(1) as f64,
            feed_bytes: rate(self.feeds.bytes),
            models_read: rate(self.models.read),
            model_bytes: rate(self.models.read_bytes),
            summaries_told: rate(self.models.told),
            summary_bytes: rate(self.models.told_bytes),
            bytes: rate(self.bytes + self.feeds.bytes + self.models.read_bytes + self.models.told_bytes),
            issued: rate(issued),
            used: rate(used),
            late: rate(late),
            outdated: rate(outdated),
            wasted: rate(issued.saturating_sub(used + late + outdated)),
            beyond: self.beyond,
            backwards: self.backwards,
            invented: self.invented,
        }
    }
}

/// The smallest value that at least `percent` of a hundred values do not exceed (nearest rank); 0 of none.
pub fn percentile(ascending: &[u32], percent: usize) -> u32 {
    let rank = (ascending.len() * percent).div_ceil(100);
    ascending.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// Description of what was run.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Name of the trace.
    pub trace: String,
    /// Name of the mode.
    pub mode: &'static str,
    /// Foreign writes, in permille of the requests.
    pub writes: u32,
}

/// The figures of a run. Rates are per demand request.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Of what.
    #[serde(flatten)]
    pub run: Run,
    /// Demand requests.
    pub requests: u64,
    /// Tabs opened.
    pub visits: u64,
    /// Requests that were refused.
    pub failed: u64,
    /// Answered without waiting for the network, in percent.
    pub hit: f64,
    /// Cached, and confirmed by a gateway first, in percent.
    pub revalidated: f64,
    /// Answered by what was under way already, in percent.
    pub joined: f64,
    /// Answered by a gateway, in percent.
    pub network: f64,
    /// Mean waiting time in milliseconds.
    pub mean_ms: f64,
    /// Its median.
    pub p50_ms: u32,
    /// Its 95th percentile.
    pub p95_ms: u32,
    /// HTTP requests with a key that somebody waits for.
    pub http_demand: f64,
    /// HTTP requests with prefetches alone.
    pub http_ahead: f64,
    /// HTTP requests without keys.
    pub http_exchange: f64,
    /// Change feeds opened.
    pub feeds_opened: f64,
    /// Change feeds opened by a visit, on average.
    pub feeds_per_visit: f64,
    /// Bytes that came by feeds and were sent to open them.
    pub feed_bytes: f64,
    /// Models read, behind answers.
    pub models_read: f64,
    /// Their bytes, compressed.
    pub model_bytes: f64,
    /// HTTP requests that told a summary.
    pub summaries_told: f64,
    /// Their bytes, and those that batches told.
    pub summary_bytes: f64,
    /// Bytes of all bodies, both ways, those of feeds and models included.
    pub bytes: f64,
    /// Prefetches sent.
    pub issued: f64,
    /// Of them, used.
    pub used: f64,
    /// Under way when asked for.
    pub late: f64,
    /// Too old at first use.
    pub outdated: f64,
    /// Never asked for, or no such key.
    pub wasted: f64,
    /// Answers older than they may be.
    pub beyond: u64,
    /// Answers older than what their client had seen.
    pub backwards: u64,
    /// Answers that nobody wrote.
    pub invented: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        assert_eq!(percentile(&[], 50), 0);
        assert_eq!(percentile(&[7], 95), 7);
        let values: Vec<u32> = (1..=20).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 95), percentile(&values, 100)), (10, 19, 20));
    }
}
