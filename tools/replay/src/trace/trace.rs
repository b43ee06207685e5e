//! [`Trace`]: requests in memory.

/// A trace in memory: 16 bytes a request, and each name once.
#[derive(Debug, Default)]
pub struct Trace {
    /// Requests in the order of the lines.
    pub requests: Vec<Request>,
    /// Canonical keys in order of first appearance.
    pub keys: Vec<String>,
    /// Clients in order of first appearance.
    pub clients: Vec<String>,
    /// Well-formed lines that ask for nothing: other methods, other statuses.
    pub passed_over: usize,
    /// Lines that could not be used.
    pub bad: usize,
    /// Line number and reason of the first bad lines, at most [`Trace::KEPT_REASONS`].
    pub bad_lines: Vec<(usize, String)>,
    /// Of a synthetic workload, for each request: whether the workload's rules determine its key, given what was
    /// asked before it. What a perfect predictor could know.
    pub foreseeable: Option<Vec<bool>>,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Milliseconds on the source's clock.
    pub at_ms: i64,
    /// Index into [`Trace::clients`].
    pub client: u32,
    /// Index into [`Trace::keys`].
    pub key: u32,
}

impl Trace {
    /// Most bad lines that are kept with their reason.
    pub const KEPT_REASONS: usize = 5;
}
