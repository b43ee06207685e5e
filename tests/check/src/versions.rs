//! Which versions a key had, and which write made each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::key_ops::KeyOps;
use super::{Outcome, Read, Rule, Time, Violation, Write};

/// Source of a version.
#[derive(Clone, Copy)]
pub(crate) enum Told<'a> {
    Write(&'a Write),
    Read(&'a Read),
    Final,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(write) => write.fmt(f),
            Self::Read(read) => read.fmt(f),
            Self::Final => f.write_str("the end of the history"),
        }
    }
}

/// Content of a version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State<'a> {
    Value(&'a str),
    Marker,
    /// A value that nobody read: all that is known is that it refused a write.
    Unread,
}

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value:?}"),
            Self::Marker => f.write_str("a delete marker"),
            Self::Unread => f.write_str("a value"),
        }
    }
}

/// One version.
pub(crate) struct Version<'a> {
    pub(crate) state: State<'a>,
    /// It was not there before this moment: its write had not been sent.
    pub(crate) born: Time,
    /// The write that made it, where that is known.
    pub(crate) write: Option<&'a Write>,
    /// The first source that told of it, and when.
    pub(crate) proof: (Time, Told<'a>),
}

/// All known versions of a key.
pub(crate) struct Versions<'a> {
    pub(crate) all: BTreeMap<u64, Version<'a>>,
    /// From when on a delete may have happened that left no trace: it was sent then, and its outcome is not known.
    pub(crate) traceless_delete: Option<Time>,
}

/// Versions while they are being collected.
struct Collector<'a> {
    key: &'a str,
    /// Every put, by its value.
    puts: BTreeMap<&'a str, &'a Write>,
    versions: BTreeMap<u64, Version<'a>>,
    /// Puts with a version.
    bound: BTreeMap<&'a str, u64>,
    /// Moments at which deletes of unknown outcome were sent, ascending.
    unknown_deletes: Vec<Time>,
}

impl<'a> Versions<'a> {
    /// Collects them. O(n log n).
    ///
    /// # Errors
    /// A version that nobody wrote, or that was written twice.
    pub(crate) fn of(ops: &KeyOps<'a>) -> Result<Self, Violation> {
        let mut collector = Collector::new(ops)?;
        for &write in &ops.writes {
            if let Outcome::Acknowledged { version } = write.outcome {
                collector.acknowledged(write, version)?;
            }
        }
        let markers = collector.finals(ops)?;
        for &read in &ops.reads {
            if let Some(found) = &read.found {
                collector.value(found.version, &found.value, Told::Read(read), read.returned)?;
            }
        }
        for &write in &ops.writes {
            if let Outcome::Conflict { current } = write.outcome
                && current > 0
            {
                collector.conflict(write, current)?;
            }
        }
        let complete = ops.last.is_some_and(|last| last.kept.len() < last.retention);
        let traceless = !complete && collector.unknown_deletes.len() > markers;
        let traceless_delete = collector.unknown_deletes.first().copied().filter(|_| traceless);
        Ok(Self { all: collector.versions, traceless_delete })
    }
}

impl<'a> Collector<'a> {
    fn new(ops: &KeyOps<'a>) -> Result<Self, Violation> {
        let mut puts = BTreeMap::new();
        for &write in &ops.writes {
            if let Some(value) = write.value.as_deref()
                && let Some(other) = puts.insert(value, write)
            {
                let detail = format!("a history in which two writes put one value cannot be checked: {other}; {write}");
                return Err(Violation::new(Rule::Once, ops.key, detail));
            }
        }
        let unknown = |write: &&&Write| write.value.is_none() && write.outcome == Outcome::Unknown;
        let mut unknown_deletes: Vec<Time> = ops.writes.iter().filter(unknown).map(|write| write.invoked).collect();
        unknown_deletes.sort_unstable();
        Ok(Self { key: ops.key, puts, versions: BTreeMap::new(), bound: BTreeMap::new(), unknown_deletes })
    }

    fn violated(&self, rule: Rule, detail: String) -> Violation {
        Violation::new(rule, self.key, detail)
    }

