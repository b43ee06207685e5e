//! `GET /v1/list`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::protocol::{ErrorCode, Keymap, MAX_PAGE, Problem};
use serde::Serialize;

use super::refusal::{Answer, Refusal};
use super::request::Params;
use super::server::Server;
use crate::auth::Verb;
use crate::store::list as list_store;

/// Page of a list that names no limit.
const DEFAULT_PAGE: usize = 100;

#[derive(Serialize)]
struct ListBody {
    items: Vec<Keymap>,
    /// Cursor of the next page; null where this is the last.
    next: Option<String>,
}

pub(super) async fn list(State(server): State<Arc<Server>>, headers: HeaderMap, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let prefix = params.prefix()?;
    server.scope(&headers)?.require_prefix(Verb::List, &prefix)?;
    let limit = match params.number("limit")? {
        None => DEFAULT_PAGE,
        Some(limit) if (1..=MAX_PAGE as u64).contains(&limit) => limit as usize,
        Some(limit) => {
            let problem =
                Problem::new(ErrorCode::BadRequest, format!("`limit` is {limit}, it must be 1 to {MAX_PAGE}"));
            return Err(problem.with_limit(MAX_PAGE as u64).into());
        }
    };
    let after = params.get("cursor").map(|cursor| read_cursor(cursor, &prefix)).transpose()?;
    let page = list_store(&*server.process.store, &prefix, after, limit).await?;
    let next = page.items.last().filter(|_| page.more).map(|last| BASE64_URL_SAFE_NO_PAD.encode(last.key.as_str()));
    let body = serde_json::to_vec(&ListBody { items: page.items, next }).unwrap_or_default();
    let mut headers = server.headers();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok((headers, body).into_response())
}

/// A cursor is the last key of the page before.
fn read_cursor(cursor: &str, prefix: &KeyPrefix) -> Result<CompositeKey, Refusal> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| CompositeKey::parse(&text).ok());
    key.filter(|key| prefix.covers(key)).ok_or_else(|| Refusal::bad_request("`cursor` is not one of this list"))
}
