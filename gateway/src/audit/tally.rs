//! [`PathTally`]: what was found about one way to the data.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::judge::{Finding, Judged, Time};

/// Longest time told apart: an hour.
const LONGEST: Time = 3_600_000_000;
/// Findings that are told one by one.
const EXAMPLES: usize = 8;

/// Times in microseconds, within 0.1 %: 180 kB.
pub(super) struct TimeHistogram(Option<Histogram<u64>>);

/// Quantiles of [`TimeHistogram`], in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

impl TimeHistogram {
    fn new() -> Self {
        // These bounds are valid.
        Self(Histogram::new_with_bounds(1, LONGEST, 3).ok())
    }

    pub(super) fn record(&mut self, time: Time) {
        if let Some(times) = &mut self.0 {
            times.saturating_record(time);
        }
    }

    pub(super) fn quantiles(&self) -> Quantiles {
        let at = |quantile| self.0.as_ref().map_or(0, |times| times.value_at_quantile(quantile)) as f64 / 1_000.0;
        Quantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }
}

/// Findings about one gateway, worker or feed.
pub(super) struct PathTally {
    pub(super) name: String,
    pub(super) is_feed: bool,
    /// Answers that were judged; of a feed, its frames.
    pub(super) judged: u64,
    /// Of them, those that missed a version that was certainly committed.
    pub(super) stale: u64,
    pub(super) lies: u64,
    pub(super) broken: u64,
    /// Requests without an answer.
    pub(super) failed: u64,
    pub(super) last_failure: Option<String>,
    /// Requests that were not sent, because too many were under way.
    pub(super) skipped: u64,
    /// Times that a log did not reach back to where a feed was.
    pub(super) gaps: u64,
    /// Certain staleness, greatest possible staleness, and what was claimed.
    pub(super) at_least: TimeHistogram,
    pub(super) at_most: TimeHistogram,
    pub(super) claimed: TimeHistogram,
    /// Writes told by a feed, and of them those within the bound.
    pub(super) changes: u64,
    pub(super) in_time: u64,
    pub(super) delay: TimeHistogram,
    pub(super) examples: Vec<String>,
}

impl PathTally {
    pub(super) fn new(name: String, is_feed: bool) -> Self {
        Self {
            name,
            is_feed,
            judged: 0,
            stale: 0,
            lies: 0,
            broken: 0,
            failed: 0,
            last_failure: None,
            skipped: 0,
            gaps: 0,
            at_least: TimeHistogram::new(),
            at_most: TimeHistogram::new(),
            claimed: TimeHistogram::new(),
            changes: 0,
            in_time: 0,
            delay: TimeHistogram::new(),
            examples: Vec::new(),
        }
    }

    /// Counts one answer; `about` describes it.
    pub(super) fn answer(&mut self, judged: &Judged, claimed: Time, about: impl Fn() -> String) {
        self.judged += 1;
        self.stale += u64::from(judged.at_least > 0);
        self.at_least.record(judged.at_least);
        self.at_most.record(judged.at_most);
        self.claimed.record(claimed);
        self.found(&judged.findings, about);
    }

    /// Counts what is wrong with one answer, frame or change.
    pub(super) fn found(&mut self, findings: &[Finding], about: impl Fn() -> String) {
        self.lies += u64::from(findings.iter().any(|finding| finding.is_lie()));
        self.broken += u64::from(findings.contains(&Finding::Broken));
        if !findings.is_empty() && self.examples.len() < EXAMPLES {
            let words: Vec<&str> = findings.iter().map(|finding| finding.words()).collect();
            self.examples.push(format!("{}: {} ({})", self.name, about(), words.join("; ")));
        }
    }

    /// Counts a change that a feed told so long after the acknowledgement of its write.
    pub(super) fn change(&mut self, delay: Time, bound: Time) {
        self.changes += 1;
        self.in_time += u64::from(delay <= bound);
        self.delay.record(delay);
    }

    pub(super) fn failure(&mut self, why: String) {
        self.failed += 1;
        self.last_failure = Some(why);
    }

    /// Share of what was told within the bound: of answers, by true staleness; of a feed, changes by their delay.
    pub(super) fn within(&self) -> Option<(u64, u64)> {
        let (good, all) =
            if self.is_feed { (self.in_time, self.changes) } else { (self.judged - self.broken, self.judged) };
        (all > 0).then_some((good, all))
    }

    /// Why this says nothing, where it does not.
    pub(super) fn is_mute(&self) -> Option<String> {
        let why = || self.last_failure.clone().unwrap_or_else(|| "nothing came".into());
        let nothing = self.judged == 0 || (self.is_feed && self.changes == 0);
        (nothing || self.failed > self.judged).then(|| format!("{} {}", self.name, why()))
    }
}
