//! `GET`, `PUT` and `DELETE /v1/keymap`, and `GET /v1/versions`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::IntoResponse;
use foremap::key::CompositeKey;
use foremap::node::Priority;
use foremap::protocol::{
    BatchItem, BatchRequest, CONTENT_TYPE, Class, Consistency, ErrorCode, ItemResult, Keymap, KeymapFields, Outcome,
    Problem, ReadPoint, Route,
};
use serde::Serialize;

use super::handler_error::{HandlerError, HandlerResult};
use super::headers::{WRITE_ID, etag, set};
use super::request::{self, Params};
use super::server::Server;
use crate::auth::Verb;
use crate::store::{Expect, ShardRead, VersionRecord, Write, WriteId, WriteOutcome};

/// Bound of a `bounded` read that names none.
const DEFAULT_STALENESS_MS: u32 = 2_000;

pub(super) async fn get(State(server): State<Arc<Server>>, headers: HeaderMap, uri: Uri) -> HandlerResult {
    let params = Params::of(&uri, &Route::GET_KEYMAP)?;
    let key = params.key()?;
    server.scope(&headers)?.require_key(Verb::Get, &key)?;
    if let Some(version) = params.number("version")? {
        return get_version(&server, &headers, key, version).await;
    }
    let consistency = match params.get("consistency") {
        None | Some("bounded") => Consistency::Bounded,
        Some("strong") => Consistency::Strong,
        Some("any") => Consistency::Any,
        Some(_) => return Err(HandlerError::bad_request("`consistency` is `strong`, `bounded` or `any`")),
    };
    let staleness = params.number("max_staleness_ms")?.unwrap_or(DEFAULT_STALENESS_MS.into());
    let map = Some(server.node.node().map_knowledge());
    let batch = BatchRequest {
        items: vec![BatchItem { key: key.clone(), if_version: None, class: Class::Demand }],
        consistency,
        max_staleness_ms: u32::try_from(staleness).unwrap_or(u32::MAX),
        map,
        ..BatchRequest::default()
    };
    server.admit(Priority::Demand).await?;
    let mut answer = server.process.batch(&server.node, &batch).await?;
    let Some(ItemResult { outcome, at, node }) = answer.results.pop() else {
        return Err(HandlerError::new(ErrorCode::Internal, "the node gave no answer"));
    };
    let about = server.headers_at(&key, at, node);
    match outcome {
        Outcome::Found { keymap } => Ok(found(&headers, about, &keymap)),
        Outcome::Error { code, detail } => Err(HandlerError::new(code, detail).with_headers(about)),
        Outcome::Missing | Outcome::Unchanged { .. } => Err(missing("there is no such keymap").with_headers(about)),
    }
}

fn missing(detail: &str) -> HandlerError {
    HandlerError::new(ErrorCode::NotFound, detail)
}

async fn get_version(server: &Server, headers: &HeaderMap, key: CompositeKey, version: u64) -> HandlerResult {
    server.admit(Priority::List).await?;
    let _permit = server.process.gate.read().await;
    let sent_at = server.process.clock.now();
    let read = server.process.store.version(key.clone(), version).await?;
    let about = server.headers_at(&key, point(server, &read, sent_at), server.node.id());
    match read.value {
        Some(VersionRecord { keymap: Some(keymap), .. }) => Ok(found(headers, about, &keymap)),
        Some(VersionRecord { keymap: None, .. }) => Err(missing("this version is a delete marker").with_headers(about)),
        None => Err(missing("there is no such version").with_headers(about)),
    }
}

/// Point that a store answer is current as of.
fn point<T>(server: &Server, read: &ShardRead<T>, sent_at: foremap::Millis) -> ReadPoint {
    let age = server.process.clock.now().saturating_sub(sent_at);
    ReadPoint { shard: read.shard, position: read.position, age_ms: u32::try_from(age).unwrap_or(u32::MAX) }
}

