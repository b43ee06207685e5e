//! `GET /v1/list`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use foremap::Millis;
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::node::Priority;
use foremap::protocol::{CONTENT_TYPE, DEFAULT_PAGE, ErrorCode, Keymap, ListPage, MAX_PAGE, Problem, ReadPoint, Route};
use serde::Serialize;

use super::forwarded::ClientAddress;
use super::handler_error::{HandlerError, HandlerResult};
use super::permits::SubjectPermit;
use super::request::{self, Params};
use super::server::Server;
use crate::auth::Verb;
use crate::store::{Listed, Page, list as list_store};

#[derive(Serialize)]
struct ListBody {
    items: Vec<Keymap>,
    /// Cursor of the next page; null where this is the last.
    next: Option<String>,
}

pub(super) async fn list(
    State(server): State<Arc<Server>>,
    peer: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    uri: Uri,
) -> HandlerResult {
    let params = Params::of(&uri, &Route::LIST)?;
    let prefix = params.prefix()?;
    let scope = server.scope(&headers)?;
    scope.require_prefix(Verb::List, &prefix)?;
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
    let _share = SubjectPermit::enter(&server.lists, Server::subject(&scope, peer)).map_err(no_share)?;
    server.admit(Priority::List).await?;
    let _permit = server.process.gate.read().await;
    let begun = server.process.clock.now();
    let Page { items, more } = list_store(&*server.process.store, &prefix, after, limit).await?;
    let next = items.last().filter(|_| more);
    let next = next.map(|last| BASE64_URL_SAFE_NO_PAD.encode(last.keymap.key.as_str()));
    let (kind, body) = if request::accepts(&headers, CONTENT_TYPE) {
        (CONTENT_TYPE, binary(&server, begun, items, next))
    } else {
        let items = items.into_iter().map(|item| item.keymap).collect();
        ("application/json", serde_json::to_vec(&ListBody { items, next }).unwrap_or_default())
    };
    let mut headers = server.headers();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.append(header::VARY, HeaderValue::from_static("accept"));
    Ok((headers, body).into_response())
}

fn no_share(limit: usize) -> HandlerError {
    let detail = "no more lists are made at once, or none for this subject";
    Problem::new(ErrorCode::TooManyRequests, detail).with_limit(limit as u64).into()
}

/// The page with what each keymap is current as of: each was read after the first read of the list was sent.
fn binary(server: &Server, begun: Millis, items: Vec<Listed>, next: Option<String>) -> Vec<u8> {
    let now = server.process.clock.now();
    let age_ms = u32::try_from(now.saturating_sub(begun)).unwrap_or(u32::MAX);
    let item = |item: Listed| {
        let at = ReadPoint { shard: item.shard, position: item.position, age_ms };
        (item.keymap, at)
    };
    let node = server.node.node();
    let items = items.into_iter().map(item).collect();
    ListPage { epoch: node.map().epoch, clock: Some(node.clock(now)), items, next }.encode()
}

/// A cursor is the last key of the page before.
fn read_cursor(cursor: &str, prefix: &KeyPrefix) -> Result<CompositeKey, HandlerError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| CompositeKey::parse(&text).ok());
    key.filter(|key| prefix.covers(key)).ok_or_else(|| HandlerError::bad_request("`cursor` is not one of this list"))
}
