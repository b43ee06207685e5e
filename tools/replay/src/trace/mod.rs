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
mod line;
mod read;
mod synthetic;
mod trace;

pub use read::parse;
#[cfg(feature = "files")]
pub use read::read;
pub use synthetic::{PREFIX as SYNTHETIC, synthesize};
pub use trace::{Request, Trace};

/// Reads the file, or generates the [synthetic workload](synthesize), that `name` stands for.
///
/// # Errors
/// As [`read`] and [`synthesize`].
#[cfg(feature = "files")]
pub fn open(name: &str) -> anyhow::Result<Trace> {
    if name.starts_with(SYNTHETIC) { synthesize(name) } else { read(std::path::Path::new(name)) }
}
