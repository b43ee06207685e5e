//! Seeded histories, each checked while it goes on and in the end.
//!
//! `FOREMAP_SIM_SEED` is the first seed (default 1), `FOREMAP_SIM_HISTORIES` how many there are (default 1,000). A failure
//! prints its seed; `FOREMAP_SIM_SEED=<seed> FOREMAP_SIM_HISTORIES=1 cargo test -p foremap-sim --test histories keep`
//! repeats it exactly.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use foremap_sim::{Judge, Mutant, Tally, run};
use parking_lot::Mutex;

/// Failures after which there is no point in going on.
const ENOUGH: usize = 3;
/// A mutant that so many histories do not show is missed. Most take a few; `HistoryIgnored` takes some hundreds.
const MOST_SEEDS: u64 = 5_000;

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}

fn seeds() -> std::ops::Range<u64> {
    let first = setting("FOREMAP_SIM_SEED", 1);
    first..first + setting("FOREMAP_SIM_HISTORIES", 1_000)
}

/// Runs `work` on the numbers of `range`, on every core, until it says `false`.
fn on_every_core(range: std::ops::Range<u64>, work: impl Fn(u64) -> bool + Sync) {
    let next = AtomicU64::new(range.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= range.end || !work(number) {
                        return;
                    }
                }
            });
        }
    });
}

#[test]
fn histories_keep_every_promise() {
    let begun = Instant::now();
    let done = Mutex::new((Tally::default(), Vec::new()));
    on_every_core(seeds(), |seed| {
        let outcome = run(seed, None, Judge::All);
        let (tally, failures) = &mut *done.lock();
        match outcome {
            Ok(history) => tally.merge(&history),
            Err(failure) => failures.push(failure),
        }
        failures.len() < ENOUGH
    });
    let (tally, failures) = done.into_inner();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    let histories = seeds().count();
    if histories >= 100 {
        assert!(tally.idle().is_empty(), "no history exercises {:?}", tally.idle());
    }
    eprintln!("{tally:#?}\n{:.0} histories a second", histories as f64 / begun.elapsed().as_secs_f64());
}

/// Asserts that `judge` catches each of `mutants`, and prints after how many seeds.
fn catch(mutants: &[Mutant], judge: Judge) {
    let caught = Mutex::new(Vec::new());
    on_every_core(0..mutants.len() as u64, |at| {
        let mutant = mutants[at as usize];
        let failure = (1..=MOST_SEEDS).find_map(|seed| Some((seed, run(seed, Some(mutant), judge).err()?)));
        caught.lock().push((mutant, failure));
        true
    });
    let caught = caught.into_inner();
    for (mutant, failure) in &caught {
        let Some((seeds, failure)) = failure else { continue };
        let line = failure.lines().next().unwrap_or_default();
        eprintln!("{judge:?}: {mutant:?}, {seeds} seeds: {}", line.chars().take(200).collect::<String>());
    }
    let missed: Vec<_> = caught.iter().filter(|(_, failure)| failure.is_none()).map(|(mutant, _)| mutant).collect();
    assert!(missed.is_empty(), "{judge:?} does not catch {missed:?}");
}

#[test]
fn every_mutant_is_caught() {
    catch(&Mutant::ALL, Judge::All);
}

/// The history of what clients are told is all that a test on real processes has.
#[test]
fn the_history_alone_tells_of_every_mutant_that_clients_can_notice() {
    // An adapter does not take an answer below its floor, so its callers never see one; and the map is a hint, so whichever
    // is in force, answers are right. A version that is too high is in order all the same, and a write that is refused is
    // no lie. Who leads, and what is planned or warm, changes no answer.
    let unseen = [
        Mutant::FloorsIgnored,
        Mutant::MapInsisted,
        Mutant::TermInsisted,
        Mutant::FlipCold,
        Mutant::FreezeForgotten,
        Mutant::ClockTrusted,
        Mutant::ClockWaitedFor,
    ];
    let noticed: Vec<_> = Mutant::ALL.into_iter().filter(|mutant| !unseen.contains(mutant)).collect();
    catch(&noticed, Judge::HistoryAlone);
}
