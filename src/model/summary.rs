//! [`Summary`]: which keys followed each other at one instance since its last summary.

use super::texts;
use crate::codec::{DecodeError, Reader, Writer};
use crate::key::CompositeKey;
use crate::protocol::MAX_SUMMARY_BYTES;

const MAGIC: [u8; 4] = *b"FMSM";
const VERSION: u8 = 1;

/// One request of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathStep {
    /// Number of its key in [`Summary::keys`].
    pub key: u32,
    /// True if the stream had asked for the key before: it was cached then, and to fetch it ahead would be of no use.
    pub repeated: bool,
}

/// Requests of one stream, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    /// Number of its first steps, at most two, that another summary has told of: they are here for what followed them.
    pub told: u8,
    /// The requests.
    pub steps: Vec<PathStep>,
}

/// Report of an instance on its streams. Told again under the same epoch, it is the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Instance that tells: a random number for each life of an analyzer.
    pub instance: u64,
    /// Its number among those of the instance, from 1.
    pub epoch: u64,
    /// The keys that paths name, each once.
    pub keys: Vec<CompositeKey>,
    /// The paths.
    pub paths: Vec<Path>,
}

impl Summary {
    /// Largest binary form that a gateway takes.
    pub const MAX_BYTES: usize = MAX_SUMMARY_BYTES;
    /// Most keys.
    pub const MAX_KEYS: usize = 1 << 14;
    /// Most paths.
    pub const MAX_PATHS: usize = 1 << 12;
    /// Most steps of a path.
    pub const MAX_STEPS: usize = 1 << 12;
    /// Most bytes of all keys: what is shared on the wire is written out again.
    pub const MAX_KEY_TEXT: usize = 2 << 20;
    /// Most steps of another summary that a path begins with.
    pub const MAX_TOLD: u8 = 2;

    /// The binary form. Keys share their beginnings with the one before.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.u64_le(self.instance);
        w.varint(self.epoch);
        let mut before = "";
        w.list(self.keys.iter(), |w, key| {
            texts::put(w, before, key.as_str());
            before = key.as_str();
        });
        w.list(self.paths.iter(), |w, path| {
            w.u8(path.told);
            w.list(path.steps.iter(), |w, step| w.varint(u64::from(step.key) << 1 | u64::from(step.repeated)));
        });
        w.finish()
    }

    /// Reads the binary form. O(bytes + bytes of the keys), of which there are at most [`Summary::MAX_KEY_TEXT`].
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not those of a summary.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
        let instance = r.u64_le()?;
        let epoch = r.at_most(crate::codec::MAX_SAFE_INTEGER, "epoch")?;
        let (mut text, mut room) = (String::new(), Self::MAX_KEY_TEXT);
        let keys = r.list(Self::MAX_KEYS, "keys", |r| {
            texts::take(r, &mut text)?;
            room = room.checked_sub(text.len()).ok_or(DecodeError::TooMany("bytes of keys"))?;
            CompositeKey::from_canonical(&text).ok_or(DecodeError::BadValue("key"))
        })?;
        let count = keys.len() as u64;
        let paths = r.list(Self::MAX_PATHS, "paths", |r| {
            let told = r.u8()?;
            let steps = r.list(Self::MAX_STEPS, "steps", |r| {
                let step = r.varint()?;
                let key = step >> 1;
                if key >= count {
                    return Err(DecodeError::BadValue("step"));
                }
                Ok(PathStep { key: key as u32, repeated: step & 1 == 1 })
            })?;
            if told > Self::MAX_TOLD || usize::from(told) > steps.len() {
                return Err(DecodeError::BadValue("told"));
            }
            Ok(Path { told, steps })
        })?;
        r.finish()?;
        Ok(Self { instance, epoch, keys, paths })
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "summary_tests.rs"]
mod tests;
