//! Batches as an edge worker serves them: it answers the keys from its own
//! cache and lets a gateway answer the rest of the frame (cursors and map).

use js_sys::{Array, Uint8Array};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::errors::{plain, thrown};
use crate::codec::DecodeError;
use crate::key::CompositeKey;
use crate::protocol::{
    BatchRequest, BatchResponse, Class, Consistency, ErrorCode, ItemResult, Keymap, MAX_BATCH_KEYS, Outcome, ReadPoint,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    key: &'a CompositeKey,
    if_version: Option<u64>,
    prefetch: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Frame<'a> {
    items: Vec<Item<'a>>,
    consistency: Consistency,
    max_staleness_ms: u32,
    /// `[shard, position, ...]`.
    floors: Vec<u64>,
    stream: Option<&'a str>,
    #[serde(with = "serde_wasm_bindgen::preserve")]
    upstream: JsValue,
}

/// Splits a binary batch into its keys and, as `upstream`, the same batch without keys for a gateway. `upstream` is
/// `null` where the caller wants neither changes nor a map.
///
/// # Errors
/// Throws `{code: "BAD_REQUEST" | "TOO_MANY_KEYS", message}`.
#[wasm_bindgen(js_name = decodeBatch)]
pub fn decode_batch(bytes: &[u8]) -> Result<JsValue, JsValue> {
    let request = BatchRequest::decode(bytes).map_err(|error| match error {
        DecodeError::TooMany("items") => {
            thrown(ErrorCode::TooManyKeys, &format!("a batch has at most {MAX_BATCH_KEYS} keys"))
        }
        error => thrown(ErrorCode::BadRequest, &error.to_string()),
    })?;
    let frame = BatchRequest { items: Vec::new(), floors: Vec::new(), ..request.clone() };
    let wants_frame = !frame.cursors.is_empty() || frame.map.is_none();
    let upstream = if wants_frame { Uint8Array::from(frame.encode().as_slice()).into() } else { JsValue::NULL };
    let items = request.items.iter().map(|item| Item {
        key: &item.key,
        if_version: item.if_version,
        prefetch: item.class == Class::Prefetch,
    });
    Ok(plain(&Frame {
        items: items.collect(),
        consistency: request.consistency,
        max_staleness_ms: request.max_staleness_ms,
        floors: request.floors.iter().flat_map(|floor| [floor.shard.into(), floor.position]).collect(),
        stream: request.stream.as_deref(),
        upstream,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Result_ {
    keymap: Option<Keymap>,
    unchanged: Option<u64>,
    at: Option<ReadPoint>,
    node: Option<u32>,
    code: Option<ErrorCode>,
    message: Option<String>,
}

/// Joins results (`{keymap | null, at, node}`, `{unchanged: version, at}` or `{code, message}`, in order of the keys)
/// with the gateway's answer to `upstream`, whose positions have aged by `elapsed_ms` since it was asked.
///
/// # Errors
/// Throws `{code: "INTERNAL", message}` for a result of another shape.
#[wasm_bindgen(js_name = encodeBatch)]
pub fn encode_batch(results: &Array, upstream: Option<Vec<u8>>, elapsed_ms: u32) -> Result<Uint8Array, JsValue> {
    let mut response = match upstream {
        Some(bytes) => {
            BatchResponse::decode(&bytes).map_err(|error| thrown(ErrorCode::BadAnswer, &error.to_string()))?
        }
        None => BatchResponse::default(),
    };
    for position in &mut response.positions {
        position.age_ms = position.age_ms.saturating_add(elapsed_ms);
    }
    response.results.clear();
    for result in results.iter() {
        let result: Result_ =
            serde_wasm_bindgen::from_value(result).map_err(|error| thrown(ErrorCode::Internal, &error.to_string()))?;
        let outcome = match (result.code, result.unchanged, result.keymap) {
            (Some(code), _, _) => Outcome::Error { code, detail: result.message.unwrap_or_default() },
            (None, Some(version), _) => Outcome::Unchanged { version },
            (None, None, Some(keymap)) => Outcome::Found { keymap },
            (None, None, None) => Outcome::Missing,
        };
        let (at, node) = (result.at.unwrap_or_default(), result.node.unwrap_or_default());
        response.results.push(ItemResult { outcome, at, node });
    }
    Ok(Uint8Array::from(response.encode().as_slice()))
}
