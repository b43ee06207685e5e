//! Calibration cells: what became of predictions with like evidence.

use super::calibration;
use super::logit::stretch;
use super::trial_count::TrialCount;
use crate::analyzer::{Evidence, Expert, Grade};
use crate::codec::{DecodeError, Reader, Writer};

/// Inputs of the mixture: one for each expert, then popularity, past success of the key, and of its context.
pub(super) const INPUTS: usize = Expert::COUNT + 3;

const POPULARITY: usize = Expert::COUNT * Grade::COUNT;
const PREDICTED: usize = POPULARITY + Evidence::POPULARITIES;
const PREDICTS: usize = PREDICTED + Evidence::RECORDS;
const BASE: usize = PREDICTS + Evidence::RECORDS;
const CELLS: usize = BASE + 1;

/// Trials after which a cell's counts are halved, so that it follows a changed workload.
const WINDOW: f32 = 512.0;
/// Trials that the prior is worth: few, as the cells soon know better.
const PRIOR: f32 = 2.0;
/// Success rate of any prediction before anything is known.
const FIRST_RATE: f32 = 0.1;

/// Cells of one prediction; that of all predictions where an input has nothing to say.
type CellIds = [u16; INPUTS];

/// Trials and successes, decayed, and what they come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    count: TrialCount,
    /// Logarithm of the odds of success.
    logit: f32,
    /// The same in 256ths, so that inputs are made of integers.
    fixed: i16,
}

impl Cell {
    fn new(prior: f32) -> Self {
        let mut cell = Self { count: TrialCount { trials: PRIOR, successes: PRIOR * prior }, logit: 0.0, fixed: 0 };
        cell.update();
        cell
    }

    fn update(&mut self) {
        let successes = self.count.succeeded();
        self.logit = stretch(successes + 0.02, self.count.trials - successes + 0.02);
        self.fixed = (self.logit * 256.0) as i16;
    }

    fn book(&mut self) {
        self.count.book(1.0, WINDOW);
        self.update();
    }

    fn pay_back(&mut self) {
        self.count.pay_back(1.0);
        self.update();
    }
}

/// All cells, a fixed number.
#[derive(Debug, Clone)]
pub(super) struct Cells {
    cells: Box<[Cell]>,
}

impl Cells {
    /// Bytes that they take.
    pub(super) const BYTES: usize = CELLS * size_of::<Cell>();

    pub(super) fn new() -> Self {
        let mut cells = vec![Cell::new(FIRST_RATE); CELLS];
        for (at, cell) in cells[..POPULARITY].iter_mut().enumerate() {
            *cell = Cell::new(Grade::from_index(at % Grade::COUNT).prior());
        }
        Self { cells: cells.into() }
    }

    /// The cells that a prediction's evidence leads to.
    fn ids(evidence: &Evidence) -> CellIds {
        let mut ids = [BASE as u16; INPUTS];
        for (at, grade) in evidence.grades.iter().enumerate() {
            if *grade != Grade::SILENT {
                ids[at] = (at * Grade::COUNT + grade.index()) as u16;
            }
        }
        ids[Expert::COUNT] = (POPULARITY + usize::from(evidence.popularity)) as u16;
        if evidence.predicted > 0 {
            ids[Expert::COUNT + 1] = (PREDICTED + usize::from(evidence.predicted)) as u16;
        }
        if evidence.predicts > 0 {
            ids[Expert::COUNT + 2] = (PREDICTS + usize::from(evidence.predicts)) as u16;
        }
        ids
    }

    /// Writes the cells that have learned something.
    pub(super) fn export(&self, w: &mut Writer) {
        calibration::put_sparse(
            w,
            &self.cells,
            |_, cell| cell.count.trials > PRIOR + 1.0,
            |w, cell| calibration::put_count(w, &cell.count),
        );
    }

    /// Takes over what [`Cells::export`] wrote; cells that are not in it stay as they are.
    pub(super) fn import(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        calibration::sparse(r, CELLS, |r, at| {
            let cell = &mut self.cells[at];
            cell.count = calibration::count(r)?;
            cell.update();
            Ok(())
        })
    }

    /// Worth of any prediction, in log odds.
    pub(super) fn base(&self) -> f32 {
        self.cells[BASE].logit
    }

    /// Worth of the predictions of each cell beyond that of all, in sixteenths of log odds; 0 where an input has nothing to
    /// say.
    pub(super) fn centred(&self, evidence: &Evidence) -> [i8; INPUTS] {
        let base = self.cells[BASE].fixed;
        Self::ids(evidence).map(|id| {
            let fixed = self.cells[usize::from(id)].fixed;
            ((fixed - base) >> 4).clamp(i8::MIN.into(), i8::MAX.into()) as i8
        })
    }

    /// Books a prediction, as a failure until [`Cells::pay_back`].
    pub(super) fn book(&mut self, evidence: &Evidence) {
        self.each(evidence, Cell::book);
    }

    /// A booked prediction came true.
    pub(super) fn pay_back(&mut self, evidence: &Evidence) {
        self.each(evidence, Cell::pay_back);
    }

    fn each(&mut self, evidence: &Evidence, change: fn(&mut Cell)) {
        for id in Self::ids(evidence).map(usize::from).into_iter().filter(|&id| id != BASE) {
            change(&mut self.cells[id]);
        }
        change(&mut self.cells[BASE]);
    }
}

#[cfg(test)]
#[path = "cells_tests.rs"]
mod tests;
