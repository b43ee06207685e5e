//! Rows on the way to the report, and what the capacity model takes from them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use comfy_table::Table;
use foremap_bench::rows::{Better, Row};
use serde::Serialize;
use xtask::process;

use super::machine;

/// Figures that have been measured so far.
#[derive(Default)]
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    coefficients: BTreeMap<&'static str, Coefficient>,
}

/// A figure that the capacity model multiplies with.
#[derive(Serialize)]
struct Coefficient {
    value: f64,
    unit: &'static str,
    /// The row that it is.
    row: String,
}

#[derive(Serialize)]
struct File<'a> {
    date: String,
    machine: String,
    command: &'static str,
    coefficients: &'a BTreeMap<&'static str, Coefficient>,
}

impl Report {
    /// Keeps a row, and returns its figure as a table shows it, marked where it misses what is required.
    pub(super) fn add(&mut self, row: Row) -> String {
        let shown = foremap_bench::rows::figure(row.value) + if row.met { "" } else { " !" };
        self.rows.push(row);
        shown
    }

    /// Keeps a row that the capacity model knows as `name`.
    pub(super) fn learn(&mut self, name: &'static str, row: Row) -> String {
        let coefficient = Coefficient { value: significant(row.value), unit: row.unit, row: row.measure.clone() };
        self.coefficients.insert(name, coefficient);
        self.add(row)
    }

    /// The value of `name` so far.
    pub(super) fn known(&self, name: &str) -> Result<f64> {
        Ok(self.coefficients.get(name).with_context(|| format!("{name} is measured later"))?.value)
    }

    /// Prints a table under its title.
    pub(super) fn print(title: &str, table: &Table, notes: &str) {
        println!("\n### {title}\n\n{table}\n\n{notes}");
    }

    /// Writes what the capacity model reads.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let file = File {
            date: process::first_line("date", &["+%F"]).context("`date` says nothing")?,
            machine: machine::words()?,
            command: "cargo xtask bench gateway --coefficients FILE",
            coefficients: &self.coefficients,
        };
        let mut text = serde_json::to_string_pretty(&file)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A figure that is only information.
pub(super) fn costs(measure: impl Into<String>, value: f64, unit: &'static str) -> Row {
    Row::information(measure, value, unit, Better::Lower)
}

/// The same, where more is better.
pub(super) fn reaches(measure: impl Into<String>, value: f64, unit: &'static str) -> Row {
    Row::information(measure, value, unit, Better::Higher)
}

/// Four digits: no measurement here is better than that.
fn significant(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}
