//! Prefetches to send, and the decision that leads to one.

use super::failures::FailureReason;
use crate::analyzer::Expert;
use crate::key::CompositeKey;

/// A prefetch to send.
#[derive(Debug, Clone, PartialEq)]
pub struct PrefetchRequest {
    /// The key.
    pub key: CompositeKey,
    /// Probability that it is not fetched for nothing.
    pub confidence: f32,
    /// Requests assumed in between, plus one.
    pub depth: u8,
    /// The expert that predicted it.
    pub expert: Expert,
}

/// The decision on a keymap that may be fetched ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Fetch it; it is in the ledger, and its outcome is to be reported.
    Fetch,
    /// A prefetch for it is open already.
    Outstanding,
    /// Not to be fetched; logged.
    Logged(FailureReason),
}
