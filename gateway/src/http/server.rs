//! [`Server`]: what every handler needs.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use axum::Extension;
use axum::http::{HeaderMap, header};
use foremap::key::CompositeKey;
use foremap::node::{Priority, Shares, Subject};
use foremap::protocol::{ErrorCode, Problem, ReadPoint};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::connections::Connections;
use super::forwarded::ClientAddress;
use super::handler_error::HandlerError;
use super::headers::{AGE, EPOCH, NODE, PARTITION, POSITION, number, set, whole_seconds};
use super::metrics::{Metrics, Watched};
use super::options::HttpOptions;
use super::permits::{MAX_EVENT_FEEDS, MAX_LISTS};
use super::receiving::Receiving;
use crate::auth::TokenScope;
use crate::host::{NodeHandle, Process};

/// One node's HTTP server.
pub struct Server {
    pub(super) process: Arc<Process>,
    pub(super) node: Arc<NodeHandle>,
    pub(super) options: HttpOptions,
    pub(super) metrics: Metrics,
    pub(super) connections: Arc<Connections>,
    pub(super) receiving: Arc<Receiving>,
    /// Change feeds being served as events.
    pub(super) event_feeds: Arc<Mutex<Shares>>,
    /// Lists under way.
    pub(super) lists: Arc<Mutex<Shares>>,
    /// Requests that wait for a newer map.
    pub(super) map_waits: Arc<AtomicUsize>,
    /// Becomes true when the process ends: change feeds would otherwise hold it up.
    pub(super) stop: watch::Receiver<bool>,
}

impl Server {
    /// Serves `node` of `process` until `stop` becomes true.
    pub fn new(
        process: Arc<Process>,
        node: Arc<NodeHandle>,
        mut options: HttpOptions,
        stop: watch::Receiver<bool>,
    ) -> Arc<Self> {
        // What other gateways sign for the node is for its origin.
        options.audiences.extend(options.origins.iter().cloned());
        let event_feeds = Arc::new(Mutex::new(Shares::new(MAX_EVENT_FEEDS)));
        let lists = Arc::new(Mutex::new(Shares::new(MAX_LISTS)));
        let map_waits = Arc::new(AtomicUsize::new(0));
        let connections = Connections::new(options.limits.connections);
        let receiving = Receiving::new(options.limits.unfinished);
        let watched = Watched {
            event_feeds: event_feeds.clone(),
            lists: lists.clone(),
            map_waits: map_waits.clone(),
            connections: connections.clone(),
            receiving: receiving.clone(),
        };
        let metrics = Metrics::new(node.clone(), process.clone(), watched);
        Arc::new(Self { process, node, options, metrics, connections, receiving, event_feeds, lists, map_waits, stop })
    }

    /// Returns what the request's token allows.
    pub(super) fn scope(&self, headers: &HeaderMap) -> Result<TokenScope, Problem> {
        let Some(key) = &self.options.token_key else { return Ok(TokenScope::all()) };
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let missing = || Problem::new(ErrorCode::Unauthenticated, "an `Authorization: Bearer` token is needed");
        key.verify(token.ok_or_else(missing)?, &self.options.audiences)
    }

    /// In whose share of what is bounded a request is: its token's subject, or where the node checks no tokens, the address
    /// that it comes from.
    pub(super) fn subject(scope: &TokenScope, peer: Option<Extension<ClientAddress>>) -> Subject {
        match (scope.subject(), peer) {
            (subject, Some(Extension(ClientAddress(address)))) if subject == Subject::default() => {
                Subject::of_address(address)
            }
            (subject, _) => subject,
        }
    }

    /// Returns when it is the turn of a request.
    ///
    /// # Errors
    /// `OVERLOADED` while there are too many of them.
    pub(super) async fn admit(&self, priority: Priority) -> Result<(), HandlerError> {
        self.process.gate.enter(priority).await.map_err(|wait| {
            let detail = format!("the node has more to do than it can, and takes no {} on", priority.name());
            let mut headers = HeaderMap::new();
            number(&mut headers, header::RETRY_AFTER, whole_seconds(wait));
            HandlerError::new(ErrorCode::Overloaded, detail).with_headers(headers)
        })
    }

    /// Epoch and node, as every answer names them.
    pub(super) fn headers(&self) -> HeaderMap {
        self.about(self.node.id())
    }

    fn about(&self, node: u32) -> HeaderMap {
        // Room for what handlers and the connection add, so that the map never grows.
        let mut headers = HeaderMap::with_capacity(16);
        set(&mut headers, EPOCH, &self.node.node().map_knowledge().epoch.to_string());
        number(&mut headers, NODE, node.into());
        headers
    }

    /// The same, and what an answer about `key` is current as of.
    pub(super) fn headers_at(&self, key: &CompositeKey, at: ReadPoint, node: u32) -> HeaderMap {
        let mut headers = self.about(node);
        number(&mut headers, PARTITION, self.node.node().locate(key).partition.into());
        set(&mut headers, POSITION, &format!("{}:{}", at.shard, at.position));
        number(&mut headers, AGE, at.age_ms.into());
        headers
    }
}
