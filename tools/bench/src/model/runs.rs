//! Runs the replay tool, and what it found.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use foremap_replay::trace::{Request, Trace};

use crate::prediction::{Outcome, Replay, write_trace};

/// Caches of all runs.
const PRIVATE: &str = "--private 32";

/// A snapshot grows at least so old before a new one is made.
const LEAST_AGE_MS: u64 = 600_000;
/// Most snapshots of a replay.
const SNAPSHOTS: u64 = 1_000;

/// Requests at the beginning of a trace: where several ways of sharing are held against each other, all of it would take
/// ten minutes more.
const BEGINNING: usize = 30_000;

/// Terms of sharing: who may be told of what, and in how many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sharing {
    /// Clients that must have gone a way before others are told of it.
    pub(super) clients: u32,
    /// Most compressed KiB of a snapshot.
    pub(super) kib: u32,
}

impl Sharing {
    /// A small snapshot.
    pub(super) const SMALL: Self = Self { clients: 2, kib: 16 };
    /// The one of which most is asked.
    pub(super) const USUAL: Self = Self { clients: 2, kib: 64 };
    /// As many clients as is usual where nobody sets their number.
    pub(super) const CAREFUL: Self = Self { clients: 5, kib: 64 };

    /// Most compressed bytes of a snapshot.
    pub(super) fn bytes(self) -> u32 {
        self.kib << 10
    }

    /// The options of a replay in which clients share this way, with snapshots that grow so old.
    pub(super) fn options(self, age_ms: u64) -> String {
        let Self { clients, kib } = self;
        format!("--alone --share {kib}KiB --share-clients {clients} --share-every {age_ms}ms")
    }
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k={} {} KiB", self.clients, self.kib)
    }
}

/// The figures of one trace.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) trace: String,
    pub(super) lru: Outcome,
    pub(super) pooled: Outcome,
    pub(super) held: Outcome,
    pub(super) alone: Outcome,
    pub(super) shared: Vec<(Sharing, Outcome)>,
    pub(super) seconds: f64,
}

impl Figures {
    /// Outcome with this way of sharing, if it was tried.
    pub(super) fn of(&self, sharing: Sharing) -> Option<&Outcome> {
        self.shared.iter().find(|(tried, _)| *tried == sharing).map(|(_, outcome)| outcome)
    }

    /// Share of what the pooled model gains over LRU that is gained here as well, in percent; nothing if it gains nothing.
    pub(super) fn share_of_gain(&self, outcome: &Outcome) -> Option<f64> {
        share_of_gain(self.lru.hit_ratio, self.pooled.hit_ratio, outcome.hit_ratio)
    }

    /// The same of what the pooled model gains where each client is held to the budget by itself.
    pub(super) fn share_of_held(&self, outcome: &Outcome) -> Option<f64> {
        share_of_gain(self.lru.hit_ratio, self.held.hit_ratio, outcome.hit_ratio)
    }

    /// Points by which the hit ratio of the first ten requests of each client is lower than with a pooled model.
    pub(super) fn first_ten_below(&self, outcome: &Outcome) -> Option<f64> {
        Some(self.pooled.first_ten_hits()? - outcome.first_ten_hits()?)
    }

    /// The same where each client is held to the budget by itself.
    pub(super) fn first_ten_below_held(&self, outcome: &Outcome) -> Option<f64> {
        Some(self.held.first_ten_hits()? - outcome.first_ten_hits()?)
    }
}

fn share_of_gain(lru: f64, pooled: f64, own: f64) -> Option<f64> {
    (pooled > lru).then(|| 100.0 * (own - lru) / (pooled - lru))
}

/// Age of a snapshot at which a new one is made, in milliseconds.
pub(super) fn snapshot_age(requests: &[Request]) -> u64 {
    LEAST_AGE_MS.max(span_ms(requests) / SNAPSHOTS)
}

/// Time from the earliest request to the latest.
pub(super) fn span_ms(requests: &[Request]) -> u64 {
    let times = || requests.iter().map(|request| request.at_ms);
    times().max().unwrap_or(0).abs_diff(times().min().unwrap_or(0))
}

/// The replay tool, as it is run here.
pub(super) struct Program {
    replay: Replay,
}

impl Program {
    pub(super) fn new(program: PathBuf) -> Result<Self> {
        Ok(Self { replay: Replay::new(program)? })
    }

    /// Name and path of a synthetic trace of many clients at human pace, which is removed in the end.
    pub(super) fn synthetic(&self, requests: usize) -> Result<(String, String)> {
        let path = self.write("human.csv", &foremap_tab::human::human(1, requests))?;
        Ok(("human".to_owned(), path))
    }

