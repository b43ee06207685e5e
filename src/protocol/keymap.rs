//! [`Keymap`]: what a composite key resolves to.

use serde::{Deserialize, Serialize};

use super::{ErrorCode, Problem};
use crate::key::CompositeKey;

/// A keymap: user key -> locator -> object instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keymap {
    /// The user key, shared by all versions of the object.
    pub key: CompositeKey,
    /// Version and log position of the write that made it.
    pub version: u64,
    /// The rest, as the writer gave it.
    #[serde(flatten)]
    pub fields: KeymapFields,
}

/// Statement of a writer about an object instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), serde(deny_unknown_fields))]
pub struct KeymapFields {
    /// Place of the object instance; opaque to foremap.
    pub locator: String,
    /// Size of the object in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
    /// Entity tag of the object.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub etag: Option<String>,
    /// Names that entries can be invalidated by.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tags: Vec<String>,
    /// Any JSON value of the application's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub meta: Option<Meta>,
}

/// A JSON value, kept as its text. In the JSON wire form it is that value; inside wasm it stays text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta(pub Box<str>);

impl KeymapFields {
    /// Longest locator in bytes.
    pub const MAX_LOCATOR: usize = 4_096;
    /// Longest entity tag in bytes.
    pub const MAX_ETAG: usize = 256;
    /// Most tags.
    pub const MAX_TAGS: usize = 16;
    /// Longest tag in bytes.
    pub const MAX_TAG: usize = 128;
    /// Longest `meta` in bytes of JSON text.
    pub const MAX_META: usize = 16_384;

    /// Checks every limit.
    ///
    /// # Errors
    /// A [`Problem`] with code `BAD_REQUEST` that names the field and its limit.
    pub fn validate(&self) -> Result<(), Problem> {
        let check = |field: &str, length: usize, limit: usize| {
            if length <= limit {
                return Ok(());
            }
            let detail = format!("`{field}` is {length} long, the limit is {limit}");
            Err(Problem::new(ErrorCode::BadRequest, detail).with_limit(limit as u64))
        };
        if self.locator.is_empty() {
            return Err(Problem::new(ErrorCode::BadRequest, "`locator` must not be empty"));
        }
        if self.size.is_some_and(|size| size > super::MAX_VERSION) {
            return Err(Problem::new(ErrorCode::BadRequest, "`size` must be below 2^53"));
        }
        check("locator", self.locator.len(), Self::MAX_LOCATOR)?;
        check("etag", self.etag.as_deref().map_or(0, str::len), Self::MAX_ETAG)?;
        check("tags", self.tags.len(), Self::MAX_TAGS)?;
        check("tag", self.tags.iter().map(String::len).max().unwrap_or(0), Self::MAX_TAG)?;
        check("meta", self.meta.as_ref().map_or(0, |m| m.0.len()), Self::MAX_META)
    }
}

impl Keymap {
    /// Bytes of the struct itself, and of the reference to a tag, where pointers have 64 bits.
    pub(crate) const OWN_BYTES: usize = 128;
    const TAG_BYTES: usize = 24;

    /// Bytes that this keymap occupies in memory, heap included. Where pointers are shorter it is less, but counts as
    /// much: what fits into a cache must not depend on it.
    pub fn weight(&self) -> usize {
        let fields = &self.fields;
        let text = fields.locator.len()
            + fields.etag.as_deref().map_or(0, str::len)
            + fields.meta.as_ref().map_or(0, |m| m.0.len());
        let tags: usize = fields.tags.iter().map(|t| t.len() + Self::TAG_BYTES).sum();
        Self::OWN_BYTES + self.key.as_str().len() + text + tags
    }
}

const _: () = assert!(size_of::<Keymap>() <= Keymap::OWN_BYTES && size_of::<String>() <= Keymap::TAG_BYTES);

#[cfg(test)]
#[path = "keymap_tests.rs"]
mod tests;
