//! A promise that was broken, in words.

use std::fmt;

use super::{Level, Outcome, Read, Write};

/// Which promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A value that is read was written, as it was read, and before.
    Invented,
    /// A write happens once, under one version.
    Once,
    /// Writes, strong reads and conflicts fit one order that the clock allows.
    Linearizable,
    /// A bounded read is not staler than its bound, or was read from the store after it was asked for.
    Bound,
    /// An answer is not older than it says.
    Age,
    /// An answer includes what the log position beside it includes.
    Position,
    /// A session does not go back, behind its own writes neither.
    Session,
    /// A write that was acknowledged or seen is still there.
    Lost,
}

impl Rule {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invented => "invented",
            Self::Once => "once",
            Self::Linearizable => "linearizable",
            Self::Bound => "bound",
            Self::Age => "age",
            Self::Position => "position",
            Self::Session => "session",
            Self::Lost => "lost",
        }
    }
}

/// A promise that was broken, and by which operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub rule: Rule,
    /// The key.
    pub key: String,
    /// Account of what happened, in words.
    pub detail: String,
}

impl Violation {
    pub(crate) fn new(rule: Rule, key: &str, detail: String) -> Self {
        Self { rule, key: key.to_owned(), detail }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.rule.name(), self.key, self.detail)
    }
}

impl std::error::Error for Violation {}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, invoked, returned, .. } = self;
        match &self.value {
            Some(value) => write!(f, "put of {value:?}")?,
            None => write!(f, "delete")?,
        }
        write!(f, " by session {session}, {invoked}..")?;
        match self.outcome {
            Outcome::Acknowledged { version } => write!(f, "{returned}, acknowledged as {version}"),
            Outcome::Conflict { current } => write!(f, "{returned}, refused as {current} was there"),
            Outcome::Failed => write!(f, "{returned}, failed"),
            Outcome::Unknown => write!(f, ", outcome unknown"),
        }
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, invoked, returned, .. } = self;
        match self.level {
            Level::Strong => write!(f, "strong read")?,
            Level::Bounded { max_staleness } => write!(f, "read bounded by {max_staleness}")?,
            Level::Any => write!(f, "read of any age")?,
        }
        write!(f, " by session {session}, {invoked}..{returned}, ")?;
        match &self.found {
            Some(found) => write!(f, "that found {} as {:?}", found.version, found.value)?,
            None => write!(f, "that found nothing")?,
        }
        match (self.age, self.position) {
            (super::Time::MAX, None) => Ok(()),
            (super::Time::MAX, Some(position)) => write!(f, " (at position {position})"),
            (age, None) => write!(f, " (age {age})"),
            (age, Some(position)) => write!(f, " (age {age}, at position {position})"),
        }
    }
}
