//! Comparison of the model of many gateways that merge what they are told with that of one that is told everything at once.
//!
//! Each client tells one of 64 gateways, and these hand over once a minute what they were told, in pages that come in any
//! order, some of them twice and some a round late: what `replay --share-instances` does. Where the whole trace takes less
//! than a hundred minutes, as one of a machine's pace does, they hand over after each hundredth of it.

use std::time::Instant;

use anyhow::Result;
use foremap_bench::rows::{self, Better, Row};

use super::runs::{Program, Sharing, snapshot_age, span_ms};
use crate::prediction::Outcome;
use crate::report::Report;

const INSTANCES: u32 = 64;
/// Whatever any client did is told to others.
const SHARING: Sharing = Sharing { clients: 1, kib: 64 };
/// Used prefetches in percent of those with one gateway: required, aim.
const ASKED: (f64, f64) = (98.0, 100.0);

/// Longest time until gateways hand over again, and shortest part of a trace.
const ROUND_MS: u64 = 60_000;
const ROUNDS: u64 = 100;

/// Measures all traces.
pub(super) fn measure(program: &Program, sources: &[(String, String)], report: &mut Report) -> Result<()> {
    let begin = Instant::now();
    let mut table = rows::table([
        "trace",
        "used, one gateway",
        "used, 64 gateways",
        "of one, %",
        "hit, %: one",
        "hit, %: 64",
        "handed over, s",
    ]);
    for (name, path) in sources {
        eprintln!("bench: model {name}, {INSTANCES} gateways");
        let (trace, path) = program.beginning(path)?;
        let round = handover(span_ms(&trace.requests));
        let options = SHARING.options(snapshot_age(&trace.requests));
        let one = program.play(&path, &options)?;
        let many =
            program.play(&path, &format!("{options} --share-instances {INSTANCES} --share-handover {round}ms"))?;
        let share = 100.0 * used(&many) / used(&one).max(1.0);
        let measure = format!("model, {name}: used prefetches with {INSTANCES} gateways, of those with one");
        let row = Row::information(measure, share, "%", Better::Higher).requires(ASKED.0).aims(ASKED.1);
        table.add_row([
            name.clone(),
            format!("{:.0}", used(&one)),
            format!("{:.0}", used(&many)),
            report.add(row, 1),
            format!("{:.2}", one.hits()),
            format!("{:.2}", many.hits()),
            format!("{:.1}", round as f64 / 1_000.0),
        ]);
    }
    let notes = format!(
        "{SHARING}, the first 30,000 requests. Each client tells one of {INSTANCES} gateways, drawn at random; these hand over in pages that come in \
        any order, an eighth of them twice and an eighth a round late. With one gateway everything counts at once. Required: \
        98 %, aim: 100 %. Measured in {:.0} s.",
        begin.elapsed().as_secs_f64()
    );
    Report::print("Many gateways, one model", &table, &notes);
    Ok(())
}

fn handover(span_ms: u64) -> u64 {
    ROUND_MS.min(span_ms / ROUNDS).max(1)
}

/// Prefetches that were used.
fn used(outcome: &Outcome) -> f64 {
    outcome.requests as f64 * outcome.prefetches_per_request * outcome.precision.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_or_a_hundredth_of_the_trace() {
        assert_eq!([0, 1_000, 6_000_000, u64::MAX].map(handover), [1, 10, 60_000, 60_000]);
    }

    #[test]
    fn used_are_those_that_were_no_waste() {
        let outcome =
            Outcome { requests: 200, prefetches_per_request: 0.5, precision: Some(0.75), ..Outcome::default() };
        assert!((used(&outcome) - 75.0).abs() < 1e-9 && used(&Outcome::default()) == 0.0);
    }
}
