//! [`Portion`]: what of a key is hashed.

use serde::{Deserialize, Serialize};

use crate::key::MAX_COMPONENTS;

/// Most components a rule may hash.
pub const MAX_DEPTH: u8 = MAX_COMPONENTS as u8;

/// Most spread bits of a rule: a prefix is cut into at most 1,024 parts.
pub const MAX_SPREAD: u8 = 10;

/// The part of a key that is hashed: the first `depth` components, plus `spread` bits of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Portion {
    /// Leading components that are hashed whole.
    pub depth: u8,
    /// Bits of the next component's hash, 0 to [`MAX_SPREAD`].
    pub spread: u8,
}

impl Default for Portion {
    fn default() -> Self {
        Self { depth: 2, spread: 0 }
    }
}
