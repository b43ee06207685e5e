//! `GET /v1/model` and `POST /v1/model/forget`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::IntoResponse;
use foremap::key::KeyPrefix;
use foremap::model::{NAMED_BYTES, class_named, class_of};
use foremap::node::Priority;
use foremap::protocol::{CONTENT_TYPE, ErrorCode, ModelWish, Route};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::handler_error::{HandlerError, HandlerResult};
use super::headers::set;
use super::plan::{answer, parse, relay};
use super::request::{self, Params};
use super::server::Server;
use super::summaries::require_sharing;
use crate::auth::{TokenScope, Verb};
use crate::host::NotKept;
use crate::model::ContentEncoding;

/// Longest wait for the coordinator's answer: it makes a snapshot of up to a million counts.
const FORGET_TIME_OUT: Duration = Duration::from_secs(30);
/// Least advance of a model that is sent again behind an answer, in milliseconds: as often as clients wish for one.
const NEWER_MS: u64 = 600_000;
/// Validity of a model: until there may be another, and ten minutes for whoever asks for that one meanwhile.
const PUBLIC: HeaderValue = HeaderValue::from_static("public, max-age=60, stale-while-revalidate=600");
const PRIVATE: HeaderValue = HeaderValue::from_static("private, max-age=60, stale-while-revalidate=600");

pub(super) async fn model(State(server): State<Arc<Server>>, headers: HeaderMap, uri: Uri) -> HandlerResult {
    let scope = server.scope(&headers)?;
    scope.require(Verb::Get)?;
    require_sharing(&server)?;
    let params = Params::of(&uri, &Route::MODEL)?;
    let (class, from) = (class_named(params.number("bytes")?)?, params.number("from")?);
    let mut about = server.headers();
    about.insert(header::VARY, HeaderValue::from_static("accept-encoding, authorization"));
    let Some(served) = server.process.sharing.served() else {
        about.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return Ok((StatusCode::NO_CONTENT, about).into_response());
    };
    server.admit(Priority::Prefetch).await?;
    let (prefixes, encoding) = (scope.prefixes(), ContentEncoding::accepted(&headers));
    about.insert(header::CACHE_CONTROL, if prefixes.is_none() { PUBLIC } else { PRIVATE });
    let body = served.body(served.form(prefixes, class, encoding, from)).await;
    let body = body.ok_or_else(|| HandlerError::new(ErrorCode::Internal, "the model cannot be compressed"))?;
    set(&mut about, header::ETAG, &body.tag);
    if request::none_match(&headers, &body.tag) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    about.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    if let Some(name) = encoding.name() {
        about.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    Ok((about, body.bytes).into_response())
}

/// The model that follows an answer, gzipped, where the caller wishes for one and there is one for it already, or what leads
/// to it from the one that the caller has; one that it has, or has nearly, does not follow again.
pub(super) fn behind(server: &Server, scope: &TokenScope, wish: ModelWish) -> Option<Bytes> {
    let sharing = &server.process.sharing;
    let served = sharing.options().and_then(|_| sharing.served())?;
    let is_news = served.stored.made >= wish.known.saturating_add(if wish.known == 0 { 0 } else { NEWER_MS });
    let class = class_of(u64::from(wish.bytes).clamp(*NAMED_BYTES.start(), *NAMED_BYTES.end()) as usize);
    let known = (wish.known > 0).then_some(wish.known);
    if !is_news {
        return None;
    }
    let body = served.ready(served.form(scope.prefixes(), class, ContentEncoding::Gzip, known))?;
    Some(body.bytes)
}

/// Body of `POST /v1/model/forget`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetBody {
    prefix: KeyPrefix,
}

/// Any gateway takes it: one that does not coordinate hands it on, once, to the one that does.
pub(super) async fn forget(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> HandlerResult {
    let scope = server.scope(&headers)?;
    scope.require(Verb::Admin)?;
    require_sharing(&server)?;
    let bytes = request::body(&headers, body).await?;
    let ForgetBody { prefix } = parse(&headers, &bytes)?;
    scope.require_prefix(Verb::Admin, &prefix)?;
    match server.process.sharing.forget(prefix.clone()).await? {
        Ok(()) => {
            let body = json!({"forgotten": prefix.as_str()}).to_string().into_bytes();
            Ok(answer(&server, "application/json", body))
        }
        Err(NotKept::Elsewhere) => {
            relay(&server, &headers, Method::POST, Route::FORGET.path, bytes, FORGET_TIME_OUT).await
        }
        Err(NotKept::Changed) => Err(HandlerError::new(ErrorCode::Unavailable, "the coordinator has just changed")),
    }
}
