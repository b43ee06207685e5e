//! `GET /healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use foremap::protocol::ErrorCode;

use super::refusal::{Answer, Refusal};
use super::server::Server;
use crate::auth::Verb;

/// Age of the change log above which a node says that it is not ready: its memory answers nobody by then.
const MAX_LOG_AGE_MS: u32 = 5_000;

pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

pub(super) async fn readyz(State(server): State<Arc<Server>>) -> Answer {
    let positions = server.node.node().positions(server.process.clock.now());
    let age = positions.iter().map(|at| at.age_ms).max().unwrap_or(u32::MAX);
    if age > MAX_LOG_AGE_MS {
        let detail = format!("the change log was last read {age} ms ago, the limit is {MAX_LOG_AGE_MS}");
        return Err(Refusal::new(ErrorCode::Unavailable, detail));
    }
    Ok("ready\n".into_response())
}

pub(super) async fn metrics(State(server): State<Arc<Server>>, headers: HeaderMap) -> Answer {
    server.scope(&headers)?.require(Verb::Admin)?;
    let text = server.metrics.encode().map_err(|error| Refusal::new(ErrorCode::Internal, error.to_string()))?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
