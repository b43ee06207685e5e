//! [`Inserted`]: the fate of an answer that a cache is offered.

/// The cause for which an entry came into the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Somebody asked for it.
    Demand,
    /// It was fetched ahead.
    Prefetch,
}

/// The fate of an answer handed to [`LocalCache::insert`](super::LocalCache::insert).
///
/// A prefetch that is `Covered` or `NotCovered` has exactly one outcome later: a [`Hit`](super::Hit) with `first_use`, or an
/// [`Evicted`](super::Evicted) with `unused_prefetch`. Two prefetches of one key in a row share it. Any other result is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Inserted {
    /// Kept, and the change feed keeps it fresh from here on.
    Covered,
    /// Kept, but it ages from its own time: the feed may have passed changes that it does not include.
    NotCovered,
    /// The cache already holds the same version or something newer; that stays, and got younger where it could.
    Superseded,
    /// Not kept: the key is known to have changed since.
    Outdated,
    /// Not kept: invalidated or written by this client while the request was in flight.
    Fenced,
    /// Not kept: larger than an eighth of the capacity.
    TooLarge,
    /// Not kept: a guess that only a proven entry could have made room for.
    NoRoom,
    /// Not kept: the keymap is of another key.
    Mismatch,
    /// Not kept: the cache is off.
    Off,
}

impl Inserted {
    /// `true` where the cache now holds this answer, or a newer one, for the key.
    pub fn is_held(self) -> bool {
        matches!(self, Self::Covered | Self::NotCovered | Self::Superseded)
    }
}
