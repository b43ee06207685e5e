//! Why a process could not start.

use std::fmt;

use crate::store::StoreError;

/// One line for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    line: String,
    may_pass: bool,
}

impl RunError {
    /// Failure of `what`, which `error` of the store keeps from happening.
    pub fn of_store(what: &str, error: &StoreError) -> Self {
        let may_pass = matches!(error, StoreError::Unavailable(_) | StoreError::Unknown(_));
        Self::new(format!("{what}: {error}")).that_may_pass(may_pass)
    }

    /// Tells whether the same may succeed later, with nothing changed here.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// The same, which may or may not pass by itself.
    pub fn that_may_pass(self, may_pass: bool) -> Self {
        Self { may_pass, ..self }
    }

    /// A failure that reads `line`.
    pub fn new(line: impl Into<String>) -> Self {
        // Messages of other crates may have several lines.
        let line = line.into().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { line, may_pass: false }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for RunError {}
