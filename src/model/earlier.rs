//! [`Earlier`]: the models that were served before, which callers may have.

use std::collections::VecDeque;

/// Forms of the latest models by when each was made, the newest last. Memory is bounded by [`Earlier::MAX`] of them.
#[derive(Debug, Clone)]
pub struct Earlier<T> {
    kept: VecDeque<(u64, T)>,
}

impl<T> Default for Earlier<T> {
    fn default() -> Self {
        Self { kept: VecDeque::new() }
    }
}

impl<T> Earlier<T> {
    /// Most that are kept. Clients look for another model every ten minutes, and a busy site makes one a minute.
    pub const MAX: usize = 12;

    /// Keeps one. One that is there already stays as it is.
    pub fn keep(&mut self, made: u64, form: T) {
        if self.get(made).is_some() {
            return;
        }
        if self.kept.len() == Self::MAX {
            self.kept.pop_front();
        }
        self.kept.push_back((made, form));
    }

    /// The one that was made then. O([`Earlier::MAX`]).
    pub fn get(&self, made: u64) -> Option<&T> {
        self.kept.iter().find(|(known, _)| *known == made).map(|(_, form)| form)
    }

    /// Number of models that are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leaves_first_and_each_is_kept_once() {
        let mut earlier = Earlier::default();
        for made in 0..20 {
            earlier.keep(made, made);
            earlier.keep(made, 99);
        }
        assert_eq!(earlier.len(), Earlier::<u64>::MAX);
        assert_eq!([7, 8, 19].map(|made| earlier.get(made).copied()), [None, Some(8), Some(19)]);
    }
}
