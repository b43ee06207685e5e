//! [`Entry`]: where a request enters.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, Request, header};
use axum::response::Response;
use hyper::body::Incoming;
use tower_service::Service as _;

use super::router::{observe, router};
use super::server::Server;
use super::{batch, keymap};

/// Answers the requests of one node.
///
/// Reads of keys that no browser page sends go to their handler directly: the router and the layers around it would
/// cost them as much again. What they are answered is the same.
#[derive(Clone)]
pub(super) struct Entry {
    server: Arc<Server>,
    router: Router,
}

impl Entry {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { router: router(server.clone()), server }
    }
}

impl hyper::service::Service<Request<Incoming>> for Entry {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let simple = !request.headers().contains_key(header::ORIGIN);
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/v1/keymap") if simple => {
                let (server, (parts, _)) = (self.server.clone(), request.into_parts());
                let answer = keymap::get(State(server.clone()), parts.headers, parts.uri);
                Box::pin(async move { Ok(vary(observe(&server, "/v1/keymap", answer).await)) })
            }
            (&Method::POST, "/v1/batch") if simple => {
                let (server, (parts, body)) = (self.server.clone(), request.into_parts());
                let answer = batch::batch(State(server.clone()), parts.headers, Body::new(body));
                Box::pin(async move { Ok(vary(observe(&server, "/v1/batch", answer).await)) })
            }
            _ => Box::pin(self.router.clone().call(request)),
        }
    }
}

/// As the CORS layer says of every answer.
fn vary(mut response: Response) -> Response {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    response
}
