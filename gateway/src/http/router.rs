//! Routes, CORS and what happens around every request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use foremap::protocol::{ErrorCode, Route};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::guard::matches;
use super::handler_error::HandlerError;
use super::headers::{AGE, EPOCH, MODEL, NODE, PARTITION, POSITION, STREAM, WRITE_ID};
use super::request::Params;
use super::server::Server;
use super::{backup, batch, changes, feed, health, hot, keymap, list, load, map, model, plan, summaries};

/// Time for which browsers may remember a preflight: two hours is the most that any of them honours.
const PREFLIGHT_AGE: Duration = Duration::from_secs(7_200);

type RouteTable = [(&'static str, MethodRouter<Arc<Server>>)];

/// The routes of one node.
pub fn router(server: Arc<Server>) -> Router {
    let cors = cors(&server.options.cors_origins);
    let routes = with(with(Router::new(), &routes()), &admin_routes());
    around_all(routes, &server).layer(cors).with_state(server)
}

/// The routes of a listener for operators: how the node is, and what takes the verb `admin`.
pub(super) fn admin_router(server: Arc<Server>) -> Router {
    around_all(with(Router::new(), &admin_routes()), &server).with_state(server)
}

/// Every path that a node answers.
pub fn paths() -> Vec<&'static str> {
    routes().iter().chain(&admin_routes()).map(|(path, _)| *path).collect()
}

fn with(router: Router<Arc<Server>>, routes: &RouteTable) -> Router<Arc<Server>> {
    routes.iter().fold(router, |router, (path, methods)| router.route(path, methods.clone()))
}

fn routes() -> [(&'static str, MethodRouter<Arc<Server>>); 9] {
    [
        (Route::BATCH.path, post(batch::batch)),
        (Route::GET_KEYMAP.path, get(keymap::get).put(keymap::put).delete(keymap::delete)),
        (Route::VERSIONS.path, get(keymap::versions)),
        (Route::LIST.path, get(list::list)),
        (Route::MAP.path, get(map::map)),
        (Route::LOCATE.path, get(map::locate)),
        (Route::CHANGES.path, get(changes::changes).post(feed::open)),
        (Route::SUMMARIES.path, post(summaries::tell)),
        (Route::MODEL.path, get(model::model)),
    ]
}

fn admin_routes() -> [(&'static str, MethodRouter<Arc<Server>>); 11] {
    [
        (Route::HOT.path, get(hot::hot)),
        (Route::LOAD.path, post(load::load)),
        (Route::PLAN.path, get(plan::plan)),
        (Route::APPLY.path, post(plan::apply)),
        (Route::FREEZE.path, post(plan::freeze)),
        (Route::TAKE.path, post(summaries::take)),
        (Route::FORGET.path, post(model::forget)),
        (Route::BACKUP.path, get(backup::backup)),
        (Route::HEALTHZ.path, get(health::healthz)),
        (Route::READYZ.path, get(health::readyz)),
        (Route::METRICS.path, get(health::metrics)),
    ]
}

fn around_all(routes: Router<Arc<Server>>, server: &Arc<Server>) -> Router<Arc<Server>> {
    let routes = routes.fallback(no_route).method_not_allowed_fallback(wrong_method);
    routes.layer(middleware::from_fn_with_state(server.clone(), around))
}

async fn no_route(request: Request) -> HandlerError {
    HandlerError::new(ErrorCode::NoRoute, format!("there is no route `{}`", request.uri().path()))
}

async fn wrong_method(request: Request) -> HandlerError {
    let detail = format!("`{}` does not know the method {}", request.uri().path(), request.method());
    HandlerError::new(ErrorCode::MethodNotAllowed, detail)
}

async fn around(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let route = label(request.uri().path());
    let known = Route::ALL.iter().find(|known| known.path == route && known.method == request.method().as_str());
    // Routes with parameters look at them themselves; probes may have any.
    let without = known.filter(|known| known.query.is_empty() && known.path.starts_with("/v1/"));
    if let Some(Err(refusal)) = without.map(|route| Params::of(request.uri(), route)) {
        return observe(&server, route, async { refusal }).await;
    }
    observe(&server, route, next.run(request)).await
}

/// Injected latency, request metrics, and the end of connections to a node that leaves.
pub(super) async fn observe<R: IntoResponse>(
    server: &Server,
    route: &'static str,
    answer: impl Future<Output = R>,
) -> Response {
    let begun = Instant::now();
    let latency = if route.starts_with("/v1/") { server.options.origin_latency } else { Duration::ZERO };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let mut response = answer.await.into_response();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if server.process.is_leaving() {
        // Its caller goes elsewhere before the connection is cut.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    server.metrics.record(route, response.status().as_u16(), begun.elapsed());
    response
}

/// A bounded set of labels, whatever is asked for.
fn label(path: &str) -> &'static str {
    Route::ALL.iter().map(|route| route.path).find(|known| *known == path).unwrap_or("other")
}

fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.to_vec();
    let allowed = move |origin: &HeaderValue, _: &_| {
        origin.to_str().is_ok_and(|origin| origins.iter().any(|pattern| matches(pattern, origin)))
    };
    let expose: [HeaderName; 8] = [header::ETAG, header::RETRY_AFTER, POSITION, AGE, EPOCH, NODE, PARTITION, MODEL];
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static("last-event-id"),
            STREAM,
            WRITE_ID,
        ])
        .expose_headers(expose)
        .max_age(PREFLIGHT_AGE)
}
