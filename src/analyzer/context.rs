//! [`Context`]: where a stream is.

use super::classes::Shape;
use super::evidence::Expert;
use super::keys::KeyId;

/// State of a stream: what its next request is predicted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// The last key.
    pub last: Option<KeyId>,
    /// Hash of the last key's shape; 0 if unknown.
    pub(super) shape: u64,
    /// Hash of the last template and the shape it led to; 0 at the start.
    step: u64,
    /// Hash of the last two of them.
    steps: u64,
    /// Hash of the last two keys; 0 at the start.
    pair: u64,
}

/// Kinds of context, kept apart in one table by different multipliers (odd constants from SplitMix64, Steele
/// et al., 2014).
const KINDS: [u64; Expert::COUNT] = [
    0x9e37_79b9_7f4a_7c15,
    0xbf58_476d_1ce4_e5b9,
    0x94d0_49bb_1331_11eb,
    0xd6e8_feb8_6659_fd93,
    0xff51_afd7_ed55_8ccd,
    0xc4ce_b9fe_1a85_ec53,
    0xa24b_aed4_963e_e407,
    0x9fb2_1c65_1e98_df25,
];

/// Hash of a template and the shape it led to.
pub(super) fn step_hash(shape: u64, template: KeyId) -> u64 {
    shape ^ template.bits().rotate_left(20)
}

/// Hash of two steps; 0 where there are no two.
fn steps(before: u64, last: u64) -> u64 {
    if before == 0 || last == 0 { 0 } else { before.rotate_left(23) ^ last }
}

pub(super) fn pair(before: KeyId, last: KeyId) -> u64 {
    before.bits().rotate_left(23) ^ last.bits()
}

pub(super) fn context_hash(kind: Expert, what: u64) -> u64 {
    let mut hash = what.wrapping_mul(KINDS[kind as usize]);
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(KINDS[2]);
    hash ^ (hash >> 29)
}

impl Context {
    /// The line of an expert in this context.
    pub(super) fn line(&self, expert: Expert) -> Option<u64> {
        let what = match expert {
            Expert::Order1 | Expert::Far => self.last.map_or(0, KeyId::bits),
            Expert::Template | Expert::FarTemplate => self.shape,
            Expert::Template2 => self.step,
            Expert::Template3 => self.steps,
            Expert::Order2 | Expert::Far2 => self.pair,
            Expert::Hint => 0,
        };
        (what != 0).then(|| context_hash(expert, what))
    }

    /// The context after one more key of this shape, which was reached by `step`; 0 if that is not known.
    pub(super) fn then(&self, id: KeyId, shape: &Shape, step: u64) -> Self {
        let pair = self.last.map_or(0, |last| pair(last, id));
        Self { last: Some(id), shape: shape.hash, step, steps: steps(self.step, step), pair }
    }

    /// The context that consists of one key.
    pub(super) fn of(id: KeyId, shape: u64) -> Self {
        Self { last: Some(id), shape, step: 0, steps: 0, pair: 0 }
    }
}
