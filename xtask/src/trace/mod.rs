//! Access traces: who asked for which key when.
//!
//! Reads `timestamp_ms,client,key` CSV and the Common or Combined Log Format,
//! plain or gzip; the first line tells which. The order of lines is the order
//! of requests, also where the source's clock steps back. A line that cannot be
//! used is counted and the first few are kept for the report; only a file that
//! cannot be read at all is an error.

mod access_log;
mod csv;
mod read;

pub(crate) use read::read;

/// A trace in memory: 16 bytes a request, and each name once.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Requests in the order of the lines.
    pub(crate) requests: Vec<Request>,
    /// Canonical keys in order of first appearance.
    pub(crate) keys: Vec<String>,
    /// Clients in order of first appearance.
    pub(crate) clients: Vec<String>,
    /// Well-formed lines that ask for nothing: other methods, other statuses.
    pub(crate) passed_over: usize,
    /// Lines that could not be used.
    pub(crate) bad: usize,
    /// Line number and reason of the first bad lines, at most [`Trace::KEPT_REASONS`].
    pub(crate) bad_lines: Vec<(usize, String)>,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    /// Milliseconds on the source's clock.
    pub(crate) at_ms: i64,
    /// Index into [`Trace::clients`].
    pub(crate) client: u32,
    /// Index into [`Trace::keys`].
    pub(crate) key: u32,
}

impl Trace {
    /// How many bad lines are kept with their reason.
    pub(crate) const KEPT_REASONS: usize = 5;
}

/// What one line holds.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// A request: time, client, canonical key.
    Request(i64, String, String),
    /// Nothing that the trace is about.
    PassedOver,
}
