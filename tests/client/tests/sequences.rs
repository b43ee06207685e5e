//! Generated sequences, each held against the truth.
//!
//! `FOREMAP_MODEL_SEED` is the first seed (default 1), `FOREMAP_MODEL_SEQUENCES` how many there are (default 20,000).
//! A failure prints its seed and the shortest sequence that fails in the same way;
//! `FOREMAP_MODEL_SEED=<seed> FOREMAP_MODEL_SEQUENCES=1 cargo test -p foremap-client-model keeps` repeats it exactly.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use foremap_client_model::{Invariant, Mutant, Step, Tally, Truth, Violation, run};
use parking_lot::Mutex;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

/// Steps of a sequence.
const STEPS: std::ops::RangeInclusive<usize> = 1..=120;
/// Failures after which there is no point in going on.
const ENOUGH: usize = 3;
/// A mutant that so many sequences do not show is missed.
const MOST_SEEDS: u64 = 30_000;
/// Attempts at a shorter sequence.
const SHRINKS: usize = 20_000;

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
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

/// The sequence of a seed, as a tree of shorter ones.
fn sequence(seed: u64) -> impl ValueTree<Value = Sequence> {
    // ChaCha, unoptimised, would take two thirds of the time. Seeds that differ in a bit have to differ in many.
    let spread =
        |seed: u64| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&spread(seed).to_le_bytes());
    bytes[8..].copy_from_slice(&spread(!seed).to_le_bytes());
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::XorShift, &bytes));
    let strategy = Truth::sequential_strategy(STEPS);
    strategy.new_tree(&mut runner).unwrap_or_else(|reason| panic!("steps have no conditions: {reason}"))
}

type Sequence = (Truth, Vec<Step>, Option<std::sync::Arc<std::sync::atomic::AtomicUsize>>);

fn attempt((truth, steps, seen): Sequence, mutant: Option<Mutant>) -> Result<Tally, Violation> {
    let (outcome, taken) = run(truth, &steps, mutant);
    if let Some(seen) = seen {
        seen.store(taken, Ordering::SeqCst);
    }
    outcome
}

/// The shortest sequence found that breaks the same invariant as the one of `tree` does.
fn shorten(mut tree: impl ValueTree<Value = Sequence>, first: Sequence, mut violation: Violation) -> String {
    let invariant = violation.invariant;
    let mut least = first;
    let mut left = SHRINKS;
    let mut simpler = tree.simplify();
    while simpler && left > 0 {
        left -= 1;
        let current = tree.current();
        match attempt(current.clone(), None) {
            Err(found) if found.invariant == invariant => {
                (least, violation) = (current, found);
                simpler = tree.simplify();
            }
            _ => simpler = tree.complicate(),
        }
    }
    let (truth, steps, _) = least;
    let steps: Vec<String> = steps.iter().map(|step| format!("  {step:?}")).collect();
    format!("{violation}\n{:?}\n{}", truth.shape, steps.join("\n"))
}

#[test]
fn every_sequence_keeps_every_promise() {
    let begun = Instant::now();
    let (first, count) = (setting("FOREMAP_MODEL_SEED", 1), setting("FOREMAP_MODEL_SEQUENCES", 20_000));
    let done = Mutex::new((Tally::default(), Vec::new()));
    on_every_core(first..first + count, |seed| {
        let tree = sequence(seed);
        let first = tree.current();
        let failure = match attempt(first.clone(), None) {
            Ok(tally) => {
                done.lock().0.merge(&tally);
                return true;
            }
            Err(violation) => format!("seed {seed}: {}", shorten(tree, first, violation)),
        };
        let failures = &mut done.lock().1;
        failures.push(failure);
        failures.len() < ENOUGH
    });
    let (tally, failures) = done.into_inner();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    eprintln!("{tally:#?}\n{:.0} sequences a second", count as f64 / begun.elapsed().as_secs_f64());
}

#[test]
fn every_mutant_is_caught() {
    let caught = Mutex::new(Vec::new());
    on_every_core(0..Mutant::ALL.len() as u64, |at| {
        let mutant = Mutant::ALL[at as usize];
        let found = (1..=MOST_SEEDS).find_map(|seed| {
            let violation = attempt(sequence(seed).current(), Some(mutant)).err()?;
            mutant.breaks().contains(&violation.invariant).then_some((seed, violation))
        });
        let text =
            found.as_ref().map_or("missed".to_owned(), |(seed, violation)| format!("{seed} sequences: {violation}"));
        eprintln!("{mutant:?}, {}", text.chars().take(150).collect::<String>());
        caught.lock().push((mutant, found));
        true
    });
    let caught = caught.into_inner();
    let missed: Vec<_> = caught.iter().filter(|(_, found)| found.is_none()).map(|(mutant, _)| mutant).collect();
    assert!(missed.is_empty(), "no sequence shows {missed:?}");
    let unproven = Invariant::ALL.iter().filter(|invariant| {
        caught.iter().flat_map(|(_, found)| found).all(|(_, violation)| violation.invariant != **invariant)
    });
    let unproven: Vec<_> = unproven.collect();
    assert!(unproven.is_empty(), "no mutant breaks {unproven:?}");
}
