//! [`CompositeKey`]: a key in canonical text.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::escape::{self, KeyError};

/// Most components a key may have.
pub const MAX_COMPONENTS: usize = 16;
/// Longest canonical text of a key, in bytes.
pub const MAX_KEY_BYTES: usize = 1_024;

/// A composite key in canonical text: 1 to 16 components joined by `/`.
///
/// Two keys are the same exactly when their canonical texts are the same bytes,
/// and keys are ordered by those bytes. A clone costs one reference count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CompositeKey {
    // Held with one `/` at the end, so that the hashed portion of any depth is
    // one contiguous slice and placement never copies.
    slashed: Arc<str>,
}

impl CompositeKey {
    /// Parses `text`, whose components may contain `%XX` escapes, into canonical form.
    ///
    /// # Errors
    /// Any [`KeyError`]; nothing is guessed or trimmed.
    ///
    /// ```
    /// use foremap::key::CompositeKey;
    /// let key = CompositeKey::parse("bucket/a%2fb/%41")?;
    /// assert_eq!(key.as_str(), "bucket/a%2Fb/A");
    /// # Ok::<(), foremap::key::KeyError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        // Decoding never lengthens and re-encoding at most restores a byte to
        // three, so anything above this cannot end within the limit.
        if text.len() > 3 * MAX_KEY_BYTES {
            return Err(KeyError::TooLong);
        }
        if let Some(key) = Self::plain(text) {
            return Ok(key);
        }
        let mut builder = KeyBuilder::default();
        for part in text.split('/') {
            if part.contains('%') {
                let raw = String::from_utf8(escape::decode(part)?).map_err(|_| KeyError::NotUtf8)?;
                builder.push(&raw)?;
            } else {
                builder.push(part)?;
            }
        }
        builder.finish()
    }

    /// The key of `text` as it stands, where nothing in it is escaped or would have to be. Nearly every key is of this
    /// kind, and a gateway parses many. `None` says nothing about the others.
    fn plain(text: &str) -> Option<Self> {
        if text.len() > MAX_KEY_BYTES {
            return None;
        }
        // One pass: a component may not be empty, nor dots alone where they are one or two.
        let (mut components, mut length, mut dots) = (0, 0_usize, 0_usize);
        for byte in text.bytes().chain([b'/']) {
            match byte {
                b'/' => {
                    components += 1;
                    if length == 0 || length == dots && dots <= 2 || components > MAX_COMPONENTS {
                        return None;
                    }
                    (length, dots) = (0, 0);
                }
                b'%' | 0x7f | ..b' ' => return None,
                _ => {
                    length += 1;
                    dots += usize::from(byte == b'.');
                }
            }
        }
        // Put together in place, so that a short key costs one allocation.
        let mut short = [b'/'; 64];
        if let Some(room) = short[..63].get_mut(..text.len()) {
            room.copy_from_slice(text.as_bytes());
            let slashed = std::str::from_utf8(&short[..=text.len()]).ok()?;
            return Some(Self { slashed: slashed.into() });
        }
        let mut slashed = String::with_capacity(text.len() + 1);
        slashed.push_str(text);
        slashed.push('/');
        Some(Self { slashed: slashed.into() })
    }

    /// Builds a key from raw components, which are taken as they are: `%` and `/` in them are data.
    ///
    /// # Errors
    /// Any [`KeyError`] but [`KeyError::BadEscape`] and [`KeyError::NotUtf8`].
    pub fn from_components<'a>(components: impl IntoIterator<Item = &'a str>) -> Result<Self, KeyError> {
        let mut builder = KeyBuilder::default();
        for component in components {
            builder.push(component)?;
        }
        builder.finish()
    }

    /// The key whose canonical text is exactly `text`, if it is one: for binary
    /// forms, where a second spelling of the same key must not pass.
    pub(crate) fn from_canonical(text: &str) -> Option<Self> {
        Self::parse(text).ok().filter(|key| key.as_str() == text)
    }

    /// The key whose canonical text is known to be `text`, as it is taken or put together from keys. `buffer` is
    /// emptied and used. `None` only where it is too long or no text at all.
    pub(crate) fn from_known(text: &[u8], buffer: &mut String) -> Option<Self> {
        buffer.clear();
        buffer.push_str(std::str::from_utf8(text).ok()?);
        if buffer.is_empty() || buffer.len() > MAX_KEY_BYTES {
            return None;
        }
        debug_assert!(Self::parse(buffer).is_ok_and(|key| key.as_str() == buffer), "{buffer}");
        buffer.push('/');
        Some(Self { slashed: buffer.as_str().into() })
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        // Cheaper than a search for the slash: this is asked for several times per request.
        self.slashed.get(..self.slashed.len().wrapping_sub(1)).unwrap_or_default()
    }

    /// The components, in canonical (escaped) form.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.as_str().split('/')
    }

    /// Number of components, 1 to 16.
    pub fn depth(&self) -> usize {
        self.slashed.bytes().filter(|&b| b == b'/').count()
    }

    /// The first `depth` components (all of them where the key is shorter), each
    /// followed by `/`: the bytes that placement hashes.
    pub fn portion(&self, depth: usize) -> &str {
        self.slashed.get(..self.portion_end(depth)).unwrap_or_default()
    }

    /// The component after the first `depth` ones, followed by `/`, if there is one.
    pub fn component_after(&self, depth: usize) -> Option<&str> {
        self.slashed.get(self.portion_end(depth)..)?.split_inclusive('/').next()
    }

    fn portion_end(&self, depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        let mut slashes = self.slashed.bytes().enumerate().filter(|&(_, b)| b == b'/');
        slashes.nth(depth - 1).map_or(self.slashed.len(), |(at, _)| at + 1)
    }

    /// Ends of the components, each behind its `/`, and how many there are: one pass for all that placement asks for.
    pub(crate) fn ends(&self) -> ([u16; MAX_COMPONENTS], usize) {
        let (mut ends, mut count) = ([0; MAX_COMPONENTS], 0);
        for (at, _) in self.slashed.bytes().enumerate().filter(|&(_, b)| b == b'/') {
            if let Some(end) = ends.get_mut(count) {
                *end = at as u16 + 1;
                count += 1;
            }
        }
        (ends, count)
    }

    /// The text with its closing `/`.
    pub(crate) fn slashed(&self) -> &[u8] {
        self.slashed.as_bytes()
    }

    /// Every prefix of the key as text with a closing `/`, shortest first, the key itself last.
    pub(crate) fn slashed_prefixes(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.slashed.match_indices('/').filter_map(|(at, _)| self.slashed.get(..=at))
    }
}

