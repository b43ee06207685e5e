//! `GET /v1/map` and `GET /v1/locate`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::IntoResponse;
use foremap::partition::Epoch;
use foremap::protocol::{CONTENT_TYPE, ErrorCode, MAX_MAP_WAIT_S, MapKnowledge, MapUpdate, Problem, Route};
use serde_json::json;

use super::handler_error::{HandlerError, HandlerResult};
use super::headers::set;
use super::permits::{MAX_MAP_WAITS, Permit};
use super::request::{self, Params};
use super::server::Server;
use crate::auth::Verb;

pub(super) async fn map(State(server): State<Arc<Server>>, headers: HeaderMap, uri: Uri) -> HandlerResult {
    server.scope(&headers)?;
    let params = Params::of(&uri, &Route::MAP)?;
    let since = params.get("since").map(|text| {
        request::hexadecimal(text)
            .ok_or_else(|| HandlerError::bad_request("`since` is the hash of a map, in hexadecimal"))
    });
    let since = since.transpose()?;
    if let Some(seconds) = params.number("wait")? {
        wait(&server, &headers, since, seconds).await?;
    }
    let known = server.node.node().map_knowledge();
    let tag = format!("\"{:016x}\"", known.hash);
    let mut about = server.headers();
    set(&mut about, header::ETAG, &tag);
    about.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    about.insert(header::VARY, HeaderValue::from_static("accept"));
    if since == Some(known.hash) || request::none_match(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let (kind, body) = match request::accepts(&headers, CONTENT_TYPE) {
        true => {
            // Only the hash matters for a delta; the lowest epoch is never ahead.
            let since = since.map(|hash| MapKnowledge { epoch: Epoch::default(), hash });
            match server.node.node().map_update(since) {
                Some(MapUpdate::Full(bytes) | MapUpdate::Delta(bytes)) => (CONTENT_TYPE, bytes),
                None => return Ok((StatusCode::NOT_MODIFIED, about).into_response()),
            }
        }
        false => {
            let map = server.node.node().map();
            ("application/json", serde_json::to_vec(&*map).unwrap_or_default())
        }
    };
    about.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok((about, body).into_response())
}

/// Waits until there is another map than the one that the caller has, for `seconds` at most.
async fn wait(server: &Arc<Server>, headers: &HeaderMap, since: Option<u64>, seconds: u64) -> Result<(), HandlerError> {
    if seconds > MAX_MAP_WAIT_S {
        let detail = format!("`wait` is {seconds} s, it must be at most {MAX_MAP_WAIT_S}");
        return Err(Problem::new(ErrorCode::BadRequest, detail).with_limit(MAX_MAP_WAIT_S).into());
    }
    let Some(_permit) = Permit::enter(&server.map_waits, MAX_MAP_WAITS) else {
        let problem = Problem::new(ErrorCode::TooManyRequests, "too many requests wait for a newer map");
        return Err(problem.with_limit(MAX_MAP_WAITS as u64).into());
    };
    let (mut map, mut stop) = (server.process.map(), server.stop.clone());
    let is_known = || {
        let hash = server.node.node().map_knowledge().hash;
        since == Some(hash) || request::none_match(headers, &format!("\"{hash:016x}\""))
    };
    let newer = async {
        // Marked as seen before the comparison, so that no change falls in between.
        while {
            map.borrow_and_update();
            is_known()
        } && map.changed().await.is_ok()
        {}
    };
    tokio::select! {
        () = newer => {}
        () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    Ok(())
}

pub(super) async fn locate(State(server): State<Arc<Server>>, headers: HeaderMap, uri: Uri) -> HandlerResult {
    let key = Params::of(&uri, &Route::LOCATE)?.key()?;
    server.scope(&headers)?.require_key(Verb::Get, &key)?;
    let (map, place) = {
        let node = server.node.node();
        (node.map(), node.locate(&key))
    };
    let body = json!({
        "key": key.as_str(),
        "shard": map.storage.shard(&key),
        "partition": place.partition,
        "portion": place.portion,
        "spread_index": place.spread_index,
        "node": place.node,
        "replicas": map.replicas(&key).unwrap_or_default(),
        "origin": map.node(place.node).map(|node| node.origin.as_str()),
        "epoch": map.epoch,
    });
    let mut about = server.headers();
    about.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    about.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok((about, body.to_string()).into_response())
}