    fn acknowledged(&mut self, write: &'a Write, version: u64) -> Result<(), Violation> {
        let told = Told::Write(write);
        let Some(value) = write.value.as_deref() else {
            return self.add(version, State::Marker, Some(write), write.invoked, (write.returned, told));
        };
        self.value(version, value, told, write.returned)
    }

    /// Somebody told at `at` that `version` is `value`.
    fn value(&mut self, version: u64, value: &'a str, told: Told<'a>, at: Time) -> Result<(), Violation> {
        let Some(&write) = self.puts.get(value) else {
            return Err(self.violated(Rule::Invented, format!("nobody wrote what was told by: {told}")));
        };
        if matches!(write.outcome, Outcome::Failed | Outcome::Conflict { .. }) {
            return Err(self.violated(Rule::Invented, format!("{write}; and yet: {told}")));
        }
        if write.invoked > at {
            return Err(self.violated(Rule::Invented, format!("{told}, before it was written: {write}")));
        }
        let other = *self.bound.entry(value).or_insert(version);
        if other != version {
            let first = &self.versions[&other].proof.1;
            let detail = format!("{value:?} is version {other} and {version}: {first}; {told}");
            return Err(self.violated(Rule::Once, detail));
        }
        self.add(version, State::Value(value), Some(write), write.invoked, (at, told))
    }

    fn add(
        &mut self,
        version: u64,
        state: State<'a>,
        write: Option<&'a Write>,
        born: Time,
        proof: (Time, Told<'a>),
    ) -> Result<(), Violation> {
        let new = Version { state, born, write, proof };
        let known = self.versions.entry(version).or_insert(new);
        let same_write = match (known.write, write) {
            (Some(known), Some(write)) => std::ptr::eq(known, write),
            _ => true,
        };
        if known.state != state || !same_write {
            let detail = format!("version {version} is {} and {state}: {}; {}", known.state, known.proof.1, proof.1);
            return Err(self.violated(Rule::Once, detail));
        }
        if proof.0 < known.proof.0 {
            known.proof = proof;
        }
        Ok(())
    }

    /// The versions at the end. Returns how many markers nobody was told of.
    fn finals(&mut self, ops: &KeyOps<'a>) -> Result<usize, Violation> {
        let Some(last) = ops.last else { return Ok(0) };
        let mut markers = BTreeSet::new();
        for kept in &last.kept {
            match kept.value.as_deref() {
                Some(value) => self.value(kept.version, value, Told::Final, Time::MAX)?,
                None => {
                    let known = self.versions.contains_key(&kept.version);
                    let born = self.unknown_deletes.first().copied().unwrap_or(Time::MAX);
                    self.add(kept.version, State::Marker, None, born, (Time::MAX, Told::Final))?;
                    if !known {
                        markers.insert(kept.version);
                    }
                }
            }
        }
        if let Some(found) = &last.newest {
            self.value(found.version, &found.value, Told::Final, Time::MAX)?;
        }
        if markers.len() > self.unknown_deletes.len() {
            let unknown = self.unknown_deletes.len();
            let detail = format!("delete markers {markers:?} are of no acknowledged delete, and {unknown} are unknown");
            return Err(self.violated(Rule::Once, detail));
        }
        Ok(markers.len())
    }

    /// A write was refused as `current` was there.
    fn conflict(&mut self, write: &'a Write, current: u64) -> Result<(), Violation> {
        let proof = (write.returned, Told::Write(write));
        if let Some(known) = self.versions.get(&current) {
            if known.state == State::Marker {
                return Err(self.violated(Rule::Invented, format!("{current} is a delete marker, and yet: {write}")));
            }
            let (state, write, born) = (known.state, known.write, known.born);
            return self.add(current, state, write, born, proof);
        }
        let unread = self.puts.iter().filter(|(value, put)| {
            put.outcome == Outcome::Unknown && put.invoked <= write.returned && !self.bound.contains_key(*value)
        });
        let Some(born) = unread.map(|(_, put)| put.invoked).min() else {
            return Err(self.violated(Rule::Invented, format!("no write can have made what was told by: {write}")));
        };
        self.add(current, State::Unread, None, born, proof)
    }
}