fn found(request: &HeaderMap, mut headers: HeaderMap, keymap: &Keymap) -> axum::response::Response {
    let tag = etag(keymap.version);
    set(&mut headers, header::ETAG, &tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if request::none_match(request, &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let (kind, body) = match request::accepts(request, CONTENT_TYPE) {
        true => (CONTENT_TYPE, keymap.encode()),
        false => ("application/json", serde_json::to_vec(keymap).unwrap_or_default()),
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // As it is: a tuple would insert each header anew.
    let mut response = axum::response::Response::new(Body::from(body));
    *response.headers_mut() = headers;
    response
}

pub(super) async fn put(State(server): State<Arc<Server>>, headers: HeaderMap, uri: Uri, body: Body) -> HandlerResult {
    let key = Params::of(&uri, &Route::PUT_KEYMAP)?.key()?;
    server.scope(&headers)?.require_key(Verb::Put, &key)?;
    if request::media_type(&headers) != "application/json" {
        return Err(request::unsupported(&headers, "`application/json`"));
    }
    let body = request::body(&headers, body).await?;
    if !request::is_object(&body) {
        return Err(HandlerError::bad_request("the keymap is not a JSON object"));
    }
    let fields: KeymapFields = serde_json::from_slice(&body)
        .map_err(|error| HandlerError::bad_request(format!("the keymap cannot be decoded: {error}")))?;
    fields.validate()?;
    write(&server, &headers, key, Some(fields)).await
}

pub(super) async fn delete(State(server): State<Arc<Server>>, headers: HeaderMap, uri: Uri) -> HandlerResult {
    let params = Params::of(&uri, &Route::DELETE_KEYMAP)?;
    let key = params.key()?;
    server.scope(&headers)?.require_key(Verb::Delete, &key)?;
    let Some(version) = params.number("version")? else { return write(&server, &headers, key, None).await };
    if request::expectation(&headers)? != Expect::Any {
        return Err(HandlerError::bad_request("a version is removed without a condition"));
    }
    server.admit(Priority::Demand).await?;
    let sent_at = server.process.clock.now();
    let read = server.process.store.remove_version(key.clone(), version).await?;
    written(&server, &key, &read, sent_at)
}

async fn write(server: &Server, headers: &HeaderMap, key: CompositeKey, fields: Option<KeymapFields>) -> HandlerResult {
    let id = match headers.get(WRITE_ID).map(|value| value.to_str().ok().and_then(WriteId::new)) {
        None => None,
        Some(Some(id)) => Some(id),
        Some(None) => {
            let detail = format!("`foremap-write-id` has 1 to {} visible ASCII characters", WriteId::MAX_BYTES);
            return Err(Problem::new(ErrorCode::BadRequest, detail).with_limit(WriteId::MAX_BYTES as u64).into());
        }
    };
    server.admit(Priority::Demand).await?;
    let sent_at = server.process.clock.now();
    let write = Write { key: key.clone(), fields, expect: request::expectation(headers)?, id };
    let read = server.process.store.write(write).await?;
    written(server, &key, &read, sent_at)
}

/// Body of the answer to a write.
#[derive(Serialize)]
struct WrittenBody {
    version: u64,
    shard: u16,
    position: u64,
}

fn written(
    server: &Server,
    key: &CompositeKey,
    read: &ShardRead<WriteOutcome>,
    sent_at: foremap::Millis,
) -> HandlerResult {
    let mut headers = server.headers_at(key, point(server, read, sent_at), server.node.id());
    match read.value {
        WriteOutcome::Written(written) => {
            set(&mut headers, header::ETAG, &etag(written.version));
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
            let body = WrittenBody { version: written.version, shard: read.shard, position: read.position };
            Ok((status, headers, serde_json::to_vec(&body).unwrap_or_default()).into_response())
        }
        WriteOutcome::Conflict { current: 0 } => {
            Err(HandlerError::new(ErrorCode::VersionConflict, "there is no such keymap").with_headers(headers))
        }
        WriteOutcome::Conflict { current } => {
            set(&mut headers, header::ETAG, &etag(current));
            let detail = format!("the current version is {current}");
            Err(HandlerError::new(ErrorCode::VersionConflict, detail).with_headers(headers))
        }
        WriteOutcome::Missing => Err(missing("there is nothing to delete").with_headers(headers)),
    }
}

/// One version, as `GET /v1/versions` lists it.
#[derive(Serialize)]
struct VersionBody<'a> {
    version: u64,
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    keymap: Option<&'a Keymap>,
}

#[derive(Serialize)]
struct VersionsBody<'a> {
    items: Vec<VersionBody<'a>>,
}

pub(super) async fn versions(State(server): State<Arc<Server>>, headers: HeaderMap, uri: Uri) -> HandlerResult {
    let key = Params::of(&uri, &Route::VERSIONS)?.key()?;
    server.scope(&headers)?.require_key(Verb::Get, &key)?;
    server.admit(Priority::List).await?;
    let _permit = server.process.gate.read().await;
    let sent_at = server.process.clock.now();
    let read = server.process.store.versions(key.clone()).await?;
    let mut headers = server.headers_at(&key, point(&server, &read, sent_at), server.node.id());
    if read.value.is_empty() {
        return Err(missing("the key has no versions").with_headers(headers));
    }
    let body = |record| {
        let VersionRecord { version, keymap, .. }: &VersionRecord = record;
        VersionBody { version: *version, deleted: keymap.is_none(), keymap: keymap.as_ref() }
    };
    let body = VersionsBody { items: read.value.iter().map(body).collect() };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok((headers, serde_json::to_vec(&body).unwrap_or_default()).into_response())
}
