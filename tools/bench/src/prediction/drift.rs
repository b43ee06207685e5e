//! Speed at which a changed pattern is learnt anew.
//!
//! Of each trace, the keys change their meaning at one request: in the workload `phase` by itself, in a recorded trace
//! because from the middle on every key is exchanged for another one of the same trace, by a fixed permutation; so
//! whatever had been learnt, popularity included, is wrong from then on.
//!
//! A *relevant* access is one after the change that repeats what the new pattern has shown: its client went from that
//! key to this one before, since the change. *Coverage* is the share of relevant accesses that hit. The *new steady
//! state* is the coverage over the second half of the relevant accesses. The measure is the number of relevant
//! accesses until the coverage of the last [`WINDOW`] reaches 90 % of the new steady state for the first time.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use foremap_bench::rows::{self, Better, Row};
use foremap_replay::trace::Trace;
use xxhash_rust::xxh3::xxh3_64;

use super::replay::Replay;
use super::sources::Source;
use crate::report::Report;

/// Relevant accesses that coverage is taken over: few enough to see the aim of 300, enough to tell 90 % from 80 %.
const WINDOW: usize = 100;
/// Fewest relevant accesses from which a steady state can be told.
const FEWEST: usize = 10 * WINDOW;
/// Most requests of a recorded trace that are used.
const MOST: usize = 200_000;
const PHASE: &str = "synthetic:phase";

/// Measures the workload and every trace.
pub(super) fn measure(replay: &Replay, sources: &[Source], report: &mut Report) -> Result<()> {
    let mut table =
        rows::table(["pattern that changes", "relevant accesses until 90 %", "new steady state", "relevant"]);
    let phase = foremap_replay::trace::open(PHASE)?;
    let mut played = vec![("workload phase".to_owned(), PHASE.to_owned(), phase)];
    for (number, source) in sources.iter().enumerate() {
        let mut trace = foremap_replay::trace::read(Path::new(&source.path))?;
        trace.requests.truncate(MOST);
        exchange_keys(&mut trace);
        let file = replay.file(&format!("exchanged{number}.csv"));
        write_trace(&trace, &file)?;
        played.push((format!("{}, keys exchanged", source.name), file.to_string_lossy().into_owned(), trace));
    }
    for (title, name, trace) in played {
        let hits = replay.run(&[&name], "--cache 5% --waste-budget 0.25 --series 1", &[])?;
        let hits = &hits.first().context("the replay is missing")?.own.series;
        let relevant = relevant(&trace, hits, trace.requests.len() / 2);
        let covered: Vec<bool> = relevant.into_iter().map(|(_, hit)| hit).collect();
        let Some((until, steady)) = recovery(&covered) else {
            table.add_row([title, "-".to_owned(), "-".to_owned(), covered.len().to_string()]);
            continue;
        };
        let row = Row::information(format!("drift: {title}"), until as f64, "relevant accesses", Better::Lower);
        let until = report.add(row.requires(1_000.0).aims(300.0), 0);
        table.add_row([title, until, format!("{steady:.3}"), covered.len().to_string()]);
    }
    let notes = "Cache of 5 % of the keys, waste budget 0.25. Halfway, every key takes another one's place. Relevant: \
        accesses that repeat a step which their client's last key showed since; covered: those that hit; steady state: \
        coverage over their second half. Until the last 100 are covered to 90 % of it: required 1,000, aim 300.";
    Report::print("A pattern that changes", &table, notes);
    Ok(())
}

/// From the middle on, each key stands for another one of the trace.
pub(crate) fn exchange_keys(trace: &mut Trace) {
    let mut shuffled: Vec<u32> = (0..).take(trace.keys.len()).collect();
    shuffled.sort_by_cached_key(|&key| xxh3_64(trace.keys[key as usize].as_bytes()));
    let middle = trace.requests.len() / 2;
    for request in &mut trace.requests[middle..] {
        request.key = shuffled[request.key as usize];
    }
}

