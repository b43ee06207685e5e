//! [`Session`]: a caller.

use std::collections::BTreeMap;

use super::check::Seen;

/// One after the other, these are what a user looks at.
#[derive(Default)]
pub(crate) struct Session {
    /// Its own client; `None` for a user of the workers.
    pub(crate) client: Option<usize>,
    pub(crate) seen: Seen,
    /// Floors that a user of the workers sends along.
    pub(crate) floors: BTreeMap<u16, u64>,
    pub(crate) at: usize,
}

impl Session {
    pub(crate) fn new(client: Option<usize>) -> Self {
        Self { client, ..Self::default() }
    }
}
