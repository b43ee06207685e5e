//! Shapes and templates out of a set of keys, for those who merge what many analyzers learned.

use super::analyzer::MAX_TEMPLATE;
use super::classes::Classes;
use super::components::Parts;
use super::template::derive;

/// The component classes that a set of keys leads to. The order in which keys are observed matters, so whoever wants one
/// result observes them in one order.
#[derive(Debug)]
pub(crate) struct Shapes(Classes);

impl Shapes {
    /// Knows no key.
    pub(crate) fn new() -> Self {
        Self(Classes::new())
    }

    /// Counts a key. O(components).
    pub(crate) fn observe(&mut self, key: &str) {
        self.0.observe(&Parts::new(key.as_bytes()));
    }

    /// Hash of a key's shape. O(components).
    pub(crate) fn shape(&self, key: &str) -> u64 {
        self.0.shape(&Parts::new(key.as_bytes())).hash
    }

    /// The template that leads from one key to another, if there is one. O(components).
    pub(crate) fn template(&self, last: &str, next: &str) -> Option<Vec<u8>> {
        let next = Parts::new(next.as_bytes());
        let (shape, mut template) = (self.0.shape(&next), Vec::new());
        let is_one = derive(&Parts::new(last.as_bytes()), &next, &shape, &mut template);
        (is_one && template.len() <= MAX_TEMPLATE).then_some(template)
    }

    /// The places on the way through a key, each with whether its components name a kind. O(components).
    pub(crate) fn places(&self, key: &str, see: impl FnMut(u64, bool)) {
        self.0.places(&Parts::new(key.as_bytes()), see);
    }
}
