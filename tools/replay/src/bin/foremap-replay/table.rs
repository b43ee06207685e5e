//! Figures of a replay as a table.

use std::fmt::Write as _;

use foremap_replay::Row;

/// The rows as a table in plain text.
pub(crate) fn table(rows: &[Row]) -> String {
    let width =
        |name: fn(&Row) -> &str, least: usize| rows.iter().map(|row| name(row).len()).max().unwrap_or(0).max(least);
    let (trace, method) = (width(|row| &row.trace, 5), width(|row| &row.method, 6));
    let mut out = format!(
        "{:trace$} {:method$} {:>7} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8}\n",
        "trace",
        "method",
        "entries",
        "hit %",
        "1st 10",
        "pf/req",
        "waste",
        "prec",
        "novel",
        "ece",
        "ece iss",
        "ece 1st",
        "excess",
        "client",
        "ns",
        "p99 ns"
    );
    let optional =
        |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"));
    for row in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{:trace$} {:method$} {:>7} {:>6.2} {:>6} {:>6.3} {:>6.3} {:>6} {:>6.3} {:>6} {:>7} {:>7} {:>7.1} {:>7} {:>7} {:>8}",
            row.trace,
            row.method,
            row.cache_entries,
            100.0 * row.hit_ratio,
            optional(row.first_ten_hit_ratio.map(|ratio| 100.0 * ratio), 2),
            row.prefetches_per_request,
            row.wasted_per_request,
            optional(row.precision, 3),
            row.novel_coverage,
            optional(row.calibration_error, 4),
            optional(row.calibration_error_issued, 4),
            optional(row.calibration_error_first, 4),
            row.max_budget_excess,
            optional(row.max_client_excess, 1),
            optional(row.ns_per_access, 0),
            row.p99_ns.map_or_else(|| "-".to_owned(), |nanos| nanos.to_string()),
        );
    }
    out
}
