//! [`Web`]: requests to gateways and workers.

use std::fmt;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header, request};
use foremap::partition::PartitionMap;
use foremap::protocol::{
    BatchItem, BatchRequest, BatchResponse, CONTENT_TYPE, Class, ClockReading, Cursor, MapKnowledge, MapUpdate,
    Outcome, Problem,
};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::judge::Time;
use crate::host::client;

/// Longest wait for an answer.
const TIME_OUT: Duration = Duration::from_secs(5);
const MAX_ANSWER_BYTES: usize = 16 << 20;
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// Why there is no answer to judge.
#[derive(Debug, Clone)]
pub(super) enum RequestError {
    /// None came, or none that can be read.
    Silent(String),
    /// It was refused.
    Refused(String),
    /// There is nothing to remove.
    Missing,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(why) => write!(f, "does not answer: {why}"),
            Self::Refused(why) => write!(f, "refuses: {why}"),
            Self::Missing => f.write_str("has nothing to remove"),
        }
    }
}

/// Answer about one key.
pub(super) struct KeyAnswer {
    pub(super) found: Option<u64>,
    pub(super) claimed: Time,
    pub(super) position: Option<u64>,
}

/// An acknowledged write.
#[derive(serde::Deserialize)]
pub(super) struct Ack {
    pub(super) version: u64,
    pub(super) shard: u16,
}

/// Answers of a batch, in order: `None` where one key failed.
pub(super) struct Batch {
    pub(super) answers: Vec<Option<KeyAnswer>>,
    pub(super) clock: Option<ClockReading>,
    pub(super) map: Option<MapKnowledge>,
}

struct HttpReply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// A client of one deployment.
#[derive(Clone)]
pub(super) struct Web {
    client: Client<HttpConnector, Body>,
    authorization: Option<String>,
    bound_ms: u32,
}

impl Web {
    pub(super) fn new(token: Option<&str>, bound_ms: u32) -> Self {
        Self { client: client(TIME_OUT), authorization: token.map(|token| format!("Bearer {token}")), bound_ms }
    }

    /// Writes `key`, or removes it; the same `id` is applied once.
    pub(super) async fn write(&self, origin: &str, key: &str, id: &str, delete: bool) -> Result<Ack, RequestError> {
        let method = if delete { Method::DELETE } else { Method::PUT };
        let body = if delete { String::new() } else { serde_json::json!({ "locator": id }).to_string() };
        let request = self.request(method, &keymap(origin, key)).header("foremap-write-id", id);
        let reply = self.send(request.header(header::CONTENT_TYPE, "application/json"), Body::from(body)).await?;
        if delete && reply.status == StatusCode::NOT_FOUND && reply.headers.contains_key("foremap-age") {
            return Err(RequestError::Missing);
        }
        if !reply.status.is_success() {
            return Err(refused(&reply));
        }
        serde_json::from_slice(&reply.body)
            .map_err(|error| RequestError::Silent(format!("not an acknowledgement: {error}")))
    }

