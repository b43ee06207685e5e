//! [`LookAhead`]: predictions, the prefetches that they lead to, and what is learnt and told from requests.

mod credit;
mod scope_history;
mod shared;

use std::sync::Arc;

use self::credit::Credit;
use self::scope_history::ScopeHistory;
use self::shared::Shared;
use super::action::Scope;
use super::agenda::OWN_SCOPE;
use super::config::AdapterConfig;
use super::requests::Note;
use super::stats::{AdapterStats, Fill};
use crate::Millis;
use crate::analyzer::Access;
use crate::cache::LocalCache;
use crate::codec::DecodeError;
use crate::key::CompositeKey;
use crate::prefetch::{Caution, PrefetchEngine, PrefetchOutcome, PrefetchRequest, Verdict};
use crate::protocol::BatchRequest;

/// Prediction and prefetching of one client.
#[derive(Debug)]
pub(super) struct LookAhead {
    engine: PrefetchEngine,
    predicts: bool,
    credit: Credit,
    /// End of a pause, in which nothing is fetched ahead, as a gateway has more to do than it can.
    paused_until: Millis,
    max_prefetching: usize,
    history: ScopeHistory,
    shared: Shared,
}

impl LookAhead {
    pub(super) fn new(config: &mut AdapterConfig) -> Self {
        let shared = Shared::new(config);
        Self {
            engine: PrefetchEngine::new(config.prefetch),
            predicts: config.prefetch.enabled,
            credit: Credit::default(),
            paused_until: 0,
            max_prefetching: config.max_prefetching,
            history: ScopeHistory::default(),
            shared,
        }
    }

    pub(super) fn engine(&self) -> &PrefetchEngine {
        &self.engine
    }

    /// Exchanges the engine for another one. O(1).
    pub(super) fn swap_engine(&mut self, engine: &mut PrefetchEngine) {
        std::mem::swap(&mut self.engine, engine);
    }

    /// A request is made at `now`.
    pub(super) fn begin(&mut self, now: Millis) {
        self.credit.begin(now);
    }

    /// A request was answered by what had been fetched ahead, and by nothing that is under way.
    pub(super) fn earn_credit(&mut self, now: Millis) {
        self.credit.used(now);
    }

    /// Fetches nothing ahead until then: a gateway has more to do than it can.
    pub(super) fn pause(&mut self, until: Millis) {
        self.paused_until = self.paused_until.max(until);
    }

    pub(super) fn is_paused(&self, now: Millis) -> bool {
        now < self.paused_until
    }

    /// Returns whether one more prefetch can be taken on beside so many.
    pub(super) fn can_take(&self, now: Millis, prefetching: usize) -> bool {
        prefetching < self.max_prefetching && !self.is_paused(now)
    }

    /// Returns whether a batch may go out with nothing but predicted keys; takes the credit for it.
    pub(super) fn take_credit(&mut self) -> bool {
        self.credit.withdraw()
    }

    pub(super) fn handle_note(&mut self, now: Millis, note: Note) {
        match note {
            Note::Asked => self.credit.asked(),
            Note::Arrived(key) => self.engine.handle_arrival("", &key),
            Note::Ended(key, outcome) => self.engine.handle_outcome(now, &key, outcome),
        }
    }

    pub(super) fn handle_outcome(&mut self, now: Millis, key: &CompositeKey, outcome: PrefetchOutcome) {
        self.engine.handle_outcome(now, key, outcome);
    }

    /// Tells the engine which of its prefetched entries left the cache unused.
    pub(super) fn settle_evicted(&mut self, now: Millis, cache: &mut LocalCache) {
        for evicted in cache.take_evicted() {
            if evicted.unused_prefetch {
                self.engine.handle_outcome(now, &evicted.key, PrefetchOutcome::Wasted);
            }
        }
    }

    /// Keeps a request of the own scope, to be learnt again by who comes after this client.
    pub(super) fn remember(&mut self, scope: Scope, stream: &str, key: &CompositeKey) {
        if scope == OWN_SCOPE {
            self.history.note(stream, key);
        }
    }

