//! `POST /v1/batch`.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use foremap::codec::DecodeError;
use foremap::key::CompositeKey;
use foremap::node::{Priority, Subject, additions};
use foremap::protocol::{
    BatchItem, BatchRequest, BatchResponse, CONTENT_TYPE, Class, ErrorCode, ItemResult, MAX_BATCH_KEYS, Outcome,
    Problem, ReadPoint,
};

use super::forwarded::ClientAddress;
use super::handler_error::{HandlerError, HandlerResult};
use super::headers::{MODEL, number, whole_seconds};
use super::server::Server;
use super::{model, request, summaries};
use crate::auth::{TokenScope, Verb};

pub(super) async fn batch(
    State(server): State<Arc<Server>>,
    peer: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Body,
) -> HandlerResult {
    let scope = server.scope(&headers)?;
    scope.require(Verb::Get)?;
    let binary = match request::media_type(&headers).as_str() {
        CONTENT_TYPE => true,
        "application/json" => false,
        _ => return Err(request::unsupported(&headers, &format!("`{CONTENT_TYPE}` or `application/json`"))),
    };
    let body = request::body(&headers, body).await?;
    let batch = taken_on(&server, &body, binary).await?;
    if let Some(known) = batch.map {
        // Another gateway told the caller of it.
        server.process.newer_epoch(known.epoch);
    }
    let is_prefetch = |item: &BatchItem| item.class == Class::Prefetch;
    let brings_some = batch.class() == Class::Demand && batch.items.iter().any(is_prefetch);
    let wait = if brings_some { server.process.gate.accompany(Priority::Prefetch).err() } else { None };
    let subject = subject(&scope, &headers, batch.forwarded);
    summaries::observe(&server, &scope, &headers, peer.map(|Extension(ClientAddress(ip))| ip), &batch);
    let model = batch.model.and_then(|wish| model::behind(&server, &scope, wish));
    let answer = answer(&server, &scope, subject, batch, wait.is_some()).await?;
    let mut response = respond(&server, &answer, binary, model);
    if let Some(wait) = wait {
        // The caller fetches nothing ahead for so long.
        number(response.headers_mut(), header::RETRY_AFTER, whole_seconds(wait));
    }
    Ok(response)
}

/// The batch in `body`, once it is its turn. A binary one is decoded only then: most of what a refusal would cost.
async fn taken_on(server: &Server, body: &[u8], binary: bool) -> Result<BatchRequest, HandlerError> {
    let priority = |class| if class == Class::Prefetch { Priority::Prefetch } else { Priority::Demand };
    if binary {
        server.admit(priority(BatchRequest::class_of(body).map_err(binary_error)?)).await?;
        return BatchRequest::decode(body).map_err(binary_error);
    }
    let batch = json(body)?;
    server.admit(priority(batch.class())).await?;
    Ok(batch)
}

/// Subject whose feed a batch may extend: another gateway says in whose name it asks.
fn subject(scope: &TokenScope, headers: &HeaderMap, is_forwarded: bool) -> Subject {
    let named = if is_forwarded && scope.is_peer() { request::named_subject(headers) } else { None };
    named.map_or(scope.subject(), Subject)
}

/// A model stands behind the answer, so that whoever reads it as it comes has the answer no later.
fn respond(server: &Server, answer: &BatchResponse, binary: bool, model: Option<Bytes>) -> Response {
    let (kind, mut body) = match binary {
        true => (CONTENT_TYPE, answer.encode()),
        false => ("application/json", serde_json::to_vec(answer).unwrap_or_default()),
    };
    let mut headers = server.headers();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(model) = model.filter(|_| binary) {
        headers.insert(MODEL, HeaderValue::from(body.len() as u64));
        body.extend_from_slice(&model);
    }
    (headers, body).into_response()
}

/// Keys that the token does not cover fail by themselves, and their changes stay hidden; so do those that are fetched ahead
/// where `sheds` is set.
async fn answer(
    server: &Server,
    scope: &TokenScope,
    subject: Subject,
    mut batch: BatchRequest,
    sheds: bool,
) -> Result<BatchResponse, Problem> {
    if batch.forwarded && batch.items.is_empty() && batch.feed.is_some() {
        // Another gateway wants nothing but that the feed is extended.
        extend(server, subject, &mut batch, &[]);
    }
    let mut refused = Vec::new();
    let mut at = 0;
    batch.items.retain(|item| {
        let refusal = if !scope.covers(&item.key) {
            Some((ErrorCode::Forbidden, "the token does not cover this key"))
        } else if sheds && item.class == Class::Prefetch {
            Some((ErrorCode::Overloaded, "the node has more to do than it can, and fetches nothing ahead"))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            refused.push((at, refused_item(server, &item.key, refusal)));
        }
        at += 1;
        refusal.is_none()
    });
    let mut answer = server.process.batch(&server.node, &batch).await?;
    extend(server, subject, &mut batch, &answer.results);
    answer.changes.retain(|change| scope.covers(&change.key));
    for (at, result) in refused {
        answer.results.insert(at, result);
    }
    Ok(answer)
}

/// Adds to the caller's feed what the batch is about, once.
fn extend(server: &Server, subject: Subject, batch: &mut BatchRequest, results: &[ItemResult]) {
    if let Some(feed) = batch.feed.take() {
        let added = additions(&std::mem::take(&mut batch.cursors), results);
        server.process.extend(feed, subject, added, batch.forwarded);
    }
}

fn refused_item(server: &Server, key: &CompositeKey, (code, detail): (ErrorCode, &str)) -> ItemResult {
    let shard = server.process.store.layout().shard(key);
    ItemResult {
        outcome: Outcome::Error { code, detail: detail.to_owned() },
        at: ReadPoint { shard, position: 0, age_ms: u32::MAX },
        node: server.node.id(),
    }
}

fn binary_error(error: DecodeError) -> HandlerError {
    match error {
        DecodeError::TooMany("items") => {
            let detail = format!("the limit is {MAX_BATCH_KEYS} keys in one batch");
            Problem::new(ErrorCode::TooManyKeys, detail).with_limit(MAX_BATCH_KEYS as u64).into()
        }
        DecodeError::BadValue("key") => HandlerError::new(ErrorCode::BadKey, "the batch holds a malformed key"),
        error => HandlerError::bad_request(format!("the batch cannot be decoded: {error}")),
    }
}

fn json(body: &[u8]) -> Result<BatchRequest, HandlerError> {
    if !request::is_object(body) {
        return Err(HandlerError::bad_request("the batch is not a JSON object"));
    }
    let batch: BatchRequest = serde_json::from_slice(body).map_err(|error| {
        // Only on the way to an error: was it a key?
        let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let keys = value["items"].as_array().into_iter().flatten().filter_map(|item| item["key"].as_str());
        let bad = keys.map(CompositeKey::parse).find_map(Result::err);
        match bad {
            Some(bad) => HandlerError::new(ErrorCode::BadKey, bad.reason()),
            None => HandlerError::bad_request(format!("the batch cannot be decoded: {error}")),
        }
    })?;
    batch.validate()?;
    Ok(batch)
}