    /// Reads one key.
    pub(super) async fn get(&self, origin: &str, key: &str) -> Result<KeyAnswer, RequestError> {
        let url = format!("{}&max_staleness_ms={}", keymap(origin, key), self.bound_ms);
        let reply = self.send(self.request(Method::GET, &url), Body::empty()).await?;
        let text = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok());
        let found = match reply.status {
            StatusCode::OK => {
                let keymap: Option<Versioned> = serde_json::from_slice(&reply.body).ok();
                Some(keymap.ok_or_else(|| RequestError::Silent("not a keymap".into()))?.version)
            }
            StatusCode::NOT_FOUND if text("foremap-age").is_some() => None,
            _ => return Err(refused(&reply)),
        };
        let age = text("foremap-age").and_then(|age| age.parse::<Time>().ok());
        let age = age.ok_or_else(|| RequestError::Silent("the answer has no `foremap-age`".into()))?;
        let position = text("foremap-position").and_then(|at| at.split_once(':')?.1.parse().ok());
        Ok(KeyAnswer { found, claimed: age.saturating_mul(1_000), position })
    }

    /// Reads `keys` at once; without any, asks for the time.
    pub(super) async fn batch(
        &self,
        origin: &str,
        keys: &[foremap::key::CompositeKey],
        map: Option<MapKnowledge>,
    ) -> Result<Batch, RequestError> {
        let item =
            |key: &foremap::key::CompositeKey| BatchItem { key: key.clone(), if_version: None, class: Class::Demand };
        let items = keys.iter().map(item).collect();
        let batch = BatchRequest { items, max_staleness_ms: self.bound_ms, map, ..BatchRequest::default() };
        let request = self.request(Method::POST, &format!("{origin}/v1/batch"));
        let request = request.header(header::CONTENT_TYPE, CONTENT_TYPE).header(header::ACCEPT, CONTENT_TYPE);
        let reply = self.send(request, Body::from(batch.encode())).await?;
        if reply.status != StatusCode::OK {
            return Err(refused(&reply));
        }
        let answer = BatchResponse::decode(&reply.body);
        let answer = answer.map_err(|error| RequestError::Silent(format!("not a batch: {error}")))?;
        if answer.results.len() != keys.len() {
            return Err(RequestError::Silent("as many answers as keys were expected".into()));
        }
        let answers = answer.results.into_iter().map(|result| {
            let found = match result.outcome {
                Outcome::Found { keymap } => Some(keymap.version),
                Outcome::Missing => None,
                Outcome::Unchanged { .. } | Outcome::Error { .. } => return None,
            };
            let claimed = Time::from(result.at.age_ms) * 1_000;
            Some(KeyAnswer { found, claimed, position: Some(result.at.position) })
        });
        let map = match answer.map {
            Some(MapUpdate::Full(bytes)) => PartitionMap::decode(&bytes).ok(),
            Some(MapUpdate::Delta(_)) | None => None,
        };
        let map = map.map(|map| MapKnowledge { epoch: map.epoch, hash: map.hash() });
        Ok(Batch { answers: answers.collect(), clock: answer.clock, map })
    }

    /// Opens the change feed.
    pub(super) async fn feed(&self, origin: &str, cursors: Vec<Cursor>) -> Result<Incoming, RequestError> {
        let batch = BatchRequest { cursors, max_staleness_ms: self.bound_ms, ..BatchRequest::default() };
        let request = self.request(Method::POST, &format!("{origin}/v1/changes"));
        let request = request.header(header::CONTENT_TYPE, CONTENT_TYPE).body(Body::from(batch.encode()));
        let request = request.map_err(|error| RequestError::Silent(error.to_string()))?;
        let response = tokio::time::timeout(TIME_OUT, self.client.request(request)).await;
        let response = response.map_err(|_| silent())?.map_err(|error| broken(&error))?;
        if response.status() == StatusCode::OK {
            return Ok(response.into_body());
        }
        let (head, body) = response.into_parts();
        let body = tokio::time::timeout(TIME_OUT, to_bytes(Body::new(body), MAX_ANSWER_BYTES)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        Err(refused(&HttpReply { status: head.status, headers: head.headers, body }))
    }

    fn request(&self, method: Method, url: &str) -> request::Builder {
        let request = Request::builder().method(method).uri(url);
        match &self.authorization {
            Some(authorization) => request.header(header::AUTHORIZATION, authorization),
            None => request,
        }
    }

    async fn send(&self, head: request::Builder, body: Body) -> Result<HttpReply, RequestError> {
        let request = head.body(body).map_err(|error| RequestError::Silent(error.to_string()))?;
        let exchange = async {
            let (head, body) = self.client.request(request).await.map_err(|error| broken(&error))?.into_parts();
            let body = to_bytes(Body::new(body), MAX_ANSWER_BYTES).await;
            let body = body.map_err(|error| RequestError::Silent(error.to_string()))?;
            Ok(HttpReply { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(TIME_OUT, exchange).await.unwrap_or_else(|_| Err(silent()))
    }
}

/// Part of a keymap that is needed.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u64,
}

fn keymap(origin: &str, key: &str) -> String {
    format!("{origin}/v1/keymap?key={}", utf8_percent_encode(key, QUERY))
}

fn silent() -> RequestError {
    RequestError::Silent(format!("nothing within {} s", TIME_OUT.as_secs()))
}

fn broken(error: &hyper_util::client::legacy::Error) -> RequestError {
    let source = std::error::Error::source(error).map(ToString::to_string);
    RequestError::Silent(source.unwrap_or_else(|| error.to_string()))
}

fn refused(reply: &HttpReply) -> RequestError {
    let problem: Option<Problem> = serde_json::from_slice(&reply.body).ok();
    let why = problem.map(|problem| format!("{}: {}", problem.code, problem.detail));
    RequestError::Refused(why.unwrap_or_else(|| reply.status.to_string()))
}
