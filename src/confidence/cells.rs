//! Calibration cells: what became of predictions with like evidence.

use crate::analyzer::{Evidence, Expert};

/// How a prediction came about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// From what a stream really asked last.
    Direct(Evidence),
    /// By assuming that earlier predictions come true: the product of the probabilities along the path, and its
    /// length (2 or more).
    Chained {
        /// Product of the probabilities of the path's steps.
        path: f32,
        /// Steps of the path.
        depth: u8,
    },
}

/// Upper edges of the share count / total. Denser at the ends, where decisions differ.
const SHARES: [f32; 10] = [0.03, 0.06, 0.1, 0.17, 0.26, 0.4, 0.55, 0.7, 0.85, 0.97];
/// Upper edges of the support.
const SUPPORTS: [u16; 6] = [1, 2, 3, 5, 9, 15];
/// Upper edges of a path's length.
const DEPTHS: [u8; 3] = [2, 4, 8];
/// Bins of a path's probability.
const PATHS: usize = 16;

const DIRECT: usize = Expert::COUNT * (SHARES.len() + 1) * (SUPPORTS.len() + 1) * 2;
const CHAINED: usize = (DEPTHS.len() + 1) * PATHS;

/// Trials after which a cell's counts are halved, so that it follows a changed workload.
const CELL_WINDOW: f32 = 512.0;
/// Trials that the prior is worth: few for the counts themselves, as the cells soon know better.
const PRIOR: f32 = 4.0;

/// Index of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CellId(u16);

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    trials: f32,
    successes: f32,
}

/// All cells; a fixed 4.1 KB.
#[derive(Debug, Clone)]
pub(super) struct Cells {
    cells: Box<[Cell]>,
}

impl Cells {
    pub(super) fn new() -> Self {
        Self { cells: vec![Cell::default(); DIRECT + CHAINED].into() }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.cells)
    }

    /// The calibrated probability of a step, and the cell it came from. O(1).
    pub(super) fn probability(&self, step: &Step) -> (f32, CellId) {
        let (at, prior) = match *step {
            Step::Direct(evidence) => (direct(&evidence), prior(&evidence)),
            Step::Chained { path, depth } => (chained(path, depth), path.clamp(0.0, 1.0)),
        };
        let cell = &self.cells[at];
        // Pay-backs can meet a halved cell, so successes may exceed trials for a moment.
        let successes = cell.successes.min(cell.trials);
        ((successes + PRIOR * prior) / (cell.trials + PRIOR), CellId(at as u16))
    }

    /// Books a prediction, as a failure until [`Cells::pay_back`].
    pub(super) fn book(&mut self, id: CellId) {
        let cell = &mut self.cells[usize::from(id.0)];
        cell.trials += 1.0;
        if cell.trials > CELL_WINDOW {
            cell.trials /= 2.0;
            cell.successes /= 2.0;
        }
    }

    /// A booked prediction came true.
    pub(super) fn pay_back(&mut self, id: CellId) {
        self.cells[usize::from(id.0)].successes += 1.0;
    }
}

fn share(evidence: &Evidence) -> f32 {
    f32::from(evidence.count) / f32::from(evidence.total.max(1))
}

/// Sceptical until the cell knows: 1 of 1 is a third, 3 of 3 is 0.6.
fn prior(evidence: &Evidence) -> f32 {
    f32::from(evidence.count) / (f32::from(evidence.total) + 2.0)
}

fn direct(evidence: &Evidence) -> usize {
    let share = share(evidence);
    let share_bin = SHARES.iter().position(|&edge| share <= edge).unwrap_or(SHARES.len());
    let support_bin = SUPPORTS.iter().position(|&edge| evidence.total <= edge).unwrap_or(SUPPORTS.len());
    let row = (evidence.expert as usize * (SHARES.len() + 1) + share_bin) * (SUPPORTS.len() + 1) + support_bin;
    row * 2 + usize::from(evidence.latest)
}

fn chained(path: f32, depth: u8) -> usize {
    let depth_bin = DEPTHS.iter().position(|&edge| depth <= edge).unwrap_or(DEPTHS.len());
    let path_bin = ((path * PATHS as f32) as usize).min(PATHS - 1);
    DIRECT + depth_bin * PATHS + path_bin
}

#[cfg(test)]
#[path = "cells_tests.rs"]
mod tests;
