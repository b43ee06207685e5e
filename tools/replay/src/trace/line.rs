//! [`Line`]: the content of a line.

/// Content of one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A request: time, client, canonical key.
    Request(i64, String, String),
    /// Nothing that the trace is about.
    PassedOver,
}
