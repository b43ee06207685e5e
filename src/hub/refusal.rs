//! [`Refusal`]: why something is not done.

use std::fmt;

use crate::Millis;
use crate::protocol::{ErrorCode, Problem};

/// A problem, and when it may be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Problem that is answered.
    pub problem: Problem,
    /// After how long the same may be tried again.
    pub retry_after_ms: Option<Millis>,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    pub(super) fn after(problem: Problem, wait: Millis) -> Self {
        Self { problem, retry_after_ms: Some(wait) }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, retry_after_ms: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.problem.code, self.problem.detail)
    }
}

impl std::error::Error for Refusal {}
