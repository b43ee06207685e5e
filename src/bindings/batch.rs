//! Batches as an edge worker serves them: it answers the keys from its own
//! cache and lets a gateway answer the rest of the frame (cursors and map).

use js_sys::{Array, Uint8Array};
use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::actions::JsPage;
use super::errors::{plain, thrown};
use super::fields::Fields;
use crate::codec::DecodeError;
use crate::key::CompositeKey;
use crate::protocol::{
    BatchRequest, BatchResponse, Class, Consistency, Cursor, ErrorCode, ItemResult, Keymap, KeymapFields, ListPage,
    MAX_BATCH_KEYS, Meta, ModelWish, Outcome, ReadPoint,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    key: &'a CompositeKey,
    if_version: Option<u64>,
    prefetch: bool,
}

#[derive(Serialize)]
struct Wish {
    bytes: u32,
    known: u64,
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
    /// The model that is to follow the answer.
    wish: Option<Wish>,
    #[serde(with = "serde_wasm_bindgen::preserve")]
    upstream: JsValue,
}

/// Splits a binary batch into its keys and, as `upstream`, the same batch without keys for a gateway. `upstream` is
/// `null` where the caller wants neither changes nor a map.
///
/// # Errors
/// Throws `{code: "BAD_KEY" | "BAD_REQUEST" | "TOO_MANY_KEYS", message}`.
#[wasm_bindgen(js_name = decodeBatch)]
pub fn decode_batch(bytes: &[u8]) -> Result<JsValue, JsValue> {
    let request = BatchRequest::decode(bytes).map_err(|error| match error {
        DecodeError::TooMany("items") => {
            thrown(ErrorCode::TooManyKeys, &format!("a batch has at most {MAX_BATCH_KEYS} keys"))
        }
        DecodeError::BadValue("key") => thrown(ErrorCode::BadKey, "a key of the batch is not canonical text"),
        error => thrown(ErrorCode::BadRequest, &error.to_string()),
    })?;
    // What it tells and wishes for is between the caller and whoever answers it.
    let own = BatchRequest { rider: None, model: None, ..request.clone() };
    let frame = BatchRequest { items: Vec::new(), floors: Vec::new(), ..own };
    let wants_frame = !frame.cursors.is_empty() || frame.map.is_none() || frame.feed.is_some();
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
        wish: request.model.map(|ModelWish { bytes, known }| Wish { bytes, known }),
        upstream,
    }))
}

/// A batch without keys that adds the shards of `points` (`[shard, position, ...]`), as the answers to the keys of a batch
/// told them, to the feed that `upstream` names; `undefined` where it names none or follows them all as it is.
///
/// # Errors
/// Throws `{code: "BAD_REQUEST", message}`.
#[wasm_bindgen(js_name = extendFeed)]
pub fn extend_feed(upstream: &[u8], points: &[f64]) -> Result<Option<Vec<u8>>, JsValue> {
    let request = BatchRequest::decode(upstream).map_err(|error| thrown(ErrorCode::BadRequest, &error.to_string()))?;
    let known = |shard| request.cursors.iter().any(|cursor| cursor.shard == shard);
    let mut news: Vec<Cursor> = cursors(points).filter(|cursor| !known(cursor.shard)).collect();
    // From the earliest on: who was told more of a shard passes over what it knows.
    news.sort_unstable_by_key(|cursor| (cursor.shard, cursor.position));
    news.dedup_by_key(|cursor| cursor.shard);
    if request.feed.is_none() || news.is_empty() {
        return Ok(None);
    }
    Ok(Some(BatchRequest { cursors: news, ..request }.encode()))
}

/// A page of a list in binary form: `{keymaps, next}`. Nothing of it is kept.
///
/// # Errors
/// Throws `{code: "BAD_ANSWER", message}`.
#[wasm_bindgen(js_name = decodeList)]
pub fn decode_list(page: &[u8]) -> Result<JsValue, JsValue> {
    let page = ListPage::decode(page).map_err(|error| thrown(ErrorCode::BadAnswer, &error.to_string()))?;
    Ok(plain(&JsPage::from(&page)))
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
        response.results.push(read_result(&Fields::of(result, ErrorCode::Internal)?)?);
    }
    Ok(Uint8Array::from(response.encode().as_slice()))
}

fn read_result(result: &Fields) -> Result<ItemResult, JsValue> {
    let at = result.object("at")?.map(|at| read_point(&at)).transpose()?.unwrap_or_default();
    let node = result.whole("node")?.unwrap_or_default();
    let outcome = if let Some(code) = result.text("code")? {
        let code = ErrorCode::ALL.iter().copied().find(|known| known.as_str() == code);
        let code = code.ok_or_else(|| thrown(ErrorCode::Internal, "`code` is not known"))?;
        Outcome::Error { code, detail: result.text("message")?.unwrap_or_default() }
    } else if let Some(version) = result.whole("unchanged")? {
        Outcome::Unchanged { version }
    } else if let Some(keymap) = result.object("keymap")? {
        Outcome::Found { keymap: read_keymap(&keymap)? }
    } else {
        Outcome::Missing
    };
    Ok(ItemResult { outcome, at, node })
}

fn read_point(at: &Fields) -> Result<ReadPoint, JsValue> {
    let missing = |name| move || at.missing(name);
    Ok(ReadPoint {
        shard: at.whole("shard")?.ok_or_else(missing("shard"))?,
        position: at.whole("position")?.ok_or_else(missing("position"))?,
        age_ms: at.whole("age_ms")?.ok_or_else(missing("age_ms"))?,
    })
}

fn read_keymap(keymap: &Fields) -> Result<Keymap, JsValue> {
    let missing = |name| move || keymap.missing(name);
    let key = keymap.text("key")?.ok_or_else(missing("key"))?;
    Ok(Keymap {
        key: CompositeKey::parse(&key).map_err(|error| thrown(ErrorCode::Internal, error.reason()))?,
        version: keymap.whole("version")?.ok_or_else(missing("version"))?,
        fields: read_fields(keymap)?,
    })
}

/// The fields of a keymap; `meta` is JSON text.
pub(super) fn read_fields(keymap: &Fields) -> Result<KeymapFields, JsValue> {
    Ok(KeymapFields {
        locator: keymap.text("locator")?.ok_or_else(|| keymap.missing("locator"))?,
        size: keymap.whole("size")?,
        etag: keymap.text("etag")?,
        tags: keymap.texts("tags")?.unwrap_or_default(),
        meta: keymap.text("meta")?.map(|text| Meta(text.into())),
    })
}

/// Cursors of `[shard, position, ...]`.
pub(super) fn cursors(pairs: &[f64]) -> impl Iterator<Item = Cursor> + '_ {
    pairs.chunks_exact(2).map(|pair| Cursor { shard: pair[0] as u16, position: pair[1] as u64 })
}
