//! Queue of what happens next in simulated time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use foremap::Millis;

struct Due<E> {
    at: Millis,
    nth: u64,
    event: E,
}

impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.nth).cmp(&(other.at, other.nth))
    }
}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<E> Eq for Due<E> {}

/// Events by time; those of one moment in the order in which they were scheduled.
pub struct Queue<E> {
    due: BinaryHeap<Reverse<Due<E>>>,
    scheduled: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { due: BinaryHeap::new(), scheduled: 0 }
    }
}

impl<E> Queue<E> {
    /// Schedules `event`. O(log n).
    pub fn push(&mut self, at: Millis, event: E) {
        self.scheduled += 1;
        self.due.push(Reverse(Due { at, nth: self.scheduled, event }));
    }

    /// When the next event is due.
    pub fn next_at(&self) -> Option<Millis> {
        self.due.peek().map(|Reverse(due)| due.at)
    }

    /// Takes the next event. O(log n).
    pub fn pop(&mut self) -> Option<(Millis, E)> {
        self.due.pop().map(|Reverse(due)| (due.at, due.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_moment_keep_their_order() {
        let mut queue = Queue::default();
        for (at, event) in [(5, 'c'), (3, 'a'), (5, 'd'), (3, 'b')] {
            queue.push(at, event);
        }
        assert_eq!(queue.next_at(), Some(3));
        let order: String = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(order, "abcd");
    }
}
