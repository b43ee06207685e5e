//! [`FenceKeys`]: the keys that fences of one master raise.
//!
//! A fence is for everything in its pipeline, whatever slots that is in, so its key may be in any slot that the master has.
//! It should be one that stays: `INCR` in a slot that is on its way to another master is refused once its key has left.

use std::sync::atomic::{AtomicU64, Ordering};

use ::redis::{Cmd, ServerErrorKind, Value};
use parking_lot::Mutex;

/// Life of a fence of [`alone`], in milliseconds: longer than its pipeline takes.
const STAYS_MS: u64 = 1_000;

/// Keys in several slots of a master, the one that served last first.
#[derive(Default)]
pub(super) struct FenceKeys(Mutex<Vec<String>>);

impl FenceKeys {
    /// From now on these serve. Which of them comes first stays.
    pub(super) fn offer(&self, mut keys: Vec<String>) {
        let mut known = self.0.lock();
        let place = |key: &String| known.iter().position(|known| known == key).unwrap_or(usize::MAX);
        keys.sort_by_key(place);
        *known = keys;
    }

    /// The one to raise.
    pub(super) fn first(&self) -> Option<String> {
        self.0.lock().first().cloned()
    }

    /// The one to raise instead of `refused`; `None` once all have been refused `times` times.
    pub(super) fn instead_of(&self, refused: &str, times: usize) -> Option<String> {
        let mut keys = self.0.lock();
        if keys.first().is_some_and(|first| first == refused) {
            keys.rotate_left(1);
        }
        keys.first().filter(|_| times < keys.len()).cloned()
    }
}

/// Tells whether a fence was refused because its key is not here, or not for long: another key serves as well.
pub(super) fn is_elsewhere(raised: Option<&Value>) -> bool {
    let Some(Value::ServerError(error)) = raised else { return false };
    matches!(error.kind(), Some(ServerErrorKind::Moved | ServerErrorKind::Ask))
}

/// A fence for a server that has no slot yet, in one that it imports: a key that nobody else has, as one of a name that is
/// still to come from the exporting master would stop the slot. It is made by these commands, which go before the `INCR`.
pub(super) fn alone(slot_fence: &str) -> (String, [Cmd; 3]) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let key = format!("{slot_fence}:{}-{:x}-{number:x}", std::process::id(), since.as_nanos());
    let mut set = ::redis::cmd("SET");
    set.arg(&key).arg(0).arg("PX").arg(STAYS_MS);
    (key, [asking(), set, asking()])
}

/// Says that the next command is for a slot that is being imported.
pub(super) fn asking() -> Cmd {
    ::redis::cmd("ASKING")
}

#[cfg(test)]
#[path = "fence_keys_tests.rs"]
mod tests;