    /// Writes a trace to a file that is removed in the end, and returns its path.
    pub(super) fn write(&self, name: &str, trace: &Trace) -> Result<String> {
        let path = self.file(name);
        write_trace(trace, &path)?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// The beginning of a trace, and the path of a file that holds it.
    pub(super) fn beginning(&self, path: &str) -> Result<(Trace, String)> {
        let mut trace = foremap_replay::trace::open(path)?;
        trace.requests.truncate(BEGINNING);
        let path = self.write("beginning.csv", &trace)?;
        Ok((trace, path))
    }

    /// A file that is removed in the end.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.replay.file(name)
    }

    /// Replays a trace once, with these options.
    pub(super) fn play(&self, path: &str, options: &str) -> Result<Outcome> {
        let played = self.replay.run(&[path], &format!("{PRIVATE} {options}"), &[])?.pop();
        Ok(played.context("the replay is missing")?.own)
    }

    /// Replays a trace in all ways.
    pub(super) fn measure(&self, name: &str, path: &str, sharings: &[Sharing]) -> Result<Figures> {
        let begin = Instant::now();
        eprintln!("bench: model {name}");
        let every = snapshot_age(&foremap_replay::trace::open(path)?.requests);
        let pooled = self.replay.run(&[path], PRIVATE, &["lru"])?.pop().context("the replay is missing")?;
        let lru = pooled.others.into_iter().next().context("the baseline is missing")?;
        let held = self.play(path, "--held")?;
        let alone = self.play(path, "--alone")?;
        let share = |&sharing: &Sharing| Ok((sharing, self.play(path, &sharing.options(every))?));
        let shared = sharings.iter().map(share).collect::<Result<_>>()?;
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Figures { trace: name.to_owned(), lru, pooled: pooled.own, held, alone, shared, seconds })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn outcome(hit_ratio: f64, first_ten: f64) -> Outcome {
        Outcome { hit_ratio, first_ten_hit_ratio: Some(first_ten), ..Outcome::default() }
    }

    /// LRU has 20 % of hits, a pooled model 60 %, and these have what is given.
    pub(in crate::model) fn figures(trace: &str, shared: &[(Sharing, f64)]) -> Figures {
        Figures {
            trace: trace.to_owned(),
            lru: outcome(0.2, 0.0),
            pooled: outcome(0.6, 0.5),
            held: outcome(0.52, 0.45),
            alone: outcome(0.3, 0.1),
            shared: shared.iter().map(|&(sharing, hits)| (sharing, outcome(hits, hits - 0.1))).collect(),
            seconds: 0.0,
        }
    }

    #[test]
    fn the_share_of_a_gain_is_of_what_is_beyond_lru() {
        assert_eq!(share_of_gain(0.25, 0.75, 0.5), Some(50.0));
        assert_eq!((share_of_gain(0.25, 0.75, 0.25), share_of_gain(0.25, 0.75, 0.75)), (Some(0.0), Some(100.0)));
        // Less than LRU, and more than the pooled model.
        assert_eq!((share_of_gain(0.25, 0.75, 0.0), share_of_gain(0.25, 0.75, 1.0)), (Some(-50.0), Some(150.0)));
        assert_eq!((share_of_gain(0.5, 0.5, 0.5), share_of_gain(0.5, 0.25, 0.4)), (None, None));
    }

    #[test]
    fn a_snapshot_grows_older_where_a_trace_takes_longer() {
        let span = |times: &[i64]| {
            let requests: Vec<_> = times.iter().map(|&at_ms| Request { at_ms, client: 0, key: 0 }).collect();
            snapshot_age(&requests)
        };
        assert_eq!((span(&[]), span(&[7, 9])), (600_000, 600_000));
        // Clocks may step back.
        assert_eq!(span(&[0, 4_000_000_000, -3_000_000_000, 5]), 7_000_000);
    }

    #[test]
    fn figures_are_found_by_the_way_of_sharing() {
        let figures = figures("t", &[(Sharing::SMALL, 0.3), (Sharing::USUAL, 0.5)]);
        let usual = figures.of(Sharing::USUAL).expect("what was tried");
        assert!(figures.of(Sharing::CAREFUL).is_none());
        let near = |value: Option<f64>, to: f64| value.is_some_and(|value| (value - to).abs() < 1e-9);
        assert!(near(figures.share_of_gain(usual), 75.0));
        assert!(near(figures.first_ten_below(usual), 10.0));
        assert!(near(figures.share_of_held(usual), 93.75));
        assert!(near(figures.first_ten_below_held(usual), 5.0));
    }
}
