//! `GET /healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use foremap::partition::Epoch;
use foremap::protocol::ErrorCode;
use serde::Serialize;

use super::handler_error::{HandlerError, HandlerResult};
use super::server::Server;
use crate::auth::Verb;
use crate::store::{Trouble, troubles};

/// Age of the change log above which memory answers nobody.
const MAX_LOG_AGE_MS: u32 = 5_000;

pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Report of a node that is ready.
#[derive(Serialize)]
struct ReadyBody {
    /// Groups of storage shards whose change log was read lately.
    fresh: usize,
    /// All groups.
    groups: usize,
    epoch: Epoch,
    /// Promise that holds for a write that was acknowledged: `durable` or `replicated`.
    promise: &'static str,
    /// Reasons for which the store, or some of its masters, do less than they should: others are served as before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    troubles: Vec<Trouble>,
    /// The shared model, where one is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ReadyModel>,
}

/// The same of the shared model.
#[derive(Serialize)]
struct ReadyModel {
    /// When it was made, in milliseconds since 1970.
    made: u64,
    /// Milliseconds since the process has it.
    age_ms: u64,
    /// Bytes of its largest form.
    bytes: usize,
    /// Summaries that wait for the leader.
    waiting: usize,
}

/// Not ready while the store keeps this process from writing. Otherwise ready while memory is fresh for one group of shards at least. With a store of which a part is silent, every gateway
/// is in the same position: if all said that they were not ready, the other shards would be cut off as well.
pub(super) async fn readyz(State(server): State<Arc<Server>>) -> HandlerResult {
    if server.process.is_leaving() || *server.stop.borrow() {
        return Err(HandlerError::new(ErrorCode::Unavailable, "the node is about to end"));
    }
    let troubles = troubles(&*server.process.store);
    if let Some(trouble) = troubles.iter().find(|trouble| trouble.is_whole) {
        return Err(HandlerError::new(ErrorCode::Unavailable, format!("{}: {}", trouble.what, trouble.why)));
    }
    let positions = server.node.node().positions(server.process.clock.now());
    let age = |&shard: &u16| positions.get(usize::from(shard)).map_or(u32::MAX, |at| at.age_ms);
    let groups = server.process.store.groups().borrow().clone();
    let oldest = groups.iter().map(|shards| shards.iter().map(age).max().unwrap_or(u32::MAX));
    let ages: Vec<u32> = oldest.collect();
    let fresh = ages.iter().filter(|&&age| age <= MAX_LOG_AGE_MS).count();
    if fresh == 0 {
        let age = ages.iter().min().unwrap_or(&u32::MAX);
        let mut detail = format!("the change log was last read {age} ms ago, the limit is {MAX_LOG_AGE_MS}");
        troubles.iter().for_each(|Trouble { what, why, .. }| detail += &format!("; {what}: {why}"));
        return Err(HandlerError::new(ErrorCode::Unavailable, detail));
    }
    let stats = server.process.sharing.stats();
    let model = (stats.snapshot_bytes > 0).then_some(ReadyModel {
        made: stats.snapshot_made,
        age_ms: stats.snapshot_age_ms,
        bytes: stats.snapshot_bytes,
        waiting: stats.inbox.outbox.entries,
    });
    let (epoch, promise) = (server.node.node().map().epoch, server.process.store.promise().name());
    let body = ReadyBody { fresh, groups: groups.len(), epoch, promise, troubles, model };
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((kind, serde_json::to_vec(&body).unwrap_or_default()).into_response())
}

pub(super) async fn metrics(State(server): State<Arc<Server>>, headers: HeaderMap) -> HandlerResult {
    server.scope(&headers)?.require_everywhere(&[Verb::Metrics, Verb::Admin])?;
    let text = server.metrics.encode().map_err(|error| HandlerError::new(ErrorCode::Internal, error.to_string()))?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
