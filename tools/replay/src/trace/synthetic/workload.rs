//! [`Workload`]: clients and what they ask for.

use crate::random::Random;

/// One request of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) key: String,
    /// Set where the rules determine the key, given what was asked before.
    pub(super) foreseeable: bool,
}

/// The clients of a workload.
pub(super) trait Workload {
    fn clients(&self) -> usize;

    /// The next request of `client`.
    fn step(&mut self, client: usize, random: &mut Random) -> Step;
}
