//! Mixing: from the worth of each piece of evidence to one calibrated probability.
//!
//! Logistic mixing (Mattern, 2012; PAQ) of inputs *centred* on the base rate, so that an input which has nothing to
//! say changes nothing. Weights are learnt online, a set for each expert that can be the strongest. The
//! result passes an interpolated map of 17 knots (as PAQ's adaptive probability maps), which takes out what is
//! left of over- or under-confidence.

use super::calibration;
use super::cells::{Cells, INPUTS};
use super::knots::{KNOTS, KnotPosition, Knots};
use super::logit::{MAX, squash};
use super::trial_count::TrialCount;
use crate::analyzer::{Evidence, Expert};
use crate::codec::{DecodeError, Reader, Writer};

/// Weight of the strongest expert and of the others before anything is learnt.
const FIRST_WEIGHTS: (f32, f32) = (0.7, 0.15);
/// Learning rate after n predictions: `RATE / sqrt(n)`, never below `MIN_RATE`. From a third to three times
/// of it replays level.
const RATE: f32 = 0.5;
const MIN_RATE: f32 = 0.001;
/// Bounds of a weight.
const WEIGHTS: (f32, f32) = (-0.5, 1.5);
/// Trials after which a knot of the final map is halved.
const KNOT_WINDOW: f32 = 256.0;
/// Steps of a weight that is handed on.
const WEIGHT_STEP: f32 = 64.0;
/// Most trials, as a power of two, that weights taken over stand for: few enough to be unlearnt, and so many that single
/// predictions do not throw them about.
const MAX_SET_TRIALS: u8 = 12;
/// Inputs are remembered in steps of a sixteenth, between -8 and 8.
const STEP: f32 = 16.0;

/// A probability and how it came about, so that its outcome can be learnt from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The calibrated probability.
    pub probability: f32,
    /// The mixture, before the final map.
    logit: f32,
    pub(super) learns: Learns,
}

/// Record of a prediction that is kept until its outcome is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Learns {
    pub(super) evidence: Evidence,
    inputs: [i8; INPUTS],
    set: u8,
    /// In the first final map, or the second where several experts agree.
    place: KnotPosition,
}

#[derive(Debug, Clone, Copy)]
struct Set {
    weights: [f32; INPUTS],
    trials: u32,
}

/// Weight sets and final map.
#[derive(Debug, Clone)]
pub(super) struct Mixer {
    sets: [Set; Expert::COUNT],
    knots: Knots<{ 2 * KNOTS }>,
}

impl Mixer {
    pub(super) fn new() -> Self {
        let mut sets = [Set { weights: [FIRST_WEIGHTS.1; INPUTS], trials: 0 }; Expert::COUNT];
        for (at, set) in sets.iter_mut().enumerate() {
            set.weights[at] = FIRST_WEIGHTS.0;
        }
        Self { sets, knots: Knots::new(KNOT_WINDOW) }
    }

    /// Writes the sets that have learned something, and the final map.
    pub(super) fn export(&self, w: &mut Writer) {
        calibration::put_sparse(
            w,
            &self.sets,
            |_, set| set.trials > 0,
            |w, set| {
                w.u8(set.trials.max(1).ilog2() as u8);
                for weight in set.weights {
                    w.u8((weight * WEIGHT_STEP) as i8 as u8);
                }
            },
        );
        self.knots.export(w);
    }

    /// Takes over what [`Mixer::export`] wrote.
    pub(super) fn import(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        calibration::sparse(r, Expert::COUNT, |r, at| {
            let set = &mut self.sets[at];
            set.trials = calibration::trials(r, MAX_SET_TRIALS)?;
            for weight in &mut set.weights {
                *weight = (f32::from(r.u8()? as i8) / WEIGHT_STEP).clamp(WEIGHTS.0, WEIGHTS.1);
            }
            Ok(())
        })?;
        self.knots.import(r)
    }

    pub(super) fn score(&self, cells: &Cells, evidence: &Evidence) -> Score {
        let inputs = cells.centred(evidence);
        let (mut set, mut strongest, mut listed) = (0, i8::MIN, 0);
        for (at, grade) in evidence.grades.iter().enumerate() {
            if grade.is_listed() {
                listed += 1;
                if inputs[at] > strongest {
                    (set, strongest) = (at, inputs[at]);
                }
            }
        }
        let weights = &self.sets[set].weights;
        let sum: f32 = inputs.iter().zip(weights).map(|(&input, weight)| f32::from(input) * weight).sum();
        let logit = (cells.base() + sum / STEP).clamp(-MAX, MAX - 0.001);
        let (probability, place) = self.knots.score(usize::from(listed > 1), logit);
        let learns = Learns { evidence: *evidence, inputs, set: set as u8, place };
        Score { probability, logit, learns }
    }

    /// Books a prediction, as a failure until [`Mixer::pay_back`].
    pub(super) fn book(&mut self, score: &Score) {
        let set = &mut self.sets[usize::from(score.learns.set)];
        set.trials = set.trials.saturating_add(1);
        self.descend(&score.learns, -squash(score.logit));
        self.knots.book(score.learns.place);
    }

    /// A booked prediction came true. The gradients of failure and of success differ by one whole input.
    pub(super) fn pay_back(&mut self, learns: &Learns) {
        self.descend(learns, 1.0);
        self.knots.pay_back(learns.place);
    }

    fn descend(&mut self, learns: &Learns, error: f32) {
        let set = &mut self.sets[usize::from(learns.set)];
        // The square root is exact to the last bit on every platform.
        let rate = (RATE / (set.trials.max(1) as f32).sqrt()).max(MIN_RATE);
        for (weight, &input) in set.weights.iter_mut().zip(&learns.inputs) {
            *weight = (*weight + rate * error * f32::from(input) / STEP).clamp(WEIGHTS.0, WEIGHTS.1);
        }
    }
}

/// Calibration of chains, whose probability is a product along the path and so tends to be off.
#[derive(Debug, Clone)]
pub(super) struct Chains {
    knots: [TrialCount; (DEPTHS.len() + 1) * PATHS],
}

/// Upper edges of a path's length.
const DEPTHS: [u8; 3] = [2, 4, 8];
/// Bins of a path's probability.
const PATHS: usize = 16;
/// Trials after which the counts of a bin are halved.
const CHAIN_WINDOW: f32 = 512.0;
/// Trials that the product itself is worth.
const CHAIN_PRIOR: f32 = 4.0;

impl Chains {
    pub(super) fn new() -> Self {
        Self { knots: [TrialCount { trials: 0.0, successes: 0.0 }; (DEPTHS.len() + 1) * PATHS] }
    }

    /// The calibrated probability of a path, and its bin.
    pub(super) fn score(&self, path: f32, depth: u8) -> (f32, u8) {
        let row = DEPTHS.iter().position(|&edge| depth <= edge).unwrap_or(DEPTHS.len());
        let bin = row * PATHS + ((path * PATHS as f32) as usize).min(PATHS - 1);
        let count = &self.knots[bin];
        let successes = count.succeeded() + CHAIN_PRIOR * path.clamp(0.0, 1.0);
        (successes / (count.trials + CHAIN_PRIOR), bin as u8)
    }

    pub(super) fn book(&mut self, bin: u8) {
        self.knots[usize::from(bin)].book(1.0, CHAIN_WINDOW);
    }

    pub(super) fn pay_back(&mut self, bin: u8) {
        self.knots[usize::from(bin)].pay_back(1.0);
    }
}

#[cfg(test)]
#[path = "mixer_tests.rs"]
mod tests;