/// Collects components into a [`CompositeKey`].
#[derive(Debug, Default)]
pub struct KeyBuilder {
    slashed: String,
    components: usize,
}

impl KeyBuilder {
    /// Appends one raw component.
    ///
    /// # Errors
    /// As [`CompositeKey::from_components`].
    pub fn push(&mut self, raw: &str) -> Result<(), KeyError> {
        if self.components == MAX_COMPONENTS {
            return Err(KeyError::TooManyComponents);
        }
        escape::encode_into(raw, &mut self.slashed)?;
        self.slashed.push('/');
        self.components += 1;
        // Checked as it grows, so that a hostile component cannot make it large.
        if self.slashed.len() > MAX_KEY_BYTES + 1 { Err(KeyError::TooLong) } else { Ok(()) }
    }

    /// The finished key.
    ///
    /// # Errors
    /// [`KeyError::Empty`] without components.
    pub fn finish(self) -> Result<CompositeKey, KeyError> {
        if self.components == 0 {
            return Err(KeyError::Empty);
        }
        Ok(CompositeKey { slashed: self.slashed.into() })
    }
}

impl fmt::Debug for CompositeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompositeKey({:?})", self.as_str())
    }
}

impl fmt::Display for CompositeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialOrd for CompositeKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CompositeKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Without the closing slash: `a` sorts before `a!`, although `/` > `!`.
        self.as_str().cmp(other.as_str())
    }
}

impl AsRef<str> for CompositeKey {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl std::str::FromStr for CompositeKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl serde::Serialize for CompositeKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for CompositeKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(text.borrow()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[path = "composite_tests.rs"]
mod tests;
