//! The same engine natively and as WebAssembly in Node.js.

use std::process::Command;

use anyhow::{Result, bail};
use foremap_bench::rows::{self, Better, Row};
use xtask::workspace::{BUNDLED_TRACE, Workspace};
use xtask::{build, process};

use super::replay::Replay;
use super::write_trace;
use crate::report::Report;

const PACKAGE: &str = "foremap-timing";
/// The engine's memory in a replay.
const MEMORY: usize = 8_000_000;
/// Rounds of which the fastest counts: what interrupts a round only makes it slower, and Node.js compiles meanwhile.
const ROUNDS: usize = 5;
/// Turns that both take, so that a busy moment does not fall on one of them alone.
const TURNS: usize = 3;

/// Times replays by `tools/bench/timing` of the bundled trace and of interleaved tenants.
pub(super) fn measure(workspace: &Workspace, replay: &Replay, report: &mut Report) -> Result<()> {
    let glue = build::wasm_for_node(workspace, PACKAGE)?;
    let native = build::optimised(workspace, PACKAGE)?;
    let mut table = rows::table(["trace", "native ns", "wasm ns", "ratio", "hits apart"]);
    let bundled = workspace.path(BUNDLED_TRACE).to_string_lossy().into_owned();
    for (title, name) in [("bundled", bundled.as_str()), ("synthetic tenants", "synthetic:tenants?requests=50000")] {
        eprintln!("bench: native and wasm, {title}");
        let file = replay.file("trace.csv");
        let trace = foremap_replay::trace::open(name)?;
        write_trace(&trace, &file)?;
        let (requests, keys) = (trace.requests.len() as f64, trace.keys.len());
        let arguments = [MEMORY, keys / 20, ROUNDS].map(|number| number.to_string());
        let timed = |command: &mut Command| Timed::read(&process::run_quietly(command.arg(&file).args(&arguments))?);
        let (mut own, mut other) = (Timed::NONE, Timed::NONE);
        for _ in 0..TURNS {
            own = own.fastest(timed(&mut Command::new(&native))?);
            other = other.fastest(timed(build::node(workspace).arg("tools/bench/timing/node.mjs").arg(&glue))?);
        }
        // Both are to decide alike.
        let apart = (own.hits - other.hits).abs();
        let (own, other) = (own.nanos() / requests, other.nanos() / requests);
        let row =
            |measure: &str, value, unit| Row::information(format!("{measure}, {title}"), value, unit, Better::Lower);
        table.add_row([
            title.to_owned(),
            report.add(row("time, native loop", own, "ns"), 0),
            report.add(row("time, wasm loop in Node.js", other, "ns"), 0),
            report.add(row("time, wasm to native", other / own, "x").requires(2.0).aims(1.3), 2),
            report.add(row("hits, distance of wasm to native", apart, "hits").requires(0.0), 0),
        ]);
    }
    let notes = "A replay, less the same with recorded orders and no engine; the fastest of \
        15 rounds. Native: opt-level 3, thin link-time optimisation. Wasm: built as the published core (profile \
        `wasm`, then wasm-opt), in Node.js. Required: 2 x, and that both hit alike; aim: 1.3 x.";
    Report::print("WebAssembly", &table, notes);
    Ok(())
}

/// Figures that both programs print: hits, and the fastest nanoseconds with and without the engine.
struct Timed {
    hits: f64,
    with: f64,
    without: f64,
}

impl Timed {
    const NONE: Self = Self { hits: 0.0, with: f64::INFINITY, without: f64::INFINITY };

    fn read(printed: &str) -> Result<Self> {
        let numbers: Vec<f64> = printed.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
        let [hits, with, without] = numbers[..] else { bail!("not three numbers: {printed}") };
        Ok(Self { hits, with, without })
    }

    fn fastest(self, turn: Self) -> Self {
        Self { hits: turn.hits, with: self.with.min(turn.with), without: self.without.min(turn.without) }
    }

    /// Cost of the engine, in nanoseconds.
    fn nanos(&self) -> f64 {
        self.with - self.without
    }
}
