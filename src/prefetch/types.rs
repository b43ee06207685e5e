//! What goes in and out of the engine.

use serde::Serialize;

use super::failures::FailureReason;
use crate::analyzer::Expert;
use crate::key::CompositeKey;

/// A key to fetch ahead.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The key.
    pub key: CompositeKey,
    /// Probability that it is not fetched for nothing.
    pub confidence: f32,
    /// Requests assumed in between, plus one.
    pub depth: u8,
    /// What predicted it.
    pub expert: Expert,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// Its entry was asked for.
    Used,
    /// It was asked for while in flight, and served the demand: no waste, and a part of the wait saved.
    Late,
    /// It was asked for while in flight, and that did not wait for it: both were fetched.
    Overtaken,
    /// Its entry was asked for, but had grown too old by then to be used without asking again: fetched for nothing.
    Outdated,
    /// Its entry left the cache unused.
    Wasted,
    /// As [`Fate::Wasted`], and it displaced an entry that was asked for.
    Harmful,
    /// Cancelled before it was sent, or never sent: costs nothing.
    Refunded,
    /// There is no such keymap; the key is not predicted again for a while.
    Missing,
    /// No usable answer came.
    Failed,
}

/// What [`PrefetchEngine::prefetch_keymap`] decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Fetch it; it is in the ledger, and its fate is to be reported.
    Fetch,
    /// An order for it is open already.
    Outstanding,
    /// Not to be fetched; logged.
    Logged(FailureReason),
}

/// A key expected next.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prediction {
    /// The key.
    pub key: CompositeKey,
    /// Probability that it is asked for soon.
    pub confidence: f32,
    /// What predicts it.
    pub expert: Expert,
}

/// What the engine thinks of a key.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PredictionExplanation {
    /// Probability that it is asked for soon, when last predicted.
    pub confidence: f32,
    /// What predicted it.
    pub expert: Expert,
    /// Confidence that must be exceeded at present.
    pub threshold: f32,
    /// Whether an order for it is open: in flight, or cached and unused so far.
    pub outstanding: bool,
    /// Whether it is known not to exist.
    pub missing: bool,
    /// Its latest failure that is in the log.
    pub last_failure: Option<FailureReason>,
}
