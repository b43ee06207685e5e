//! [`BatchItem`]: one key of a batch.

use serde::{Deserialize, Serialize};

use crate::key::CompositeKey;

/// Reason that keys are asked for. Demand goes first wherever both wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Somebody is waiting.
    #[default]
    Demand,
    /// Fetched ahead.
    Prefetch,
}

/// One key of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), serde(deny_unknown_fields))]
pub struct BatchItem {
    /// The key.
    pub key: CompositeKey,
    /// The version that the caller holds: the answer may then be `unchanged`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub if_version: Option<u64>,
    /// Fetched ahead, or waited for.
    #[serde(default)]
    pub class: Class,
}
