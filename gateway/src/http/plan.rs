//! `GET /v1/plan`, `POST /v1/plan/apply` and `POST /v1/shifter/freeze`: the Partition Shifter's state and switches.
//!
//! Any gateway takes them: one that does not coordinate hands them on, once, to the one that does.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use foremap::control::{ControlStatus, NotDone};
use foremap::partition::Epoch;
use foremap::protocol::{ErrorCode, MAX_VERSION, Problem, Route};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::handler_error::{HandlerError, HandlerResult};
use super::request;
use super::server::Server;
use crate::auth::Verb;
use crate::host::{RELAYED, Relayed, ShifterMode};

/// Longest wait for the coordinator's answer: a plan for a large fleet takes some hundred milliseconds.
const RELAY_TIME_OUT: Duration = Duration::from_secs(3);
const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Body of `POST /v1/plan/apply`; none at all is an empty one.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyBody {
    /// The epoch that the caller saw.
    #[serde(default)]
    pub(crate) base: Option<Epoch>,
}

/// Body of `POST /v1/shifter/freeze`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FreezeBody {
    pub(crate) frozen: bool,
}

/// Answer to `GET /v1/plan`.
#[derive(Serialize)]
struct PlanStatus {
    mode: ShifterMode,
    #[serde(flatten)]
    status: ControlStatus,
}

pub(super) async fn plan(State(server): State<Arc<Server>>, headers: HeaderMap) -> HandlerResult {
    server.scope(&headers)?.require_everywhere(&[Verb::Admin])?;
    require_shifter(&server)?;
    let status = match server.process.status().await {
        Err(NotDone::Elsewhere) => {
            return relay(&server, &headers, Method::GET, Route::PLAN.path, Vec::new(), RELAY_TIME_OUT).await;
        }
        status => PlanStatus { mode: server.process.shifter, status: status.map_err(refusal)? },
    };
    match request::accepts(&headers, TEXT) {
        true => Ok(answer(&server, PLAIN, text(&status).into_bytes())),
        false => Ok(answer(&server, JSON, serde_json::to_vec(&status).unwrap_or_default())),
    }
}

