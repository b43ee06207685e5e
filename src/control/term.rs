//! [`Term`]: a leader's time.

/// Number of a leader's time with the lease, raised whenever the lease changes hands. It fences: the store refuses what a leader
/// of an earlier term still sends.
pub type Term = u64;
