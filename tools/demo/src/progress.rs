//! [`progress`]: a bar for people who wait.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of so many steps.
pub(crate) fn progress(title: &'static str, steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<18} {bar:40} {human_pos}/{human_len}  {elapsed} (left: {eta})");
    let bar = ProgressBar::new(steps as u64).with_message(title);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
