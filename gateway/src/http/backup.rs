//! `GET /v1/backup`: everything that a store file holds, while it is in use.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use foremap::protocol::ErrorCode;
use futures_util::stream;

use super::handler_error::{HandlerError, HandlerResult};
use super::server::Server;
use crate::auth::Verb;
use crate::store::NoBackup;

/// For the verb `admin` and every key. It ends early where the store fails: a backup says itself whether it is whole.
pub(super) async fn backup(State(server): State<Arc<Server>>, headers: HeaderMap) -> HandlerResult {
    server.scope(&headers)?.require_everywhere(&[Verb::Admin])?;
    let frames = server.process.store.backup().map_err(|why| match why {
        NoBackup::Busy => HandlerError::new(ErrorCode::TooManyRequests, "a backup is being made; one at a time"),
        NoBackup::Elsewhere => HandlerError::new(
            ErrorCode::NoRoute,
            "a store of redis:// is backed up by Redis: copy its append-only files",
        ),
    })?;
    let body = Body::from_stream(stream::unfold(frames, |mut frames| async { Some((frames.recv().await?, frames)) }));
    let mut headers = server.headers();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((headers, body).into_response())
}
