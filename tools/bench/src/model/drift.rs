//! Speed at which a shared model follows a pattern that changes.
//!
//! In the synthetic trace of many clients at human pace every key takes another one's place halfway, as in
//! `bench prediction`, which says what is relevant and when coverage is back. Here it is back at 90 % of what it was before
//! the change; snapshots are made once a minute, or sooner where there is much news, and a client keeps the one that it
//! began with.

use std::time::Instant;

use anyhow::Result;
use foremap_bench::rows::{self, Better, Row};

use super::runs::{Program, Sharing};
use crate::prediction::{back, exchange_keys, relevant, steady};
use crate::report::Report;

/// Requests of the trace: so many that in each half most steps were shown before.
const REQUESTS: usize = 30_000;
/// Age of a snapshot.
const EVERY_MS: u64 = 60_000;
/// Share of the coverage before with which it is back, as in `bench prediction`.
const BACK: f64 = 0.9;
/// Relevant accesses: required, and aim. Two intervals more are allowed, which are of no weight here: hardly anything is
/// asked for in them.
const ASKED: (f64, f64) = (1_000.0, 300.0);

/// Measures the trace with a shared model, and beside it one engine for all clients.
pub(super) fn measure(program: &Program, report: &mut Report) -> Result<()> {
    let begin = Instant::now();
    let mut trace = foremap_tab::human::human(1, REQUESTS);
    exchange_keys(&mut trace);
    let path = program.write("exchanged.csv", &trace)?;
    let (middle, shared) = (trace.requests.len() / 2, Sharing::USUAL.options(EVERY_MS));
    let mut table = rows::table([
        "model",
        "covered before, %",
        "relevant accesses until 90 %",
        "intervals",
        "covered in the end, %",
    ]);
    let plays = [(format!("shared, {}", Sharing::USUAL), shared.as_str(), true), ("pooled".to_owned(), "", false)];
    for (model, options, is_asked) in plays {
        let hits = program.play(&path, &format!("{options} --series 1"))?.series;
        let covered = |relevant: &[(usize, bool)]| -> Vec<bool> { relevant.iter().map(|(_, hit)| *hit).collect() };
        let accesses = relevant(&trace, &hits, middle);
        let old = relevant(&trace, &hits, 0);
        let old = covered(&old[..old.partition_point(|(at, _)| *at < middle)]);
        let new = covered(&accesses);
        let (before, after) = (steady(&old).unwrap_or(0.0), steady(&new).unwrap_or(0.0));
        // A window may be covered by chance: what follows has to be, too.
        let until = back(&new, before).filter(|_| after >= BACK * before);
        let measure = format!("model, drift, {model}: relevant accesses until coverage is back");
        let value = until.map_or(f64::INFINITY, |until| until as f64);
        let row = Row::information(measure, value, "relevant accesses", Better::Lower);
        let row = if is_asked { row.requires(ASKED.0).aims(ASKED.1) } else { row };
        let time = |at: usize| trace.requests.get(at).map_or(0, |request| request.at_ms);
        let took = until.and_then(|until| accesses.get(until - 1)).map(|(at, _)| time(*at) - time(middle));
        table.add_row([
            model,
            format!("{:.1}", 100.0 * before),
            report.add(row, 0),
            took.map_or_else(String::new, |took| format!("{:.0}", took as f64 / EVERY_MS as f64)),
            format!("{:.1}", 100.0 * after),
        ]);
    }
    let notes = format!(
        "The synthetic trace of many clients, {REQUESTS} requests, halfway through which every key takes another one's \
        place. Relevant: accesses that repeat a step which somebody showed since; covered: those that hit. Until the last \
        100 are covered to 90 % of the second half of those before the change, and the second half after it as well: required {:.0}, aim {:.0}. Measured in \
        {:.0} s.",
        ASKED.0,
        ASKED.1,
        begin.elapsed().as_secs_f64()
    );
    Report::print("A shared model, and a pattern that changes", &table, &notes);
    Ok(())
}
