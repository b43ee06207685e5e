//! Reading and printing the runs of libFuzzer.

use std::time::Duration;

use anyhow::{Result, bail};
use xtask::table;

use super::tools::FOLDER;

/// End of a run.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// No promise was broken.
    Passed,
    /// One was.
    Failed {
        /// The end of its output.
        log: String,
    },
}

/// One target's run.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) target: String,
    time: Duration,
    executions: Option<u64>,
    new_inputs: Option<u64>,
    /// The file that repeats a failure.
    input: Option<String>,
    pub(super) outcome: Outcome,
}

impl Run {
    /// Reads the output of a run, or the error that holds it.
    pub(super) fn read(target: &str, time: Duration, result: Result<String>) -> Self {
        let passed = result.is_ok();
        let output = result.unwrap_or_else(|error| format!("{error:#}"));
        let number = |name: &str| {
            let line = output.lines().rev().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        let input = output.lines().find_map(|line| line.split("Test unit written to ").nth(1));
        Self {
            target: target.to_owned(),
            time,
            executions: number("stat::number_of_executed_units:"),
            new_inputs: number("stat::new_units_added:"),
            input: input.map(|path| path.trim().to_owned()),
            outcome: if passed { Outcome::Passed } else { Outcome::Failed { log: end(&output) } },
        }
    }
}

/// The last lines of an output, without the rows of progress.
fn end(output: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = output.lines().filter(|line| !line.contains(" exec/s: ")).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Prints the table.
///
/// # Errors
/// If a run failed: with the commands that repeat what was found.
pub(super) fn print(runs: &[Run], time: Duration) -> Result<()> {
    let mut table = table(["target", "seconds", "executions", "exec/s", "new inputs", "result"]);
    for run in runs {
        let shown = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        let rate = run.executions.map(|count| (count as f64 / run.time.as_secs_f64().max(0.001)) as u64);
        let result = if matches!(run.outcome, Outcome::Passed) { "passed" } else { "FAILED" };
        let (count, new) = (shown(run.executions), shown(run.new_inputs));
        table.add_row([run.target.clone(), seconds(run.time), count, shown(rate), new, result.to_owned()]);
    }
    let failed: Vec<&Run> = runs.iter().filter(|run| !matches!(run.outcome, Outcome::Passed)).collect();
    let passed = runs.len() - failed.len();
    println!("\n{table}\nfuzz targets: {passed} passed, {} failed, in {} s", failed.len(), seconds(time));
    if failed.is_empty() {
        return Ok(());
    }
    let line = |run: &&Run| match &run.input {
        Some(input) => format!("  {}", repeat(&run.target, input)),
        None => format!("  {}: no input was kept; its output is above", run.target),
    };
    let lines: Vec<String> = failed.iter().map(line).collect();
    bail!(
        "{} of {} fuzz targets failed; the inputs are kept, and repeated by\n{}",
        failed.len(),
        runs.len(),
        lines.join("\n")
    )
}

/// Command that repeats an input of a failed run.
fn repeat(target: &str, input: &str) -> String {
    format!(
        "RUSTUP_TOOLCHAIN=nightly target/tools/bin/cargo-fuzz fuzz run --fuzz-dir {FOLDER} --target-dir target/fuzz \
         {target} {input}"
    )
}

/// Time of one target, for the table.
fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(2);

    #[test]
    fn a_run_is_read_as_the_fuzzer_prints_it() {
        let output = "#1 INITED exec/s: 0 rss: 3Mb\nDone 9 runs in 2 second(s)\nstat::number_of_executed_units: 1234\n\
                      stat::new_units_added:         5\n";
        let run = Run::read("keymap", TIME, Ok(output.to_owned()));
        assert_eq!((run.executions, run.new_inputs, run.input.as_deref()), (Some(1_234), Some(5), None));
        assert!(print(&[run], TIME).is_ok());
    }

    #[test]
    fn a_failure_names_the_command_that_repeats_it() {
        let output = "panicked at x\nTest unit written to /f/regressions/keymap/crash-1\n#2 NEW exec/s: 7";
        let run = Run::read("keymap", TIME, Err(anyhow::anyhow!(output)));
        let Outcome::Failed { log } = &run.outcome else { panic!("it failed") };
        assert!(log.contains("panicked") && !log.contains("exec/s"));
        let error = print(&[run], TIME).expect_err("a failed run").to_string();
        assert!(error.contains("keymap /f/regressions/keymap/crash-1"), "{error}");
    }
}
