//! The hub and the observers, for the edge worker's core only.

use std::cell::RefCell;
use std::collections::BTreeMap;

use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::errors::{bad_key, plain, thrown};
use super::fields::Fields;
use crate::Millis;
use crate::hub::{Caller, Encoding, Hub, HubConfig, Observers, PendingRows, Refusal, client_named, shares};
use crate::key::{CompositeKey, KeyPrefix};
use crate::protocol::ErrorCode;

/// A hub as a JavaScript class; see [`Hub`]. Times are those of the wall clock.
#[wasm_bindgen(js_name = Hub)]
#[derive(Debug)]
pub struct HubCore {
    hub: Hub,
}

#[wasm_bindgen(js_class = Hub)]
impl HubCore {
    /// Of `{clients?, shared?, everyMs?}`.
    ///
    /// # Errors
    /// Throws `{code: "CONFIG", message}`.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue) -> Result<Self, JsValue> {
        let options = Fields::of(options, ErrorCode::Config)?;
        let mut config = HubConfig::default();
        if let Some(clients) = options.whole("clients")? {
            config.clients = clients;
        }
        if let Some(every_ms) = options.whole("everyMs")? {
            config.every_ms = every_ms;
        }
        let wrong = |_| thrown(ErrorCode::Config, "`shared` must be prefixes of keys");
        let shared = options.texts("shared")?.unwrap_or_default();
        config.shared =
            shared.iter().map(|prefix| KeyPrefix::parse(prefix)).collect::<Result<_, _>>().map_err(wrong)?;
        if config.clients == 0 || config.every_ms == 0 {
            return Err(thrown(ErrorCode::Config, "`clients` and `every` must be at least 1"));
        }
        Ok(Self { hub: Hub::new(config) })
    }

    /// Tells whether the counts are loaded.
    #[wasm_bindgen(js_name = isMerging)]
    pub fn is_merging(&self) -> bool {
        self.hub.is_merging()
    }

    /// Goes on from stored counts, each empty where there is nothing.
    pub fn resume(&mut self, counts: &[u8], shares: &[u8]) {
        self.hub.resume(counts, shares);
    }

    /// Serves a stored model.
    pub fn serve(&mut self, model: &[u8]) {
        self.hub.serve(model);
    }

    /// Takes a summary of `{client, prefixes?, verified}`, where `rows` of so many `bytes` are pending. Returns `{row, wake}`.
    ///
    /// # Errors
    /// Throws `{code, message, limit?, retryAfterMs?}`.
    pub fn take(
        &mut self,
        now: f64,
        caller: JsValue,
        summary: &[u8],
        rows: usize,
        bytes: usize,
    ) -> Result<Object, JsValue> {
        let caller = Fields::of(caller, ErrorCode::Internal)?;
        let caller = Caller {
            client: client_named(&caller.text("client")?.unwrap_or_default()),
            prefixes: caller.texts("prefixes")?.map(read_prefixes).transpose()?,
            is_verified: caller.flag("verified")?.unwrap_or_default(),
        };
        taken(self.hub.take(now as Millis, &caller, summary, PendingRows { rows, bytes }))
    }

    /// Takes a page of an isolate's observers, as [`HubCore::take`].
    ///
    /// # Errors
    /// Throws `{code, message, limit?, retryAfterMs?}`.
    #[wasm_bindgen(js_name = takePage)]
    pub fn take_page(&mut self, now: f64, page: &[u8], rows: usize, bytes: usize) -> Result<Object, JsValue> {
        taken(self.hub.take_page(now as Millis, page, PendingRows { rows, bytes }))
    }

    /// Merges a row.
    pub fn merge(&mut self, now: f64, row: &[u8]) {
        self.hub.merge(now as Millis, row);
    }

    /// Forgets what is below a prefix; returns its canonical text.
    ///
    /// # Errors
    /// Throws `{code: "BAD_KEY", message}`.
    pub fn forget(&mut self, prefix: &str) -> Result<String, JsValue> {
        let prefix = KeyPrefix::parse(prefix).map_err(bad_key)?;
        self.hub.forget(&prefix);
        Ok(prefix.as_str().to_owned())
    }

    /// Makes what is due: `{model?, counts?, shares?, wake?}`, where `rows` of so many `bytes` are stored. `size_of` tells
    /// how many bytes some bytes are when they are sent.
    ///
    /// # Errors
    /// Throws what `size_of` throws; the hub is of no use any more then.
    pub fn round(&mut self, now: f64, rows: usize, bytes: usize, size_of: &Function) -> Result<Object, JsValue> {
        let failure = RefCell::new(None);
        let compressed = |bytes: &[u8]| match size_of.call1(&JsValue::NULL, &Uint8Array::from(bytes)) {
            Ok(size) => size.as_f64().map_or(bytes.len(), |size| size as usize),
            Err(error) => {
                failure.replace(Some(error));
                bytes.len()
            }
        };
        let round = self.hub.round(now as Millis, PendingRows { rows, bytes }, &compressed);
        if let Some(error) = failure.into_inner() {
            return Err(error);
        }
        let stored = |bytes: Option<Vec<u8>>| bytes.map_or(JsValue::UNDEFINED, |bytes| array(&bytes));
        let wake = round.wake.map_or(JsValue::UNDEFINED, |wake| JsValue::from_f64(wake as f64));
        let [model, counts, shares] = [round.model, round.counts, round.shares].map(stored);
        object([("model", model), ("counts", counts), ("shares", shares), ("wake", wake)])
    }

    /// A round that made a model took so long, until `now`.
    pub fn took(&mut self, now: f64, took: f64) {
        self.hub.took(now as Millis, took as Millis);
    }

    /// The model as `{bytes, tag}`, for a caller who may read below `prefixes` only where they are given, as the difference
    /// from the one made at `from` where that is less; `undefined` while there is none. `compress` makes bytes of bytes and the name of an encoding.
    ///
    /// # Errors
    /// Throws `{code: "BAD_REQUEST", message, limit}`, or what `compress` throws.
    pub fn body(
        &mut self,
        prefixes: Option<Vec<String>>,
        bytes: Option<f64>,
        encoding: &str,
        from: Option<f64>,
        compress: &Function,
    ) -> Result<JsValue, JsValue> {
        let prefixes = prefixes.map(read_prefixes).transpose()?;
        let failure = RefCell::new(None);
        let compressed = |bytes: &[u8], encoding: Encoding| {
            let name = JsValue::from_str(encoding.name());
            match compress.call2(&JsValue::NULL, &Uint8Array::from(bytes), &name) {
                Ok(compressed) => Uint8Array::new(&compressed).to_vec(),
                Err(error) => {
                    failure.replace(Some(error));
                    Vec::new()
                }
            }
        };
        let encoding = Encoding::named(encoding);
        let [bytes, from] = [bytes, from].map(|number| number.map(|number| number as u64));
        let body = self.hub.body(prefixes.as_deref(), bytes, encoding, from, &compressed).map_err(refused)?;
        if let Some(error) = failure.into_inner() {
            return Err(error);
        }
        let Some(body) = body else { return Ok(JsValue::UNDEFINED) };
        Ok(object([("bytes", array(&body.bytes)), ("tag", JsValue::from_str(&body.tag))])?.into())
    }

    /// Fills, bounds and counts.
    pub fn stats(&self) -> JsValue {
        plain(&self.hub.stats())
    }
}

