//! Tables on the way, rows in the end.

use comfy_table::Table;
use foremap_bench::rows::Row;

/// Rows that have been measured so far.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// Keeps a row, and returns its figure with so many digits, marked where it misses what is required.
    pub(crate) fn add(&mut self, row: Row, digits: usize) -> String {
        let mark = if row.met { "" } else { " !" };
        let shown = format!("{:.digits$}{mark}", row.value);
        self.rows.push(row);
        shown
    }

    /// Prints a table under its title.
    pub(crate) fn print(title: &str, table: &Table, notes: &str) {
        let gap = if notes.is_empty() { "" } else { "\n" };
        println!("\n### {title}\n\n{table}\n{gap}{notes}");
    }
}

/// A figure that may be missing.
pub(crate) fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.digits$}"))
}

/// The mean, 0 of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}
