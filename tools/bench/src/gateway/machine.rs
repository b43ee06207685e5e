//! Figures that the system tells of processes and of itself.

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

/// Processor time of a process so far, in seconds, of threads that have ended, too: to the hundredth of a second.
pub(super) fn cpu_with_ended(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // Behind the name, which may hold anything: the user's and the system's part are the 12th and 13th.
    let (_, rest) = text.rsplit_once(") ").context("the system's account has another form")?;
    let ticks = rest.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / 100.0)
}

/// Resident memory of a process.
pub(super) fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()).context("the system tells no memory")?;
    Ok(kilobytes.parse::<u64>()? << 10)
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
