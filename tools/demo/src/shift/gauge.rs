//! Load of nodes, as they measure it, while it goes on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::fleet::{Fleet, NODES};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Longest time that measuring may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Keys that the bars shown meanwhile go by.
const SHOWN_KEYS: u64 = 2_000;
/// Length of a bar for a node with the mean load.
const MEAN: f64 = 10.0;
/// Longest bar.
const LONGEST: f64 = 60.0;

/// Keys that nodes were asked for in a while.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Load {
    /// By node.
    pub(super) keys: Vec<u64>,
    /// Length of the while.
    pub(super) seconds: f64,
}

impl Load {
    /// Of all nodes.
    pub(super) fn sum(&self) -> u64 {
        self.keys.iter().sum()
    }

    /// Load of each node over the mean.
    pub(super) fn shares(&self) -> impl Iterator<Item = f64> {
        let mean = self.sum().max(1) as f64 / self.keys.len() as f64;
        self.keys.iter().map(move |&keys| keys as f64 / mean)
    }

    /// Load of the heaviest node over the mean.
    pub(super) fn worst(&self) -> f64 {
        self.shares().fold(0.0, f64::max)
    }
}

/// A bar for a node with so many times the mean load.
pub(super) fn bar(share: f64) -> String {
    "█".repeat(length(share))
}

#[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "between 0 and the longest bar")]
fn length(share: f64) -> usize {
    (share * MEAN).round().clamp(0.0, LONGEST) as usize
}

/// Looks at the nodes' counters, and shows what it sees on a terminal.
pub(super) struct Gauge {
    /// When, and what each node had counted; the oldest first.
    samples: VecDeque<(Instant, Vec<u64>)>,
    shown: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Gauge {
    /// Begins now.
    pub(super) fn new(title: &'static str) -> Self {
        let shown = MultiProgress::new();
        let style = |template| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let head = shown.add(ProgressBar::new(1).with_style(style("{msg}")).with_message(title));
        let node = |number| {
            let bar = ProgressBar::new(1).with_style(style("  {prefix} {msg}"));
            shown.add(bar.with_prefix(format!("node {number}")))
        };
        let bars = std::iter::once(head).chain((1..=NODES).map(node)).collect();
        Self { samples: VecDeque::new(), shown, bars }
    }

    /// Prints a line that stays.
    pub(super) fn note(&self, line: &str) {
        self.shown.suspend(|| println!("{line}"));
    }

    /// Waits a while and looks.
    pub(super) fn look(&mut self, fleet: &mut Fleet) -> Result<()> {
        if !self.samples.is_empty() {
            std::thread::sleep(LOOK);
        }
        fleet.check()?;
        self.samples.push_back((Instant::now(), fleet.keys()?));
        if let Some(load) = self.newest(SHOWN_KEYS) {
            for (node, share) in self.bars.iter().skip(1).zip(load.shares()) {
                node.set_message(format!("{} {share:.2}", bar(share)));
            }
        }
        self.bars.iter().for_each(ProgressBar::tick);
        Ok(())
    }

    /// The newest while in which at least so many keys were asked for; `None` where there is none yet.
    pub(super) fn newest(&self, keys: u64) -> Option<Load> {
        let (now, last) = self.samples.back()?;
        let loads = self.samples.iter().rev().map(|(at, counts)| Load {
            keys: last.iter().zip(counts).map(|(last, count)| last.saturating_sub(*count)).collect(),
            seconds: now.duration_since(*at).as_secs_f64(),
        });
        loads.into_iter().find(|load| load.sum() >= keys)
    }

    /// Forgets what was, and waits until so many keys were asked for.
    ///
    /// # Errors
    /// If that takes more than a minute, or a process ended.
    pub(super) fn measure(&mut self, fleet: &mut Fleet, keys: u64) -> Result<Load> {
        self.samples.clear();
        let start = Instant::now();
        loop {
            self.look(fleet)?;
            if let Some(load) = self.newest(keys) {
                return Ok(load);
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "nodes were asked for fewer than {keys} keys in {} s",
                PATIENCE.as_secs()
            );
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.bars.iter().for_each(ProgressBar::finish_and_clear);
        // An error means that there is no terminal.
        let _ = self.shown.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_told_in_multiples_of_the_mean() {
        let load = Load { keys: vec![300, 100, 200, 0], seconds: 1.0 };
        assert_eq!(load.shares().collect::<Vec<_>>(), [2.0, 2.0 / 3.0, 4.0 / 3.0, 0.0]);
        assert_eq!((load.worst(), bar(1.26).chars().count(), bar(99.0).chars().count()), (2.0, 13, 60));
        assert_eq!(Load { keys: vec![0, 0], seconds: 1.0 }.worst(), 0.0);
    }
}
