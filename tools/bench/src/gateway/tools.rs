//! Programs that have to be installed.

use anyhow::{Result, ensure};
use xtask::process;

/// Programs, how to see that they are there, and their Debian packages.
const TOOLS: [(&str, &[&str], &str); 4] = [
    ("redis-server", &["--version"], "redis-server"),
    ("redis-cli", &["--version"], "redis-tools"),
    ("redis-benchmark", &["--version"], "redis-tools"),
    // It prints its version and fails.
    ("sh", &["-c", "command -v wrk"], "wrk"),
];

/// Names every package that is missing.
pub(super) fn check() -> Result<()> {
    let is_missing = |tool: &&(&str, &[&str], &str)| process::first_line(tool.0, tool.1).is_none();
    let mut missing: Vec<&str> = TOOLS.iter().filter(is_missing).map(|tool| tool.2).collect();
    missing.dedup();
    ensure!(missing.is_empty(), "missing: apt-get install {}", missing.join(" "));
    Ok(())
}
