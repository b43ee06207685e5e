//! S3-FIFO.

use std::collections::VecDeque;

use fxhash::FxHashMap;

use super::id::Id;
use crate::demand::Demand;
use crate::rules::Cache;

/// Small queue of a tenth of the entries, main queue with the rest, ghosts of nine tenths; two accesses in the small
/// queue lead to the main one.
///
/// Parameters and order of steps are those of libCacheSim, which counts the same hits to the digit from 20 entries on.
/// Below, its small queue of one place takes nothing in; here it takes one.
pub(crate) struct S3Fifo {
    small: VecDeque<Id>,
    main: VecDeque<Id>,
    small_max: usize,
    main_max: usize,
    /// Accesses since insertion.
    resident: FxHashMap<Id, u32>,
    ghosts: Ghosts,
}

/// Accesses in the small queue that lead to the main one.
const TO_MAIN: u32 = 2;
/// Most accesses that count in the main queue: two bits.
const MAX_FREQUENCY: u32 = 3;

impl S3Fifo {
    pub(crate) fn new(entries: usize) -> Self {
        let small_max = (entries / 10).max(1);
        Self {
            small: VecDeque::new(),
            main: VecDeque::new(),
            small_max,
            main_max: entries.saturating_sub(small_max),
            resident: FxHashMap::default(),
            ghosts: Ghosts { max: entries * 9 / 10, queue: VecDeque::new(), numbers: FxHashMap::default(), next: 0 },
        }
    }

    fn insert(&mut self, key: Id) {
        let was_ghost = self.ghosts.remove(key);
        while self.resident.len() >= self.small_max + self.main_max {
            self.evict();
        }
        if was_ghost {
            self.main.push_back(key);
        } else {
            self.small.push_back(key);
        }
        self.resident.insert(key, 0);
    }

    fn evict(&mut self) {
        if self.main.len() > self.main_max || self.small.is_empty() {
            self.evict_main();
        } else {
            self.evict_small();
        }
    }

    fn evict_small(&mut self) {
        while let Some(key) = self.small.pop_front() {
            if self.resident.get(&key).is_some_and(|&accesses| accesses >= TO_MAIN) {
                self.resident.insert(key, 0);
                self.main.push_back(key);
            } else {
                self.resident.remove(&key);
                self.ghosts.insert(key);
                return;
            }
        }
    }

    fn evict_main(&mut self) {
        while let Some(key) = self.main.pop_front() {
            match self.resident.get_mut(&key) {
                Some(accesses) if *accesses > 0 => {
                    *accesses = (*accesses).min(MAX_FREQUENCY) - 1;
                    self.main.push_back(key);
                }
                _ => {
                    self.resident.remove(&key);
                    return;
                }
            }
        }
    }
}

impl Cache<Id> for S3Fifo {
    fn demand(&mut self, _: usize, key: &Id) -> Demand {
        if let Some(accesses) = self.resident.get_mut(key) {
            *accesses += 1;
            return Demand::Hit;
        }
        self.insert(*key);
        Demand::Miss
    }

    fn contains(&self, key: &Id) -> bool {
        self.resident.contains_key(key)
    }

    fn land(&mut self, _: &Id) -> bool {
        false
    }

    fn take_unused(&mut self, _: &mut Vec<Id>) {}
}

/// Keys evicted from the small queue, first in, first out.
struct Ghosts {
    max: usize,
    queue: VecDeque<(Id, u64)>,
    /// Place in the queue of each ghost: one that was removed and came back counts from its return.
    numbers: FxHashMap<Id, u64>,
    next: u64,
}

impl Ghosts {
    fn insert(&mut self, key: Id) {
        if self.max == 0 || self.numbers.contains_key(&key) {
            return;
        }
        while self.numbers.len() >= self.max {
            let Some((oldest, number)) = self.queue.pop_front() else { break };
            if self.numbers.get(&oldest) == Some(&number) {
                self.numbers.remove(&oldest);
            }
        }
        self.numbers.insert(key, self.next);
        self.queue.push_back((key, self.next));
        self.next += 1;
    }

    fn remove(&mut self, key: Id) -> bool {
        self.numbers.remove(&key).is_some()
    }
}
