//! What the system says of processes and of itself.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Processor time of a process so far, in seconds, of all its threads that live: to the nanosecond, where the usual
/// account counts in hundredths of a second.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    let tasks = format!("/proc/{pid}/task");
    let mut nanoseconds = 0_u64;
    for task in std::fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        // A thread may end meanwhile.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let first = text.split_whitespace().next().context("the system keeps no account of processor time")?;
        nanoseconds += first.parse::<u64>()?;
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// The same of several processes together.
pub(super) fn cpu_of(pids: &[u32]) -> Result<f64> {
    pids.iter().map(|&pid| cpu_seconds(pid)).sum()
}

/// This machine.
pub(super) fn words() -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let text = std::fs::read_to_string(Path::new("/proc/cpuinfo")).unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("processor without a name", |(_, model)| model.trim());
    Ok(format!("{cores} cores ({model}), shared by servers and load"))
}
