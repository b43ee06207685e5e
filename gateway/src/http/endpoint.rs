//! [`Endpoint`]: where a request enters.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, Request, header};
use axum::response::Response;
use axum::{Extension, Router};
use foremap::node::Subject;
use hyper::body::{Body as _, Incoming};
use hyper_util::server::graceful::Watcher;
use parking_lot::Mutex;
use tower_service::Service as _;

use super::connections::{Connections, Ticket};
use super::feed::FrameHandover;
use super::forwarded::ClientAddress;
use super::receiving::{MemoryReservation, Received};
use super::router::{admin_router, observe, router};
use super::server::Server;
use super::socket::{Push, Socket};
use super::{batch, forwarded, guard, keymap};

/// Most connections of a listener for operators: scrapers, probes and the other gateways are few.
const ADMIN_CONNECTIONS: usize = 256;

/// Answers the requests of one node.
///
/// Reads of keys that no browser page sends go to their handler directly: the router and the layers around it would
/// cost them as much again. What they are answered is the same.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) server: Arc<Server>,
    pub(super) connections: Arc<Connections>,
    router: Router,
    serves_admin: bool,
}

impl Endpoint {
    pub(super) fn new(server: Arc<Server>) -> Self {
        let connections = server.connections.clone();
        Self { router: router(server.clone()), server, connections, serves_admin: false }
    }

    /// Answers operators and gateways alone.
    pub(super) fn admin(server: Arc<Server>) -> Self {
        let connections = Connections::new(ADMIN_CONNECTIONS);
        Self { router: admin_router(server.clone()), server, connections, serves_admin: true }
    }
}

/// The connection has been given to a feed: whoever serves it is to let go of it.
#[derive(Debug)]
pub(super) struct HandedOver;

impl fmt::Display for HandedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection serves a change feed")
    }
}

impl std::error::Error for HandedOver {}

/// Answers the requests of one connection.
pub(super) struct ConnectionService {
    pub(super) endpoint: Endpoint,
    pub(super) socket: Socket,
    /// Lets the end of the node wait for a feed that takes the connection.
    pub(super) watcher: Arc<Mutex<Option<Watcher>>>,
    /// Its place, which a feed that takes it keeps.
    pub(super) ticket: Arc<Ticket>,
    /// Address of its other end.
    pub(super) peer: IpAddr,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response, HandedOver>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for ConnectionService {
    type Response = Response;
    type Error = HandedOver;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        self.socket.head().begin_answer();
        let (version, path) = (request.version(), request.uri().path());
        let is_feed = request.method() == Method::POST && path == "/v1/changes";
        let names_peer = matches!(path, "/v1/summaries" | "/v1/batch" | "/v1/changes" | "/v1/list");
        let server = &self.endpoint.server;
        let client = forwarded::client(self.peer, request.headers(), &server.options.trusted_proxies);
        let mut request = request.map(|body| self.received(body, client));
        if names_peer {
            request.extensions_mut().insert(ClientAddress(client));
        }
        let (answer, socket) = (self.endpoint.call(request), self.socket.clone());
        if !is_feed {
            return Box::pin(async move {
                let answer = answer.await;
                socket.head().end_answer();
                answer
            });
        }
        let (watcher, ticket) = (self.watcher.clone(), self.ticket.clone());
        Box::pin(async move {
            let mut response = answer.await?;
            socket.head().end_answer();
            let Some(handover) = response.extensions_mut().remove::<FrameHandover>() else { return Ok(response) };
            // Where an earlier answer has not been taken, this one is sent behind it.
            let Some(stream) = socket.take() else { return Ok(response) };
            let Some(frames) = handover.take() else { return Err(HandedOver) };
            let push = Push::new(stream, response.headers(), version, frames);
            let watcher = watcher.lock().take();
            tokio::spawn(async move {
                push.await;
                drop((watcher, ticket));
            });
            Err(HandedOver)
        })
    }
}

impl ConnectionService {
    /// `body` of a request of `client`, within its bounds.
    fn received(&self, body: Incoming, client: IpAddr) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        let server = &self.endpoint.server;
        let held = MemoryReservation::new(server.receiving.clone(), Subject::of_address(client));
        Body::new(Received::new(body, held, server.options.limits.body))
    }
}

impl Endpoint {
    fn call(&self, request: Request<Body>) -> Answering {
        if let Err(refusal) =
            guard::admit(&self.server.options, request.method(), request.uri().path(), request.headers())
        {
            let server = self.server.clone();
            return Box::pin(async move { Ok(vary(observe(&server, "other", async { refusal }).await)) });
        }
        if self.serves_admin {
            return self.route(request);
        }
        let simple = !request.headers().contains_key(header::ORIGIN);
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/v1/keymap") if simple => {
                let (server, (parts, _)) = (self.server.clone(), request.into_parts());
                let answer = keymap::get(State(server.clone()), parts.headers, parts.uri);
                Box::pin(async move { Ok(vary(observe(&server, "/v1/keymap", answer).await)) })
            }
            (&Method::POST, "/v1/batch") if simple && request.uri().query().is_none() => {
                let (server, (parts, body)) = (self.server.clone(), request.into_parts());
                let peer = parts.extensions.get().copied().map(Extension);
                let answer = batch::batch(State(server.clone()), peer, parts.headers, body);
                Box::pin(async move { Ok(vary(observe(&server, "/v1/batch", answer).await)) })
            }
            _ => self.route(request),
        }
    }

    fn route(&self, request: Request<Body>) -> Answering {
        let answer = self.router.clone().call(request);
        Box::pin(async move {
            let Ok(answer) = answer.await;
            Ok(answer)
        })
    }
}

/// As the CORS layer says of every answer.
fn vary(mut response: Response) -> Response {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    response
}
