//! Who takes part, and who leads.

/// Number of a coordinator's time in office, raised whenever the office changes hands. It fences: what a coordinator
/// of an earlier term still sends is refused.
pub type Term = u64;
