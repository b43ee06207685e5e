//! `foremap-gateway audit`: how stale the answers of a running deployment truly are, and whether they say so.
//!
//! A canary writes keys of its own and reads them through gateways, workers and a change feed. Whatever it is told, it
//! holds against what it knows by its own clock alone: a version was certainly committed once its write was
//! acknowledged, and certainly not before the write was sent. What follows is judged by [`Key`] and [`Follower`], which do
//! no I/O; nothing of a deployment is believed but the order of versions.
//!
//! * A **lie** is an answer that misses a version for certainly longer than it claims to be old, or one that
//!   misses what its log position includes, or a version that nobody wrote.
//! * An answer is **broken** if it misses a version for certainly longer than the bound, whatever it claims.
//!
//! Certainly: the time of the request itself counts in the deployment's favour, as does the granularity of clocks.

mod feed;
mod judge;
mod options;
mod paths;
mod report;
mod run;
mod tally;
mod web;

pub use feed::{FeedNews, Follower};
pub use judge::{AcknowledgedWrite, Finding, Judged, Key, ObservedRead, Time};
pub use options::AuditCommand;
pub use run::{AuditVerdict, run};
