//! Summary of a history, so that a test can tell that it tested something.

use super::{History, Level, Outcome};

/// Counts of a history that kept every promise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Keys.
    pub keys: usize,
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// Writes refused because of what was there.
    pub conflicts: usize,
    /// Writes that certainly did not happen.
    pub failed: usize,
    /// Writes of unknown outcome.
    pub unknown: usize,
    /// Strong reads.
    pub strong: usize,
    /// Bounded reads.
    pub bounded: usize,
    /// Of these, those that nobody could answer within the bound.
    pub over_bound: usize,
    /// Reads of any age.
    pub any: usize,
    /// Reads that found nothing.
    pub absences: usize,
    /// Keys whose end was checked.
    pub finals: usize,
}

impl Summary {
    pub(crate) fn of(history: &History, keys: usize) -> Self {
        let mut sum = Self { keys, finals: history.finals.len(), ..Self::default() };
        for write in &history.writes {
            *match write.outcome {
                Outcome::Acknowledged { .. } => &mut sum.acknowledged,
                Outcome::Conflict { .. } => &mut sum.conflicts,
                Outcome::Failed => &mut sum.failed,
                Outcome::Unknown => &mut sum.unknown,
            } += 1;
        }
        for read in &history.reads {
            sum.absences += usize::from(read.found.is_none());
            match read.level {
                Level::Strong => sum.strong += 1,
                Level::Any => sum.any += 1,
                Level::Bounded { max_staleness } => {
                    sum.bounded += 1;
                    sum.over_bound += usize::from(read.age > max_staleness);
                }
            }
        }
        sum
    }
}
