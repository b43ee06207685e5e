//! [`Attendance`]: the rounds in which a node reported, and a report for the others.

use super::report::LoadReport;
use super::series::ROUNDS;

/// The rounds in which one node reported. The newest report stands in for rounds without one: a report that gets lost is no change of load.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Attendance {
    /// Bit n: it reported in the round n rounds before the newest.
    rounds: u8,
    /// Round, number and incarnation of the newest report.
    newest: (u64, u64, u64),
    /// Its binary form: a quarter of what it takes decoded. Empty where it is too long to be kept.
    report: Box<[u8]>,
}

const _: () = assert!(ROUNDS == u8::BITS as usize, "a bit for each round");

impl Attendance {
    /// Rounds in a row for which a node that is silent now is taken to be as it was. Then it counts as gone.
    const PATIENCE: u32 = 2;
    /// Longest report that is kept: that of a node with full tables of ordinary keys.
    const MAX_BYTES: usize = 64 << 10;

    /// A report of the round `age` rounds before the newest.
    pub(super) fn note(&mut self, age: usize, report: &LoadReport) {
        self.rounds |= 1 << age;
        let this = (report.round, report.number, report.incarnation);
        if this > self.newest {
            self.newest = this;
            self.report =
                Some(report.encode()).filter(|bytes| bytes.len() <= Self::MAX_BYTES).unwrap_or_default().into();
        }
    }

    /// Begins `rounds` new ones. Returns whether there is a report left in those that are remembered.
    pub(super) fn advance(&mut self, rounds: usize) -> bool {
        self.rounds = u32::try_from(rounds).ok().and_then(|rounds| self.rounds.checked_shl(rounds)).unwrap_or(0);
        self.rounds > 0
    }

    /// `true` for a node that has reported lately.
    pub(super) fn is_recent(&self) -> bool {
        self.rounds.trailing_zeros() <= Self::PATIENCE
    }

    /// Ages of the rounds since its first report in which it is taken to have served the same.
    pub(super) fn holes(&self) -> impl Iterator<Item = usize> + '_ {
        let from = if self.is_recent() { 0 } else { self.rounds.trailing_zeros() as usize };
        let first = (u8::BITS - self.rounds.leading_zeros()) as usize;
        (from..first).filter(|age| self.rounds >> age & 1 == 0)
    }

    /// The report that stands in.
    pub(super) fn stand_in(&self) -> Option<LoadReport> {
        LoadReport::decode(&self.report).ok()
    }
}
