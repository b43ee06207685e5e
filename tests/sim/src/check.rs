//! The checker: holds every answer against what was written and when.

use std::collections::BTreeMap;
use std::fmt;

use foremap::Millis;
use foremap::adapter::Answer;
use foremap::key::CompositeKey;
use foremap::protocol::Consistency;

use foremap_check::Time;

use super::truth::{Commit, Truth};

/// A promise that was broken.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.detail)
    }
}

/// Knowledge of one session: per key a version that no later answer may be older than.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(BTreeMap<CompositeKey, u64>);

impl Seen {
    pub(crate) fn of(&self, key: &CompositeKey) -> u64 {
        self.0.get(key).copied().unwrap_or(0)
    }

    pub(crate) fn raise(&mut self, key: &CompositeKey, version: u64) {
        let seen = self.0.entry(key.clone()).or_default();
        *seen = version.max(*seen);
    }
}

/// A read as its caller saw it begin.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) key: CompositeKey,
    pub(crate) consistency: Consistency,
    pub(crate) max_staleness_ms: u32,
    /// Step that it began in.
    pub(crate) began: u64,
    /// The same, as the history has it.
    pub(crate) invoked: Time,
    /// Version that its session had seen by then.
    pub(crate) seen: u64,
}

/// Checks `answer`, delivered at `now`. Returns the version that the session has seen with it: for an absence, the
/// oldest one that explains it.
pub(crate) fn check(truth: &Truth, now: Millis, read: &Read, answer: &Answer) -> Result<u64, Violation> {
    let commits = truth.commits(&read.key);
    let (oldest, newest) = explain(commits, read, answer)?;
    let last = |included: &dyn Fn(&Commit) -> bool| {
        commits.iter().rfind(|commit| included(commit)).map_or(0, |commit| commit.version)
    };
    let as_of = now.saturating_sub(answer.age_ms);
    let bound = now.saturating_sub(read.max_staleness_ms.into());
    let through_store = last(&|commit| commit.step < read.began);
    let mut rules = vec![
        ("session", read.seen),
        ("position", last(&|commit| commit.version <= answer.at.position)),
        ("age", last(&|commit| commit.at < as_of)),
    ];
    match read.consistency {
        Consistency::Strong => rules.push(("strong", through_store)),
        // Where nobody could answer within the bound, the answer was read from the store after it was asked for.
        Consistency::Bounded if answer.age_ms > read.max_staleness_ms.into() => rules.push(("bound", through_store)),
        Consistency::Bounded => rules.push(("bound", last(&|commit| commit.at < bound))),
        Consistency::Any => {}
    }
    for (rule, needed) in rules {
        if newest < needed {
            let version = answer.keymap.as_ref().map(|keymap| keymap.version);
            let detail = format!("at {now}, {read:?} got {version:?} ({answer:?}) but must see version {needed}");
            return Err(Violation { rule, detail });
        }
    }
    let is_stale = read.consistency != Consistency::Strong && answer.age_ms > read.max_staleness_ms.into();
    if answer.stale != is_stale {
        return Err(Violation { rule: "stale", detail: format!("at {now}, {read:?} got {answer:?}") });
    }
    if answer.at.shard != truth.shard(&read.key) {
        return Err(Violation { rule: "shard", detail: format!("{read:?} got {answer:?}") });
    }
    Ok(oldest)
}

/// The range of versions that `answer` may be the state after.
fn explain(commits: &[Commit], read: &Read, answer: &Answer) -> Result<(u64, u64), Violation> {
    let Some(keymap) = &answer.keymap else {
        let absent = || commits.iter().filter(|commit| commit.fields.is_none()).map(|commit| commit.version);
        // Before its first write no key exists.
        let oldest = absent().find(|&version| version >= read.seen).unwrap_or(0);
        return Ok((if read.seen == 0 { 0 } else { oldest }, absent().next_back().unwrap_or(0)));
    };
    let written = commits.iter().find(|commit| commit.version == keymap.version);
    let same = written.is_some_and(|commit| commit.fields.as_deref() == Some(&keymap.fields));
    if keymap.key != read.key || !same {
        return Err(Violation {
            rule: "invented",
            detail: format!("{read:?} got {keymap:?}, which is not certain to stay"),
        });
    }
    Ok((keymap.version, keymap.version))
}
