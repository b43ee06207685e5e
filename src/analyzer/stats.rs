//! [`AnalyzerStats`]: fill and bounds of an analyzer.

use serde::Serialize;

use super::AccessCounts;

/// Fill and bounds of an analyzer's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalyzerStats {
    /// Requests observed.
    pub accesses: AccessCounts,
    /// Contexts held.
    pub lines: usize,
    /// Most contexts.
    pub lines_max: usize,
    /// Contexts replaced so far.
    pub lines_replaced: u64,
    /// Keys in the dictionary.
    pub keys: usize,
    /// Bytes of the dictionary that are in use.
    pub key_bytes: usize,
    /// Most bytes of the dictionary.
    pub key_bytes_max: usize,
    /// Keys that left the dictionary so far.
    pub keys_evicted: u64,
    /// Templates known.
    pub templates: usize,
    /// Bytes of templates that are in use.
    pub template_bytes: usize,
    /// Most bytes of templates.
    pub template_bytes_max: usize,
    /// Streams told apart.
    pub streams: usize,
    /// Most streams told apart.
    pub streams_max: usize,
    /// Streams forgotten so far.
    pub streams_evicted: u64,
    /// Contexts of the shared model.
    pub prior_lines: usize,
    /// Bytes of the shared model.
    pub prior_bytes: usize,
    /// Most bytes of it.
    pub prior_bytes_max: usize,
    /// Bytes of all of it, fixed tables at their full size.
    pub memory_bytes: usize,
}
