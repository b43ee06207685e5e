//! `POST /v1/batch`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use foremap::codec::DecodeError;
use foremap::key::CompositeKey;
use foremap::protocol::{
    BatchRequest, BatchResponse, CONTENT_TYPE, ErrorCode, ItemResult, MAX_BATCH_KEYS, Outcome, Problem, ReadPoint,
};

use super::refusal::{Answer, Refusal};
use super::request;
use super::server::Server;
use crate::auth::{Scope, Verb};

pub(super) async fn batch(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Answer {
    let scope = server.scope(&headers)?;
    scope.require(Verb::Get)?;
    let binary = match request::media_type(&headers) {
        CONTENT_TYPE => true,
        "application/json" => false,
        _ => return Err(request::unsupported(&headers, &format!("`{CONTENT_TYPE}` or `application/json`"))),
    };
    let body = request::body(&headers, body).await?;
    let batch = if binary { BatchRequest::decode(&body).map_err(binary_error)? } else { json(&body)? };
    if let Some(known) = batch.map {
        // Another gateway told the caller of it.
        server.process.heed(known.epoch);
    }
    let answer = answer(&server, &scope, batch).await?;
    Ok(respond(&server, &answer, binary))
}

fn respond(server: &Server, answer: &BatchResponse, binary: bool) -> Response {
    let (kind, body) = match binary {
        true => (CONTENT_TYPE, answer.encode()),
        false => ("application/json", serde_json::to_vec(answer).unwrap_or_default()),
    };
    let mut headers = server.headers();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (headers, body).into_response()
}

/// Keys that the token does not cover fail by themselves, and their changes stay hidden.
async fn answer(server: &Server, scope: &Scope, mut batch: BatchRequest) -> Result<BatchResponse, Problem> {
    let mut refused = Vec::new();
    let mut at = 0;
    batch.items.retain(|item| {
        let allowed = scope.covers(&item.key);
        if !allowed {
            refused.push((at, item.key.clone()));
        }
        at += 1;
        allowed
    });
    let mut answer = server.process.batch(&server.node, &batch).await?;
    answer.changes.retain(|change| scope.covers(&change.key));
    for (at, key) in refused {
        answer.results.insert(at, forbidden(server, &key));
    }
    Ok(answer)
}

fn forbidden(server: &Server, key: &CompositeKey) -> ItemResult {
    let detail = "the token does not cover this key".to_owned();
    let shard = server.process.store.layout().shard(key);
    ItemResult {
        outcome: Outcome::Error { code: ErrorCode::Forbidden, detail },
        at: ReadPoint { shard, position: 0, age_ms: u32::MAX },
        node: server.node.id(),
    }
}

fn binary_error(error: DecodeError) -> Refusal {
    match error {
        DecodeError::TooMany("items") => {
            let detail = format!("the limit is {MAX_BATCH_KEYS} keys in one batch");
            Problem::new(ErrorCode::TooManyKeys, detail).with_limit(MAX_BATCH_KEYS as u64).into()
        }
        DecodeError::BadValue("key") => Refusal::new(ErrorCode::BadKey, "the batch holds a malformed key"),
        error => Refusal::bad_request(format!("the batch cannot be decoded: {error}")),
    }
}

fn json(body: &[u8]) -> Result<BatchRequest, Refusal> {
    if !request::is_object(body) {
        return Err(Refusal::bad_request("the batch is not a JSON object"));
    }
    let batch: BatchRequest = serde_json::from_slice(body).map_err(|error| {
        // Only on the way to an error: was it a key?
        let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let keys = value["items"].as_array().into_iter().flatten().filter_map(|item| item["key"].as_str());
        let bad = keys.map(CompositeKey::parse).find_map(Result::err);
        match bad {
            Some(bad) => Refusal::new(ErrorCode::BadKey, bad.reason()),
            None => Refusal::bad_request(format!("the batch cannot be decoded: {error}")),
        }
    })?;
    batch.validate()?;
    Ok(batch)
}
