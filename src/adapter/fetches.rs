//! Keys that are being fetched, and who waits for them.

use std::sync::Arc;

use fxhash::FxHashMap;

use super::{FlightId, RequestId, Scope};
use crate::Millis;
use crate::key::CompositeKey;
use crate::order::ascending;
use crate::partition::xxh3;
use crate::protocol::{Class, Keymap};

/// Names one fetch until it is settled.
pub(super) type FetchId = u32;

/// How far a fetch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Queued,
    InFlight(FlightId),
    Backoff,
}

/// One key on its way, for any number of waiters of one scope.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) scope: Scope,
    pub(super) key: CompositeKey,
    pub(super) class: Class,
    /// Whether the Prefetch Engine issued it and is owed its outcome.
    pub(super) issued: bool,
    /// Whether it has to ride on what goes out anyway, as it was only predicted.
    pub(super) rides: bool,
    pub(super) waiters: Vec<RequestId>,
    pub(super) attempts: u8,
    /// Whether the read must go through the store's fence.
    pub(super) strong: bool,
    /// Smallest bound of the waiters; 0 makes the gateway read the store.
    pub(super) max_staleness_ms: u32,
    /// The answer has to be current as of a moment after this one; 0 for any.
    pub(super) needed_after: Millis,
    /// The cached keymap that may be confirmed instead of sent.
    pub(super) held: Option<Arc<Keymap>>,
    pub(super) progress: Progress,
    /// A second flight that carries it, while the first one takes unusually long.
    pub(super) hedge: Option<FlightId>,
    /// The origin that has just failed.
    pub(super) avoid: Option<Arc<str>>,
}

impl Fetch {
    /// A fetch of `key` that is not sent yet, and that nobody waits for so far.
    pub(super) fn new(scope: Scope, key: CompositeKey, class: Class, max_staleness_ms: u32) -> Self {
        Self {
            scope,
            key,
            class,
            issued: false,
            rides: false,
            waiters: Vec::new(),
            attempts: 0,
            strong: false,
            max_staleness_ms,
            needed_after: 0,
            held: None,
            progress: Progress::Queued,
            hedge: None,
            avoid: None,
        }
    }

    /// The flight that carries it.
    pub(super) fn flight(&self) -> Option<FlightId> {
        match self.progress {
            Progress::InFlight(flight) => Some(flight),
            Progress::Queued | Progress::Backoff => None,
        }
    }

    /// Takes `flight` off it, which brought nothing. Whether another one still carries it.
    pub(super) fn lose(&mut self, flight: FlightId) -> bool {
        if self.hedge == Some(flight) {
            self.hedge = None;
            return self.flight().is_some();
        }
        match self.hedge.take() {
            Some(other) if self.progress == Progress::InFlight(flight) => {
                self.progress = Progress::InFlight(other);
                true
            }
            other => {
                self.hedge = other;
                false
            }
        }
    }
}

/// All fetches, found by id or by key.
#[derive(Debug)]
pub(super) struct Fetches {
    by_id: FxHashMap<FetchId, Box<Fetch>>,
    by_key: FxHashMap<u64, Vec<FetchId>>,
    seed: u64,
    prefetching: usize,
}

impl Fetches {
    pub(super) fn new(seed: u64) -> Self {
        Self { by_id: FxHashMap::default(), by_key: FxHashMap::default(), seed, prefetching: 0 }
    }

    fn slot(&self, key: &CompositeKey) -> u64 {
        xxh3(self.seed, key.as_str().as_bytes())
    }

    pub(super) fn insert(&mut self, id: FetchId, fetch: Fetch) {
        self.prefetching += usize::from(fetch.class == Class::Prefetch);
        self.by_key.entry(self.slot(&fetch.key)).or_default().push(id);
        self.by_id.insert(id, Box::new(fetch));
    }

    pub(super) fn remove(&mut self, id: FetchId) -> Option<Fetch> {
        let fetch = self.by_id.remove(&id)?;
        self.prefetching -= usize::from(fetch.class == Class::Prefetch);
        let slot = self.slot(&fetch.key);
        if let Some(ids) = self.by_key.get_mut(&slot) {
            ids.retain(|&other| other != id);
            if ids.is_empty() {
                self.by_key.remove(&slot);
            }
        }
        Some(*fetch)
    }

    pub(super) fn get(&self, id: FetchId) -> Option<&Fetch> {
        self.by_id.get(&id).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, id: FetchId) -> Option<&mut Fetch> {
        self.by_id.get_mut(&id).map(Box::as_mut)
    }

    /// All of them, in any order.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Fetch> {
        self.by_id.values_mut().map(Box::as_mut)
    }

    /// Somebody waits for it now: it goes ahead of what nobody waits for.
    pub(super) fn promote(&mut self, id: FetchId) {
        if let Some(fetch) = self.by_id.get_mut(&id)
            && fetch.class == Class::Prefetch
        {
            fetch.class = Class::Demand;
            self.prefetching -= 1;
        }
    }

    /// The fetches of `key`, whatever their scope.
    pub(super) fn of_key(&self, key: &CompositeKey) -> impl Iterator<Item = (FetchId, &Fetch)> {
        let ids = self.by_key.get(&self.slot(key)).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(move |&id| self.by_id.get(&id).filter(|f| f.key == *key).map(|f| (id, &**f)))
    }

    /// The fetches of `scope`, by ascending id.
    pub(super) fn of_scope(&self, scope: Scope) -> Vec<FetchId> {
        ascending(self.by_id.iter().filter(|(_, f)| f.scope == scope).map(|(&id, _)| id))
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Fetches that nobody waits for.
    pub(super) fn prefetching(&self) -> usize {
        self.prefetching
    }
}
