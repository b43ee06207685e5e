//! [`Core`]: the adapter as a JavaScript class.

use js_sys::{Array, Float64Array, JsString};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::batch::{cursors, read_fields};
use super::errors::{bad_key, plain, thrown};
use super::fields::Fields;
use super::{actions, config};
use crate::Millis;
use crate::adapter::{
    Adapter, Attention, BadBookmark, BadState, FailureKind, FeedEnd, GetRequest, Listing, Own, OwnWrite,
};
use crate::cache::{Fence, Invalidate};
use crate::clock::{LocalClock, Tick};
use crate::key::{CompositeKey, KeyPrefix};
use crate::prefetch::Caution;
use crate::protocol::{Consistency, ErrorCode, ListPage};

/// Bits of the `flags` of [`Core::get`].
const STRONG: u32 = 1;
const ANY: u32 = 2;
const BYPASS_CACHE: u32 = 4;
const UNOBSERVED: u32 = 8;
const UNHEDGED: u32 = 16;

/// One client's core. After each call drain [`Core::actions`].
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    pub(super) adapter: Adapter,
    pub(super) token: Option<String>,
    clock: LocalClock,
    /// Milliseconds that the clock of an earlier core of this host had counted more than the monotonic clock.
    since: f64,
}

#[wasm_bindgen]
impl Core {
    /// Builds a core; does no I/O.
    ///
    /// # Errors
    /// Throws `{code: "CONFIG", message}`.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue) -> Result<Self, JsValue> {
        let (config, token) = config::read(options)?;
        let adapter = Adapter::new(config).map_err(|error| thrown(ErrorCode::Config, &error.0))?;
        Ok(Self { adapter, token, clock: LocalClock::default(), since: 0.0 })
    }

    /// Goes on where the clock of an earlier core of this host stood: `ahead_ms` more than the monotonic clock shows now.
    #[wasm_bindgen(js_name = startClock)]
    pub fn start_clock(&mut self, ahead_ms: f64) {
        self.since = ahead_ms.max(0.0);
    }

    /// The time that every other call is to be given, from a reading of a monotonic clock and of the wall clock.
    pub fn tick(&mut self, monotonic: f64, wall: f64) -> f64 {
        let Tick { now, broke } = self.clock.read(monotonic, wall);
        let now = now as f64 + self.since;
        if broke {
            self.adapter.handle_clock_break(millis(now));
        }
        now
    }

    /// Actions for the host to perform, in order.
    ///
    /// # Errors
    /// Throws `{code: "CONFIG", message}` where an origin makes no URL.
    pub fn actions(&mut self) -> Result<Array, JsValue> {
        actions::drain(&mut self.adapter, self.token.as_deref())
    }

    /// Starts a demand request and returns its id.
    ///
    /// # Errors
    /// Throws `{code: "BAD_KEY", message}`.
    #[expect(clippy::too_many_arguments, reason = "numbers cross the boundary cheaply, an options object does not")]
    pub fn get(
        &mut self,
        now: f64,
        scope: u32,
        key: &str,
        flags: u32,
        max_staleness_ms: u32,
        timeout_ms: u32,
        stream: Option<String>,
        stale_while_revalidate_ms: u32,
        stale_if_error_ms: u32,
    ) -> Result<u32, JsValue> {
        let consistency = match flags & (STRONG | ANY) {
            STRONG => Consistency::Strong,
            ANY => Consistency::Any,
            _ => Consistency::Bounded,
        };
        let request = GetRequest {
            scope,
            key: CompositeKey::parse(key).map_err(bad_key)?,
            stream: stream.as_deref().unwrap_or(""),
            consistency,
            max_staleness_ms,
            timeout_ms,
            bypass_cache: flags & BYPASS_CACHE != 0,
            observe: flags & UNOBSERVED == 0,
            stale_while_revalidate_ms,
            stale_if_error_ms,
            hedge: flags & UNHEDGED == 0,
        };
        Ok(self.adapter.handle_request(millis(now), request))
    }

    /// Rejects a request with `ABORTED`.
    pub fn cancel(&mut self, now: f64, request: u32) {
        self.adapter.handle_cancel(millis(now), request);
    }

    /// Fetches keys ahead on the application's word: that each is asked for with `probability`, in `within_ms`.
    ///
    /// # Errors
    /// Throws `{code: "BAD_KEY", message}`; then nothing is fetched.
    pub fn prefetch(
        &mut self,
        now: f64,
        scope: u32,
        keys: &Array,
        probability: Option<f32>,
        within_ms: Option<f64>,
    ) -> Result<(), JsValue> {
        let keys: Vec<CompositeKey> = keys.iter().map(|key| parse(&key)).collect::<Result<_, _>>()?;
        self.adapter.prefetch(millis(now), scope, keys, probability, within_ms.map(millis));
        Ok(())
    }

    /// Starts a raw HTTP call and returns its id.
    ///
    /// # Errors
    /// Throws `{code: "BAD_KEY", message}`.
    pub fn call(&mut self, now: f64, scope: u32, timeout_ms: u32, key: Option<String>) -> Result<u32, JsValue> {
        let key = key.map(|key| CompositeKey::parse(&key)).transpose().map_err(bad_key)?;
        Ok(self.adapter.call(millis(now), scope, timeout_ms, key))
    }

    /// Gives up on a raw call.
    #[wasm_bindgen(js_name = cancelCall)]
    pub fn cancel_call(&mut self, call: u32) {
        self.adapter.handle_call_cancel(call);
    }

    /// Does what is due in `scope` and sends what is queued.
    pub fn poll(&mut self, now: f64, scope: u32) {
        self.adapter.handle_timeout(millis(now), scope);
    }

    /// Ends a scope: what still waits in it is rejected.
    #[wasm_bindgen(js_name = closeScope)]
    pub fn close_scope(&mut self, now: f64, scope: u32) {
        self.adapter.handle_scope_end(millis(now), scope);
    }

    /// The response of a `send`. `retry_after_ms` is negative where the header is absent.
    #[wasm_bindgen(js_name = onResponse)]
    pub fn on_response(&mut self, now: f64, flight: u32, status: u16, retry_after_ms: f64, body: &[u8]) {
        self.adapter.handle_response(millis(now), flight, status, retry_after(retry_after_ms), body);
    }

    /// The response of an `attempt`.
    #[wasm_bindgen(js_name = onCallDone)]
    pub fn on_call_done(&mut self, now: f64, flight: u32, status: u16, retry_after_ms: f64) {
        self.adapter.handle_call_response(millis(now), flight, status, retry_after(retry_after_ms));
    }

    /// A flight without response: 0 network, 1 time-out, 2 aborted.
    #[wasm_bindgen(js_name = onFailure)]
    pub fn on_failure(&mut self, now: f64, flight: u32, kind: u8) {
        let kind = match kind {
            0 => FailureKind::Network,
            1 => FailureKind::Timeout,
            _ => FailureKind::Aborted,
        };
        self.adapter.handle_failure(millis(now), flight, kind);
    }

    /// To be taken when a call's request is sent, and handed back with what became of it.
    pub fn fence(&self, now: f64) -> Float64Array {
        let parts = self.adapter.fence(millis(now)).to_parts().map(|part| part as f64);
        Float64Array::from(&parts[..])
    }

    /// An own write was acknowledged: `{key, version, shard, position, fields?, deleted?}`; what it left behind is cached where
    /// it is named. `fence` is that of the first attempt.
    ///
    /// # Errors
    /// Throws `{code: "BAD_KEY" | "BAD_REQUEST", message}`.
    pub fn wrote(&mut self, now: f64, fence: &[f64], write: JsValue) -> Result<(), JsValue> {
        let fields = Fields::of(write, ErrorCode::BadRequest)?;
        let write = read_write(&fields, read_fence(fence))?;
        self.adapter.handle_write(millis(now), write);
        Ok(())
    }

    /// A page of a list arrived, in binary form: `{keymaps, next}`. What is on it is cached. `fence` is that of the attempt.
    ///
    /// # Errors
    /// Throws `{code: "BAD_KEY" | "BAD_ANSWER", message}`.
    #[expect(clippy::too_many_arguments, reason = "numbers cross the boundary cheaply, an options object does not")]
    pub fn listed(
        &mut self,
        now: f64,
        scope: u32,
        stream: Option<String>,
        prefix: &str,
        fence: &[f64],
        page: &[u8],
        first: bool,
    ) -> Result<JsValue, JsValue> {
        let prefix = KeyPrefix::parse(prefix).map_err(bad_key)?;
        let page = ListPage::decode(page).map_err(|error| thrown(ErrorCode::BadAnswer, &error.to_string()))?;
        let listing = Listing { prefix: &prefix, fence: read_fence(fence), page: &page, first };
        self.adapter.handle_list(millis(now), scope, stream.as_deref().unwrap_or(""), &listing);
        Ok(plain(&actions::JsPage::from(&page)))
    }

    /// Tells whether somebody looks at the page; on return what is cached is made current.
    #[wasm_bindgen(js_name = setAttention)]
    pub fn set_attention(&mut self, now: f64, active: bool) {
        let attention = if active { Attention::Active } else { Attention::Away };
        self.adapter.handle_attention(millis(now), attention);
    }

    /// The host woke up: streams that were open may never speak again.
    pub fn resume(&mut self, now: f64) {
        self.adapter.handle_resume(millis(now));
    }

    /// Other clients of the session may have written or invalidated something unheard: all that is cached is to be confirmed.
    pub fn missed(&mut self, now: f64) {
        self.adapter.handle_expiry(millis(now));
    }

    /// Bytes of an `openFeed`, as they arrive.
    #[wasm_bindgen(js_name = onFeedBytes)]
    pub fn on_feed_bytes(&mut self, now: f64, feed: u32, bytes: &[u8]) {
        self.adapter.handle_feed_bytes(millis(now), feed, bytes);
    }

    /// The end of an `openFeed`: status 0 where it broke, 200 where the gateway ended it, else what it was refused with.
    #[wasm_bindgen(js_name = onFeedEnd)]
    pub fn on_feed_end(&mut self, now: f64, feed: u32, status: u16, retry_after_ms: f64) {
        let end = match status {
            0 => FeedEnd::Broken,
            200 => FeedEnd::Ended,
            status => FeedEnd::Refused { status, retry_after: retry_after(retry_after_ms) },
        };
        self.adapter.handle_feed_end(millis(now), feed, end);
    }

    /// Sets whether each frame of the feed comes back as a `relay`.
    #[wasm_bindgen(js_name = setRelaying)]
    pub fn set_relaying(&mut self, relaying: bool) {
        self.adapter.set_relaying(relaying);
    }

    /// Tells whether another core of this host holds a feed, which costs nothing to join.
    #[wasm_bindgen(js_name = setFeedAtHand)]
    pub fn set_feed_at_hand(&mut self, now: f64, at_hand: bool) {
        self.adapter.handle_feed_at_hand(millis(now), at_hand);
    }

    /// Everything that another core needs to follow this one's feed from here on, or `undefined`.
    #[wasm_bindgen(js_name = feedOpening)]
    pub fn feed_opening(&self, now: f64) -> Option<Vec<u8>> {
        self.adapter.feed_opening(millis(now))
    }

    /// A bookmark of what this session has seen, for another device.
    pub fn bookmark(&self) -> Vec<u8> {
        self.adapter.bookmark()
    }

    /// Goes on where the session behind `bookmark` was.
    ///
    /// # Errors
    /// Throws `{code: "BAD_REQUEST", message}`.
    #[wasm_bindgen(js_name = openBookmark)]
    pub fn open_bookmark(&mut self, now: f64, bookmark: &[u8]) -> Result<(), JsValue> {
        let refused = |error: BadBookmark| thrown(ErrorCode::BadRequest, &error.to_string());
        self.adapter.open_bookmark(millis(now), bookmark).map_err(refused)
    }

    /// Entries, session and requests, to outlive the page.
    #[wasm_bindgen(js_name = exportState)]
    pub fn export_state(&self, max_bytes: usize) -> Vec<u8> {
        self.adapter.state(max_bytes)
    }

    /// Takes over what `exportState` gave; returns how many entries there are.
    ///
    /// # Errors
    /// Throws `{code: "BAD_REQUEST", message}`; then nothing changed.
    #[wasm_bindgen(js_name = importState)]
    pub fn import_state(&mut self, now: f64, state: &[u8]) -> Result<usize, JsValue> {
        let refused = |error: BadState| thrown(ErrorCode::BadRequest, &error.to_string());
        self.adapter.import_state(millis(now), state).map_err(refused)
    }

    /// The answer that the cache would give now, or `undefined`.
    ///
    /// # Errors
    /// Throws `{code: "BAD_KEY", message}`.
    pub fn peek(&self, now: f64, key: &str, max_staleness_ms: u32) -> Result<JsValue, JsValue> {
        let key = CompositeKey::parse(key).map_err(bad_key)?;
        let answer = self.adapter.cached_answer(millis(now), &key, max_staleness_ms);
        Ok(answer.map_or(JsValue::UNDEFINED, |answer| plain(&actions::JsAnswer::from(&answer))))
    }

    /// Predictions of what comes after `key`, or next in `stream` where no key is given: `[{key, confidence, expert}]`.
    ///
    /// # Errors
    /// Throws `{code: "BAD_KEY", message}`.
    pub fn predictions(&self, key: Option<String>, stream: Option<String>) -> Result<JsValue, JsValue> {
        let predictions = match key {
            Some(key) => self.adapter.predictions_after(&CompositeKey::parse(&key).map_err(bad_key)?),
            None => self.adapter.predictions(stream.as_deref().unwrap_or("")),
        };
        Ok(plain(&predictions))
    }

    /// Placement, cache state and prediction of one key.
    ///
    /// # Errors
    /// Throws `{code: "BAD_KEY", message}`.
    pub fn explain(&mut self, now: f64, key: &str) -> Result<JsValue, JsValue> {
        let key = CompositeKey::parse(key).map_err(bad_key)?;
        Ok(plain(&self.adapter.explanation(millis(now), &key)))
    }

    /// All counts and fills.
    pub fn stats(&self, now: f64) -> JsValue {
        plain(&self.adapter.stats(millis(now)))
    }

    /// Drops `{key}`, `{prefix}`, `{tag}` or `{all: true}` from the cache and returns how many entries went.
    ///
    /// # Errors
    /// Throws `{code: "BAD_KEY" | "BAD_REQUEST", message}`.
    pub fn invalidate(&mut self, now: f64, what: JsValue) -> Result<usize, JsValue> {
        let what = read_selector(what)?;
        Ok(self.adapter.invalidate(millis(now), &what))
    }

    /// Empties the cache.
    pub fn clear(&mut self, now: f64) {
        self.adapter.clear(millis(now));
    }

    /// Floors of the session behind `scope`, as `[shard, position, ...]`; gone with the scope.
    #[wasm_bindgen(js_name = setScopeFloors)]
    pub fn set_scope_floors(&mut self, scope: u32, floors: &[f64]) {
        self.adapter.raise_scope_token(scope, cursors(floors));
    }

    /// 0 normal, 1 cautious, 2 no prefetch.
    #[wasm_bindgen(js_name = setCaution)]
    pub fn set_caution(&mut self, caution: u8) {
        self.adapter.set_caution(match caution {
            0 => Caution::Normal,
            1 => Caution::Cautious,
            _ => Caution::Off,
        });
    }
}

