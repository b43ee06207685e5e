//! [`Peers`]: the way to nodes of other processes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderName, Method, Request, StatusCode, header, request};
use foremap::Millis;
use foremap::breaker::{Breaker, BreakerConfig};
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::load::LoadReport;
use foremap::model::Handover;
use foremap::node::Subject;
use foremap::partition::{MapNode, NodeId, PartitionMap};
use foremap::protocol::{BatchRequest, BatchResponse, CONTENT_TYPE};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;

use super::Clock;
use crate::auth::{Grant, TokenKey, Verb};

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
/// Most forwards under way to one peer; the others go to the store.
pub(crate) const MAX_IN_FLIGHT: usize = 64;
/// Connections kept open to one peer.
const IDLE_PER_PEER: usize = 16;
/// How long an unused connection is kept: less than what anything in between would tolerate.
const IDLE: Duration = Duration::from_secs(30);
/// Two in a row may be chance. A peer that came back is noticed after two seconds at the latest.
const BREAKER: BreakerConfig = BreakerConfig { failures: 2, first_ms: 200, most_ms: 2_000 };
/// Over every answer that a peer gives to a batch.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// How long a token that the process signs for a request of its own is valid: clocks may differ by a few seconds more.
const TOKEN_S: u64 = 10;
/// How long one is used, in milliseconds.
const TOKEN_USE_MS: Millis = 5_000;

/// What became of a request to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerOutcome {
    /// It answered.
    Answered,
    /// It answered with a problem.
    Refused,
    /// No connection, or one that broke.
    Failed,
    /// No answer in time.
    TimedOut,
    /// Not sent: the peer has not answered lately.
    Open,
    /// Not sent: too many are under way.
    Busy,
    /// Not sent: the map does not name it, or by an origin that cannot be reached from here.
    Unreachable,
}

impl PeerOutcome {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::Answered, Self::Refused, Self::Failed, Self::TimedOut, Self::Open, Self::Busy, Self::Unreachable];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Open => "open",
            Self::Busy => "busy",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Counters since start, and fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerStats {
    /// Requests by [`PeerOutcome`], in its order.
    pub outcomes: [u64; PeerOutcome::ALL.len()],
    /// Times that a breaker opened.
    pub breaker_opens: u64,
    /// Peers whose breaker is open.
    pub open: u64,
    /// Forwards under way.
    pub in_flight: u64,
    /// Bound of `in_flight`.
    pub in_flight_max: u64,
}

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
    /// How long to wait for the answer.
    pub(crate) patience: Duration,
}

/// What a request to a peer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    /// A caller's reads.
    Forward,
    /// What the peer knows of itself.
    Ask,
    /// What an operator asks of the coordinator: the caller's own token has been checked.
    Relay,
}

impl Purpose {
    fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Forward => &[Verb::Get, Verb::Peer],
            Self::Ask => &[Verb::Peer],
            Self::Relay => &[Verb::Admin],
        }
    }
}

/// Sends forwards to the nodes of other processes. One breaker a peer; bounded connections and requests under way.
pub struct Peers {
    client: Client<HttpConnector, Body>,
    clock: Clock,
    token_key: Option<TokenKey>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    peers: BTreeMap<NodeId, Peer>,
    /// The process's own tokens, one a peer and purpose, each with when it was signed.
    tokens: BTreeMap<(Arc<str>, Purpose), (Arc<str>, Millis)>,
    outcomes: [u64; PeerOutcome::ALL.len()],
    breaker_opens: u64,
}

struct Peer {
    origin: Arc<str>,
    breaker: Breaker,
    in_flight: usize,
}

