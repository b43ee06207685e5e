//! The clock of a replay, and its progress bar.

use std::time::Instant;

use foremap_replay::Host;
use indicatif::{ProgressBar, ProgressStyle};

/// The host of the replays of one trace.
pub(crate) struct Progress {
    trace: String,
    bar: ProgressBar,
    begun: Instant,
}

impl Progress {
    /// Of so many requests in all.
    pub(crate) fn new(trace: &str, requests: u64) -> Self {
        let bar = ProgressBar::new(requests);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {percent} % {eta}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { trace: trace.to_owned(), bar, begun: Instant::now() }
    }

    /// Clears the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Host for Progress {
    fn nanos(&self) -> Option<u64> {
        u64::try_from(self.begun.elapsed().as_nanos()).ok()
    }

    fn replayed(&self, method: &str, requests: u64) {
        self.bar.set_message(format!("{} {method}", self.trace));
        self.bar.inc(requests);
    }
}