/// Observations of an isolate on its clients, as a JavaScript class; see [`Observers`].
#[wasm_bindgen(js_name = Observers)]
#[derive(Debug)]
pub struct ObserversCore {
    observers: Observers,
}

#[wasm_bindgen(js_class = Observers)]
impl ObserversCore {
    /// `seed` is another one for each isolate.
    #[wasm_bindgen(constructor)]
    pub fn new(seed: f64) -> Self {
        Self { observers: Observers::new(seed as u64) }
    }

    /// `client` asked for a key.
    ///
    /// # Errors
    /// Throws `{code: "BAD_KEY", message}`.
    pub fn note(&mut self, now: f64, client: &str, stream: &str, key: &str) -> Result<(), JsValue> {
        let key = CompositeKey::parse(key).map_err(bad_key)?;
        self.observers.note(now as Millis, client_named(client), stream, &key);
        Ok(())
    }

    /// Tells whether there is enough to tell.
    #[wasm_bindgen(js_name = isDue)]
    pub fn is_due(&self, now: f64) -> bool {
        self.observers.is_due(now as Millis)
    }

    /// Makes pages of what there is to tell, by the shard that they belong to, as `[[shard, page], ...]`.
    pub fn tell(&mut self, depth: usize) -> Array {
        pairs(self.observers.tell(depth))
    }

    /// Fill and bounds.
    pub fn stats(&self) -> JsValue {
        plain(&self.observers.stats())
    }
}

/// Parts of a summary that several hubs are told, as `[[shard, summary], ...]`, where the first `depth` components of a key
/// choose the hub and the caller may tell of keys below `prefixes` only, where they are given.
///
/// # Errors
/// Throws `{code: "BAD_REQUEST" | "FORBIDDEN", message}`.
#[wasm_bindgen(js_name = splitSummary)]
pub fn split_summary(summary: &[u8], depth: usize, prefixes: Option<Vec<String>>) -> Result<Array, JsValue> {
    let prefixes = prefixes.map(read_prefixes).transpose()?;
    Ok(pairs(shares(summary, depth, prefixes.as_deref()).map_err(refused)?))
}

fn pairs(parts: BTreeMap<String, Vec<u8>>) -> Array {
    let parts = parts.into_iter();
    parts.map(|(shard, bytes)| Array::of2(&JsValue::from_str(&shard), &array(&bytes))).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refused<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<Millis>,
}

fn refused(Refusal { problem, retry_after_ms }: Refusal) -> JsValue {
    plain(&Refused { code: problem.code.as_str(), message: &problem.detail, limit: problem.limit, retry_after_ms })
}

fn taken(taken: Result<(Vec<u8>, Millis), Refusal>) -> Result<Object, JsValue> {
    let (row, wake) = taken.map_err(refused)?;
    object([("row", array(&row)), ("wake", JsValue::from_f64(wake as f64))])
}

fn read_prefixes(texts: Vec<String>) -> Result<Vec<KeyPrefix>, JsValue> {
    texts.iter().map(|text| KeyPrefix::parse(text).map_err(bad_key)).collect()
}

fn array(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).unchecked_into()
}

fn object<const N: usize>(fields: [(&str, JsValue); N]) -> Result<Object, JsValue> {
    let object = Object::new();
    for (name, value) in fields {
        Reflect::set(&object, &JsValue::from_str(name), &value)?;
    }
    Ok(object)
}
