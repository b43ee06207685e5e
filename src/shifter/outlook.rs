//! [`Outlook`]: a prediction of what a map leads to.

use serde::Serialize;

use super::assignment::Assignment;
use super::pairs::Pairs;

/// A prediction of what a map leads to.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Outlook {
    /// Load of the heaviest node over what it is to bear.
    pub worst: f64,
    /// Share of the batches of two prefixes that one node serves; 1 where none is known.
    pub together: f64,
    /// Replicas beyond the first of all keys.
    pub replicas: usize,
    /// Rules in the map.
    pub rules: usize,
    /// Exceptions in the map.
    pub exceptions: usize,
    /// The sum that the planner minimises: imbalance, separation, replicas and map.
    pub cost: f64,
}

// Weights of the planner's objective, a sum of costs without unit. A node at 1.1 of the mean costs as much as re-homing 1 % of
// all entries, or as separating 5 % of what is fetched together.

/// Of the heaviest node's load over the mean.
const WORST: f64 = 1.0;
/// Of the mean square of the excess of nodes over the mean.
const OVER: f64 = 16.0;
/// Of the share of entries re-homed.
const ENTRIES: f64 = 10.0;
/// Of the share of pairs, by frequency, that are not served by one node.
const APART: f64 = 2.0;
/// Of the replicas beyond the first, for each node.
const REPLICAS: f64 = 0.002;
/// Of a kilobyte of map.
const MAP: f64 = 0.000_5;

impl Outlook {
    /// That of an assignment, which takes so many exceptions.
    pub(super) fn of(assignment: &Assignment<'_>, pairs: &Pairs, exceptions: usize) -> Self {
        let (worst, apart) = (assignment.nodes().worst(), pairs.apart(assignment));
        let (replicas, rules) = (assignment.replicas(), assignment.rules().len());
        let kilobytes = (rules * 12 + exceptions * 3 + replicas * 2) as f64 / 1_024.0;
        let cost = WORST * (worst - 1.0).max(0.0)
            + OVER * assignment.nodes().over()
            + APART * apart
            + REPLICAS * replicas as f64 / assignment.nodes().len() as f64
            + MAP * kilobytes;
        Self { worst, together: 1.0 - apart, replicas, rules, exceptions, cost }
    }

    /// Cost of re-homing a share of all entries, in the unit of [`Outlook::cost`].
    pub(super) fn churn(entries: f64) -> f64 {
        ENTRIES * entries
    }
}
