//! Table of what is asked of sharing, and what was reached.

use comfy_table::Table;
use foremap_bench::rows::{self, Better, Row};

use super::runs::{Figures, Sharing};
use crate::report::Report;

/// Shares of the pooled gain in percent: required, aim. They are printed of the held gain as well, which is that within the same
/// budget of each client.
struct Asked {
    sharing: Sharing,
    median: (f64, f64),
    worst: (f64, f64),
}

const ASKED: [Asked; 3] = [
    Asked { sharing: Sharing::SMALL, median: (90.0, 98.0), worst: (80.0, 90.0) },
    Asked { sharing: Sharing::USUAL, median: (95.0, 100.0), worst: (85.0, 95.0) },
    Asked { sharing: Sharing::CAREFUL, median: (80.0, 90.0), worst: (50.0, 70.0) },
];
/// Points by which the first ten requests may be below those of the pooled model, with [`Sharing::USUAL`].
const FIRST_TEN: (f64, f64) = (3.0, 1.0);
/// Calibration error of the first requests, with [`Sharing::USUAL`].
const ERROR: (f64, f64) = (0.05, 0.02);

/// A figure of a trace.
type Of<'a> = (&'a str, f64);

/// Prints the table of what is asked for over all traces; where `asked` is not set, nothing is required.
pub(super) fn print(measured: &[Figures], asked: bool, report: &mut Report) {
    let mut summary =
        Summary { asked, report, table: rows::table(["over all traces", "reached", "required", "aim", "trace"]) };
    for Asked { sharing, median: wanted, worst: least } in ASKED {
        let of_pooled = of_all(measured, |figures| figures.share_of_gain(figures.of(sharing)?));
        let of_held = of_all(measured, |figures| figures.share_of_held(figures.of(sharing)?));
        for (model, shares) in [("pooled", of_pooled), ("held", of_held)] {
            let measure = |which: &str| format!("{sharing}: share of the {model} gain, {which}");
            let middle = median(shares.iter().map(|(_, share)| *share)).map(|value| ("", value));
            summary.add(&measure("median"), middle, ("%", 1), Better::Higher, wanted);
            summary.add(&measure("worst"), worst(&shares, Better::Higher), ("%", 1), Better::Higher, least);
        }
    }
    let usual = Sharing::USUAL;
    let of_pooled = of_all(measured, |figures| figures.first_ten_below(figures.of(usual)?));
    let of_held = of_all(measured, |figures| figures.first_ten_below_held(figures.of(usual)?));
    for (model, below) in [("pooled", of_pooled), ("held", of_held)] {
        let measure = format!("{usual}: first ten requests below {model}, worst");
        summary.add(&measure, worst(&below, Better::Lower), ("points", 2), Better::Lower, FIRST_TEN);
    }
    let errors = of_all(measured, |figures| figures.of(usual)?.calibration_error_first);
    let measure = format!("{usual}: calibration error of first requests, worst");
    summary.add(&measure, worst(&errors, Better::Lower), ("", 4), Better::Lower, ERROR);
    let table = summary.table;
    let seconds: f64 = measured.iter().map(|figures| figures.seconds).sum();
    let notes = format!("A figure marked with ! misses what is required. Measured in {seconds:.0} s.");
    Report::print("What is asked of sharing", &table, &notes);
}

struct Summary<'a> {
    asked: bool,
    report: &'a mut Report,
    table: Table,
}

impl Summary<'_> {
    /// Adds a figure, if there is one: where it was reached, its unit and digits, and what is required and wished for.
    fn add(
        &mut self,
        measure: &str,
        reached: Option<Of<'_>>,
        (unit, digits): (&'static str, usize),
        better: Better,
        (required, aim): (f64, f64),
    ) {
        let Some((trace, value)) = reached else { return };
        let row = Row::information(format!("model, {measure}"), value, unit, better);
        let row = if self.asked { row.requires(required).aims(aim) } else { row };
        let bound = |value: f64| if self.asked { rows::figure(value) } else { String::new() };
        let shown = self.report.add(row, digits);
        self.table.add_row([measure.to_owned(), shown, bound(required), bound(aim), trace.to_owned()]);
    }
}

/// The figure of each trace that has it.
fn of_all(measured: &[Figures], figure: impl Fn(&Figures) -> Option<f64>) -> Vec<Of<'_>> {
    measured.iter().filter_map(|figures| Some((figures.trace.as_str(), figure(figures)?))).collect()
}

/// The middle one, or the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[values.len() / 2 - 1], upper) })
}

/// The lowest where higher is better, and the other way round; of equals the first.
fn worst<'a>(values: &[Of<'a>], better: Better) -> Option<Of<'a>> {
    values.iter().copied().min_by(|(_, a), (_, b)| match better {
        Better::Higher => a.total_cmp(b),
        Better::Lower => b.total_cmp(a),
    })
}

#[cfg(test)]
mod tests {
    use super::super::runs::tests::figures;
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let of = |values: &[f64]| median(values.iter().copied());
        assert_eq!((of(&[]), of(&[3.0])), (None, Some(3.0)));
        assert_eq!((of(&[9.0, -1.0, 4.0]), of(&[8.0, 1.0, 2.0, 4.0])), (Some(4.0), Some(3.0)));
    }

    #[test]
    fn the_worst_is_on_the_other_side_than_better() {
        let values = [("a", 2.0), ("b", -1.0), ("c", 7.0), ("d", 7.0)];
        assert_eq!(worst(&values, Better::Higher), Some(("b", -1.0)));
        assert_eq!(worst(&values, Better::Lower), Some(("c", 7.0)));
        assert_eq!(worst(&[], Better::Lower), None);
    }

    fn rows(asked: bool, measured: &[Figures]) -> Vec<Row> {
        let mut report = Report::default();
        print(measured, asked, &mut report);
        report.rows
    }

    #[test]
    fn rows_hold_the_median_and_the_worst_of_all_traces() {
        let of = |trace, hits| figures(trace, &[(Sharing::SMALL, hits)]);
        // 75, 100 and 95 % of the gain.
        let measured = [of("a", 0.5), of("b", 0.6), of("c", 0.58)];
        let found = rows(true, &measured);
        let shown: Vec<_> = found.iter().map(|row| (row.value.round(), row.target, row.aim, row.met)).collect();
        assert_eq!(shown[..2], [(95.0, Some(90.0), Some(98.0), true), (75.0, Some(80.0), Some(90.0), false)]);
        // LRU has 20 % and the held model 52 %.
        assert_eq!(shown[2..], [(119.0, Some(90.0), Some(98.0), true), (94.0, Some(80.0), Some(90.0), true)]);
        assert!(rows(false, &measured).iter().all(|row| row.met && row.target.is_none() && row.aim.is_none()));
    }

    #[test]
    fn first_requests_are_held_against_those_of_the_pooled_model() {
        let found = rows(true, &[figures("a", &[(Sharing::USUAL, 0.58)]), figures("b", &[(Sharing::USUAL, 0.55)])]);
        let below = found.iter().find(|row| row.measure.contains("first ten")).expect("a row");
        assert!((below.value - 5.0).abs() < 1e-9 && !below.met, "{below:?}");
    }
}
