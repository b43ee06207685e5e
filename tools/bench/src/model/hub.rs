//! Costs of a shared model: to whoever merges it, and to a tab that takes it over.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use foremap_bench::rows::{self, Better, Row};
use foremap_replay::trace::Trace;
use xtask::workspace::Workspace;
use xtask::{build, process};

use super::runs::Program;
use super::tables::{self, ASKED};
use crate::report::Report;
use crate::size;

const PACKAGE: &str = "foremap-timing";
const MERGE: &str = "foremap-merge";

/// Visits, of which the second half is timed.
const VISITS: usize = 20_000;
/// Requests of a synthetic trace that has so many visits, of six on average.
const REQUESTS: usize = 150_000;
/// Gap between two requests of a client that ends a visit: in a visit they are 50 s apart at most.
const GAP_MS: i64 = 60_000;
/// Times that the visits are merged from the beginning.
const ROUNDS: usize = 5;
/// Chains of 197 ways each: as many as a merger has room for, but for the last 2 %.
const CHAINS: usize = 5_200;
/// Processes of Node.js that each take a model over for the first time, and more takeovers in each.
const STARTS: usize = 9;
const LATER: usize = 20;

/// Measures merging natively, and the takeover in Node.js.
pub(super) fn measure(workspace: &Workspace, program: &Program, report: &mut Report) -> Result<()> {
    let merge = build::optimised(workspace, PACKAGE)?.with_file_name(MERGE);
    build::all(workspace)?;
    let mut table = rows::table(ASKED);
    let mut add = |row, digits| tables::add(&mut table, report, row, digits);
    let lower = |measure: &str, value, unit| Row::information(format!("model, {measure}"), value, unit, Better::Lower);

    eprintln!("bench: model, merging");
    let (file, model) = (program.file("visits.txt"), program.file("model"));
    std::fs::write(&file, visits(&foremap_tab::human::human(1, REQUESTS), VISITS)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(&merge);
    command.arg(&file).args([ROUNDS, CHAINS].map(|number| number.to_string())).arg(&model);
    let merged = Merged::read(&process::run_quietly(&mut command)?)?;
    let rate = merged.summaries / merged.merge_seconds;
    let row = Row::information("model, hub: summaries merged by one core", rate, "1/s", Better::Higher);
    add(row.requires(2_000.0).aims(10_000.0), 0);
    let seconds = merged.merge_seconds + merged.round_seconds;
    let measure = format!("hub: {:.0} summaries merged, and a model of them", merged.summaries);
    add(lower(&measure, seconds, "s").requires(5.0), 2);
    let measure = format!("snapshots of {:.0} keys and {:.0} ways, in all sizes", merged.keys, merged.ways);
    add(lower(&measure, merged.full_seconds, "s").requires(30.0), 1);
    add(lower("peak of the memory for that", merged.peak_bytes / f64::from(1 << 20), "MiB"), 0);

    eprintln!("bench: model, takeover");
    let (first, later) = takeover(workspace, &model)?;
    let kib = merged.compressed / 1_024.0;
    let measure = format!("takeover of a model of {kib:.1} KiB in Node.js, first of a process, median");
    add(lower(&measure, first, "ms").requires(15.0).aims(5.0), 2);
    add(lower("the same, later in a process", later, "ms"), 2);
    let core = workspace.path("pkg/dist/core/core_bg.wasm");
    let core = std::fs::read(&core).with_context(|| format!("cannot read {}", core.display()))?;
    add(lower("core with sharing in it, gzip", size::gzip(&core)? as f64 / 1_024.0, "KiB"), 1);
    let notes = "Merging: natively, on one core; a hub takes summaries of whole visits of a synthetic trace at human pace, \
        stores them as rows and merges them, with a model of as many visits before them by which it judges; medians of 5. \
        Snapshots: of a merger that is nearly as full as one may be, in sizes of 4, 16, 64 and 256 KiB, brotli. Takeover: \
        `Core.importModel` of the built core. What sharing adds to the core cannot be told, as there is none without.";
    Report::print("What a shared model costs", &table, notes);
    Ok(())
}

/// Figures that `foremap-merge` prints.
struct Merged {
    summaries: f64,
    merge_seconds: f64,
    round_seconds: f64,
    ways: f64,
    keys: f64,
    full_seconds: f64,
    peak_bytes: f64,
    compressed: f64,
}

impl Merged {
    fn read(printed: &str) -> Result<Self> {
        let [summaries, merge, round, ways, keys, full, peak_bytes, compressed] = numbers(printed)?;
        let [merge_seconds, round_seconds, full_seconds] = [merge, round, full].map(|nanos| nanos / 1e9);
        Ok(Self { summaries, merge_seconds, round_seconds, ways, keys, full_seconds, peak_bytes, compressed })
    }
}

fn numbers<const N: usize>(printed: &str) -> Result<[f64; N]> {
    let numbers: Vec<f64> = printed.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    match numbers.try_into() {
        Ok(numbers) => Ok(numbers),
        Err(_) => bail!("not {N} numbers: {printed}"),
    }
}

/// Milliseconds of a takeover, medians: the first of a process, and later ones.
fn takeover(workspace: &Workspace, model: &Path) -> Result<(f64, f64)> {
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let mut command = build::node(workspace);
        command.args(["tools/bench/timing/import.mjs", "pkg/dist/core"]).arg(model).arg(LATER.to_string());
        let [one, others] = numbers(&process::run_quietly(&mut command)?)?;
        first.push(one);
        later.push(others);
    }
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Ok((median(first), median(later)))
}

