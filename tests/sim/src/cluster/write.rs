//! [`Write`]: one write, and its outcome.

use std::sync::Arc;

use foremap::key::CompositeKey;
use foremap::protocol::KeymapFields;

/// Demand of a write on the current version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expect {
    /// Nothing.
    #[default]
    Any,
    /// That there is a keymap.
    Present,
    /// Exactly this version; 0 is that there is none.
    Version(u64),
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: CompositeKey,
    /// The new fields; `None` deletes.
    pub fields: Option<KeymapFields>,
    /// Condition.
    pub expect: Expect,
    /// Makes retries idempotent.
    pub id: Option<Arc<str>>,
    /// The latest time that it can be, in microseconds.
    pub latest_us: u64,
}

/// Outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It happened, now or at an earlier attempt.
    Written {
        /// Its version.
        version: u64,
        /// Set where there was no keymap before.
        created: bool,
    },
    /// Nothing was written: the condition does not hold.
    Conflict {
        /// The version there is, 0 for none.
        current: u64,
    },
    /// There was nothing to delete.
    Missing,
    /// The clock is ahead of the latest time that the writer says it can be.
    ClockAhead,
    /// The shard has had the last version.
    UsedUp,
}
