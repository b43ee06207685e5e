//! The latest requests of all streams, each linked to the one before it in its stream.

use super::KeyId;

/// Most requests remembered. What takes longer to arrive is not learnt for.
const MAX_REQUESTS: usize = 4_096;
/// Requests of one stream that are looked back at: longer latencies are treated as this long.
const MAX_LAG: u8 = 32;

/// A key asked for, by the bits of its id; 0 is none.
#[derive(Debug, Clone, Copy)]
struct PastRequest {
    id: u64,
    /// Hash of the key's shape when it was asked for.
    shape: u64,
    /// Number of the request.
    seq: u32,
    /// Requests between it and the one before it in its stream, plus one; 0 if it is the first.
    back: u32,
}

/// A ring of requests.
#[derive(Debug, Clone)]
pub(super) struct History {
    ring: Box<[PastRequest]>,
}

/// The latest request of a stream after which an order would have arrived by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) id: KeyId,
    pub(super) shape: u64,
    /// The key before it in its stream.
    pub(super) before: Option<KeyId>,
    /// Requests of the stream since then, the present one included; 1 if it was the last one.
    pub(super) lag: u8,
}

impl History {
    /// A ring of at most `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        let requests = (bytes / size_of::<PastRequest>()).clamp(1, MAX_REQUESTS);
        Self { ring: vec![PastRequest { id: 0, shape: 0, seq: 0, back: 0 }; requests].into() }
    }

    fn at(&self, seq: u32) -> usize {
        seq as usize % self.ring.len()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.ring)
    }

    pub(super) fn push(&mut self, seq: u32, id: KeyId, shape: u64, before: Option<u32>) {
        let at = self.at(seq);
        let back = before.map_or(0, |before| seq.wrapping_sub(before));
        self.ring[at] = PastRequest { id: id.bits(), shape, seq, back };
    }

    fn get(&self, seq: u32) -> Option<KeyId> {
        let request = &self.ring[self.at(seq)];
        if request.seq == seq { KeyId::from_bits(request.id) } else { None }
    }

    /// The latest request at least `horizon` requests (of anybody) before `now`, and the `least`th or an earlier one
    /// going back from `last`. O(lag), at most 32 steps.
    pub(super) fn reached(&self, last: Option<u32>, now: u32, horizon: u32, least: u8) -> Option<Reached> {
        let mut at = last?;
        for lag in 1..=MAX_LAG {
            let request = &self.ring[self.at(at)];
            if request.seq != at {
                return None;
            }
            let id = KeyId::from_bits(request.id)?;
            if lag >= least && (now.wrapping_sub(at) >= horizon || lag == MAX_LAG) {
                let before = (request.back > 0).then(|| self.get(at.wrapping_sub(request.back))).flatten();
                return Some(Reached { id, shape: request.shape, before, lag });
            }
            if request.back == 0 {
                return None;
            }
            at = at.wrapping_sub(request.back);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> KeyId {
        KeyId::from_bits(n).expect("not zero")
    }

    fn place(reached: Option<Reached>) -> Option<(u64, u64, u8)> {
        reached.map(|reached| (reached.id.bits(), reached.shape, reached.lag))
    }

    #[test]
    fn a_streams_own_requests_are_counted() {
        let mut history = History::new(1 << 16);
        // Stream A makes the odd requests, B the even ones.
        for seq in 1..=40_u32 {
            history.push(seq, id(seq.into()), 7, seq.checked_sub(2).filter(|before| *before > 0));
        }
        assert_eq!(place(history.reached(Some(39), 41, 1, 1)), Some((39, 7, 1)));
        assert_eq!(place(history.reached(Some(39), 41, 2, 1)), Some((39, 7, 1)));
        assert_eq!(place(history.reached(Some(39), 41, 3, 1)), Some((37, 7, 2)));
        assert_eq!(place(history.reached(Some(39), 41, 9, 1)), Some((31, 7, 5)));
        assert_eq!(history.reached(Some(39), 41, 100, 1), None, "it has not asked for anything so long ago");
        assert_eq!(history.reached(None, 41, 1, 1), None);
        assert_eq!(place(history.reached(Some(39), 41, 1, 2)), Some((37, 7, 2)));
        assert_eq!(history.reached(Some(39), 41, 3, 1).and_then(|reached| reached.before), Some(id(35)));
    }

    #[test]
    fn what_is_overwritten_is_not_taken_for_older() {
        let mut history = History::new(240);
        history.push(1, id(1), 7, None);
        history.push(2, id(2), 7, Some(1));
        history.push(11, id(3), 7, None);
        assert_eq!(place(history.reached(Some(2), 5_000, 1, 1)), Some((2, 7, 1)));
        assert_eq!(history.reached(Some(1), 5_000, 1, 1), None);
    }
}
