//! [`Plan`]: moves, and what they are for.

use std::fmt;

use serde::Serialize;

use super::moves::Move;
use super::outlook::Outlook;
use crate::partition::Epoch;

/// One thing that a plan does, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// The prefix, key, partition or node.
    pub subject: String,
    /// The change, and its cause.
    pub why: String,
}

/// A proposed shift, and its explanation. As JSON it is what `GET /v1/plan` answers.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Plan {
    /// The map it is for.
    pub base: Epoch,
    /// The round whose loads it is made from.
    pub round: u64,
    /// The changes, in order; empty where nothing is worth it.
    pub moves: Vec<Move>,
    /// Their explanation.
    pub reasons: Vec<Reason>,
    /// The map as it is.
    pub before: Outlook,
    /// The map with the moves.
    pub after: Outlook,
    /// Share of all entries that get another home.
    pub entries: f64,
    /// Of these, what is beyond the budget: one split, of a prefix that alone is too much for a node.
    pub beyond: f64,
    /// Cost of re-homing them, in the unit of [`Outlook::cost`].
    pub churn: f64,
    /// Moves that have to wait for the next plan, as this one would re-home too much.
    pub deferred: usize,
}

impl Plan {
    /// Most reasons that a plan states.
    pub(super) const MAX_REASONS: usize = 256;

    /// `true` where it does nothing.
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outlook { worst, together, replicas, rules, exceptions, cost } = self.before;
        let after = &self.after;
        writeln!(f, "plan for map {}, loads of round {}: {} moves", self.base, self.round, self.moves.len())?;
        writeln!(f, "  heaviest node    {worst:.3} -> {:.3} of its share", after.worst)?;
        writeln!(f, "  batches together {together:.3} -> {:.3}", after.together)?;
        writeln!(f, "  replicas         {replicas} -> {}", after.replicas)?;
        writeln!(f, "  rules            {rules} -> {}, exceptions {exceptions} -> {}", after.rules, after.exceptions)?;
        write!(f, "  entries re-homed {:.4} %", 100.0 * self.entries)?;
        if self.beyond > 0.0 {
            write!(f, ", of them {:.4} % for a split that cannot wait", 100.0 * self.beyond)?;
        }
        writeln!(f)?;
        writeln!(f, "  cost             {cost:.4} -> {:.4}, and {:.4} for the way", after.cost, self.churn)?;
        if self.deferred > 0 {
            writeln!(f, "  {} more have to wait for the next plan", self.deferred)?;
        }
        for Reason { subject, why } in &self.reasons {
            writeln!(f, "  {subject}: {why}")?;
        }
        Ok(())
    }
}
