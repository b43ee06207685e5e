//! [`KeyOps`]: what is known of one key.

use super::{Final, Read, Write};

/// Operations on one key, and what the store holds of it in the end.
#[derive(Default)]
pub(super) struct KeyOps<'a> {
    pub(super) key: &'a str,
    pub(super) writes: Vec<&'a Write>,
    pub(super) reads: Vec<&'a Read>,
    pub(super) last: Option<&'a Final>,
}
