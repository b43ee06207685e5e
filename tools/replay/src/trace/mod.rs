//! Access traces: who asked for which key when.
//!
//! `open` takes the name of a file or of a synthetic workload.
//!
//! [`parse`] takes `timestamp_ms,client,key` CSV and the Common or Combined Log Format,
//! plain or gzip; the first line in one of these forms tells which. The order of lines is the order
//! of requests, also where the source's clock steps back. A line that cannot be
//! used is counted and the first few are kept for the report; only a file that
//! cannot be read at all is an error.

mod access_log;
mod builder;
mod csv;
mod read;
mod synthetic;

pub use read::parse;
#[cfg(feature = "files")]
pub use read::read;
pub use synthetic::{PREFIX as SYNTHETIC, synthesize};

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
    /// How many bad lines are kept with their reason.
    pub const KEPT_REASONS: usize = 5;
}

/// Reads the file, or generates the [synthetic workload](synthesize), that `name` stands for.
///
/// # Errors
/// As [`read`] and [`synthesize`].
#[cfg(feature = "files")]
pub fn open(name: &str) -> anyhow::Result<Trace> {
    if name.starts_with(SYNTHETIC) { synthesize(name) } else { read(std::path::Path::new(name)) }
}

/// What one line holds.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// A request: time, client, canonical key.
    Request(i64, String, String),
    /// Nothing that the trace is about.
    PassedOver,
}
