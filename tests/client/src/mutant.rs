//! Defects put in on purpose, to prove that each invariant can fail.

use foremap::protocol::BatchResponse;

use super::judge::Invariant;

/// A defect of a gateway, of a client's host, or of what passes between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Answers claim to be of the moment of their sending.
    AgeZero,
    /// Frames are dated by their arrival.
    FramesDatedByArrival,
    /// The client's clock is the monotonic one alone.
    ClockStandsStill,
    /// Frames that follow a lost one are numbered as if none were missing.
    ChainHidden,
    /// Steps of a feed claim to begin where the reader is.
    GapsHidden,
    /// Changes are left out of answers and frames.
    ChangesDropped,
    /// Answers do not say that the log was cut.
    ResetsSkipped,
    /// Answers claim the log position of the store.
    PositionsInflated,
    /// Lists and own writes are handed in as if they had been asked for at their arrival.
    FencesTakenLate,
    /// A client that gets a new core is not given its floors.
    FloorsForgotten,
    /// A bookmark is handed on without floors.
    BookmarkEmpty,
    /// Answers to an earlier core enter the one after it.
    OldAnswersEnter,
    /// The client is not told that its write was acknowledged.
    WritesUntold,
    /// The client is not told of invalidations.
    InvalidationsUntold,
    /// Outcomes are told twice.
    OutcomesDoubled,
    /// The client is not woken for what is due.
    WakesIgnored,
    /// The client is not told that a flight failed.
    FailuresUntold,
    /// The client is not told of lists.
    ListsUntold,
    /// Waiters for what a full cache has no room for are sent away.
    WaitersEvicted,
    /// Entries of the cache are told of whatever their age.
    PeekUnbounded,
    /// Batches of predicted keys are sent twice.
    PredictedTwice,
    /// Gateways answer strong reads from memory.
    WeakStrong,
    /// Gateways do not tell that the store is another one.
    IncarnationHidden,
    /// Feeds do not tell it.
    StoreOfFeedHidden,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::AgeZero,
        Self::FramesDatedByArrival,
        Self::ClockStandsStill,
        Self::ChainHidden,
        Self::GapsHidden,
        Self::ChangesDropped,
        Self::ResetsSkipped,
        Self::PositionsInflated,
        Self::FencesTakenLate,
        Self::FloorsForgotten,
        Self::BookmarkEmpty,
        Self::OldAnswersEnter,
        Self::WritesUntold,
        Self::InvalidationsUntold,
        Self::OutcomesDoubled,
        Self::WakesIgnored,
        Self::FailuresUntold,
        Self::ListsUntold,
        Self::WaitersEvicted,
        Self::PeekUnbounded,
        Self::PredictedTwice,
        Self::WeakStrong,
        Self::IncarnationHidden,
        Self::StoreOfFeedHidden,
    ];

    /// The invariants that it may break.
    pub fn breaks(self) -> &'static [Invariant] {
        use Invariant::*;
        match self {
            Self::AgeZero
            | Self::FramesDatedByArrival
            | Self::ClockStandsStill
            | Self::ChainHidden
            | Self::GapsHidden
            | Self::ChangesDropped
            | Self::ResetsSkipped
            | Self::FencesTakenLate => &[WithinTheBound, AgeIsTrue, ValueOfItsPosition, NotBeforeTheInvalidation],
            Self::PositionsInflated => &[ValueOfItsPosition],
            Self::FloorsForgotten | Self::BookmarkEmpty => &[NeverBackwards, OwnWritesSeen],
            Self::OldAnswersEnter => &[ValueOfItsPosition, WithinTheBound, AgeIsTrue, NeverBackwards],
            Self::WritesUntold => &[OwnWritesSeen],
            Self::InvalidationsUntold => &[NotBeforeTheInvalidation],
            Self::OutcomesDoubled | Self::WakesIgnored => &[OneOutcomeInTime],
            Self::FailuresUntold => &[NothingLeaks],
            Self::ListsUntold => &[SeenIsKept],
            Self::WaitersEvicted => &[WaitersOutliveEviction],
            Self::PeekUnbounded => &[PeekTellsWhatGetWould],
            Self::PredictedTwice => &[PredictedPaysForItself],
            Self::WeakStrong => &[StrongIsLinearizable],
            Self::IncarnationHidden => &[ValueOfItsPosition, WithinTheBound, AgeIsTrue, WaitersOutliveEviction],
            Self::StoreOfFeedHidden => &[ValueOfItsPosition, WithinTheBound, AgeIsTrue],
        }
    }

    /// Spoils an answer on its way to a client.
    pub(crate) fn spoil(self, response: &mut BatchResponse) {
        match self {
            Self::AgeZero => {
                response.results.iter_mut().for_each(|result| result.at.age_ms = 0);
                response.positions.iter_mut().for_each(|position| position.age_ms = 0);
            }
            Self::ChangesDropped => response.changes.clear(),
            Self::ResetsSkipped => response.resets.clear(),
            Self::IncarnationHidden => {
                response.epoch.incarnation = 1;
                response.map = None;
            }
            _ => {}
        }
    }
}
