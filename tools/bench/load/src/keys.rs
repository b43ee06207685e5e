//! Keys and keymaps that are stored and asked for: the same for the gateway and for Redis.

use anyhow::{Context as _, Result};
use foremap::key::CompositeKey;
use foremap::protocol::{Keymap, KeymapFields};

/// The keys and values of one run.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Shape {
    /// Bytes of a key
    #[arg(long, value_name = "BYTES", default_value_t = 40)]
    pub(crate) key_bytes: usize,
    /// Bytes of the locator, which is most of a keymap
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    pub(crate) value_bytes: usize,
    /// The keys' prefix, of one component
    #[arg(long, default_value = "bench")]
    pub(crate) prefix: String,
    /// Spread the keys over this many prefixes, numbered
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) prefixes: usize,
}

impl Shape {
    /// The key with number `at`: `prefix/number`, padded to the length asked for.
    pub(crate) fn key(&self, at: usize) -> Result<CompositeKey> {
        let prefix = match self.prefixes {
            0 | 1 => self.prefix.clone(),
            many => format!("{}{:04}", self.prefix, at % many),
        };
        let rest = self.key_bytes.saturating_sub(prefix.len() + 1).max(1);
        CompositeKey::parse(&format!("{prefix}/{at:0>rest$}")).ok().context("the prefix is not a component")
    }

    /// Fields of the keymap that is stored under it.
    pub(crate) fn fields(&self, at: usize) -> KeymapFields {
        let rest = self.value_bytes.saturating_sub("s3://".len()).max(1);
        let locator = format!("s3://{at:0>rest$}");
        KeymapFields { locator, size: Some(1_024), etag: None, tags: Vec::new(), meta: None }
    }

    /// The binary form of its keymap, as Redis is to hold it: what the gateway sends for the key.
    pub(crate) fn value(&self, at: usize) -> Result<Vec<u8>> {
        // A version as it is of late: microseconds since 1970.
        let version = 1_800_000_000_000_000 + at as u64;
        Ok(Keymap { key: self.key(at)?, version, fields: self.fields(at) }.encode())
    }
}
