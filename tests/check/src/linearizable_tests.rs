//! The check against a search through all orders, on tiny histories.

use std::cell::Cell;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::*;

#[derive(Debug, Clone, Copy)]
enum Kind {
    Put,
    Delete,
    /// Reads, by itself or as a write that is refused.
    Read,
    Refused,
}

/// An operation that takes effect at `point`, or would have.
#[derive(Debug, Clone)]
struct Plan {
    kind: Kind,
    point: u64,
    before: u64,
    after: u64,
    unknown: bool,
    /// Index of another operation, whose version and value are told in place of its own.
    wrong: Option<prop::sample::Index>,
    /// It was told to be so much later, or earlier.
    moved: i64,
}

fn plan() -> impl Strategy<Value = Plan> {
    let kind =
        prop_oneof![4 => Just(Kind::Put), 2 => Just(Kind::Delete), 5 => Just(Kind::Read), 1 => Just(Kind::Refused)];
    let wrong = proptest::option::weighted(0.2, any::<prop::sample::Index>());
    let moved = prop_oneof![3 => Just(0), 1 => -9..9_i64];
    (kind, 10..30_u64, 0..6_u64, 0..6_u64, proptest::bool::weighted(0.15), wrong, moved).prop_map(
        |(kind, point, before, after, unknown, wrong, moved)| Plan {
            kind,
            point,
            before,
            after,
            unknown,
            wrong,
            moved,
        },
    )
}

type State = (u64, Option<Arc<str>>);

/// The history of `plans` carried out in the order of their points, with some untruths.
fn history(mut plans: Vec<Plan>) -> History {
    plans.sort_by_key(|plan| plan.point);
    let mut states: Vec<State> = vec![(0, None)];
    for (at, plan) in plans.iter().enumerate() {
        let (last, _) = states[at];
        states.push(match plan.kind {
            Kind::Put => (at as u64 + 1, Some(format!("v{at}").into())),
            Kind::Delete => (at as u64 + 1, None),
            _ => (last, states[at].1.clone()),
        });
    }
    let mut history = History::default();
    for (at, plan) in plans.iter().enumerate() {
        let (version, value) = match plan.wrong {
            Some(other) => states[other.index(states.len())].clone(),
            None => states[at + 1].clone(),
        };
        let moved = |time: u64| time.saturating_add_signed(plan.moved);
        let (invoked, returned) = (moved(plan.point - plan.before), moved(plan.point + plan.after));
        let (key, session): (Arc<str>, _) = ("k".into(), at as u64);
        if matches!(plan.kind, Kind::Read) {
            let found = value.map(|value| Found { version, value });
            let level = Level::Strong;
            history.reads.push(Read { key, session, level, invoked, returned, found, age: Time::MAX, position: None });
            continue;
        }
        let own = matches!(plan.kind, Kind::Put | Kind::Refused).then(|| format!("v{at}").into());
        let outcome = match plan.kind {
            Kind::Refused => Outcome::Conflict { current: value.map_or(0, |_| version) },
            _ if plan.unknown => Outcome::Unknown,
            _ => Outcome::Acknowledged { version: version.max(1) },
        };
        history.writes.push(Write { key, session, value: own, invoked, returned, outcome });
    }
    history
}

#[derive(Clone, Copy)]
enum Op<'a> {
    Write(&'a Write),
    Read(&'a Read),
}

impl Op<'_> {
    fn invoked(&self) -> u64 {
        match self {
            Self::Write(write) => write.invoked,
            Self::Read(read) => read.invoked,
        }
    }

    /// When it must have happened.
    fn due(&self) -> u64 {
        match self {
            Self::Write(write) if write.outcome == Outcome::Unknown => u64::MAX,
            Self::Write(write) => write.returned,
            Self::Read(read) => read.returned,
        }
    }
}

/// Tells whether some order of `left` explains all of it, from a key whose newest version is `last` and whose state is
/// `current`: nothing, or a value with its version, if anybody was told of that.
fn explains(history: &History, left: &[Op<'_>], last: u64, current: Option<(Option<u64>, &str)>) -> bool {
    if left.iter().all(|op| op.due() == u64::MAX) {
        return true;
    }
    let due = left.iter().map(Op::due).min().unwrap_or(u64::MAX);
    (0..left.len()).filter(|&at| left[at].invoked() <= due).any(|at| {
        let mut rest = left.to_vec();
        let op = rest.remove(at);
        let Some((last, current)) = step(history, op, last, current) else { return false };
        explains(history, &rest, last, current)
    })
}

type Current<'a> = Option<(Option<u64>, &'a str)>;

fn step<'a>(history: &'a History, op: Op<'a>, last: u64, current: Current<'a>) -> Option<(u64, Current<'a>)> {
    let write = match op {
        Op::Read(read) => {
            let told = read.found.as_ref().map(|found| (Some(found.version), &*found.value));
            return (told == current).then_some((last, current));
        }
        Op::Write(write) => write,
    };
    let version = match write.outcome {
        Outcome::Acknowledged { version } => Some(version),
        Outcome::Conflict { current: told } => {
            return match current {
                None => (told == 0).then_some((last, current)),
                Some((Some(version), _)) => (told == version).then_some((last, current)),
                Some((None, value)) => (told > last).then_some((told, Some((Some(told), value)))),
            };
        }
        _ => {
            let found = history.reads.iter().filter_map(|read| read.found.as_ref());
            found.filter(|found| write.value.as_ref() == Some(&found.value)).map(|found| found.version).next()
        }
    };
    if version.is_some_and(|version| version <= last) {
        return None;
    }
    Some((version.unwrap_or(last), write.value.as_deref().map(|value| (version, value))))
}

/// Tells whether the search and the check must agree. With deletes that nobody was told of, and versions that are known
/// from refusals alone, the check is lenient.
fn is_exact(history: &History) -> bool {
    let known = |told: u64| {
        let acknowledged = |write: &Write| write.outcome == Outcome::Acknowledged { version: told };
        let found = |read: &Read| read.found.as_ref().is_some_and(|found| found.version == told);
        told == 0 || history.writes.iter().any(acknowledged) || history.reads.iter().any(found)
    };
    history.writes.iter().all(|write| match write.outcome {
        Outcome::Unknown => write.value.is_some(),
        Outcome::Conflict { current } => known(current),
        _ => true,
    })
}

#[test]
fn agrees_with_a_search_through_all_orders() {
    let rng_seed = RngSeed::Fixed(0x666f_7265);
    let config = Config { cases: 20_000, rng_seed, failure_persistence: None, ..Config::default() };
    let counts = Cell::new((0, 0));
    let outcome = TestRunner::new(config).run(&vec(plan(), 1..8).prop_map(history), |history| {
        let reads = history.reads.iter().map(Op::Read);
        let ops: Vec<Op<'_>> = history.writes.iter().map(Op::Write).chain(reads).collect();
        let expected = explains(&history, &ops, 0, None);
        let told = check(&history);
        let (accepted, refused) = counts.get();
        counts.set(if expected { (accepted + 1, refused) } else { (accepted, refused + 1) });
        if expected || is_exact(&history) {
            prop_assert_eq!(told.is_ok(), expected, "{:?}", told);
        }
        Ok(())
    });
    outcome.expect("the check and the search agree");
    let (accepted, refused) = counts.get();
    assert!(accepted > 4_000 && refused > 4_000, "one of them is too rare: {accepted} accepted, {refused} refused");
}