    /// Learns from a request, and returns what to fetch ahead after it. `skip` says what is cached or on its way.
    pub(super) fn handle_access(
        &mut self,
        now: Millis,
        stream: &str,
        key: &CompositeKey,
        access: Access,
        skip: &mut dyn FnMut(&CompositeKey) -> bool,
    ) -> Vec<PrefetchRequest> {
        let mut wanted = Vec::new();
        self.engine.handle_access(now, stream, key, access, skip, &mut wanted);
        self.shared.note(stream, key, access);
        wanted
    }

    /// Returns what is now to be fetched ahead after the latest request of the own scope.
    pub(super) fn look_again(
        &mut self,
        now: Millis,
        skip: &mut dyn FnMut(&CompositeKey) -> bool,
    ) -> Vec<PrefetchRequest> {
        let mut wanted = Vec::new();
        if let Some((stream, key)) = self.history.latest() {
            self.engine.look_again(now, &stream, &key, skip, &mut wanted);
        }
        wanted
    }

    /// Returns whether to fetch `key`, which the application says will be asked for; `known` where it is not to be anyway.
    pub(super) fn hint(
        &mut self,
        now: Millis,
        key: &CompositeKey,
        probability: Option<f32>,
        within: Option<Millis>,
        known: bool,
    ) -> bool {
        let wanted = !self.predicts || self.engine.hint(now, key, probability, within, known) == Verdict::Fetch;
        wanted && !known
    }

    /// Returns whether what a hint leads to is owed to the engine.
    pub(super) fn predicts(&self) -> bool {
        self.predicts
    }

    /// `key` is no keymap: predicting it would only fetch nothing.
    pub(super) fn handle_absence(&mut self, now: Millis, key: &CompositeKey) {
        self.engine.handle_absence(now, key);
    }

    pub(super) fn set_caution(&mut self, caution: Caution) {
        self.engine.set_caution(caution);
    }

    /// Requests kept, oldest first.
    pub(super) fn history(&self) -> impl ExactSizeIterator<Item = &(Box<str>, CompositeKey)> {
        self.history.iter()
    }

    /// Learns requests of an earlier client, oldest first.
    pub(super) fn recall(&mut self, requests: &[(Box<str>, CompositeKey)]) {
        for (stream, key) in requests {
            self.engine.recall(stream, key);
            self.history.note(stream, key);
        }
    }

    pub(super) fn forget_history(&mut self) {
        self.history = ScopeHistory::default();
    }

    /// Takes over a shared model; returns whether it takes part in it.
    pub(super) fn import_model(&mut self, bytes: &[u8]) -> Result<bool, DecodeError> {
        if self.shared.is_on() {
            self.shared.import(bytes, &mut self.engine)?;
        }
        Ok(self.shared.is_on())
    }

    /// The binary form of the shared model at hand.
    pub(super) fn model(&self) -> &[u8] {
        self.shared.bytes()
    }

    pub(super) fn tell(&mut self, max_bytes: usize) -> Option<Vec<u8>> {
        self.shared.tell(max_bytes)
    }

    /// Lets a batch tell what led to it, and ask for the model.
    pub(super) fn tell_along(&mut self, now: Millis, origin: &Arc<str>, demand: bool, request: &mut BatchRequest) {
        if !self.shared.is_on() {
            return;
        }
        self.shared.tell_along(origin, request);
        if demand && self.engine.caution() != Caution::Off {
            request.model = self.shared.wish(now);
        }
    }

    /// Pays for telling with so many bytes of demand that were sent or came.
    pub(super) fn earn(&mut self, bytes: usize) {
        self.shared.earn(bytes);
    }

    /// Adds counts and fills.
    pub(super) fn report(&self, stats: &mut AdapterStats) {
        stats.model = self.shared.stats();
        stats.history = Fill { used: self.history.iter().len(), bound: ScopeHistory::BOUND };
        stats.prefetching.bound = self.max_prefetching;
        stats.prefetch = self.engine.stats();
    }

    #[cfg(test)]
    pub(super) fn forget_credit(&mut self) {
        self.credit = Credit::default();
    }
}