impl Peers {
    pub(super) fn new(clock: Clock, token_key: Option<TokenKey>) -> Self {
        let client = client(TIME_OUT);
        Self { client, clock, token_key, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets peers that `map` does not name.
    pub(super) fn follow(&self, map: &PartitionMap) {
        let mut state = self.state();
        state.peers.retain(|&id, _| map.node(id).is_some());
        state.tokens.retain(|(origin, _), _| map.nodes.iter().any(|node| reachable(&node.origin) == Some(origin)));
    }

    /// What node `to` answers to `request`; `None` where it does not, and the store has to. A request that names a feed
    /// is sent in the name of `subject`.
    pub(super) async fn forward(
        &self,
        to: Option<&MapNode>,
        request: &BatchRequest,
        subject: Subject,
    ) -> Option<BatchResponse> {
        let (origin, guard) = self.enter(to)?;
        let url = format!("{origin}/v1/batch");
        let mut head = self.request(Method::POST, &origin, Purpose::Forward, &url);
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
        let head = self.request(Method::GET, origin, Purpose::Ask, &format!("{origin}/v1/hot?limit={limit}"));
        let answer = self.send(head, Body::empty(), MAX_ANSWER_BYTES);
        let answer = tokio::time::timeout(HOT_TIME_OUT, answer).await.unwrap_or(Err(PeerOutcome::TimedOut));
        let bytes = answer.map_err(PeerOutcome::name)?;
        let hot: HotKeys = serde_json::from_slice(&bytes).map_err(|_| "malformed")?;
        Ok(hot.keys)
    }

    /// The load report of node `of` for `round`, asked for outside the breaker: that is about requests.
    pub(super) async fn load(&self, of: &MapNode, round: u64) -> Option<LoadReport> {
        let origin = reachable(&of.origin)?;
        let head = self.request(Method::POST, origin, Purpose::Ask, &format!("{origin}/v1/load?round={round}"));
        let answer = self.send(head, Body::empty(), LoadReport::MAX_BYTES);
        let bytes = tokio::time::timeout(LOAD_TIME_OUT, answer).await.ok()?.ok()?;
        // Nobody reports for another.
        LoadReport::decode(&bytes).ok().filter(|report| report.node == of.id)
    }

    /// What node `of` was told and has not handed over, once `taken`, the number behind the last page of an outbox, is
    /// noted there. Asked for outside the breaker.
    pub(super) async fn take_summaries(&self, of: &MapNode, taken: Option<(u64, u64)>) -> Option<Handover> {
        let origin = reachable(&of.origin)?;
        let url = match taken {
            None => format!("{origin}/v1/summaries/take"),
            Some((outbox, next)) => format!("{origin}/v1/summaries/take?outbox={outbox:016x}&next={next}"),
        };
        let head = self.request(Method::POST, origin, Purpose::Ask, &url);
        let answer = self.send(head, Body::empty(), Handover::MAX_ENCODED);
        let bytes = tokio::time::timeout(LOAD_TIME_OUT, answer).await.ok()?.ok()?;
        Handover::decode(&bytes).ok()
    }

    /// Hands a request for the coordinator on to `origin`, marked, so that it is not handed on again.
    pub(crate) async fn relay(&self, origin: &str, relayed: Relayed) -> Option<(StatusCode, HeaderMap, Bytes)> {
        let (origin, patience) = (reachable(origin)?, relayed.patience);
        let url = format!("{origin}{}", relayed.path);
        let mut request = self.request(relayed.method, origin, Purpose::Relay, &url).header(RELAYED, "1");
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

    fn enter(&self, to: Option<&MapNode>) -> Option<(Arc<str>, Guard<'_>)> {
        let mut state = self.state();
        let Some((node, origin)) = to.and_then(|node| Some((node, reachable(&node.origin)?))) else {
            state.outcomes[PeerOutcome::Unreachable as usize] += 1;
            return None;
        };
        let fresh = || Peer { origin: origin.into(), breaker: Breaker::new(BREAKER), in_flight: 0 };
        let peer = state.peers.entry(node.id).or_insert_with(fresh);
        if *peer.origin != *origin {
            // It is elsewhere now: what is known of the old place says nothing.
            *peer = fresh();
        }
        let refused = if peer.in_flight >= MAX_IN_FLIGHT {
            PeerOutcome::Busy
        } else if !peer.breaker.enter(self.clock.now()) {
            PeerOutcome::Open
        } else {
            peer.in_flight += 1;
            let origin = peer.origin.clone();
            return Some((origin.clone(), Guard { peers: self, id: node.id, origin, done: false }));
        };
        state.outcomes[refused as usize] += 1;
        None
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

    /// A request to be sent with the process's own token for `purpose` at `origin`.
    fn request(&self, method: Method, origin: &str, purpose: Purpose, url: &str) -> request::Builder {
        let request = Request::builder().method(method).uri(url);
        match self.token(origin, purpose) {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// A token that is good for `purpose` at `origin` alone, and for seconds: whoever gets hold of it can do nothing with it
    /// elsewhere. Signed with the key that the peers check with.
    fn token(&self, origin: &str, purpose: Purpose) -> Option<Arc<str>> {
        let key = self.token_key.as_ref()?;
        let now = self.clock.now();
        let at = (Arc::from(origin), purpose);
        let known = self.state().tokens.get(&at).filter(|(_, signed)| now < signed + TOKEN_USE_MS).cloned();
        if let Some((token, _)) = known {
            return Some(token);
        }
        let (audience, prefixes) = (Some(origin), &[KeyPrefix::default()]);
        let grant = Grant { audience, verbs: purpose.verbs(), prefixes, ttl_s: TOKEN_S, ..Grant::default() };
        let token: Arc<str> = key.sign_grant(grant)?.into();
        self.state().tokens.insert(at, (token.clone(), now));
        Some(token)
    }

    /// Counters and fills.
    pub fn stats(&self) -> PeerStats {
        let now = self.clock.now();
        let state = self.state();
        PeerStats {
            outcomes: state.outcomes,
            breaker_opens: state.breaker_opens,
            open: state.peers.values().filter(|peer| peer.breaker.is_open(now)).count() as u64,
            in_flight: state.peers.values().map(|peer| peer.in_flight as u64).sum(),
            in_flight_max: (state.peers.len() * MAX_IN_FLIGHT) as u64,
        }
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
    id: NodeId,
    origin: Arc<str>,
    done: bool,
}

impl Guard<'_> {
    fn leave(mut self, outcome: PeerOutcome) {
        self.done = true;
        self.end(Some(outcome));
    }

    fn end(&self, outcome: Option<PeerOutcome>) {
        let now = self.peers.clock.now();
        let mut state = self.peers.state();
        let mut opened = false;
        // A peer that has moved meanwhile is another one.
        if let Some(peer) = state.peers.get_mut(&self.id).filter(|peer| Arc::ptr_eq(&peer.origin, &self.origin)) {
            peer.in_flight = peer.in_flight.saturating_sub(1);
            match outcome {
                // A problem is an answer too.
                Some(PeerOutcome::Answered | PeerOutcome::Refused) => peer.breaker.succeeded(),
                Some(_) => {
                    let before = peer.breaker.is_open(now);
                    peer.breaker.failed(now);
                    opened = !before && peer.breaker.is_open(now);
                }
                None => {}
            }
        }
        state.breaker_opens += u64::from(opened);
        if let Some(outcome) = outcome {
            state.outcomes[outcome as usize] += 1;
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.end(None);
        }
    }
}
