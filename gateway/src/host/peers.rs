//! [`Peers`]: the way to nodes of other processes.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderName, Method, Request, StatusCode, header, request};
use foremap::key::CompositeKey;
use foremap::load::LoadReport;
use foremap::model::Handover;
use foremap::node::{PeerOutcome, PeerPass, PeerStats, PeerTable, Subject};
use foremap::partition::{MapNode, PartitionMap};
use foremap::protocol::{BatchRequest, BatchResponse, CONTENT_TYPE};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;

use super::ProcessClock;
use crate::auth::{OwnTokens, TokenKey, Verb};

/// Longest wait for a peer's answer, connecting included. A hop inside a data centre takes a few milliseconds; the
/// store answers as well, so there is no point in waiting for long.
const TIME_OUT: Duration = Duration::from_millis(300);
/// Longest wait for a peer's hot keys: one that hangs must not cost the keys of the others.
const HOT_TIME_OUT: Duration = Duration::from_millis(500);
/// Longest wait for a peer's load report: well within a round.
const LOAD_TIME_OUT: Duration = Duration::from_millis(700);
/// Marks a request that was handed on.
pub(crate) const RELAYED: HeaderName = HeaderName::from_static("foremap-relayed");
/// Names the subject that an extension of a feed is for, as 32 hexadecimal digits. It counts from another gateway only.
pub(crate) const SUBJECT: HeaderName = HeaderName::from_static("foremap-subject");
/// Connections kept open to one peer.
const IDLE_PER_PEER: usize = 16;
/// Time for which an unused connection is kept: less than what anything in between would tolerate.
const IDLE: Duration = Duration::from_secs(30);
/// Over every answer that a peer gives to a batch.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Keys in the memory of a node, as `GET /v1/hot` tells them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Deserialize)]
pub(crate) struct HotKeys {
    /// The keys, the most recently used first.
    pub(crate) keys: Vec<CompositeKey>,
}

/// A request for the coordinator.
pub(crate) struct Relayed {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: &'static str,
    /// Those that the answer depends on.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Longest wait for the answer.
    pub(crate) patience: Duration,
}

/// Verbs that a caller's reads need at a peer.
const FORWARD: &[Verb] = &[Verb::Get, Verb::Peer];
/// Verbs that asking a peer for what it knows of itself needs.
const ASK: &[Verb] = &[Verb::Peer];
/// Verbs that relaying an operator's request to the coordinator needs: the caller's own token has been checked.
const RELAY: &[Verb] = &[Verb::Admin];

/// Sends forwards to the nodes of other processes. One breaker a peer; bounded connections and requests under way.
pub struct Peers {
    client: Client<HttpConnector, Body>,
    clock: ProcessClock,
    tokens: OwnTokens,
    table: PeerTable,
}

impl Peers {
    pub(super) fn new(clock: ProcessClock, token_key: Option<TokenKey>) -> Self {
        let client = client(TIME_OUT);
        Self { client, clock, tokens: OwnTokens::new(token_key), table: PeerTable::default() }
    }

    /// Forgets peers that `map` does not name.
    pub(super) fn follow(&self, map: &PartitionMap) {
        self.table.retain(|id| map.node(id).is_some());
        self.tokens.retain(|origin| map.nodes.iter().any(|node| reachable(&node.origin) == Some(origin)));
    }

    /// Sends `request` to node `to`; `None` where it does not answer, and the store has to. A request that names a feed
    /// is sent in the name of `subject`.
    pub(super) async fn forward(
        &self,
        to: Option<&MapNode>,
        request: &BatchRequest,
        subject: Subject,
    ) -> Option<BatchResponse> {
        let guard = self.enter(to)?;
        let origin = guard.origin();
        let mut head = self.request(Method::POST, origin, FORWARD, &format!("{origin}/v1/batch"));
        if request.feed.is_some() {
            head = head.header(SUBJECT, format!("{:032x}", subject.0));
        }
        let sent = self.send(head, Body::from(request.encode()), MAX_ANSWER_BYTES);
        let answer = tokio::time::timeout(TIME_OUT, sent).await;
        let (outcome, answer) = match answer {
            Err(_) => (PeerOutcome::TimedOut, None),
            Ok(Err(outcome)) => (outcome, None),
            Ok(Ok(bytes)) => match BatchResponse::decode(&bytes) {
                Ok(answer) => (PeerOutcome::Answered, Some(answer)),
                Err(_) => (PeerOutcome::Refused, None),
            },
        };
        guard.leave(outcome);
        answer
    }

