//! A write, and what became of it.

use foremap::key::CompositeKey;
use foremap::protocol::{KeymapFields, MAX_WRITE_ID_BYTES};

/// Names a write, so that a retry returns the first outcome instead of writing twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteId(Box<str>);

impl WriteId {
    /// Longest write id in bytes: a UUID with room to spare.
    pub const MAX_BYTES: usize = MAX_WRITE_ID_BYTES;

    /// A write id of 1 to 64 visible ASCII characters.
    pub fn new(text: &str) -> Option<Self> {
        let ok = (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        ok.then(|| Self(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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
#[derive(Debug, Clone)]
pub struct Write {
    /// The key.
    pub key: CompositeKey,
    /// The new fields; `None` deletes and leaves a marker.
    pub fields: Option<KeymapFields>,
    /// Compare-and-set condition.
    pub expect: Expect,
    /// Makes retries idempotent. Known as long as the version it wrote is kept.
    pub id: Option<WriteId>,
}

/// A write that happened, now or at an earlier attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The version it was given.
    pub version: u64,
    /// True if there was no keymap before.
    pub created: bool,
}

/// Outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is durable.
    Written(Written),
    /// The condition does not hold; nothing was written.
    Conflict {
        /// The version there is, 0 for none.
        current: u64,
    },
    /// There was nothing to delete; nothing was written.
    Missing,
}
