//! Times a replay natively: `foremap-timing TRACE MEMORY ENTRIES ROUNDS`.
//!
//! Prints the hits, and the nanoseconds of the fastest of all rounds with and without the engine.
#![allow(clippy::print_stdout, reason = "printing is what a command-line tool does")]

use std::error::Error;
use std::time::Instant;

use foremap_replay::Host;
use foremap_timing::recording;

/// The clock of this machine.
struct Clock(Instant);

impl Host for Clock {
    fn nanos(&self) -> Option<u64> {
        u64::try_from(self.0.elapsed().as_nanos()).ok()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, memory, entries, rounds] = arguments.as_slice() else {
        return Err("usage: foremap-timing TRACE MEMORY ENTRIES ROUNDS".into());
    };
    let recording = recording(&std::fs::read(file)?, memory.parse()?, entries.parse()?)?;
    let clock = Clock(Instant::now());
    let (mut hits, mut with, mut without) = (0, u64::MAX, u64::MAX);
    for _ in 0..rounds.parse()? {
        let timed = recording.with_engine(&clock);
        (hits, with) = (timed.hits, with.min(timed.nanos));
        without = without.min(recording.without_engine(&clock).nanos);
    }
    println!("{hits} {with} {without}");
    Ok(())
}
