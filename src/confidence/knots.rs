//! Interpolated maps: from a stated probability to what came of it.

use super::calibration;
use super::logit::{MAX, squash};
use super::trial_count::TrialCount;
use crate::codec::{DecodeError, Reader, Writer};

/// Knots of a map, one at each whole logit from -8 to 8.
pub(super) const KNOTS: usize = 17;
/// Trials that a knot's prior (to leave what is stated as it is) is worth.
const PRIOR: f32 = 16.0;

/// Part of the way to the prior that a knot goes back at once.
const FORGET: f32 = 1.0 / 64.0;

/// Successes of the prior.
fn prior(at: usize) -> f32 {
    PRIOR * squash((at % KNOTS) as f32 - MAX)
}

/// A place between two knots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnotPosition {
    lower: u8,
    /// The upper knot's share, in 255ths.
    upper: u8,
}

/// Several maps in a row, each adapting by itself (adaptive probability maps: Mahoney, PAQ).
#[derive(Debug, Clone)]
pub(super) struct Knots<const N: usize> {
    knots: [TrialCount; N],
    /// Trials after which a knot is halved.
    window: f32,
}

impl<const N: usize> Knots<N> {
    /// `N` is 17 for each map.
    pub(super) fn new(window: f32) -> Self {
        let mut knots = [TrialCount { trials: PRIOR, successes: 0.0 }; N];
        for (at, knot) in knots.iter_mut().enumerate() {
            knot.successes = prior(at);
        }
        Self { knots, window }
    }

    /// Writes the knots that have learned something.
    pub(super) fn export(&self, w: &mut Writer) {
        calibration::put_sparse(w, &self.knots, |_, knot| knot.trials > PRIOR + 1.0, calibration::put_count);
    }

    /// Takes over what [`Knots::export`] wrote; knots that are not in it stay as they are.
    pub(super) fn import(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        calibration::sparse(r, N, |r, at| {
            self.knots[at] = calibration::count(r)?;
            Ok(())
        })
    }

    /// Probability that what is stated with a logit comes to in a map, and the place where that is learnt.
    pub(super) fn score(&self, map: usize, logit: f32) -> (f32, KnotPosition) {
        let logit = logit.clamp(-MAX, MAX - 0.001);
        let lower = (logit + MAX) as i32;
        let upper = logit + MAX - lower as f32;
        let at = map * KNOTS + lower as usize;
        let probability = self.knot(at) * (1.0 - upper) + self.knot(at + 1) * upper;
        (probability, KnotPosition { lower: at as u8, upper: (upper * 255.0) as i32 as u8 })
    }

    fn knot(&self, at: usize) -> f32 {
        let knot = &self.knots[at];
        knot.succeeded() / knot.trials
    }

    /// Books a trial, as a failure until [`Knots::pay_back`].
    pub(super) fn book(&mut self, place: KnotPosition) {
        for (at, share) in place.shares() {
            self.knots[at].book(share, self.window);
        }
    }

    /// A booked trial said nothing.
    pub(super) fn undo(&mut self, place: KnotPosition) {
        for (at, share) in place.shares() {
            self.knots[at].trials = (self.knots[at].trials - share).max(PRIOR);
        }
    }

    /// Goes back a little towards the prior.
    pub(super) fn forget(&mut self, place: KnotPosition) {
        for (at, share) in place.shares() {
            let (knot, part) = (&mut self.knots[at], share * FORGET);
            knot.successes += (prior(at) - knot.successes) * part;
            knot.trials += (PRIOR - knot.trials) * part;
        }
    }

    /// A booked trial succeeded.
    pub(super) fn pay_back(&mut self, place: KnotPosition) {
        for (at, share) in place.shares() {
            self.knots[at].pay_back(share);
        }
    }
}

impl KnotPosition {
    fn shares(self) -> [(usize, f32); 2] {
        let (at, upper) = (usize::from(self.lower), f32::from(self.upper) / 255.0);
        [(at, 1.0 - upper), (at + 1, upper)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stated_becomes_what_comes_of_it() {
        let mut knots = Knots::<{ 2 * KNOTS }>::new(1_024.0);
        assert!((knots.score(0, 1.0).0 - squash(1.0)).abs() < 1e-3);
        for n in 0..4_000 {
            let (_, place) = knots.score(1, 1.3);
            knots.book(place);
            if n % 5 == 0 {
                knots.pay_back(place);
            }
        }
        assert!((knots.score(1, 1.3).0 - 0.2).abs() < 0.02);
        assert!((knots.score(0, 1.3).0 - squash(1.3)).abs() < 0.02, "the other map is as it was");
        for _ in 0..2_000 {
            let (_, place) = knots.score(1, 1.3);
            knots.forget(place);
        }
        assert!((knots.score(1, 1.3).0 - squash(1.3)).abs() < 0.02, "forgotten");
        for logit in [-100.0, 100.0, -8.0, 8.0] {
            assert!((0.0..=1.0).contains(&knots.score(1, logit).0));
        }
    }
}
