//! [`Server`]: what every handler needs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use foremap::Millis;
use foremap::key::CompositeKey;
use foremap::node::{Priority, Shares, Subject};
use foremap::protocol::{ErrorCode, Problem, ReadPoint};
use ipnet::IpNet;
use tokio::sync::watch;

use super::changes::MAX_EVENT_FEEDS;
use super::connections::Connections;
use super::entry::Peer;
use super::limits::Limits;
use super::list::MAX_LISTS;
use super::metrics::{Metrics, Watched};
use super::receiving::Receiving;
use super::refusal::Refusal;
use crate::auth::{Scope, TokenKey};
use crate::host::{NodeHandle, Process};

pub(super) const POSITION: HeaderName = HeaderName::from_static("foremap-position");
pub(super) const AGE: HeaderName = HeaderName::from_static("foremap-age");
pub(super) const EPOCH: HeaderName = HeaderName::from_static("foremap-epoch");
pub(super) const NODE: HeaderName = HeaderName::from_static("foremap-node");
pub(super) const PARTITION: HeaderName = HeaderName::from_static("foremap-partition");
pub(super) const MODEL: HeaderName = HeaderName::from_static("foremap-model");
pub(super) const WRITE_ID: HeaderName = HeaderName::from_static("foremap-write-id");
pub(super) const STREAM: HeaderName = HeaderName::from_static("foremap-stream");

/// How a node speaks HTTP.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// Origins that browsers may call from; `http://localhost:*` stands for any port.
    pub cors_origins: Vec<String>,
    /// Checks tokens; without it everything is allowed.
    pub token_key: Option<TokenKey>,
    /// Origins that the node itself goes by.
    pub origins: Vec<String>,
    /// Further names that a token may be for.
    pub audiences: Vec<String>,
    /// Proxies whose word counts about who calls.
    pub trusted_proxies: Vec<IpNet>,
    /// What is taken from whoever connects.
    pub limits: Limits,
    /// Slept before handling a request and again before answering it, for demonstrations.
    pub origin_latency: Duration,
}

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

    /// What the request's token allows.
    pub(super) fn scope(&self, headers: &HeaderMap) -> Result<Scope, Problem> {
        let Some(key) = &self.options.token_key else { return Ok(Scope::all()) };
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
    pub(super) fn subject(scope: &Scope, peer: Option<Extension<Peer>>) -> Subject {
        match (scope.subject(), peer) {
            (subject, Some(Extension(Peer(address)))) if subject == Subject::default() => Subject::of_address(address),
            (subject, _) => subject,
        }
    }

    /// Returns when it is the turn of a request.
    ///
    /// # Errors
    /// `OVERLOADED` while there are too many of them.
    pub(super) async fn admit(&self, priority: Priority) -> Result<(), Refusal> {
        self.process.gate.enter(priority).await.map_err(|wait| {
            let detail = format!("the node has more to do than it can, and takes no {} on", priority.name());
            let mut headers = HeaderMap::new();
            number(&mut headers, header::RETRY_AFTER, whole_seconds(wait));
            Refusal::new(ErrorCode::Overloaded, detail).with_headers(headers)
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

/// For `retry-after`: not sooner.
pub(super) fn whole_seconds(wait: Millis) -> u64 {
    wait.div_ceil(1_000).max(1)
}

/// Sets a header whose value is a number.
pub(super) fn number(headers: &mut HeaderMap, name: HeaderName, value: u64) {
    headers.insert(name, HeaderValue::from(value));
}

/// One of a bounded number of places, for as long as it lives.
pub(super) struct Slot(Arc<AtomicUsize>);

impl Slot {
    /// `None` where `most` are taken.
    pub(super) fn enter(count: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let slot = Self(count.clone());
        // Dropped where it is one too many.
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of a bounded number of places that subjects share, for as long as it lives.
pub(super) struct Share {
    shares: Arc<Mutex<Shares>>,
    subject: Subject,
}

impl Share {
    /// # Errors
    /// The bound that stands in the way.
    pub(super) fn enter(shares: &Arc<Mutex<Shares>>, subject: Subject) -> Result<Self, usize> {
        shares.lock().unwrap_or_else(PoisonError::into_inner).enter(subject)?;
        Ok(Self { shares: shares.clone(), subject })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner).leave(self.subject);
    }
}

/// Sets a header whose value is made of digits and punctuation.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The entity tag of a version.
pub(super) fn etag(version: u64) -> String {
    format!("\"{version}\"")
}
