//! `foremap-gateway capacity`.

use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use super::coefficients::Coefficients;
use super::model::{Plan, furthest};
use super::options::Capacity;
use super::{page, report};
use crate::run::Failure;

/// Prints what the workload takes, and writes what was asked for.
///
/// # Errors
/// [`Failure`] for a figure out of its range, coefficients that cannot be read, or a file that cannot be written.
pub fn run(options: &Capacity) -> Result<(), Failure> {
    let workload = options.workload();
    workload.check().map_err(Failure::new)?;
    let source = match &options.coefficients {
        Some(path) => Coefficients::read(path)?,
        None => Coefficients::embedded()?,
    };
    let costs = source.costs()?;
    let text = report::text(&workload, &costs, &source);
    write!(std::io::stdout(), "{text}").map_err(|error| Failure::new(error.to_string()))?;
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
        Some(path) => save(path, &page::html(&workload, &costs, &source)),
        None => Ok(()),
    }
}

fn save(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
}
