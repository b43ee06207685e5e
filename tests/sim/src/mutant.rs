//! Faults put into the simulation on purpose, to prove that the checks can fail.

use foremap::protocol::BatchResponse;

/// A defect that gateways, clients or servers may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Answers claim to be of this very moment.
    AgeZero,
    /// The worker does not pass on the floors of its callers.
    FloorsStripped,
    /// Nodes do not look at the floors of their callers.
    FloorsIgnored,
    /// A store read claims the log position of the moment it is handed back, so that a node fills its memory with
    /// it although the log has moved.
    FillRace,
    /// A gateway that starts takes its cursors after it has begun to read, and has its nodes believe otherwise.
    CursorLate,
    /// Changes are left out of answers whose positions are beyond them.
    ChangesDropped,
    /// Nodes answer strong reads from memory.
    WeakStrong,
    /// A log poll counts from its answer instead of its sending.
    LatePoll,
    /// Clients are not told that their write was acknowledged.
    WriteUntold,
    /// An answer of a master counts, whoever has acknowledged it.
    NoFence,
    /// It counts if all replicas but one have acknowledged it.
    PartialFence,
    /// It counts if enough replicas have acknowledged it, whoever they are: one that is not of the cluster, too.
    AnyReplica,
    /// Gateways send `WAIT` without a write of their own before it.
    WaitAlone,
    /// A gateway does not notice that its master was a replica in between, and has other data now.
    HistoryIgnored,
    /// A gateway hands a write to the owner of its partition, and acknowledges it before the store has it.
    ForwardedWrite,
    /// Every attempt at a write has a write id of its own.
    RetriedAnew,
    /// A coordinator puts its map in force without asking whether another one has.
    MapInsisted,
    /// A leader names a term that nobody can have, so that the store takes what it sends after its own is over.
    TermInsisted,
    /// Members say at once that they are warm.
    FlipCold,
    /// A leader does not look whether shifts are frozen.
    FreezeForgotten,
    /// Masters answer before their disk has what they did, so one that crashes and is back before a replica was
    /// promoted has forgotten what it acknowledged.
    LazyDisk,
    /// Gateways do not say how late it can be at most, so that a clock that is far ahead writes.
    ClockTrusted,
    /// Gateways write nothing where the newest version is ahead of what clocks show.
    ClockWaitedFor,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::AgeZero,
        Self::FloorsStripped,
        Self::FloorsIgnored,
        Self::FillRace,
        Self::CursorLate,
        Self::ChangesDropped,
        Self::WeakStrong,
        Self::LatePoll,
        Self::WriteUntold,
        Self::NoFence,
        Self::PartialFence,
        Self::AnyReplica,
        Self::WaitAlone,
        Self::HistoryIgnored,
        Self::ForwardedWrite,
        Self::RetriedAnew,
        Self::MapInsisted,
        Self::TermInsisted,
        Self::FlipCold,
        Self::FreezeForgotten,
        Self::LazyDisk,
        Self::ClockTrusted,
        Self::ClockWaitedFor,
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
