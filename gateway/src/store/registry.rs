//! Who takes part, and who leads.

/// Number of a coordinator's time, raised whenever the lease changes hands. It fences: what a coordinator
/// of an earlier term still sends is refused.
pub type Term = u64;
