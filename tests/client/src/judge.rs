//! Invariants that must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use foremap::Millis;
use foremap::adapter::{Answer, Served};
use foremap::protocol::Consistency;

use super::step::Ask;
use super::truth::{KEYS, Real, Truth};

/// Property that no sequence of events may break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// No answer that is not marked stale is older than its bound.
    WithinTheBound,
    /// No answer is older than it says.
    AgeIsTrue,
    /// The value answered is the one that the key had at the position that the answer states.
    ValueOfItsPosition,
    /// A read is at least as new as what its session has seen of the key before it began.
    NeverBackwards,
    /// A read that begins after an own write was acknowledged includes it.
    OwnWritesSeen,
    /// A read that begins after an invalidation is at least as new as that, and takes nothing that left before it.
    NotBeforeTheInvalidation,
    /// Each request has one outcome, at its deadline at the latest.
    OneOutcomeInTime,
    /// No table is beyond its bound, and none holds anything when all is quiet.
    NothingLeaks,
    /// A key that a list or an own write brought within the bound costs no request.
    SeenIsKept,
    /// A request fails only where something failed.
    WaitersOutliveEviction,
    /// `peek` tells what `get` answers.
    PeekTellsWhatGetWould,
    /// There are no more batches of predicted keys than requests that those saved.
    PredictedPaysForItself,
    /// A strong answer includes whatever was committed before it was asked for.
    StrongIsLinearizable,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::WithinTheBound,
        Self::AgeIsTrue,
        Self::ValueOfItsPosition,
        Self::NeverBackwards,
        Self::OwnWritesSeen,
        Self::NotBeforeTheInvalidation,
        Self::OneOutcomeInTime,
        Self::NothingLeaks,
        Self::SeenIsKept,
        Self::WaitersOutliveEviction,
        Self::PeekTellsWhatGetWould,
        Self::PredictedPaysForItself,
        Self::StrongIsLinearizable,
    ];
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// Account of how it showed.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.detail)
    }
}

/// Nothing, or what did not hold.
pub(crate) type Verdict = Result<(), Violation>;

/// Says that `invariant` does not hold unless `holds`.
pub(crate) fn demand(holds: bool, invariant: Invariant, detail: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Violation { invariant, detail: detail() }) }
}

/// Knowledge of a session: by key, the newest position at which it knows it, and the version of its own newest write.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    /// Of which store that is; `None` before any answer.
    pub(crate) store: Option<usize>,
    pub(crate) seen: BTreeMap<u8, u64>,
    pub(crate) wrote: BTreeMap<u8, u64>,
}

impl Session {
    /// An answer of `store` arrived. Says whether it is of use.
    pub(crate) fn meet(&mut self, store: usize) -> bool {
        if self.store.is_some_and(|known| store > known) {
            *self = Self::default();
        }
        self.store = self.store.max(Some(store));
        self.store == Some(store)
    }

    /// Goes on where `other` was.
    pub(crate) fn join(&mut self, other: &Self) {
        let Some(store) = other.store else { return };
        if self.meet(store) {
            for (mine, theirs) in [(&mut self.seen, &other.seen), (&mut self.wrote, &other.wrote)] {
                for (&key, &version) in theirs {
                    let mine = mine.entry(key).or_default();
                    *mine = version.max(*mine);
                }
            }
        }
    }

    pub(crate) fn see(&mut self, key: u8, version: u64) {
        let seen = self.seen.entry(key).or_default();
        *seen = version.max(*seen);
    }
}

/// A request that has no outcome yet.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) key: u8,
    pub(crate) ask: Ask,
    pub(crate) asked: Real,
    pub(crate) deadline: Millis,
    /// Of which store the session was when it began, and what it had seen and written.
    pub(crate) store: Option<usize>,
    pub(crate) seen: u64,
    pub(crate) wrote: u64,
    /// When the key was invalidated last: by itself, its prefix or everything, and by its tag.
    pub(crate) invalidated: [Option<Real>; 2],
    /// Something failed since, for which it may fail too.
    pub(crate) excused: bool,
    /// Answers that arrived for its key.
    pub(crate) answers: u32,
}

impl Pending {
    pub(crate) fn consistency(&self) -> Consistency {
        match self.ask {
            Ask::Strong => Consistency::Strong,
            Ask::Any(_) => Consistency::Any,
            _ => Consistency::Bounded,
        }
    }
}

impl Ask {
    pub(crate) fn bound(self) -> u32 {
        match self {
            Self::Bounded(bound)
            | Self::Revalidating(bound, _)
            | Self::IfError(bound, _)
            | Self::Bypassing(bound)
            | Self::Any(bound) => bound,
            Self::Strong => 2_000,
        }
    }
}

/// Rounding of two clocks that tell whole milliseconds, at each end.
const ROUNDING_MS: u64 = 3;

/// Error that a time of `ms` may have where two clocks each are good to 500 in a million, in milliseconds.
fn tolerance(ms: u64) -> u64 {
    ROUNDING_MS + ms / 900
}

/// Entry of a client that a list or an own write brought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brought {
    pub(crate) as_of: i64,
    pub(crate) version: u64,
}

