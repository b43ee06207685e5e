//! A host of the core's adapter: performs its actions over HTTP.
//!
//! One task owns the adapter. Callers and exchanges send it events; it drains the adapter after each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foremap::Millis;
use foremap::adapter::{
    Action, Adapter, AdapterConfig, Answer, CallEnd, CallId, FailureKind, FeedEnd, FlightId, GetRequest, Own, OwnWrite,
    RequestId,
};
use foremap::cache::Fence;
use foremap::key::CompositeKey;
use foremap::protocol::{CONTENT_TYPE, Consistency, ErrorCode, KeymapFields};
use foremap_check::{Outcome, Time};
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::clock::Clock;
use crate::http::{Http, Lost, Reply, request};
use crate::writing::{Attempts, Told, WriteRequest};

/// A caller's question.
pub(crate) struct Asked {
    pub(crate) key: CompositeKey,
    pub(crate) stream: String,
    pub(crate) consistency: Consistency,
    pub(crate) max_staleness_ms: u32,
    pub(crate) bypass_cache: bool,
}

/// Result of a read, and its time: ages count from then.
pub(crate) struct Got {
    pub(crate) at: Time,
    pub(crate) answer: Result<Answer, (ErrorCode, String)>,
}

/// Result of a write.
#[derive(Debug)]
pub(crate) struct Put {
    /// The outcome, where an attempt was told it.
    pub(crate) outcome: Option<Outcome>,
    /// All attempts.
    pub(crate) attempts: Attempts,
    /// The shard of an acknowledged write.
    pub(crate) shard: Option<u16>,
    /// Answer that no write should be told, if there was one.
    pub(crate) nonsense: Option<String>,
    /// Failure of the call by the client of the package, in words.
    pub(crate) failed: Option<String>,
}

enum Event {
    Get { asked: Asked, timeout_ms: u32, reply: oneshot::Sender<Got> },
    Write { write: WriteRequest, attempts: Attempts, timeout_ms: u32, reply: oneshot::Sender<Put> },
    Landed { flight: FlightId, call: Option<CallId>, outcome: Result<Reply, Lost> },
    FeedBytes { feed: FlightId, bytes: Bytes },
    FeedEnds { feed: FlightId, end: FeedEnd },
}

/// A handle to a client of the package.
#[derive(Clone)]
pub(crate) struct Sdk(mpsc::UnboundedSender<Event>);

impl Sdk {
    /// Starts a client; it ends when all handles are gone.
    pub(crate) fn start(clock: Clock, config: AdapterConfig) -> Result<Self, foremap::adapter::ConfigError> {
        let (events, inbox) = mpsc::unbounded_channel();
        let adapter = Adapter::new(config)?;
        let host = Host {
            clock,
            adapter,
            http: Http::new(),
            events: events.downgrade(),
            gets: HashMap::new(),
            writes: HashMap::new(),
            flights: HashMap::new(),
            wake: None,
            at: clock.now(),
        };
        tokio::spawn(host.run(inbox));
        Ok(Self(events))
    }

    /// One read; `None` where the client has ended.
    pub(crate) async fn get(&self, asked: Asked, timeout_ms: u32) -> Option<Got> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Event::Get { asked, timeout_ms, reply }).ok()?;
        answer.await.ok()
    }

    /// One call for a write, in as many attempts as the adapter makes.
    pub(crate) async fn write(&self, write: WriteRequest, attempts: Attempts, timeout_ms: u32) -> Option<Put> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Event::Write { write, attempts, timeout_ms, reply }).ok()?;
        answer.await.ok()
    }
}

struct Writing {
    write: WriteRequest,
    /// Taken before the first attempt of all.
    fence: Option<Fence>,
    put: Put,
    reply: oneshot::Sender<Put>,
}

