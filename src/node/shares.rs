//! [`Shares`]: a bounded number of places, of which nobody takes them all.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Holder of places: a number that stands for the subject of a token. The default one is everybody, where nobody is told
/// apart, and has no share of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Subject(pub u128);

impl Subject {
    /// Whoever has `address`; of IPv6, the network of 64 bits that a site is given.
    pub fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self((4 << 120) | u128::from(u32::from(address))),
            IpAddr::V6(address) => Self((6 << 120) | (u128::from(address) >> 64)),
        }
    }
}

/// Places for many subjects, of which each may hold a third of what is still free.
///
/// A threshold that sinks as places are taken (Choudhury and Hahne, *Dynamic Queue Length Thresholds for Shared-Memory
/// Packet Switches*, 1998): a subject alone gets a quarter of all places, the next a quarter of what that leaves, and so
/// on; one that has none finds a place as long as there is any. It takes 24 subjects that take all they can to fill 1,000
/// places. Bounded by the places.
#[derive(Debug, Clone)]
pub struct Shares {
    most: usize,
    taken: usize,
    held: BTreeMap<Subject, usize>,
}

impl Shares {
    /// `most` places, all free.
    pub fn new(most: usize) -> Self {
        Self { most, taken: 0, held: BTreeMap::new() }
    }

    /// Places that `subject` holds; none are counted for the default one.
    pub fn held(&self, subject: Subject) -> usize {
        self.held.get(&subject).copied().unwrap_or(0)
    }

    /// Takes a place. O(log subjects).
    ///
    /// # Errors
    /// The bound that stands in the way: of all places, or of those that `subject` may hold.
    pub fn enter(&mut self, subject: Subject) -> Result<(), usize> {
        let free = self.most - self.taken;
        if free == 0 {
            return Err(self.most);
        }
        if subject != Subject::default() {
            let held = self.held(subject);
            let share = (free + held) / 4;
            if held >= share.max(1) {
                return Err(share.max(1));
            }
            self.held.insert(subject, held + 1);
        }
        self.taken += 1;
        Ok(())
    }

    /// Gives the place of `from` to `to`, whatever `to` holds.
    pub fn hand_over(&mut self, from: Subject, to: Subject) {
        self.leave(from);
        self.taken += 1;
        if to != Subject::default() {
            *self.held.entry(to).or_default() += 1;
        }
    }

    /// Gives back a place that `subject` took.
    pub fn leave(&mut self, subject: Subject) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(held) = self.held.get_mut(&subject) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&subject);
            }
        }
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// All places.
    pub fn most(&self) -> usize {
        self.most
    }
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
