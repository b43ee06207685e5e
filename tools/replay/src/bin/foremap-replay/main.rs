//! `foremap-replay`: see `--help`.

mod options;
mod plot;
mod progress;
mod table;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use foremap_replay::trace::{self, SYNTHETIC, Trace};
use foremap_replay::{Settings, replay};

use self::options::Replay;
use self::plot::Picture;
use self::progress::Progress;

/// The allocator of the gateway: what an access takes depends on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of whatever keeps traces from being replayed.
const FAILED: u8 = 2;
/// Waste budgets of the curve that `--plot` draws.
const CURVE: [f64; 6] = [0.0, 0.05, 0.1, 0.25, 0.5, 1.0];

fn main() -> ExitCode {
    match run(&Replay::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("foremap-replay: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

/// Replays all traces, prints the table, and writes what was asked for.
fn run(options: &Replay) -> Result<()> {
    let (mut rows, mut pictures) = (Vec::new(), Vec::new());
    for name in &options.traces {
        let trace = trace::open(name)?;
        report_lines(name, &trace);
        let picture = played(&short_name(name), &trace, options)?;
        rows.extend(picture.rows.iter().cloned());
        pictures.push(picture);
    }
    let cannot_write = |path: &Path| format!("cannot write {}", path.display());
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&rows)?;
        std::fs::write(path, text + "\n").with_context(|| cannot_write(path))?;
    }
    if let Some(path) = &options.plot {
        std::fs::write(path, plot::svg(&pictures)?).with_context(|| cannot_write(path))?;
    }
    std::io::stdout().write_all(table::table(&rows).as_bytes()).context("cannot print")
}

/// One trace, with the curve where there is to be a picture.
fn played(name: &str, trace: &Trace, options: &Replay) -> Result<Picture> {
    let settings = options.settings();
    let private = settings.cache.is_private();
    let budgets = if options.plot.is_some() { &CURVE[..] } else { &[] };
    let runs = 1 + options.baseline.iter().map(|method| method.runs(private)).sum::<usize>() + budgets.len();
    let progress = Progress::new(name, (trace.requests.len() * runs) as u64);
    let replayed = replay(name, trace, &settings, &options.baseline, &progress)?;
    let mut curve = Vec::new();
    for &waste_budget in budgets {
        let settings = Settings { waste_budget, ..settings };
        let rows = replay(name, trace, &settings, &[], &progress)?.rows;
        curve.extend(rows.iter().map(|row| (row.wasted_per_request, row.hit_ratio)));
    }
    progress.finish();
    let (all, issued) = (replayed.all.bins().collect(), replayed.issued.bins().collect());
    Ok(Picture { trace: name.to_owned(), rows: replayed.rows, curve, all, issued })
}

/// Says on standard error what was wrong with a trace's lines.
fn report_lines(name: &str, trace: &Trace) {
    if trace.bad > 0 {
        eprintln!("{name}: {} bad lines left out", trace.bad);
        for (number, reason) in &trace.bad_lines {
            eprintln!("{name}:{number}: {reason}");
        }
    }
    if trace.passed_over > 0 {
        eprintln!("{name}: {} lines are no reads and were passed over", trace.passed_over);
    }
}

/// A file's name without folder and ending; a synthetic workload's name as it is.
fn short_name(name: &str) -> String {
    if name.starts_with(SYNTHETIC) {
        return name.to_owned();
    }
    let file = Path::new(name).file_name().map_or_else(|| name.into(), |file| file.to_string_lossy());
    let short = file.strip_suffix(".gz").unwrap_or(&file);
    [".csv", ".log"].into_iter().find_map(|end| short.strip_suffix(end)).unwrap_or(short).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short() {
        let names = ["a/b.csv.gz", "access.log", "x/trace.txt", "synthetic:noise?seed=2"].map(short_name);
        assert_eq!(names, ["b", "access", "trace.txt", "synthetic:noise?seed=2"]);
    }
}
