//! [`Lookup`]: the answer of a cache to a look-up.

use std::sync::Arc;

use crate::protocol::{Keymap, ReadPoint};

/// The knowledge of a cache about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// No older than asked for: serve it.
    Hit(Hit),
    /// Older than asked for: revalidate by version, or serve where stale answers are allowed. Kept until its room
    /// is needed, as a revalidation costs less than a fetch and `at.age_ms` lets the caller draw its own line.
    Stale(Hit),
    /// Nothing.
    Miss,
}

/// A cached answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The keymap; `None` where the key is known not to exist.
    pub keymap: Option<Arc<Keymap>>,
    /// The point that the answer is current as of: it includes every change of its storage shard up to `position`, and
    /// every change that was committed more than `age_ms` ago. Can be passed on to the next tier as it is.
    pub at: ReadPoint,
    /// `true` for the first demand access, hit or stale, to a prefetched entry.
    pub first_use: bool,
    /// `true` where the answer itself is older than asked for, and only what was learnt of its shard since keeps it fresh.
    pub kept_fresh: bool,
}