/// The canonical text of a key given as text.
///
/// # Errors
/// Throws `{code: "BAD_KEY", message}`.
#[wasm_bindgen(js_name = canonicalKey)]
pub fn canonical_key(key: JsString) -> Result<String, JsValue> {
    Ok(parse(&key)?.as_str().to_owned())
}

fn parse(key: &JsValue) -> Result<CompositeKey, JsValue> {
    CompositeKey::parse(&well_formed(key)?).map_err(bad_key)
}

/// The text of a JavaScript string; lone surrogates are refused rather than replaced, or two keys could become one.
fn well_formed(text: &JsValue) -> Result<String, JsValue> {
    let text: &JsString = text.dyn_ref().ok_or_else(|| thrown(ErrorCode::BadKey, "a key must be text"))?;
    let refused = || thrown(ErrorCode::BadKey, "a key must not hold lone surrogates");
    text.as_string().filter(|_| text.is_valid_utf16()).ok_or_else(refused)
}

fn read_selector(what: JsValue) -> Result<Invalidate, JsValue> {
    let what = Fields::of(what, ErrorCode::BadRequest)?;
    if let Some(key) = what.text("key")? {
        return Ok(Invalidate::Key(CompositeKey::parse(&key).map_err(bad_key)?));
    }
    if let Some(prefix) = what.text("prefix")? {
        return Ok(Invalidate::Prefix(KeyPrefix::parse(&prefix).map_err(bad_key)?));
    }
    if let Some(tag) = what.text("tag")? {
        return Ok(Invalidate::Tag(tag));
    }
    if what.flag("all")? == Some(true) {
        return Ok(Invalidate::All);
    }
    Err(thrown(ErrorCode::BadRequest, "name one of `key`, `prefix`, `tag` or `all`"))
}

fn read_fence(parts: &[f64]) -> Fence {
    let part = |at: usize| parts.get(at).map_or(0, |&part| part as u64);
    Fence::from_parts([part(0), part(1)])
}

fn read_write(write: &Fields, fence: Fence) -> Result<OwnWrite, JsValue> {
    let missing = |name| move || write.missing(name);
    let key = write.text("key")?.ok_or_else(missing("key"))?;
    let version = write.whole("version")?.ok_or_else(missing("version"))?;
    let own = match write.object("fields")? {
        Some(fields) => Own::Put(read_fields(&fields)?),
        None if write.flag("deleted")? == Some(true) => Own::Deleted,
        None => Own::Unknown,
    };
    Ok(OwnWrite {
        key: CompositeKey::parse(&key).map_err(bad_key)?,
        version,
        shard: write.whole("shard")?.ok_or_else(missing("shard"))?,
        position: write.whole("position")?.unwrap_or(version),
        own,
        fence,
    })
}

pub(super) fn millis(now: f64) -> Millis {
    now as Millis
}

fn retry_after(ms: f64) -> Option<Millis> {
    (ms >= 0.0).then_some(ms as Millis)
}
