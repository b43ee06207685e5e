//! Commands: what the application asks for beside keymaps.

use std::sync::Arc;

use super::{Adapter, is_at_hand};
use crate::Millis;
use crate::adapter::action::{CallId, Scope};
use crate::adapter::agenda::OWN_SCOPE;
use crate::adapter::session::{BadBookmark, Session};
use crate::adapter::state::{BadState, KeptState};
use crate::cache::Invalidate;
use crate::codec::DecodeError;
use crate::key::CompositeKey;
use crate::prefetch::{Caution, PrefetchEngine};
use crate::protocol::Cursor;

impl Adapter {
    /// Starts a raw call, addressed to the owner of `key` if there is one.
    /// [`Action::Attempt`](crate::adapter::Action::Attempt) follows at once, or
    /// [`Action::CallEnd`](crate::adapter::Action::CallEnd) with `TOO_MANY_REQUESTS` where as many calls are under way as
    /// requests may wait.
    pub fn call(&mut self, now: Millis, scope: Scope, timeout_ms: u32, key: Option<CompositeKey>) -> CallId {
        self.transport.start_call(now, scope, timeout_ms, key, &mut self.agenda)
    }

    /// Fetches ahead what the application says will be asked for, with a probability and within so many milliseconds, as
    /// far as experience with its hints and the budget allow. Keys that are cached or on their way are left alone; where
    /// prediction is off, so that there is neither, all others are fetched.
    pub fn prefetch(
        &mut self,
        now: Millis,
        scope: Scope,
        keys: impl IntoIterator<Item = CompositeKey>,
        probability: Option<f32>,
        within: Option<Millis>,
    ) {
        for key in keys {
            let at_hand = is_at_hand(&self.cache, &self.requests, now, self.max_staleness_ms, &key);
            let known = at_hand || !self.can_prefetch(now);
            if self.ahead.hint(now, &key, probability, within, known) {
                self.start_prefetch(now, scope, key, self.ahead.predicts(), false);
            }
        }
        self.agenda.rearm(now, scope, false);
    }

    /// Drops what `what` covers from the cache and returns how many entries that were. A read from now on is at least as new
    /// as this moment, whichever node answers it; answers on their way reach those who asked before, and nobody else.
    pub fn invalidate(&mut self, now: Millis, what: &Invalidate) -> usize {
        let count = self.cache.invalidate(now, what);
        self.settle_evicted(now);
        count
    }

    /// Empties the cache. Session token and what was learnt stay, but what was asked for does not outlive the page any more.
    pub fn clear(&mut self, now: Millis) {
        self.cache.clear(now);
        self.ahead.forget_history();
        self.settle_evicted(now);
    }

    /// Sets how eagerly to fetch ahead: `Save-Data`, a hidden page or a slow link ask for caution.
    pub fn set_caution(&mut self, caution: Caution) {
        self.ahead.set_caution(caution);
    }

    /// Sets whether each frame of the feed comes back as [`Action::Relay`](crate::adapter::Action::Relay), for a host that
    /// holds the feed for several clients.
    pub fn set_relaying(&mut self, relaying: bool) {
        self.feed.set_relaying(relaying);
    }

    /// Adds what the session behind `scope` has seen, beside the adapter's own session token: no answer in this scope is
    /// older. An edge worker passes on the tokens of its callers, which must not bind each other.
    pub fn raise_scope_token(&mut self, scope: Scope, token: impl IntoIterator<Item = Cursor>) {
        self.agenda.raise_token(scope, token);
    }

    /// Takes over one position of the session token of an earlier adapter of the same session.
    pub fn raise_session_token(&mut self, seen: Cursor) {
        self.requests.session_mut().inherit(seen);
    }

    /// Goes on where the session behind `bookmark` was. One of a store that is gone says nothing about this one.
    ///
    /// # Errors
    /// [`BadBookmark`]; then nothing changed.
    pub fn open_bookmark(&mut self, now: Millis, bookmark: &[u8]) -> Result<(), BadBookmark> {
        let (incarnation, token) = Session::read_bookmark(bookmark)?;
        self.note_incarnation(now, incarnation);
        self.requests.session_mut().open_bookmark(incarnation, token);
        Ok(())
    }

    /// Takes over what [`Adapter::state`] gave, at the start of a page: entries become usable with the exchange that this
    /// asks for. Returns how many there are.
    ///
    /// # Errors
    /// [`BadState`]; then nothing changed.
    pub fn import_state(&mut self, now: Millis, state: &[u8]) -> Result<usize, BadState> {
        let (incarnation, token, requests, entries) = KeptState::read(state)?.into_parts();
        if !self.requests.session_mut().resume(incarnation, token) {
            return Ok(0); // of another store
        }
        self.ahead.recall(&requests);
        let count = entries.into_iter().filter(|kept| self.cache.recall(kept)).count();
        self.settle_evicted(now);
        self.feed.forget_age();
        self.feed.come_back(now, (&mut self.cache, &mut self.agenda, &mut self.transport));
        self.agenda.rearm(now, OWN_SCOPE, false);
        Ok(count)
    }

    /// Takes over a model that was read from a gateway, in place of one from before, or what leads to it from that one;
    /// what was learnt here stays, and goes before it where the two differ. What it makes likely after the latest request is
    /// fetched ahead at once. Returns the binary form of the model at hand. Without sharing nothing happens, and there is
    /// none. O(bytes).
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not those of a model, or do not lead to one from that at hand; nothing is taken
    /// over then, and the next wish is for a whole one.
    pub fn import_model(&mut self, now: Millis, bytes: &[u8]) -> Result<&[u8], DecodeError> {
        if self.ahead.import_model(bytes)? && self.ahead.history().len() > 0 {
            self.settle_evicted(now);
            let (cache, requests, bound) = (&self.cache, &self.requests, self.prefetch_bound(now));
            let mut skip = |key: &CompositeKey| is_at_hand(cache, requests, now, bound, key);
            let wanted = self.ahead.look_again(now, &mut skip);
            wanted.into_iter().for_each(|prefetch| self.prefetch_keymap(now, OWN_SCOPE, prefetch));
            self.agenda.rearm(now, OWN_SCOPE, false);
        }
        Ok(self.ahead.model())
    }

    /// Summary of the requests since it was last asked, at most `max_bytes`: the body of `POST /v1/summaries`. `None`
    /// where there is nothing to tell, where its demand has not paid for it, or where it does not tell. O(requests).
    pub fn poll_summary(&mut self, max_bytes: usize) -> Option<Vec<u8>> {
        self.ahead.tell(max_bytes)
    }

    /// The same, and the gateway to send it to.
    pub fn poll_addressed_summary(&mut self, now: Millis, max_bytes: usize) -> Option<(Arc<str>, Vec<u8>)> {
        let body = self.ahead.tell(max_bytes)?;
        Some((self.transport.origin_for(now, None, None), body))
    }

    /// Exchanges this adapter's engine for another one: a seam for measurements, which no product uses. O(1).
    ///
    /// For simulations of many clients with one model: around each entry point the shared engine goes in and comes out
    /// again, after [`PrefetchEngine::act_for`] has said whose turn it is. What it has issued for this adapter must
    /// find it again when its outcome is reported, the ending of the adapter included.
    pub fn swap_engine(&mut self, engine: &mut PrefetchEngine) {
        self.ahead.swap_engine(engine);
    }
}
