//! Why a process could not start.

use std::fmt;

/// One line for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure that reads `line`.
    pub fn new(line: impl Into<String>) -> Self {
        // Messages of other crates may have several lines.
        Self(line.into().split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
