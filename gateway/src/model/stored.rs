//! The model as it lies in the store: one snapshot in several sizes.

use axum::body::Bytes;
use foremap::codec::{DecodeError, Reader, Writer};
use foremap::model::CLASSES;
use foremap::protocol::{MAX_SNAPSHOT_BYTES, ModelSnapshot};

use super::compress::{compressed, decompressed};

const MAGIC: [u8; 4] = *b"FMMS";
const VERSION: u8 = 1;

/// A snapshot in one size.
#[derive(Debug, Clone)]
pub(crate) struct Size {
    /// Its binary form.
    pub(crate) raw: Bytes,
    /// The same, compressed.
    pub(crate) brotli: Bytes,
}

impl Size {
    pub(super) fn of(snapshot: &ModelSnapshot) -> Self {
        let raw = snapshot.encode();
        Self { brotli: compressed(&raw).into(), raw: raw.into() }
    }
}

/// A snapshot in the sizes of [`CLASSES`]; where the last of them is missing, the one before has everything in it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// When it was made, by the leader's wall clock.
    pub(crate) made: u64,
    /// One at least.
    pub(crate) sizes: Vec<Size>,
}

impl Stored {
    /// `None` where there is no snapshot, or one that nobody could read.
    pub(crate) fn of(snapshots: &[ModelSnapshot]) -> Option<Self> {
        let sizes: Vec<Size> = snapshots.iter().map(Size::of).collect();
        let is_readable = sizes.iter().all(|size| ModelSnapshot::decode(&size.raw).is_ok());
        let made = snapshots.first()?.made;
        is_readable.then_some(Self { made, sizes })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.list(self.sizes.iter(), |w, size| w.bytes(&size.brotli));
        w.finish()
    }

    /// Reads what [`Stored::encode`] wrote, and every snapshot in it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
        let mut made = 0;
        let sizes = r.list(CLASSES.len(), "sizes", |r| {
            let brotli = r.bytes()?;
            let raw = decompressed(brotli, MAX_SNAPSHOT_BYTES).ok_or(DecodeError::BadValue("brotli"))?;
            made = ModelSnapshot::decode(&raw)?.made;
            Ok(Size { raw: raw.into(), brotli: Bytes::copy_from_slice(brotli) })
        })?;
        r.finish()?;
        if sizes.is_empty() { Err(DecodeError::BadValue("sizes")) } else { Ok(Self { made, sizes }) }
    }

    /// The snapshot in the size of a class.
    pub(crate) fn size(&self, class: usize) -> &Size {
        &self.sizes[class.min(self.sizes.len() - 1)]
    }
}

#[cfg(test)]
#[path = "stored_tests.rs"]
mod tests;