/// Writes a trace as the replay tool reads it.
pub(crate) fn write_trace(trace: &Trace, file: &Path) -> Result<()> {
    let mut text = "timestamp_ms,client,key\n".to_owned();
    for request in &trace.requests {
        let (client, key) = (&trace.clients[request.client as usize], &trace.keys[request.key as usize]);
        writeln!(text, "{},{client},{key}", request.at_ms)?;
    }
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// For each relevant access after `change`, its number in the trace, and whether it hit.
pub(crate) fn relevant(trace: &Trace, hits: &[u32], change: usize) -> Vec<(usize, bool)> {
    let (mut last, mut shown) = (HashMap::new(), HashSet::new());
    let after = trace.requests.iter().zip(hits).enumerate().skip(change);
    let relevant = after.filter_map(|(at, (request, &hit))| {
        let before = last.insert(request.client, request.key)?;
        (!shown.insert((before, request.key))).then_some((at, hit > 0))
    });
    relevant.collect()
}

/// Accesses until coverage is back, and the coverage of the new steady state; `None` where there are too few.
fn recovery(covered: &[bool]) -> Option<(usize, f64)> {
    let steady = steady(covered)?;
    Some((back(covered, steady)?, steady))
}

fn share(part: &[bool]) -> f64 {
    part.iter().filter(|hit| **hit).count() as f64 / part.len() as f64
}

/// Coverage over the second half of the accesses; `None` where there are too few.
pub(crate) fn steady(covered: &[bool]) -> Option<f64> {
    Some(share(covered.get(covered.len() / 2..).filter(|_| covered.len() >= FEWEST)?))
}

/// Accesses until the coverage of the last [`WINDOW`] reaches 90 % of `steady`.
pub(crate) fn back(covered: &[bool], steady: f64) -> Option<usize> {
    let until = covered.windows(WINDOW).position(|window| share(window) >= 0.9 * steady)?;
    Some(until + WINDOW)
}

#[cfg(test)]
mod tests {
    use foremap_replay::trace::Request;

    use super::*;

    #[test]
    fn recovery_is_the_end_of_the_first_window_that_is_covered() {
        let covered: Vec<bool> = (0..4_000).map(|at| at >= 400).collect();
        assert_eq!(recovery(&covered), Some((490, 1.0)));
        assert_eq!(recovery(&covered[..FEWEST - 1]), None);
        let weak: Vec<bool> = (0..4_000).map(|at| at >= 400 && at % 2 == 0).collect();
        assert_eq!(recovery(&weak), Some((489, 0.5)));
    }

    #[test]
    fn relevant_is_what_repeats_a_step_since_the_change() {
        let request = |(client, key)| Request { at_ms: 0, client, key };
        let steps = [(0, 1), (0, 2), (0, 1), (0, 2), (1, 1), (1, 2), (0, 1), (0, 9)];
        let trace = Trace { requests: steps.map(request).to_vec(), ..Trace::default() };
        // From the third request on 1 -> 2 is shown by client 0, and repeated by client 1.
        assert_eq!(relevant(&trace, &[0, 0, 0, 0, 0, 1, 0, 0], 2), [(5, true)]);
        assert_eq!(relevant(&trace, &[0, 0, 0, 1, 0, 0, 0, 0], 0), [(3, true), (5, false), (6, false)]);
    }

    #[test]
    fn an_exchange_keeps_the_first_half_and_permutes_the_second() {
        let requests = (0..20).map(|at| Request { at_ms: 0, client: 0, key: at % 10 }).collect();
        let keys = (0..10).map(|key| format!("k{key}")).collect();
        let mut trace = Trace { requests, keys, ..Trace::default() };
        exchange_keys(&mut trace);
        let mut keys: Vec<u32> = trace.requests.iter().map(|request| request.key).collect();
        assert!(keys[..10].iter().copied().eq(0..10) && !keys[10..].iter().copied().eq(0..10));
        keys[10..].sort_unstable();
        assert!(keys[10..].iter().copied().eq(0..10));
    }
}
