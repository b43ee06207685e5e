//! Seeded histories of real adapters and real nodes over a simulated store, network and clock, each checked
//! against what was written and when.
//!
//! `FOREMAP_SIM_SEED` is the first seed (default 1), `FOREMAP_SIM_HISTORIES` how many there are (default 300). A failure
//! prints its seed; `FOREMAP_SIM_SEED=<seed> FOREMAP_SIM_HISTORIES=1 cargo test --test sim histories` repeats it exactly.
#![cfg(not(target_arch = "wasm32"))]

mod check;
mod client;
mod gateway;
mod mutant;
mod outcome;
mod profile;
mod rng;
mod store;
mod tally;
mod world;

use mutant::Mutant;
use world::{Tally, run};

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}

fn seeds() -> std::ops::Range<u64> {
    let first = setting("FOREMAP_SIM_SEED", 1);
    first..first + setting("FOREMAP_SIM_HISTORIES", 300)
}

#[test]
fn histories_keep_every_promise() {
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for seed in seeds() {
        match run(seed, None) {
            Ok(history) => tally.merge(&history),
            Err(failure) => failures.push(failure),
        }
        if failures.len() == 3 {
            break;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    if seeds().count() >= 100 {
        let idle: Vec<_> = tally.0.iter().filter(|(_, count)| **count == 0).map(|(what, _)| *what).collect();
        assert!(idle.is_empty(), "no history exercises {idle:?}");
    }
    eprintln!("{tally:#?}");
}

#[test]
fn every_mutant_is_caught() {
    let caught = |mutant| seeds().find_map(|seed| run(seed, Some(mutant)).err());
    let caught: Vec<_> = Mutant::ALL.into_iter().map(|mutant| (mutant, caught(mutant))).collect();
    let missed: Vec<_> = caught.iter().filter(|(_, caught)| caught.is_none()).map(|(mutant, _)| mutant).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
    for (mutant, caught) in caught {
        eprintln!("{mutant:?}: {}", caught.unwrap_or_default().lines().next().unwrap_or_default());
    }
}