    /// The hot keys of node `of`, at most `limit`, asked for outside the breaker: it is about to be relied on less.
    pub(super) async fn hot_keys(&self, of: &MapNode, limit: usize) -> Result<Vec<CompositeKey>, &'static str> {
        let origin = reachable(&of.origin).ok_or("unreachable")?;
        let head = self.request(Method::GET, origin, ASK, &format!("{origin}/v1/hot?limit={limit}"));
        let answer = self.send(head, Body::empty(), MAX_ANSWER_BYTES);
        let answer = tokio::time::timeout(HOT_TIME_OUT, answer).await.unwrap_or(Err(PeerOutcome::TimedOut));
        let bytes = answer.map_err(PeerOutcome::name)?;
        let hot: HotKeys = serde_json::from_slice(&bytes).map_err(|_| "malformed")?;
        Ok(hot.keys)
    }

    /// The load report of node `of` for `round`, asked for outside the breaker: that is about requests.
    pub(super) async fn load(&self, of: &MapNode, round: u64) -> Option<LoadReport> {
        let origin = reachable(&of.origin)?;
        let head = self.request(Method::POST, origin, ASK, &format!("{origin}/v1/load?round={round}"));
        let answer = self.send(head, Body::empty(), LoadReport::MAX_BYTES);
        let bytes = tokio::time::timeout(LOAD_TIME_OUT, answer).await.ok()?.ok()?;
        // Nobody reports for another.
        LoadReport::decode(&bytes).ok().filter(|report| report.node == of.id)
    }

    /// Fetches what node `of` was told and has not handed over, once `taken`, the number behind the last page of an
    /// outbox, is noted there. Asked for outside the breaker.
    pub(super) async fn take_summaries(&self, of: &MapNode, taken: Option<(u64, u64)>) -> Option<Handover> {
        let origin = reachable(&of.origin)?;
        let url = match taken {
            None => format!("{origin}/v1/summaries/take"),
            Some((outbox, next)) => format!("{origin}/v1/summaries/take?outbox={outbox:016x}&next={next}"),
        };
        let head = self.request(Method::POST, origin, ASK, &url);
        let answer = self.send(head, Body::empty(), Handover::MAX_ENCODED);
        let bytes = tokio::time::timeout(LOAD_TIME_OUT, answer).await.ok()?.ok()?;
        Handover::decode(&bytes).ok()
    }

    /// Hands a request for the coordinator on to `origin`, marked, so that it is not handed on again.
    pub(crate) async fn relay(&self, origin: &str, relayed: Relayed) -> Option<(StatusCode, HeaderMap, Bytes)> {
        let (origin, patience) = (reachable(origin)?, relayed.patience);
        let url = format!("{origin}{}", relayed.path);
        let mut request = self.request(relayed.method, origin, RELAY, &url).header(RELAYED, "1");
        for (name, value) in &relayed.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(relayed.body)).ok()?;
        let answered = async {
            let response = self.client.request(request).await.ok()?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = to_bytes(Body::new(response.into_body()), MAX_ANSWER_BYTES).await.ok()?;
            Some((status, headers, body))
        };
        tokio::time::timeout(patience, answered).await.ok()?
    }

    fn enter(&self, to: Option<&MapNode>) -> Option<Guard<'_>> {
        let Some((node, origin)) = to.and_then(|node| Some((node, reachable(&node.origin)?))) else {
            self.table.unreachable();
            return None;
        };
        let pass = self.table.enter(self.clock.now(), node.id, origin).ok()?;
        Some(Guard { peers: self, pass: Some(pass) })
    }

    async fn send(&self, head: request::Builder, body: Body, limit: usize) -> Result<Bytes, PeerOutcome> {
        let request = head.header(header::CONTENT_TYPE, CONTENT_TYPE).body(body);
        let request = request.map_err(|_| PeerOutcome::Unreachable)?;
        let response = self.client.request(request).await.map_err(|_| PeerOutcome::Failed)?;
        if response.status() != StatusCode::OK {
            return Err(PeerOutcome::Refused);
        }
        to_bytes(Body::new(response.into_body()), limit).await.map_err(|_| PeerOutcome::Failed)
    }

    /// A request to be sent with the process's own token for `verbs` at `origin`.
    fn request(&self, method: Method, origin: &str, verbs: &'static [Verb], url: &str) -> request::Builder {
        let request = Request::builder().method(method).uri(url);
        match self.tokens.token(self.clock.now(), origin, verbs) {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// Counters and fills.
    pub fn stats(&self) -> PeerStats {
        self.table.stats(self.clock.now())
    }
}

/// A client of gateways that gives up connecting after `time_out`.
pub(crate) fn client(time_out: Duration) -> Client<HttpConnector, Body> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(time_out));
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_PEER)
        .build(connector)
}

/// `http://` alone: between gateways nothing speaks TLS. A node behind it is not forwarded to, the store answers.
pub(crate) fn reachable(origin: &str) -> Option<&str> {
    origin.starts_with("http://").then(|| origin.trim_end_matches('/'))
}

/// Counts a forward for as long as it is under way, also where its request is dropped.
struct Guard<'a> {
    peers: &'a Peers,
    pass: Option<PeerPass>,
}

impl Guard<'_> {
    fn origin(&self) -> &str {
        self.pass.as_ref().map_or("", PeerPass::origin)
    }

    fn leave(mut self, outcome: PeerOutcome) {
        self.end(Some(outcome));
    }

    fn end(&mut self, outcome: Option<PeerOutcome>) {
        if let Some(pass) = self.pass.take() {
            self.peers.table.leave(self.peers.clock.now(), pass, outcome);
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.end(None);
    }
}