struct Host {
    clock: Clock,
    adapter: Adapter,
    http: Http,
    events: mpsc::WeakUnboundedSender<Event>,
    gets: HashMap<RequestId, oneshot::Sender<Got>>,
    writes: HashMap<CallId, Writing>,
    flights: HashMap<FlightId, AbortHandle>,
    wake: Option<Millis>,
    /// When what is being handled happened.
    at: Time,
}

impl Host {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Event>) {
        loop {
            let pause = self.wake.map(|at| Duration::from_millis(at.saturating_sub(self.clock.millis())));
            tokio::select! {
                event = inbox.recv() => match event {
                    Some(event) => self.on(event),
                    None => break,
                },
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {
                    self.wake = None;
                    let now = self.tick();
                    self.adapter.handle_timeout(now, 0);
                }
            }
            while let Some(action) = self.adapter.poll_action() {
                self.perform(action);
            }
        }
        self.flights.values().for_each(AbortHandle::abort);
    }

    fn tick(&mut self) -> Millis {
        self.at = self.clock.now();
        self.at / 1_000
    }

    fn on(&mut self, event: Event) {
        let now = self.tick();
        match event {
            Event::Get { asked, timeout_ms, reply } => {
                let request = GetRequest {
                    stream: &asked.stream,
                    consistency: asked.consistency,
                    max_staleness_ms: asked.max_staleness_ms,
                    timeout_ms,
                    bypass_cache: asked.bypass_cache,
                    ..GetRequest::new(asked.key)
                };
                let id = self.adapter.handle_request(now, request);
                self.gets.insert(id, reply);
            }
            Event::Write { write, attempts, timeout_ms, reply } => {
                let call = self.adapter.call(now, 0, timeout_ms, Some(write.key.clone()));
                let put = Put { outcome: None, attempts, shard: None, nonsense: None, failed: None };
                // An earlier call under its id may have been what wrote: then it is not known since when that is there.
                let fence = (!attempts.may_have_happened()).then(|| self.adapter.fence(now));
                self.writes.insert(call, Writing { write, fence, put, reply });
            }
            Event::Landed { flight, call, outcome } => self.landed(now, flight, call, outcome),
            Event::FeedBytes { feed, bytes } => self.adapter.handle_feed_bytes(now, feed, &bytes),
            Event::FeedEnds { feed, end } => self.adapter.handle_feed_end(now, feed, end),
        }
    }

    /// Follows a change feed until it ends, or the adapter wants no more of it.
    fn follow(&mut self, feed: FlightId, request: hyper::Request<http_body_util::Full<Bytes>>) {
        let (http, events) = (self.http.clone(), self.events.clone());
        let task = tokio::spawn(async move {
            let tell = |event| events.upgrade().is_some_and(|events| events.send(event).is_ok());
            let end = match http.open(request).await {
                Ok(response) if response.status() == 200 => {
                    let mut body = response.into_body();
                    loop {
                        match body.frame().await {
                            Some(Ok(frame)) => {
                                tell(Event::FeedBytes { feed, bytes: frame.into_data().unwrap_or_default() });
                            }
                            Some(Err(_)) => break FeedEnd::Broken,
                            None => break FeedEnd::Ended,
                        }
                    }
                }
                Ok(response) => FeedEnd::Refused { status: response.status().as_u16(), retry_after: None },
                Err(_) => FeedEnd::Broken,
            };
            tell(Event::FeedEnds { feed, end });
        });
        self.flights.insert(feed, task.abort_handle());
    }

    fn landed(&mut self, now: Millis, flight: FlightId, call: Option<CallId>, outcome: Result<Reply, Lost>) {
        if self.flights.remove(&flight).is_none() {
            return;
        }
        if let Some(writing) = call.and_then(|call| self.writes.get_mut(&call)) {
            let told = Told::of(&outcome);
            writing.put.outcome = writing.put.attempts.add(&told, writing.write.expect);
            match told {
                Told::Written { version, shard, position } => {
                    writing.put.shard = Some(shard);
                    let key = writing.write.key.clone();
                    let fields =
                        |locator: &Arc<str>| KeymapFields { locator: locator.to_string(), ..KeymapFields::default() };
                    let own = writing.write.value.as_ref().map_or(Own::Deleted, |locator| Own::Put(fields(locator)));
                    let own = if writing.fence.is_some() { own } else { Own::Unknown };
                    let fence = writing.fence.unwrap_or_else(|| self.adapter.fence(now));
                    self.adapter.handle_write(now, OwnWrite { key, version, shard, position, own, fence });
                }
                Told::Nonsense(what) => writing.put.nonsense = Some(what),
                Told::Conflict { .. } | Told::NotDone | Told::Unknown => {}
            }
        }
        match outcome {
            Err(Lost::Timeout) => self.adapter.handle_failure(now, flight, FailureKind::Timeout),
            Err(Lost::Refused | Lost::Broken) => self.adapter.handle_failure(now, flight, FailureKind::Network),
            Ok(reply) if call.is_some() => {
                self.adapter.handle_call_response(now, flight, reply.status, reply.retry_after());
            }
            Ok(reply) => {
                self.adapter.handle_response(now, flight, reply.status, reply.retry_after(), &reply.body);
            }
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Answer { request, answer } => self.answer(request, Ok(answer)),
            Action::Fail { request, code, detail } => self.answer(request, Err((code, detail))),
            Action::Send { flight, origin, body, timeout_ms, .. } => {
                let headers = [("content-type", CONTENT_TYPE), ("accept", CONTENT_TYPE)];
                let request = request(Method::POST, &format!("{origin}/v1/batch"), &headers, body);
                self.send(flight, None, request, timeout_ms);
            }
            Action::Attempt { call, flight, origin, timeout_ms, .. } => {
                let Some(writing) = self.writes.get(&call) else { return };
                let request = writing.write.attempt(&origin);
                self.send(flight, Some(call), request, timeout_ms);
            }
            Action::CallEnd { call, end } => self.call_ended(call, end),
            Action::Abort { flight } => {
                if let Some(flight) = self.flights.remove(&flight) {
                    flight.abort();
                }
            }
            Action::OpenFeed { feed, origin, body, .. } => {
                let headers = [("content-type", CONTENT_TYPE), ("accept", CONTENT_TYPE)];
                self.follow(feed, request(Method::POST, &format!("{origin}/v1/changes"), &headers, body));
            }
            Action::CloseFeed { feed, .. } => {
                if let Some(feed) = self.flights.remove(&feed) {
                    feed.abort();
                }
            }
            // Each client has a feed of its own, and there is one store.
            Action::Relay { .. } | Action::SessionReset { .. } => {}
            Action::Wake { at, .. } => self.wake = Some(at),
        }
    }

    fn answer(&mut self, request: RequestId, answer: Result<Answer, (ErrorCode, String)>) {
        if let Some(reply) = self.gets.remove(&request) {
            // Who asked may have been told to stop.
            drop(reply.send(Got { at: self.at, answer }));
        }
    }

    fn call_ended(&mut self, call: CallId, end: CallEnd) {
        let Some(mut writing) = self.writes.remove(&call) else { return };
        if writing.put.outcome.is_none() {
            writing.put.failed = Some(format!("write of {}: {end:?}", writing.write.key.as_str()));
        }
        drop(writing.reply.send(writing.put));
    }

    fn send(
        &mut self,
        flight: FlightId,
        call: Option<CallId>,
        request: hyper::Request<http_body_util::Full<hyper::body::Bytes>>,
        timeout_ms: u32,
    ) {
        let (http, events) = (self.http.clone(), self.events.clone());
        let task = tokio::spawn(async move {
            let outcome = http.send(request, Duration::from_millis(timeout_ms.into())).await;
            if let Some(events) = events.upgrade() {
                // The host may have ended.
                drop(events.send(Event::Landed { flight, call, outcome }));
            }
        });
        self.flights.insert(flight, task.abort_handle());
    }
}
