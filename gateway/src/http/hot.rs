//! `GET /v1/hot`: what a gateway asks an owner for before it takes over some of its keys.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::IntoResponse;
use foremap::node::Node;
use foremap::protocol::{ErrorCode, Problem, Route};

use super::handler_error::HandlerResult;
use super::request::Params;
use super::server::Server;
use crate::auth::Verb;
use crate::host::HotKeys;

pub(super) async fn hot(State(server): State<Arc<Server>>, headers: HeaderMap, uri: Uri) -> HandlerResult {
    let scope = server.scope(&headers)?;
    scope.require(Verb::Admin).or_else(|_| scope.require(Verb::Peer))?;
    let limit = match Params::of(&uri, &Route::HOT)?.number("limit")? {
        None => Node::MAX_HOT_KEYS,
        Some(limit) if (1..=Node::MAX_HOT_KEYS as u64).contains(&limit) => limit as usize,
        Some(limit) => {
            let detail = format!("`limit` is {limit}, it must be 1 to {}", Node::MAX_HOT_KEYS);
            return Err(Problem::new(ErrorCode::BadRequest, detail).with_limit(Node::MAX_HOT_KEYS as u64).into());
        }
    };
    let mut keys = server.node.node().hot_keys(limit);
    keys.retain(|key| scope.covers(key));
    let body = serde_json::to_vec(&HotKeys { keys }).unwrap_or_default();
    let mut headers = server.headers();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((headers, body).into_response())
}
