//! `cargo xtask bench capacity`.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::coefficients::Coefficients;
use super::model::{Plan, furthest};
use super::options::Capacity;
use super::{page, report};

/// Prints what the workload takes, and writes what was asked for.
///
/// # Errors
/// For a figure out of its range, coefficients that cannot be read, or a file that cannot be written.
pub(crate) fn run(options: &Capacity) -> Result<()> {
    let workload = options.workload();
    workload.check()?;
    let source = match &options.coefficients {
        Some(path) => Coefficients::read(path)?,
        None => Coefficients::embedded()?,
    };
    let costs = source.costs()?;
    let text = report::text(&workload, &costs, &source);
    std::io::stdout().write_all(text.as_bytes())?;
    if let Some(path) = &options.json {
        let plan = Plan::of(&workload, &costs);
        let furthest = furthest(&workload, &costs);
        let body = json!({
            "workload": workload,
            "plan": plan.as_ref().ok(),
            "wall": plan.as_ref().err(),
            "furthest": furthest.map(|(factor, wall)| json!({ "factor": factor, "wall": wall })),
            "costs": source,
        });
        save(path, &format!("{body:#}\n"))?;
    }
    match &options.page {
        Some(path) => save(path, &page::html(&workload, &costs, &source)?),
        None => Ok(()),
    }
}

fn save(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