/// The first so many visits in the order of their ends, one a line: the number of the client, and the keys.
fn visits(trace: &Trace, count: usize) -> Result<String> {
    let mut open: HashMap<u32, (i64, String)> = HashMap::new();
    let mut lines = String::new();
    let mut left = count;
    for request in &trace.requests {
        let visit = open.entry(request.client).or_insert_with(|| (request.at_ms, request.client.to_string()));
        if request.at_ms - visit.0 > GAP_MS {
            let ended = std::mem::replace(&mut visit.1, request.client.to_string());
            writeln!(lines, "{ended}")?;
            left -= 1;
            if left == 0 {
                return Ok(lines);
            }
        }
        visit.0 = request.at_ms;
        write!(visit.1, " {}", trace.keys[request.key as usize])?;
    }
    let mut last: Vec<(u32, (i64, String))> = open.into_iter().collect();
    last.sort_unstable();
    for (_, (_, visit)) in last.into_iter().take(left) {
        writeln!(lines, "{visit}")?;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use foremap_replay::trace::Request;

    use super::*;

    #[test]
    fn visits_end_where_a_client_pauses() -> Result<()> {
        let requests = [(0, 0, 0), (10, 1, 1), (20, 0, 1), (70_000, 1, 2), (80_000, 1, 0), (150_000, 0, 2)]
            .map(|(at_ms, client, key)| Request { at_ms, client, key });
        let keys = ["a", "b", "c"].map(str::to_owned).to_vec();
        let trace = Trace { requests: requests.to_vec(), keys, ..Trace::default() };
        assert_eq!(visits(&trace, 9)?, "1 b\n0 a b\n0 c\n1 c a\n");
        assert_eq!((visits(&trace, 3)?.as_str(), visits(&trace, 1)?.as_str()), ("1 b\n0 a b\n0 c\n", "1 b\n"));
        Ok(())
    }

    #[test]
    fn as_many_numbers_as_are_asked_for() -> Result<()> {
        assert_eq!(numbers::<2>("1 2.5\n")?, [1.0, 2.5]);
        assert!(numbers::<2>("1").is_err() && numbers::<2>("1 2 3").is_err() && numbers::<2>("1 x").is_err());
        let merged = Merged::read("10 2000000000 1000000000 3 4 500000000 6 7")?;
        assert_eq!((merged.merge_seconds, merged.round_seconds, merged.full_seconds), (2.0, 1.0, 0.5));
        Ok(())
    }
}
