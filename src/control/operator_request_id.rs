//! [`OperatorRequestId`]: a request of an operator.

/// Names a request of an operator to its host.
pub type OperatorRequestId = u64;