/// Account of what one client was told.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) session: Session,
    pub(crate) pending: BTreeMap<u32, Pending>,
    pub(crate) invalidated: BTreeMap<u8, [Option<Real>; 2]>,
    pub(crate) brought: BTreeMap<u8, Brought>,
    /// Keys that were fetched ahead and not asked for since.
    pub(crate) ahead: BTreeSet<u8>,
    /// Keys that a gateway was being asked for when the present `get` began, which would have joined that.
    pub(crate) asked: BTreeSet<u8>,
    /// Requests that were answered by what was fetched ahead.
    pub(crate) saved: u64,
    /// Batches of predicted keys alone.
    pub(crate) predicted: u64,
    /// The newest answer.
    pub(crate) last: Option<(u32, Answer)>,
}

impl Judge {
    /// The outcome of a request.
    pub(crate) fn take(&mut self, request: u32) -> Result<Pending, Violation> {
        self.pending.remove(&request).ok_or_else(|| Violation {
            invariant: Invariant::OneOutcomeInTime,
            detail: format!("request {request} has an outcome, but does not wait for one"),
        })
    }

    /// A request was answered, by a flight that left at `sent` if by one that has just landed.
    pub(crate) fn answered(&mut self, truth: &Truth, request: u32, answer: &Answer, sent: Option<Real>) -> Verdict {
        let pending = self.take(request)?;
        self.last = Some((request, answer.clone()));
        let key = pending.key;
        let say = |what: &str| format!("{what}: {answer:?} for {pending:?}, real time {}", truth.now);
        let Some(store) = self.session.store else {
            return demand(false, Invariant::ValueOfItsPosition, || say("nothing can be known yet"));
        };
        let position = answer.at.position.max(answer.keymap.as_ref().map_or(0, |keymap| keymap.version));
        let write = truth.at(store, key, position);
        let is = answer.keymap.as_ref().map(|keymap| (keymap.version, keymap.fields.locator.clone()));
        let should = write.filter(|write| !write.deleted).map(|write| (write.version, write.version.to_string()));
        demand(is == should, Invariant::ValueOfItsPosition, || say(&format!("it had {should:?}")))?;
        let version = write.map_or(0, |write| write.version);
        self.judge_age(truth, store, position, &pending, answer)?;
        if pending.store == Some(store) {
            // That there is no keymap looks the same whichever write removed it.
            let reaches = |due: u64| {
                version >= due || (is.is_none() && truth.at(store, key, due).is_none_or(|write| write.deleted))
            };
            demand(reaches(pending.wrote), Invariant::OwnWritesSeen, || say(&format!("{version}")))?;
            demand(reaches(pending.seen), Invariant::NeverBackwards, || say(&format!("{version}")))?;
        }
        // Where there is no keymap, there is no tag either.
        let [named, tagged] = pending.invalidated;
        for at in [named, tagged.filter(|_| answer.keymap.is_some())].into_iter().flatten() {
            let overtaken = sent.is_some_and(|sent| sent < at);
            demand(!overtaken, Invariant::NotBeforeTheInvalidation, || say("it left before"))?;
            let since = 1 + (truth.now - at) / 900;
            let due = truth.newest_before(key, at.saturating_sub(since));
            let new = store < truth.store() || version >= due;
            demand(new, Invariant::NotBeforeTheInvalidation, || say(&format!("{version} of {due}, {at}")))?;
        }
        if pending.ask == Ask::Strong {
            let due = truth.newest_before(key, pending.asked);
            let new = store == truth.store() && version >= due;
            let new = new || truth.stores[truth.store()].1 >= pending.asked;
            demand(new, Invariant::StrongIsLinearizable, || say(&format!("{version} of {due}")))?;
        }
        let saves = self.ahead.contains(&key) && !self.asked.contains(&key);
        self.saved += u64::from(answer.served == Served::Cache && saves);
        self.session.see(key, version);
        Ok(())
    }

    fn judge_age(&self, truth: &Truth, store: usize, position: u64, pending: &Pending, answer: &Answer) -> Verdict {
        let say = |what: &str| format!("{what}: {answer:?} for {pending:?}, real time {}", truth.now);
        let bound = u64::from(pending.ask.bound());
        let age = truth.replaced(store, pending.key, position).map_or(0, |at| truth.now - at);
        if pending.consistency() == Consistency::Bounded && !answer.stale {
            demand(answer.age_ms <= bound, Invariant::WithinTheBound, || say("beyond the bound and not marked"))?;
            demand(age <= bound + tolerance(bound), Invariant::WithinTheBound, || say(&format!("{age} ms")))?;
        }
        if pending.consistency() != Consistency::Strong {
            let marked = answer.stale == (answer.age_ms > bound);
            demand(marked, Invariant::WithinTheBound, || say("marked as what it is not"))?;
        }
        let stated = answer.age_ms.min(u64::from(u32::MAX));
        let true_to_it = stated == u64::from(u32::MAX) || age <= stated + tolerance(stated);
        demand(true_to_it, Invariant::AgeIsTrue, || say(&format!("{age} ms")))
    }

    /// Something was invalidated.
    pub(crate) fn invalidate(&mut self, now: Real, covers: impl Fn(u8) -> bool, by_tag: bool) {
        self.brought.clear();
        for key in (0..KEYS).filter(|&key| covers(key)) {
            self.invalidated.entry(key).or_default()[usize::from(by_tag)] = Some(now);
        }
    }
}
