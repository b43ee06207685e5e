//! Learnings of a Confidence Map, in a form that another one can start from.
//!
//! Cells, weights and knots, each with as many trials as it stands for, in powers of two. Probabilities travel as
//! logarithms of their odds in sixteenths: finer than what the counts behind them can tell.

use super::logit::{squash, stretch};
use super::trial_count::TrialCount;
use crate::codec::{DecodeError, Reader, Writer};

/// Version of the form.
pub(super) const VERSION: u8 = 2;
/// Most trials, as a power of two, that anything taken over stands for: 64, so that what happens here is soon worth
/// as much.
const MAX_TRIALS: u8 = 6;
/// Steps of a logarithm of odds.
const STEP: f32 = 16.0;

/// Writes a probability and its trials.
pub(super) fn put_count(w: &mut Writer, count: &TrialCount) {
    let succeeded = count.succeeded();
    w.u8((stretch(succeeded + 0.02, count.trials - succeeded + 0.02) * STEP) as i8 as u8);
    w.u8((count.trials.max(1.0) as u32).ilog2() as u8);
}

/// Reads what [`put_count`] wrote.
pub(super) fn count(r: &mut Reader<'_>) -> Result<TrialCount, DecodeError> {
    let logit = f32::from(r.u8()? as i8) / STEP;
    let trials = trials(r, MAX_TRIALS)? as f32;
    Ok(TrialCount { trials, successes: trials * squash(logit) })
}

/// Reads a number of trials, which stand for at most 2^`most`.
pub(super) fn trials(r: &mut Reader<'_>, most: u8) -> Result<u32, DecodeError> {
    let log2 = r.u8()?;
    if log2 > 32 { Err(DecodeError::BadValue("trials")) } else { Ok(1 << log2.min(most)) }
}

/// Writes those of many values that `put` finds worth it, each after the distance from the one before.
pub(super) fn put_sparse<T>(
    w: &mut Writer,
    values: &[T],
    is_worth: impl Fn(usize, &T) -> bool,
    put: impl Fn(&mut Writer, &T),
) {
    let chosen: Vec<_> = values.iter().enumerate().filter(|(at, value)| is_worth(*at, value)).collect();
    w.varint(chosen.len() as u64);
    let mut next = 0;
    for (at, value) in chosen {
        w.varint((at - next) as u64);
        put(w, value);
        next = at + 1;
    }
}

/// Reads what [`put_sparse`] wrote over so many values.
pub(super) fn sparse(
    r: &mut Reader<'_>,
    values: usize,
    mut read: impl FnMut(&mut Reader<'_>, usize) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let chosen = r.at_most(values as u64, "values")?;
    let mut next = 0;
    for _ in 0..chosen {
        let at = next + r.at_most(values as u64, "place")? as usize;
        if at >= values {
            return Err(DecodeError::BadValue("place"));
        }
        read(r, at)?;
        next = at + 1;
    }
    Ok(())
}

#[cfg(test)]
#[path = "calibration_tests.rs"]
mod tests;
