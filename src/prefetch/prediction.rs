//! Predictions, as an application sees them.

use serde::Serialize;

use super::failures::FailureReason;
use crate::analyzer::Expert;
use crate::key::CompositeKey;

/// A key expected next.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prediction {
    /// The key.
    pub key: CompositeKey,
    /// Probability that it is asked for soon.
    pub confidence: f32,
    /// The expert that predicts it.
    pub expert: Expert,
}

/// Opinion of the engine on a key.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PredictionExplanation {
    /// Probability that it is asked for soon, when last predicted.
    pub confidence: f32,
    /// The expert that predicted it.
    pub expert: Expert,
    /// Confidence that must be exceeded at present.
    pub threshold: f32,
    /// True where a prefetch for it is open: in flight, or cached and unused so far.
    pub outstanding: bool,
    /// True where it is known not to exist.
    pub missing: bool,
    /// Its latest failure that is in the log.
    pub last_failure: Option<FailureReason>,
}
