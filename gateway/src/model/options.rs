//! Options of the shared model, which an operator sets.

use std::time::Duration;

use foremap::key::KeyPrefix;
use foremap::model::{CLASSES, KeeperConfig, SharedModelConfig};

use crate::store::Blob;

/// Options of the way in which clients learn from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareOptions {
    /// True if they do.
    pub is_on: bool,
    /// Clients that must have gone the same way before others are told of it.
    pub clients: u32,
    /// Keys below these everybody may know, however few asked for them.
    pub prefixes: Vec<KeyPrefix>,
    /// Age at which the model is made anew, if there is news.
    pub every: Duration,
}

impl Default for ShareOptions {
    fn default() -> Self {
        Self { is_on: true, clients: 5, prefixes: Vec::new(), every: Duration::from_secs(60) }
    }
}

impl ShareOptions {
    pub(crate) fn keeper(&self) -> KeeperConfig {
        let every_ms = u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX);
        KeeperConfig {
            model: SharedModelConfig { every_ms, ..SharedModelConfig::default() },
            min_clients: self.clients,
            shared: self.prefixes.clone(),
            sizes: CLASSES.to_vec(),
            max_state_bytes: Blob::MAX_BYTES,
        }
    }
}
