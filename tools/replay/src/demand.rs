//! [`Demand`]: the outcome of a demand access.

/// Outcome of a demand access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    Hit,
    /// First event after a prefetched key was inserted.
    FirstUse,
    Miss,
}