pub(super) async fn apply(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> HandlerResult {
    server.scope(&headers)?.require_everywhere(&[Verb::Admin])?;
    require_shifter(&server)?;
    let bytes = request::body(&headers, body).await?;
    let ApplyBody { base } = match bytes.is_empty() {
        true => ApplyBody::default(),
        false => parse(&headers, &bytes)?,
    };
    if base.is_some_and(|base| base.number > MAX_VERSION) {
        return Err(HandlerError::bad_request("the number of an epoch is below 2^53"));
    }
    match server.process.apply_plan(base).await {
        Ok(plan) if request::accepts(&headers, TEXT) => Ok(answer(&server, PLAIN, plan.to_string().into_bytes())),
        Ok(plan) => Ok(answer(&server, JSON, serde_json::to_vec(&plan).unwrap_or_default())),
        Err(NotDone::Elsewhere) => {
            relay(&server, &headers, Method::POST, Route::APPLY.path, bytes, RELAY_TIME_OUT).await
        }
        Err(why) => Err(refusal(why)),
    }
}

pub(super) async fn freeze(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> HandlerResult {
    server.scope(&headers)?.require_everywhere(&[Verb::Admin])?;
    require_shifter(&server)?;
    let bytes = request::body(&headers, body).await?;
    let FreezeBody { frozen } = parse(&headers, &bytes)?;
    match server.process.freeze(frozen).await {
        Ok(()) => Ok(answer(&server, JSON, json!({"frozen": frozen}).to_string().into_bytes())),
        Err(NotDone::Elsewhere) => {
            relay(&server, &headers, Method::POST, Route::FREEZE.path, bytes, RELAY_TIME_OUT).await
        }
        Err(why) => Err(refusal(why)),
    }
}

fn refusal(why: NotDone) -> HandlerError {
    let (code, detail) = match why {
        NotDone::Elsewhere => (ErrorCode::Unavailable, "the process does not lead".to_owned()),
        NotDone::Epoch(epoch) => (ErrorCode::VersionConflict, format!("the map in force has the epoch {epoch}")),
        NotDone::Pending => (ErrorCode::Unavailable, "another plan is on its way".to_owned()),
        NotDone::Store => {
            (ErrorCode::Unavailable, "the store did not keep it, or the leader has just changed".to_owned())
        }
        NotDone::Busy => (ErrorCode::Unavailable, "too many requests for plans wait".to_owned()),
    };
    HandlerError::new(code, detail)
}

fn require_shifter(server: &Server) -> Result<(), HandlerError> {
    match server.process.shifter {
        ShifterMode::Off => Err(HandlerError::new(ErrorCode::NoRoute, "the node runs with --shifter off")),
        ShifterMode::Auto | ShifterMode::DryRun => Ok(()),
    }
}

pub(super) fn parse<T: for<'a> Deserialize<'a>>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, HandlerError> {
    if request::media_type(headers) != JSON {
        return Err(request::unsupported(headers, JSON));
    }
    if !request::is_object(bytes) {
        return Err(HandlerError::bad_request("the body is not a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| HandlerError::bad_request(format!("the body: {error}")))
}

pub(super) fn answer(server: &Server, kind: &'static str, body: Vec<u8>) -> Response {
    let mut about = server.headers();
    about.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    about.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (about, body).into_response()
}

/// Asks the coordinator, wherever it is, and waits for its answer as long as `patience`.
pub(super) async fn relay(
    server: &Server,
    headers: &HeaderMap,
    method: Method,
    path: &'static str,
    body: Vec<u8>,
    patience: Duration,
) -> HandlerResult {
    let nobody = || HandlerError::from(Problem::new(ErrorCode::Unavailable, "there is no coordinator at the moment"));
    if headers.contains_key(RELAYED) {
        return Err(nobody());
    }
    let record = server.process.leader().await?;
    let mut passed = HeaderMap::new();
    for name in [header::ACCEPT, header::CONTENT_TYPE] {
        if let Some(value) = headers.get(&name) {
            passed.insert(name, value.clone());
        }
    }
    let relayed = Relayed { method, path, headers: passed, body, patience };
    let (status, about, body) = server.process.relay(&record.origin, relayed).await.ok_or_else(nobody)?;
    if status == StatusCode::UNAUTHORIZED {
        // It is this process's own token that was refused, not the caller's.
        return Err(HandlerError::new(ErrorCode::Internal, "the coordinator does not take this node's token"));
    }
    let mut own = server.headers();
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(kind) = about.get(header::CONTENT_TYPE) {
        own.insert(header::CONTENT_TYPE, kind.clone());
    }
    Ok((status, own, body).into_response())
}

/// The same for people.
fn text(PlanStatus { mode, status }: &PlanStatus) -> String {
    let ControlStatus { frozen, epoch, loads, stats, last, pending, next } = status;
    let mut text = String::new();
    let total: u64 = loads.values().map(|&n| u64::from(n)).sum();
    let mean = total as f64 / loads.len().max(1) as f64;
    let mode = match mode {
        ShifterMode::Auto => "auto",
        ShifterMode::DryRun => "dry-run",
        ShifterMode::Off => "off",
    };
    let state = if *frozen { ", frozen" } else { "" };
    let _ = writeln!(text, "shifter {mode}{state}, map {epoch}, {} plans, {} taken back", stats.plans, stats.reverts);
    for (node, load) in loads {
        let share = if mean > 0.0 { f64::from(*load) / mean } else { 0.0 };
        let _ = writeln!(text, "  node {node}: {load} requests in the last round, {share:.2} of the mean");
    }
    for (title, plan) in [("last", last.as_ref()), ("on its way", pending.as_ref()), ("now", Some(next))] {
        if let Some(plan) = plan {
            let _ = write!(text, "{title}: {plan}");
        }
    }
    text
}
