//! `POST /v1/summaries`, where clients tell what they asked for, and `POST /v1/summaries/take`, where the leader takes it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::IntoResponse;
use foremap::Millis;
use foremap::codec::MAX_SAFE_INTEGER;
use foremap::model::{ClientId, MAX_TOLD_BYTES, Summary};
use foremap::node::Priority;
use foremap::protocol::{BatchRequest, CONTENT_TYPE, ErrorCode, Problem, Route};

use super::forwarded::ClientAddress;
use super::handler_error::{HandlerError, HandlerResult};
use super::headers::{number, whole_seconds};
use super::request::{self, Params};
use super::server::Server;
use crate::auth::{TokenScope, Verb};

/// `NO_ROUTE` where nothing is shared.
pub(super) fn require_sharing(server: &Server) -> Result<(), HandlerError> {
    match server.process.sharing.options() {
        Some(_) => Ok(()),
        None => Err(HandlerError::new(ErrorCode::NoRoute, "the node runs with --share off")),
    }
}

pub(super) async fn tell(
    State(server): State<Arc<Server>>,
    peer: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Body,
) -> HandlerResult {
    require_sharing(&server)?;
    let told = take_in(&server, peer.map(|Extension(ClientAddress(ip))| ip), &headers, body).await;
    if let Err(refusal) = told {
        server.process.sharing.inbox.refuse();
        return Err(refusal);
    }
    let mut about = server.headers();
    about.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((StatusCode::NO_CONTENT, about).into_response())
}

/// Follows a client that lets its batches tell. One that asks for keys which its token does not cover is not followed.
pub(super) fn observe(
    server: &Server,
    scope: &TokenScope,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
    batch: &BatchRequest,
) {
    let sharing = &server.process.sharing;
    if let Some(rider) = &batch.rider
        && !batch.forwarded
        && sharing.options().is_some()
        && batch.items.iter().all(|item| scope.covers(&item.key))
    {
        sharing.inbox.observe(server.process.clock.now(), client(scope, headers, peer), rider, &batch.items);
    }
}

/// A summary counts whole or not at all: one that names a key which its token does not cover is refused.
async fn take_in(server: &Server, peer: Option<IpAddr>, headers: &HeaderMap, body: Body) -> Result<(), HandlerError> {
    let scope = server.scope(headers)?;
    scope.require(Verb::Get)?;
    if request::media_type(headers) != CONTENT_TYPE {
        return Err(request::unsupported(headers, &format!("`{CONTENT_TYPE}`")));
    }
    let body = request::body_within(headers, body, Summary::MAX_BYTES).await?;
    let client = client(&scope, headers, peer);
    if !scope.is_verified() {
        server.process.sharing.inbox.allow(server.process.clock.now(), client, body.len()).map_err(too_much)?;
    }
    server.admit(Priority::Prefetch).await?;
    let summary = Summary::decode(&body);
    let summary =
        summary.map_err(|error| HandlerError::bad_request(format!("the summary cannot be decoded: {error}")))?;
    if !summary.keys.iter().all(|key| scope.covers(key)) {
        return Err(HandlerError::new(ErrorCode::Forbidden, "the token does not cover every key of the summary"));
    }
    server.process.sharing.inbox.tell(client, body);
    Ok(())
}

/// Client that a summary is of: the subject of the token, or where it names none, the address. What the body says
/// counts for nothing. A gateway or worker of the fleet says in a header whom it speaks for.
fn client(scope: &TokenScope, headers: &HeaderMap, peer: Option<IpAddr>) -> ClientId {
    let may_name = scope.is_verified() && scope.is_peer();
    let named = if may_name { request::named_subject(headers) } else { None };
    match named {
        Some(subject) => ClientId::of_subject(subject),
        None if scope.is_named() => ClientId::of_subject(scope.subject().0),
        None => ClientId::of_address(peer.unwrap_or(IpAddr::from([0, 0, 0, 0]))),
    }
}

fn too_much(wait: Millis) -> HandlerError {
    let detail = "this address has told as much as it may in a minute";
    let problem = Problem::new(ErrorCode::TooManyRequests, detail).with_limit(MAX_TOLD_BYTES.into());
    let mut headers = HeaderMap::new();
    number(&mut headers, header::RETRY_AFTER, whole_seconds(wait));
    HandlerError::from(problem).with_headers(headers)
}

/// Hands a page of summaries over. What the leader has taken is named by the number behind it, with its outbox.
pub(super) async fn take(State(server): State<Arc<Server>>, headers: HeaderMap, uri: Uri) -> HandlerResult {
    server.scope(&headers)?.require_everywhere(&[Verb::Peer, Verb::Admin])?;
    require_sharing(&server)?;
    let params = Params::of(&uri, &Route::TAKE)?;
    let outbox = params.get("outbox").map(|text| {
        request::hexadecimal(text).ok_or_else(|| HandlerError::bad_request("`outbox` is a number in hexadecimal"))
    });
    let taken = match (outbox.transpose()?, params.number("next")?) {
        (Some(outbox), Some(next)) if next <= MAX_SAFE_INTEGER => Some((outbox, next)),
        (None, None) => None,
        _ => return Err(HandlerError::bad_request("`outbox` and `next`, which is below 2^53, come together")),
    };
    let page = server.process.page_of_summaries(taken);
    let mut about = server.headers();
    about.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    about.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((about, page.encode()).into_response())
}

#[cfg(test)]
#[path = "summaries_tests.rs"]
mod tests;
