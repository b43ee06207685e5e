//! [`KeyPrefix`]: whole leading components, as rules, tokens, lists and invalidations use them.

use std::fmt;

use super::{CompositeKey, KeyError};

/// A prefix of whole components: `user/1` covers `user/1` and `user/1/a`, never `user/10`.
/// The empty prefix covers every key. Ordered like keys, by the bytes of the canonical text.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct KeyPrefix {
    // Empty, or canonical text with a closing `/`.
    slashed: Box<str>,
}

impl KeyPrefix {
    /// The prefix of every key.
    pub fn all() -> Self {
        Self::default()
    }

    /// Parses whole components; a closing `/` is allowed, the empty text is [`KeyPrefix::all`].
    ///
    /// # Errors
    /// As [`CompositeKey::parse`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Ok(Self::all());
        }
        // A lone `/` is an empty component, not the prefix of everything: a slip
        // in a token's prefix list must not open the whole namespace.
        let key = CompositeKey::parse(text.strip_suffix('/').unwrap_or(text))?;
        Ok(Self { slashed: key.portion(key.depth()).into() })
    }

    /// The prefix whose canonical text is exactly `text`, if it is one.
    pub(crate) fn from_canonical(text: &str) -> Option<Self> {
        Self::parse(text).ok().filter(|prefix| prefix.as_str() == text)
    }

    /// The prefix whose keys have this [portion](CompositeKey::portion).
    pub(crate) fn of_portion(portion: &str) -> Self {
        debug_assert!(Self::parse(portion).is_ok_and(|prefix| &*prefix.slashed == portion), "{portion}");
        Self { slashed: portion.into() }
    }

    /// Canonical text without the closing `/`.
    pub fn as_str(&self) -> &str {
        self.slashed.strip_suffix('/').unwrap_or("")
    }

    /// Canonical text with the closing `/`, or the empty text: what stores seek to.
    pub fn slashed(&self) -> &str {
        &self.slashed
    }

    /// Number of components.
    pub fn depth(&self) -> usize {
        self.slashed.bytes().filter(|&b| b == b'/').count()
    }

    /// Canonical texts of the prefixes that cover it and are shorter, the longest first; the last is that of every key.
    pub(crate) fn enclosing(&self) -> impl Iterator<Item = &str> {
        let text = self.as_str();
        text.rmatch_indices('/').filter_map(|(at, _)| text.get(..at)).chain([""])
    }

    /// Tells whether `key` is this prefix or lies below it.
    pub fn covers(&self, key: &CompositeKey) -> bool {
        key.portion(self.depth()) == &*self.slashed
    }

    /// The same of a key's canonical text.
    pub fn covers_text(&self, text: &str) -> bool {
        text == self.as_str() || text.starts_with(&*self.slashed)
    }
}

impl PartialOrd for KeyPrefix {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyPrefix {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl fmt::Debug for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPrefix({:?})", self.as_str())
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for KeyPrefix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for KeyPrefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[path = "prefix_tests.rs"]
mod tests;
