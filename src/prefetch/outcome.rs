//! Outcomes of prefetches.

use serde::Serialize;

/// The end of a prefetch, reported exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PrefetchOutcome {
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
    /// As [`PrefetchOutcome::Wasted`], and it displaced an entry that was asked for.
    Harmful,
    /// Cancelled before it was sent, or never sent: costs nothing.
    Refunded,
    /// There is no such keymap; the key is not predicted again for a while.
    Missing,
    /// No usable answer came.
    Failed,
}
