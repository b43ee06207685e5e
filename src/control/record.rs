//! [`LeaderRecord`]: what a leader leaves in the store for whoever looks for it, and whoever comes after it.

use serde::{Deserialize, Serialize};

/// Address of the leader, and the freeze switch. Its form in the store is JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeaderRecord {
    /// Address at which it answers.
    pub origin: String,
    /// True while shifts are frozen. Outlives the leader.
    pub frozen: bool,
}

impl LeaderRecord {
    /// The form in the store.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what is stored; the default where nothing is, or nothing that can be read.
    pub fn read(stored: Option<&[u8]>) -> Self {
        stored.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
    }
}
