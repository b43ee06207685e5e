//! [`Entry`]: where a request enters.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, Request, header};
use axum::response::Response;
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper_util::server::graceful::Watcher;
use tower_service::Service as _;

use super::feed::Handover;
use super::router::{observe, router};
use super::server::Server;
use super::socket::{Push, Socket};
use super::{batch, forwarded, guard, keymap};

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
pub(super) struct Requests {
    pub(super) entry: Entry,
    pub(super) socket: Socket,
    /// Lets the end of the node wait for a feed that takes the connection.
    pub(super) watcher: Arc<Mutex<Option<Watcher>>>,
    /// Who is at its other end.
    pub(super) peer: Option<IpAddr>,
}

/// Whom a request comes from, as far as the connection tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

type Answering = Pin<Box<dyn Future<Output = Result<Response, HandedOver>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response;
    type Error = HandedOver;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        if matches!(request.uri().path(), "/v1/summaries" | "/v1/batch")
            && self.entry.server.process.sharing.options().is_some()
            && let Some(peer) = self.peer
        {
            let trusted = &self.entry.server.options.trusted_proxies;
            let client = forwarded::client(peer, request.headers(), trusted);
            request.extensions_mut().insert(Peer(client));
        }
        if request.method() != Method::POST || request.uri().path() != "/v1/changes" {
            return self.entry.call(request);
        }
        let version = request.version();
        let answer = self.entry.call(request);
        let (socket, watcher) = (self.socket.clone(), self.watcher.clone());
        Box::pin(async move {
            let mut response = answer.await?;
            let Some(handover) = response.extensions_mut().remove::<Handover>() else { return Ok(response) };
            // Where an earlier answer has not been taken, this one is sent behind it.
            let Some(stream) = socket.take() else { return Ok(response) };
            let Some(frames) = handover.take() else { return Err(HandedOver) };
            let push = Push::new(stream, response.headers(), version, frames);
            let watcher = watcher.lock().unwrap_or_else(PoisonError::into_inner).take();
            tokio::spawn(async move {
                push.await;
                drop(watcher);
            });
            Err(HandedOver)
        })
    }
}

impl Entry {
    fn call(&self, request: Request<Incoming>) -> Answering {
        if let Err(refusal) = guard::admit(&self.server.options, request.method(), request.headers()) {
            let server = self.server.clone();
            return Box::pin(async move { Ok(vary(observe(&server, "other", async { refusal }).await)) });
        }
        let simple = !request.headers().contains_key(header::ORIGIN);
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/v1/keymap") if simple => {
                let (server, (parts, _)) = (self.server.clone(), request.into_parts());
                let answer = keymap::get(State(server.clone()), parts.headers, parts.uri);
                Box::pin(async move { Ok(vary(observe(&server, "/v1/keymap", answer).await)) })
            }
            (&Method::POST, "/v1/batch") if simple => {
                let (server, (parts, body)) = (self.server.clone(), request.into_parts());
                let peer = parts.extensions.get().copied().map(Extension);
                let answer = batch::batch(State(server.clone()), peer, parts.headers, Body::new(body));
                Box::pin(async move { Ok(vary(observe(&server, "/v1/batch", answer).await)) })
            }
            _ => {
                let answer = self.router.clone().call(request);
                Box::pin(async move {
                    let Ok(answer) = answer.await;
                    Ok(answer)
                })
            }
        }
    }
}

/// As the CORS layer says of every answer.
fn vary(mut response: Response) -> Response {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    response
}
