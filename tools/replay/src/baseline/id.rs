//! [`Id`]: a key of the trace.

/// A key of the trace, by order of first appearance.
pub(super) type Id = u32;
