//! Times the loop natively: `foremap-timing FILE MEMORY ENTRIES ROUNDS`, lines of `client,key`.
//!
//! Prints the hits, and the nanoseconds of the fastest of all rounds with and without the engine.
#![allow(clippy::print_stdout, reason = "printing is what a command-line tool does")]

use std::error::Error;
use std::time::Instant;

use foremap_timing::{Run, Trace};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, memory, entries, rounds] = arguments.as_slice() else {
        return Err("usage: foremap-timing FILE MEMORY ENTRIES ROUNDS".into());
    };
    let trace = Trace::new(&std::fs::read_to_string(file)?, memory.parse()?, entries.parse()?)?;
    let timed = |play: fn(Run, &Trace) -> u32| {
        let run = trace.start();
        let begun = Instant::now();
        (play(run, &trace), begun.elapsed().as_nanos())
    };
    let (mut hits, mut with, mut without) = (0, u128::MAX, u128::MAX);
    for _ in 0..rounds.parse()? {
        let played = timed(Run::with_engine);
        (hits, with) = (played.0, with.min(played.1));
        without = without.min(timed(Run::without_engine).1);
    }
    println!("{hits} {with} {without}");
    Ok(())
}
