//! Bounds of the age of answers, and sessions that never go back.

use std::collections::BTreeMap;

use super::key_ops::KeyOps;
use super::versions::Versions;
use super::windows::Windows;
use super::{Level, Outcome, Read, Rule, Time, Violation, Write};

/// An operation with a place in a session.
enum Step<'a> {
    Read(&'a Read),
    Wrote(&'a Write, u64),
}

/// Checks the reads of a key. O(n log n).
///
/// # Errors
/// The first read that is older than it may be.
pub(crate) fn check(
    ops: &KeyOps<'_>,
    versions: &Versions<'_>,
    windows: &Windows<'_>,
    slack: Time,
) -> Result<(), Violation> {
    let mut sessions: BTreeMap<u64, Vec<Step<'_>>> = BTreeMap::new();
    for &write in &ops.writes {
        if let Outcome::Acknowledged { version } = write.outcome {
            sessions.entry(write.session).or_default().push(Step::Wrote(write, version));
        }
    }
    for &read in &ops.reads {
        sessions.entry(read.session).or_default().push(Step::Read(read));
    }
    sessions.into_values().try_for_each(|steps| session(ops.key, &steps, versions, windows, slack))
}

/// Follows one session: what had returned before a read began binds it.
fn session(
    key: &str,
    steps: &[Step<'_>],
    versions: &Versions<'_>,
    windows: &Windows<'_>,
    slack: Time,
) -> Result<(), Violation> {
    // Calls before returns of the same moment: they count as concurrent.
    let mut moments: Vec<(Time, bool, usize)> = Vec::with_capacity(2 * steps.len());
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Read(read) => moments.extend([(read.invoked, false, at), (read.returned, true, at)]),
            Step::Wrote(write, _) => moments.push((write.returned, true, at)),
        }
    }
    moments.sort_unstable();
    let mut seen = 0;
    let mut seen_at_call = vec![0; steps.len()];
    for (_, returned, at) in moments {
        match &steps[at] {
            Step::Read(_) if !returned => seen_at_call[at] = seen,
            Step::Read(read) => seen = seen.max(judge(key, read, seen_at_call[at], versions, windows, slack)?),
            Step::Wrote(_, version) => seen = seen.max(*version),
        }
    }
    Ok(())
}

/// Checks one read. Returns the version that its session has seen with it: for an absence, the oldest one that
/// explains it.
fn judge(
    key: &str,
    read: &Read,
    seen: u64,
    versions: &Versions<'_>,
    windows: &Windows<'_>,
    slack: Time,
) -> Result<u64, Violation> {
    let as_of = read.returned.saturating_sub(read.age).saturating_sub(slack);
    let mut needed = vec![(Rule::Session, seen), (Rule::Age, windows.told_before(as_of))];
    if let Some(position) = read.position {
        let included = versions.all.range(..=position).next_back();
        needed.push((Rule::Position, included.map_or(0, |(&version, _)| version)));
    }
    match read.level {
        Level::Bounded { max_staleness } if read.age > max_staleness => {
            needed.push((Rule::Bound, windows.told_before(read.invoked)));
        }
        Level::Bounded { max_staleness } => {
            let bound = read.returned.saturating_sub(max_staleness).saturating_sub(slack);
            needed.push((Rule::Bound, windows.told_before(bound)));
        }
        Level::Strong => needed.push((Rule::Linearizable, windows.told_before(read.invoked))),
        Level::Any => {}
    }
    let mut reached = 0;
    for (rule, needed) in needed {
        let state = match &read.found {
            Some(found) => Some(found.version).filter(|&version| version >= needed),
            None => windows.absent(needed, read.returned),
        };
        let Some(state) = state else {
            let by = versions.all.get(&needed).map_or_else(String::new, |version| format!(": {}", version.proof.1));
            return Err(Violation::new(rule, key, format!("{read}, which must include version {needed}{by}")));
        };
        reached = reached.max(state);
    }
    Ok(reached)
}
