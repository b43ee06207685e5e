//! The client of the SDK over HTTP: the very same adapter, with the least host that it needs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, header};
use foremap::Millis;
use foremap::adapter::{
    Action, Adapter, AdapterConfig, Answer, CallEnd, CallId, FailureKind, FlightId, GetRequest, Own, OwnWrite,
};
use foremap::key::CompositeKey;
use foremap::prefetch::Caution;
use foremap::protocol::{CONTENT_TYPE, KeymapFields};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::client::{Client, Reply};

type Outcome = (FlightId, Result<Reply, FailureKind>);

/// One session. One thing at a time.
pub(crate) struct Sdk {
    adapter: Adapter,
    client: Client,
    begun: Instant,
    wake: Option<Millis>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    report: mpsc::UnboundedSender<Outcome>,
    /// Write under way: URL path, locator and write id.
    writing: Option<(String, String, String)>,
    writes: u64,
    name: u64,
    /// Attempts of the write under way, and the last response to it.
    attempts: BTreeMap<FlightId, CallId>,
    last: Option<Reply>,
    answer: Option<Result<Answer, String>>,
    ended: Option<CallEnd>,
}

impl Sdk {
    pub(crate) fn new(origins: Vec<String>, name: u64) -> Self {
        let (report, outcomes) = mpsc::unbounded_channel();
        let config = AdapterConfig { origins, seed: name, ..AdapterConfig::default() };
        Self {
            adapter: Adapter::new(config).expect("valid options"),
            client: Client::new(),
            begun: Instant::now(),
            wake: None,
            outcomes,
            report,
            writing: None,
            writes: 0,
            name,
            attempts: BTreeMap::new(),
            last: None,
            answer: None,
            ended: None,
        }
    }

    /// One that fetches nothing ahead.
    pub(crate) fn quiet(origins: Vec<String>, name: u64) -> Self {
        let mut sdk = Self::new(origins, name);
        sdk.adapter.set_caution(Caution::Off);
        sdk
    }

    fn now(&self) -> Millis {
        self.begun.elapsed().as_millis() as Millis
    }

    /// The locator of `key`, through a gateway whatever the cache holds.
    pub(crate) async fn get(&mut self, key: &CompositeKey) -> Result<Option<String>, String> {
        let now = self.now();
        self.answer = None;
        self.adapter.handle_request(now, GetRequest { bypass_cache: true, ..GetRequest::new(key.clone()) });
        loop {
            self.drain();
            match self.answer.take() {
                Some(Ok(answer)) => return Ok(answer.keymap.map(|keymap| keymap.fields.locator.clone())),
                Some(Err(why)) => return Err(why),
                None => self.turn().await,
            }
        }
    }

    /// Writes `locator` under `key`.
    pub(crate) async fn put(&mut self, key: &CompositeKey, locator: &str) -> Result<u64, String> {
        self.writes += 1;
        let id = format!("{}-{}", self.name, self.writes);
        self.writing = Some((format!("/v1/keymap?key={key}"), locator.to_owned(), id));
        (self.ended, self.last) = (None, None);
        let fence = self.adapter.fence(self.now());
        self.adapter.call(self.now(), 0, 10_000, Some(key.clone()));
        let end = loop {
            self.drain();
            match self.ended.take() {
                Some(end) => break end,
                None => self.turn().await,
            }
        };
        let reply = match (end, self.last.take()) {
            (CallEnd::Response, Some(reply)) if reply.status.is_success() => reply,
            (end, last) => return Err(format!("{end:?} {last:?}")),
        };
        let body: Value = reply.json();
        let number = |name: &str| body[name].as_u64().expect("a number");
        let shard = u16::try_from(number("shard")).expect("a shard");
        let (key, version, position) = (key.clone(), number("version"), number("position"));
        let own = Own::Put(KeymapFields { locator: locator.to_owned(), ..KeymapFields::default() });
        self.adapter.handle_write(self.now(), OwnWrite { key, version, shard, position, own, fence });
        Ok(version)
    }

    fn drain(&mut self) {
        while let Some(action) = self.adapter.poll_action() {
            match action {
                Action::Answer { answer, .. } => self.answer = Some(Ok(answer)),
                Action::Fail { code, detail, .. } => self.answer = Some(Err(format!("{}: {detail}", code.as_str()))),
                Action::Send { flight, origin, body, timeout_ms, .. } => {
                    let url = format!("{origin}/v1/batch");
                    self.send(flight, Method::POST, url, vec![("content-type", CONTENT_TYPE.into())], body, timeout_ms);
                }
                Action::Attempt { call, flight, origin, timeout_ms, .. } => {
                    let (path, locator, id) = self.writing.clone().expect("a write");
                    self.attempts.insert(flight, call);
                    let body = serde_json::json!({ "locator": locator }).to_string().into_bytes();
                    let headers = vec![("content-type", "application/json".to_owned()), ("foremap-write-id", id)];
                    self.send(flight, Method::PUT, format!("{origin}{path}"), headers, body, timeout_ms);
                }
                Action::CallEnd { end, .. } => self.ended = Some(end),
                // It holds no feed.
                Action::OpenFeed { .. } | Action::CloseFeed { .. } | Action::Relay { .. } => {
                    unreachable!("not asked for")
                }
                Action::Abort { .. } | Action::SessionReset { .. } => {}
                Action::Wake { at, .. } => self.wake = Some(at),
            }
        }
    }

    fn send(
        &self,
        flight: FlightId,
        method: Method,
        url: String,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
        timeout_ms: u32,
    ) {
        let (client, report) = (self.client.clone(), self.report.clone());
        tokio::spawn(async move {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let sent = client.try_send(method, &url, &headers, body);
            let outcome = match tokio::time::timeout(Duration::from_millis(timeout_ms.into()), sent).await {
                Ok(Some(reply)) => Ok(reply),
                Ok(None) => Err(FailureKind::Network),
                Err(_) => Err(FailureKind::Timeout),
            };
            let _ = report.send((flight, outcome));
        });
    }

    /// Waits for whatever is next and tells the adapter.
    async fn turn(&mut self) {
        let wait = Duration::from_millis(self.wake.map_or(10_000, |at| at.saturating_sub(self.now())));
        match tokio::time::timeout(wait, self.outcomes.recv()).await {
            Err(_) => {
                self.wake = None;
                self.adapter.handle_timeout(self.now(), 0);
            }
            Ok(None) => unreachable!("it holds a sender"),
            Ok(Some((flight, outcome))) => {
                let now = self.now();
                let is_call = self.attempts.remove(&flight).is_some();
                match outcome {
                    Err(kind) => self.adapter.handle_failure(now, flight, kind),
                    Ok(reply) if is_call => {
                        self.adapter.handle_call_response(
                            now,
                            flight,
                            reply.status.as_u16(),
                            retry_after(&reply.headers),
                        );
                        self.last = Some(reply);
                    }
                    Ok(Reply { status, headers, body }) => self.answered(now, flight, status, &headers, &body),
                }
            }
        }
    }

    fn answered(&mut self, now: Millis, flight: FlightId, status: StatusCode, headers: &HeaderMap, body: &Bytes) {
        self.adapter.handle_response(now, flight, status.as_u16(), retry_after(headers), body);
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Millis> {
    let seconds: Millis = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(seconds * 1_000)
}
