//! Rows of measurements: what every bench and the demo print and write.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
pub use xtask::table;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Smaller figures are better.
    Lower,
    /// Larger figures are better.
    Higher,
}

/// One measured figure. `target` is what is required, `aim` what is wished for;
/// a row without a target is information and counts as met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name of what was measured.
    pub measure: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Figure that is required.
    pub target: Option<f64>,
    /// Figure that is wished for.
    pub aim: Option<f64>,
    /// Which way is better.
    pub better: Better,
    /// True if the target is met.
    pub met: bool,
}

impl Row {
    /// A figure that nothing is required of.
    pub fn information(measure: impl Into<String>, value: f64, unit: &'static str, better: Better) -> Self {
        Self { measure: measure.into(), value, unit, target: None, aim: None, better, met: true }
    }

    /// Requires the figure to be no worse than `target`.
    pub fn requires(mut self, target: f64) -> Self {
        self.target = Some(target);
        self.met = match self.better {
            Better::Lower => self.value <= target,
            Better::Higher => self.value >= target,
        };
        self
    }

    /// Requires and wishes for what there is.
    pub fn bounded(self, target: Option<f64>, aim: Option<f64>) -> Self {
        let row = match target {
            Some(target) => self.requires(target),
            None => self,
        };
        Self { aim, ..row }
    }

    /// Requires the figure to be better than `target`; as good is not enough.
    pub fn beats(mut self, target: f64) -> Self {
        self = self.requires(target);
        self.met &= self.value != target;
        self
    }

    /// Wishes the figure to be no worse than `aim`.
    pub fn aims(mut self, aim: f64) -> Self {
        self.aim = Some(aim);
        self
    }
}

/// Writes rows as a JSON array.
pub fn write_json(rows: &[Row], path: &Path) -> Result<()> {
    let mut text = serde_json::to_string_pretty(rows)?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Prints rows as a table.
pub fn print(rows: &[Row]) {
    let mut table = table(["measure", "value", "unit", "target", "aim", "met"]);
    for row in rows {
        let optional = |value: Option<f64>| value.map_or_else(String::new, figure);
        let met = if row.target.is_none() {
            ""
        } else if row.met {
            "yes"
        } else {
            "NO"
        };
        table.add_row([
            row.measure.clone(),
            figure(row.value),
            row.unit.to_owned(),
            optional(row.target),
            optional(row.aim),
            met.to_owned(),
        ]);
    }
    println!("{table}");
}

/// A figure with three significant digits, and no fraction from 100 on.
pub fn figure(value: f64) -> String {
    let digits = match value.abs() {
        v if v == 0.0 || v >= 100.0 || v.fract() == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_on_its_better_side_only() {
        let row = |better, value| Row::information("m", value, "ms", better).requires(2.0).met;
        assert!(row(Better::Lower, 2.0) && !row(Better::Lower, 2.1));
        assert!(row(Better::Higher, 2.0) && !row(Better::Higher, 1.9));
        let beats = |value| Row::information("m", value, "ms", Better::Lower).beats(1.0).met;
        assert!(beats(0.9) && !beats(1.0) && !beats(1.1));
    }

    #[test]
    fn rows_are_written_with_the_agreed_names() -> Result<()> {
        let row = Row::information("hit ratio", 0.5, "share", Better::Higher).requires(0.4).aims(0.6);
        let json = serde_json::to_value([row])?;
        let expected = serde_json::json!([{ "measure": "hit ratio", "value": 0.5, "unit": "share", "target": 0.4,
            "aim": 0.6, "better": "higher", "met": true }]);
        assert_eq!(json, expected);
        Ok(())
    }

    #[test]
    fn figures_keep_three_digits() {
        let shown: Vec<_> = [0.0, 0.12345, 1.234, 12.34, 123.4, 7.0].into_iter().map(figure).collect();
        assert_eq!(shown, ["0", "0.123", "1.23", "12.3", "123", "7"]);
    }
}
