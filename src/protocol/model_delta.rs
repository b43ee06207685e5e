//! The difference between two models: what a caller that has the one needs for the other.
//!
//! A model is written column by column, sorted, so most of one that is a few minutes newer stands in the older one, only
//! elsewhere. A difference says where, and has the bytes that are new: over the development traces a tenth to a half of the
//! whole, both compressed. The scheme is that of VCDIFF (RFC 3284), with columns that a general compressor makes little of.

use fxhash::FxHashMap;

use super::snapshot::MAX_SNAPSHOT_BYTES;
use crate::codec::{DecodeError, Reader, Writer, unzigzag, zigzag};
use crate::partition::xxh3;

const MAGIC: [u8; 4] = *b"FMLD";
const VERSION: u8 = 1;

/// Shortest stretch that is copied: a step takes three to five bytes, and ends a run of literals.
const WINDOW: usize = 8;
/// Distance of the places of the older model that are looked up: a stretch of `WINDOW + STRIDE - 1` bytes is always found.
const STRIDE: usize = 2;

/// So many new bytes, then so many of the older model from `from`.
struct DeltaStep {
    literal: usize,
    copied: usize,
    from: usize,
}

/// Tells whether the bytes are those of a difference, and not of a model.
pub fn is_model_delta(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Difference that leads from the binary form of one model to that of another. O(bytes of both).
pub fn model_delta(older: &[u8], newer: &[u8]) -> Vec<u8> {
    let steps = steps(older, newer);
    let mut w = Writer::with_header(MAGIC, VERSION);
    w.u64_le(xxh3(0, older));
    w.varint(newer.len() as u64);
    w.varint(steps.len() as u64);
    steps.iter().for_each(|step| w.varint(step.literal as u64));
    steps.iter().for_each(|step| w.varint(step.copied as u64));
    let mut expected = 0;
    for step in &steps {
        // Where as much was replaced as there was, that is 0.
        expected += step.literal as i64;
        w.varint(zigzag(step.from as i64 - expected));
        expected = (step.from + step.copied) as i64;
    }
    let mut at = 0;
    for step in &steps {
        w.raw(&newer[at..at + step.literal]);
        at += step.literal + step.copied;
    }
    w.raw(&newer[at..]);
    w.finish()
}

/// Greedy: the first stretch that is found is taken, as long as it goes in both directions.
fn steps(older: &[u8], newer: &[u8]) -> Vec<DeltaStep> {
    let window = |bytes: &[u8], at: usize| {
        let bytes = bytes.get(at..at + WINDOW)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    let mut places: FxHashMap<u64, usize> = FxHashMap::default();
    for at in (0..older.len()).step_by(STRIDE) {
        if let Some(bytes) = window(older, at) {
            places.insert(bytes, at);
        }
    }
    let (mut steps, mut at, mut done, mut expected) = (Vec::new(), 0, 0, 0_usize);
    while let Some(bytes) = window(newer, at) {
        // What follows on from the last stretch costs least.
        let follows = expected + (at - done);
        let near = window(older, follows).filter(|&near| near == bytes).map(|_| follows);
        let Some(mut from) = near.or_else(|| places.get(&bytes).copied()) else {
            at += 1;
            continue;
        };
        let mut start = at;
        while start > done && from > 0 && newer[start - 1] == older[from - 1] {
            (start, from) = (start - 1, from - 1);
        }
        let copied = newer[start..].iter().zip(&older[from..]).take_while(|(a, b)| a == b).count();
        steps.push(DeltaStep { literal: start - done, copied, from });
        at = start + copied;
        (done, expected) = (at, from + copied);
    }
    steps
}

/// The newer model, in binary form, out of the older one and what leads from it. O(bytes).
///
/// # Errors
/// [`DecodeError`] where the bytes are not those of a difference, or lead from another model than this.
pub fn apply_model_delta(older: &[u8], delta: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut r = Reader::with_header(delta, MAGIC, VERSION)?;
    if r.u64_le()? != xxh3(0, older) {
        return Err(DecodeError::BadValue("older"));
    }
    let length = r.at_most(MAX_SNAPSHOT_BYTES as u64, "length")? as usize;
    // Each takes three bytes at least.
    let count = r.at_most((r.left() / 3) as u64, "steps")? as usize;
    let mut column = |name| (0..count).map(|_| r.u32(name)).collect::<Result<Vec<u32>, _>>();
    let (literals, copied) = (column("literal")?, column("copied")?);
    let distances = (0..count).map(|_| r.varint()).collect::<Result<Vec<u64>, _>>()?;
    let mut newer = Vec::with_capacity(length);
    let mut expected = 0_i64;
    for ((literal, copied), distance) in literals.into_iter().zip(copied).zip(distances) {
        let from = expected.saturating_add(i64::from(literal)).saturating_add(unzigzag(distance));
        let from = usize::try_from(from).map_err(|_| DecodeError::BadValue("from"))?;
        let to = from.checked_add(copied as usize).ok_or(DecodeError::BadValue("from"))?;
        newer.extend_from_slice(r.raw(literal as usize)?);
        newer.extend_from_slice(older.get(from..to).ok_or(DecodeError::BadValue("from"))?);
        if newer.len() > length {
            return Err(DecodeError::BadValue("length"));
        }
        expected = to as i64;
    }
    newer.extend_from_slice(r.raw(length - newer.len())?);
    r.finish()?;
    Ok(newer)
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "model_delta_tests.rs"]
mod tests;
