//! [`RemoteClocks`].

use crate::Millis;
use crate::protocol::ClockReading;

/// Clocks that are followed at once. A client talks to a few gateways; the one heard of least recently leaves.
const MAX_CLOCKS: usize = 16;
/// Milliseconds in which two clocks may part by one: each is good to 500 in a million, and the slower one counts them.
const DRIFT_MS: u64 = 998;
/// Both clocks tell whole milliseconds.
const ROUNDING_MS: i64 = 1;

/// A clock contradicts what was known of it: it, or the one here, was stopped or set. What was counted on them is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockBroke;

/// Least and greatest difference, here less there, each with the earliest moment here at which it can have been so.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    id: u64,
    least: (i64, Millis),
    greatest: Option<(i64, Millis)>,
}

impl Bounds {
    /// At `now`: what was found earlier holds less exactly by what the clocks may have drifted.
    fn least(&self, now: Millis) -> i64 {
        self.least.0 - drifted(self.least.1, now)
    }

    fn greatest(&self, now: Millis) -> Option<i64> {
        self.greatest.map(|(most, at)| most + drifted(at, now))
    }
}

/// Relation of the clocks of gateways to the one here, as bounds.
///
/// A reading that came with the answer to a request was made after the request was sent and before the answer
/// arrived (F. Cristian, "Probabilistic clock synchronization", 1989). What a gateway dates later is taken to be as old
/// as these bounds allow, so a message that was held up anywhere is as old as it is. O(clocks) per call, at
/// most 16 of them.
#[derive(Debug, Clone, Default)]
pub struct RemoteClocks {
    /// The one heard of last stands last.
    known: Vec<Bounds>,
}

impl RemoteClocks {
    /// A clock showed `reading` after `sent_at` and before `received_at`; `None` where nothing is known of the latter. What
    /// is heard of it only `now`, after having waited in a buffer for an hour, may have drifted for that hour.
    ///
    /// # Errors
    /// [`ClockBroke`] where that cannot be. Then only this reading is known of the clock.
    pub fn observe(
        &mut self,
        reading: ClockReading,
        sent_at: Millis,
        received_at: Option<Millis>,
        now: Millis,
    ) -> Result<(), ClockBroke> {
        let less = |at: Millis| at as i64 - reading.ms as i64;
        let (least, greatest) = (less(sent_at), received_at.map(less));
        let fresh = Bounds { id: reading.id, least: (least, sent_at), greatest: greatest.map(|most| (most, sent_at)) };
        let Some(at) = self.known.iter().position(|bounds| bounds.id == reading.id) else {
            if self.known.len() == MAX_CLOCKS {
                self.known.remove(0);
            }
            self.known.push(fresh);
            return Ok(());
        };
        let known = self.known.remove(at);
        let (least, greatest) = (fresh.least(now), fresh.greatest(now));
        let too_late = known.greatest(now).is_some_and(|most| least > most + ROUNDING_MS);
        let too_early = greatest.is_some_and(|most| most + ROUNDING_MS < known.least(now));
        if too_late || too_early {
            self.known.push(fresh);
            return Err(ClockBroke);
        }
        let least = if least >= known.least(now) { fresh.least } else { known.least };
        let tighter = known.greatest.filter(|_| match (greatest, known.greatest(now)) {
            (Some(new), Some(old)) => old < new,
            (new, _) => new.is_none(),
        });
        self.known.push(Bounds { id: reading.id, least, greatest: tighter.or(fresh.greatest) });
        Ok(())
    }

    /// The moment here, at the earliest, at which a clock showed `reading`; negative before the clock here began. `None` where nothing is known of that clock.
    ///
    /// # Errors
    /// [`ClockBroke`] where that would be later than `now`.
    pub fn date(&self, reading: ClockReading, now: Millis) -> Result<Option<i64>, ClockBroke> {
        let Some(bounds) = self.known.iter().find(|bounds| bounds.id == reading.id) else { return Ok(None) };
        let at = reading.ms as i64 + bounds.least(now);
        if at > now as i64 + ROUNDING_MS {
            return Err(ClockBroke);
        }
        Ok(Some(at.min(now as i64)))
    }

    /// Reading that clock `id` shows by `now`, at the latest; `None` where nothing is known of it.
    pub fn shows(&self, id: u64, now: Millis) -> Option<ClockReading> {
        let bounds = self.known.iter().find(|bounds| bounds.id == id)?;
        let ms = u64::try_from(now as i64 - bounds.least(now)).ok()?;
        Some(ClockReading { id, ms })
    }

    /// Forgets all: the clock here broke.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// Clocks that are followed.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Tells whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Most that are followed.
    pub const BOUND: usize = MAX_CLOCKS;
}

/// Milliseconds that two clocks may have parted by between two moments here, rounded up.
fn drifted(since: Millis, now: Millis) -> i64 {
    now.saturating_sub(since).div_ceil(DRIFT_MS) as i64
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
