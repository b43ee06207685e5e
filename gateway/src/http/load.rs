//! `POST /v1/load`: what the coordinator asks every node for once a round.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::IntoResponse;
use foremap::codec::MAX_SAFE_INTEGER;
use foremap::protocol::{CONTENT_TYPE, ErrorCode, Problem, Route};

use super::handler_error::{HandlerError, HandlerResult};
use super::request::Params;
use super::server::Server;
use crate::auth::Verb;

/// The answer is the binary form of a [`LoadReport`](foremap::load::LoadReport). Counting begins anew with it, so this
/// is no `GET`: nothing on the way may keep the answer or ask twice.
pub(super) async fn load(State(server): State<Arc<Server>>, headers: HeaderMap, uri: Uri) -> HandlerResult {
    server.scope(&headers)?.require_everywhere(&[Verb::Peer, Verb::Admin])?;
    let round = match Params::of(&uri, &Route::LOAD)?.number("round")? {
        Some(round) if round <= MAX_SAFE_INTEGER => round,
        Some(_) => {
            let problem = Problem::new(ErrorCode::BadRequest, "`round` is below 2^53");
            return Err(problem.with_limit(MAX_SAFE_INTEGER).into());
        }
        None => return Err(HandlerError::bad_request("the query has no `round`")),
    };
    let report = server.process.take_load(server.node.node(), round);
    let mut about = server.headers();
    about.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    about.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((about, report.encode()).into_response())
}
