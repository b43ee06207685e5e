//! Times merging: `foremap-merge VISITS ROUNDS CHAINS MODEL`. VISITS has one visit a line, the client and its keys; the
//! snapshot of the usual size is written to MODEL.
//!
//! Prints, as medians over the rounds, summaries merged and the nanoseconds that it took to merge them and to make a model
//! of them; then of the full merger its ways and keys, the nanoseconds that snapshots took, the peak of the memory in bytes,
//! and the bytes of the usual snapshot compressed.
#![allow(clippy::print_stdout, reason = "printing is what a command-line tool does")]

use std::error::Error;

use foremap_timing::{Full, Merging, Visits};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [visits, rounds, chains, model] = arguments.as_slice() else {
        return Err("usage: foremap-merge VISITS ROUNDS CHAINS MODEL".into());
    };
    let visits = Visits::new(&std::fs::read_to_string(visits)?)?;
    let rounds: Vec<Merging> =
        (0..rounds.parse()?).map(|_: usize| Merging::measure(&visits)).collect::<Result<_, _>>()?;
    let median = |of: fn(&Merging) -> u128| {
        let mut all: Vec<u128> = rounds.iter().map(of).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().ok_or("no rounds")
    };
    let merged = rounds.first().map_or(0, |round| round.merged);
    let (merge, round) = (median(|round| round.merge.as_nanos())?, median(|round| round.round.as_nanos())?);
    drop(visits);
    let full = Full::measure(chains.parse()?)?;
    std::fs::write(model, &full.usual.0)?;
    let (ways, keys, time) = (full.ways, full.keys, full.time.as_nanos());
    println!("{merged} {merge} {round} {ways} {keys} {time} {} {}", peak_bytes()?, full.usual.1);
    Ok(())
}

/// Most memory that this process had, as Linux tells it; 0 elsewhere.
fn peak_bytes() -> Result<u64, Box<dyn Error>> {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Ok(0) };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak in /proc/self/status")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? << 10)
}
