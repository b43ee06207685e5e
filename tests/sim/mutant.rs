//! Faults put into the simulation on purpose, to prove that the checker can fail.

use foremap::protocol::BatchResponse;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Answers claim to be of this very moment.
    AgeZero,
    /// The worker does not pass on the floors of its callers.
    FloorsStripped,
    /// A store read claims the log position of the moment it is handed back, so that a node fills its memory with
    /// it although the log has moved.
    FillRace,
    /// Changes are left out of answers whose positions are beyond them.
    ChangesDropped,
    /// Nodes answer strong reads from memory.
    WeakStrong,
    /// A log poll counts from its answer instead of its sending.
    LatePoll,
    /// Clients are not told that their write was acknowledged.
    WriteUntold,
}

impl Mutant {
    pub(crate) const ALL: [Self; 7] = [
        Self::AgeZero,
        Self::FloorsStripped,
        Self::FillRace,
        Self::ChangesDropped,
        Self::WeakStrong,
        Self::LatePoll,
        Self::WriteUntold,
    ];

    /// Spoils an answer on its way to a client.
    pub(crate) fn spoil(self, response: &mut BatchResponse) {
        match self {
            Self::AgeZero => {
                response.results.iter_mut().for_each(|result| result.at.age_ms = 0);
                response.positions.iter_mut().for_each(|position| position.age_ms = 0);
            }
            Self::ChangesDropped => response.changes.clear(),
            _ => {}
        }
    }
}
