//! A client's adapter between an application and gateways that answer anything at all.

use std::collections::BTreeMap;

use foremap::Millis;
use foremap::adapter::{
    Action, Adapter, AdapterConfig, Answer, Attention, CallId, FailureKind, FeedConfig, FeedEnd, FlightId, GetRequest,
    Own, OwnWrite, RequestId, Scope, Served,
};
use foremap::analyzer::AnalyzerConfig;
use foremap::cache::{CacheConfig, Fence};
use foremap::key::CompositeKey;
use foremap::partition::MapDelta;
use foremap::prefetch::PrefetchConfig;
use foremap::protocol::{
    BatchItem, BatchRequest, BatchResponse, Change, ClockReading, Consistency, ErrorCode, FeedFrame, FeedId, FeedStep,
    Hello, ItemResult, Keymap, KeymapFields, LateShard, MAX_BATCH_KEYS, MAX_VERSION, MapUpdate, Outcome, ReadPoint,
};

use crate::input::Input;
use crate::seeds;

const ORIGINS: [&str; 2] = ["http://a.example", "http://b.example"];
/// The application's keys: few enough to meet, with a pattern to learn.
const KEYS: u8 = 24;
const STALENESS_MS: u32 = 2_000;
/// Longer than any time-out, pause and breaker.
const CALM_MS: Millis = 120_000;

fn key(number: u8) -> CompositeKey {
    let part = ["profile", "avatar", "inbox"][usize::from(number % 3)];
    CompositeKey::parse(&format!("user/{}/{part}", number % KEYS / 3)).expect("valid")
}

struct Asked {
    key: CompositeKey,
    consistency: Consistency,
}

struct Host {
    adapter: Adapter,
    now: Millis,
    asked: BTreeMap<RequestId, Asked>,
    flights: BTreeMap<FlightId, Vec<u8>>,
    attempts: BTreeMap<FlightId, CallId>,
    calls: BTreeMap<CallId, Scope>,
    wakes: BTreeMap<Scope, Millis>,
    answered: usize,
    last: Option<(RequestId, Result<Answer, ErrorCode>)>,
    feed: Option<FlightId>,
}

impl Host {
    fn new() -> Self {
        let analyzer = AnalyzerConfig { memory_bytes: PrefetchConfig::MIN_MEMORY, ..AnalyzerConfig::default() };
        let config = AdapterConfig {
            origins: ORIGINS.map(String::from).to_vec(),
            max_waiting: 32,
            max_prefetching: 8,
            cache: CacheConfig { max_bytes: 8 << 10, max_entries: 16, ..CacheConfig::default() },
            prefetch: PrefetchConfig { analyzer, ..PrefetchConfig::default() },
            feed: FeedConfig { enabled: true, ..FeedConfig::default() },
            ..AdapterConfig::default()
        };
        Self {
            adapter: Adapter::new(config).expect("valid options"),
            now: 1_000,
            asked: BTreeMap::new(),
            flights: BTreeMap::new(),
            attempts: BTreeMap::new(),
            calls: BTreeMap::new(),
            wakes: BTreeMap::new(),
            answered: 0,
            last: None,
            feed: None,
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.adapter.poll_action() {
            match action {
                Action::Answer { request, answer } => self.answer(request, answer),
                Action::Fail { request, code, .. } => {
                    assert!(self.asked.remove(&request).is_some(), "a second outcome");
                    self.last = Some((request, Err(code)));
                }
                Action::Send { flight, body, .. } => {
                    let request = BatchRequest::decode(&body).expect("gateways can read what clients send");
                    assert_eq!(request.encode(), body);
                    self.flights.insert(flight, body);
                }
                Action::Attempt { call, flight, .. } => _ = self.attempts.insert(flight, call),
                Action::CallEnd { call, .. } => {
                    assert!(self.calls.remove(&call).is_some(), "a call under way");
                }
                Action::Abort { flight } => {
                    assert!(self.flights.remove(&flight).is_some() || self.attempts.remove(&flight).is_some());
                }
                Action::OpenFeed { feed, body, .. } => {
                    let request = BatchRequest::decode(&body).expect("gateways can read what clients send");
                    assert!(request.items.is_empty() && self.feed.replace(feed).is_none(), "one feed at a time");
                }
                Action::CloseFeed { feed, .. } => assert_eq!(self.feed.take(), Some(feed)),
                Action::Relay { .. } => panic!("nobody asked for it"),
                Action::SessionReset { .. } => {}
                Action::Wake { scope, at } => _ = self.wakes.insert(scope, at),
            }
        }
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        let asked = self.asked.remove(&request).expect("a second outcome");
        if let Some(keymap) = &answer.keymap {
            assert_eq!(keymap.key, asked.key, "another key's keymap");
        }
        if matches!(answer.served, Served::Cache | Served::Negative) {
            assert!(answer.age_ms <= STALENESS_MS.into(), "{answer:?}");
            assert_ne!(asked.consistency, Consistency::Strong, "{answer:?}");
        }
        assert!(answer.served != Served::Stale || asked.consistency == Consistency::Any, "{answer:?}");
        self.answered += 1;
        self.last = Some((request, Ok(answer)));
    }

    fn assert_bounds(&self) {
        let stats = self.adapter.stats(self.now);
        for fill in [stats.waiting, stats.calling, stats.prefetching, stats.floors, stats.origins] {
            assert!(fill.used <= fill.bound, "{fill:?}");
        }
        assert_eq!(stats.waiting.used, self.asked.len(), "every request waits or has its outcome");
        // Given up, but in a batch that others wait for.
        let orphans = (MAX_BATCH_KEYS - 1) * self.flights.len();
        assert!(stats.fetching <= stats.waiting.used + stats.prefetching.used + orphans, "{} fetches", stats.fetching);
        assert_eq!(stats.calling.used, self.calls.len(), "every call is under way or has ended");
        assert_eq!(stats.flights, self.flights.len() + self.attempts.len(), "the host and the adapter agree");
        assert!(stats.flights <= stats.fetching + stats.calling.used + 16, "{} flights", stats.flights);
    }

    fn get(&mut self, scope: Scope, key: CompositeKey, consistency: Consistency, bypass_cache: bool) -> RequestId {
        let request = GetRequest {
            scope,
            stream: "s",
            consistency,
            max_staleness_ms: STALENESS_MS,
            bypass_cache,
            ..GetRequest::new(key.clone())
        };
        let id = self.adapter.handle_request(self.now, request);
        assert!(self.asked.insert(id, Asked { key, consistency }).is_none());
        self.drain();
        id
    }

    fn pass(&mut self, ms: Millis) {
        let end = self.now + ms;
        loop {
            let due = self.wakes.iter().filter(|&(_, &at)| at <= end).min_by_key(|&(_, &at)| at);
            let Some((&scope, &at)) = due else { break };
            self.now = self.now.max(at);
            self.wakes.remove(&scope);
            self.adapter.handle_timeout(self.now, scope);
            self.drain();
        }
        self.now = end;
    }

    /// The flight that an input means, if there is one.
    fn flight(&mut self, choice: u8) -> Option<(FlightId, BatchRequest)> {
        let at = usize::from(choice) % self.flights.len().max(1);
        let (&flight, body) = self.flights.iter().nth(at)?;
        let request = BatchRequest::decode(body).expect("checked when it was sent");
        self.flights.remove(&flight);
        Some((flight, request))
    }

    fn respond(&mut self, flight: FlightId, status: u16, retry_after: Option<Millis>, body: &[u8]) {
        self.adapter.handle_response(self.now, flight, status, retry_after, body);
        self.drain();
    }
}

/// A script of requests, answers, failures and pauses; afterwards the adapter must serve as if nothing had been.
pub fn adapter(data: &[u8]) -> bool {
    let mut host = Host::new();
    let mut input = Input::new(data);
    while !input.is_empty() {
        step(&mut host, &mut input);
        host.assert_bounds();
    }
    let answered = host.answered > 0;
    assert_recovers(&mut host);
    answered
}

fn step(host: &mut Host, input: &mut Input<'_>) {
    let scope = Scope::from(input.u8() % 3);
    match input.u8() % 10 {
        0 | 1 => {
            let (key, choice) = (key(input.u8()), input.u8());
            let consistency = [Consistency::Bounded, Consistency::Strong, Consistency::Any][usize::from(choice % 3)];
            host.get(scope, key, consistency, choice >= 192);
        }
        2 => host.pass(u64::from(input.u8())),
        3 => host.pass(100 * u64::from(input.u8())),
        4 => {
            let Some((flight, _)) = host.flight(input.u8()) else { return };
            let status = input.pick(&[200, 200, 200, 429, 503, 404, 0, 999]);
            let retry_after = input.pick(&[None, Some(0), Some(1_000), Some(Millis::MAX)]);
            let length = usize::from(input.u16());
            host.respond(flight, status, retry_after, input.bytes(length));
        }
        5 | 6 => {
            let Some((flight, request)) = host.flight(input.u8()) else { return };
            let answer = forged(&request, input).encode();
            host.respond(flight, 200, None, &answer);
        }
        7 => {
            let kind = input.pick(&[FailureKind::Network, FailureKind::Timeout, FailureKind::Aborted]);
            let Some((flight, _)) = host.flight(input.u8()) else { return };
            host.adapter.handle_failure(host.now, flight, kind);
            host.drain();
        }
        8 => raw_call(host, scope, input),
        _ => {
            match input.u8() % 6 {
                0 => {
                    let request = host.asked.keys().next().copied();
                    request.iter().for_each(|&request| host.adapter.handle_cancel(host.now, request));
                }
                1 => close(host, scope),
                2 => {
                    let (key, version, position) = (key(input.u8()), position(input), position(input));
                    let own = [Own::Unknown, Own::Deleted, Own::Put(KeymapFields::default())];
                    let own = own[usize::from(input.u8() % 3)].clone();
                    let fence = Fence::from_parts([input.u64() % 64, input.u64() % (host.now + 10)]);
                    host.adapter.handle_write(host.now, OwnWrite { key, version, shard: 3, position, own, fence });
                }
                3 => feed_speaks(host, input),
                4 => {
                    let end = [FeedEnd::Ended, FeedEnd::Broken, FeedEnd::Refused { status: 503, retry_after: None }];
                    let end = end[usize::from(input.u8() % 3)];
                    host.feed.iter().for_each(|&feed| host.adapter.handle_feed_end(host.now, feed, end));
                }
                _ => match input.u8() % 4 {
                    0 => host.adapter.handle_attention(host.now, Attention::Away),
                    1 => host.adapter.handle_attention(host.now, Attention::Active),
                    2 => host.adapter.handle_resume(host.now),
                    _ => host.adapter.handle_clock_break(host.now),
                },
            }
            host.drain();
        }
    }
}

/// Bytes of the feed: any, or frames in order with content as an input has it.
fn feed_speaks(host: &mut Host, input: &mut Input<'_>) {
    let Some(feed) = host.feed else { return };
    let length = usize::from(input.u8());
    let bytes = match input.u8() % 4 {
        0 => input.bytes(length).to_vec(),
        1 => [&FeedFrame::PREAMBLE[..], &forged_frame(input).encode()].concat(),
        _ => forged_frame(input).encode(),
    };
    host.adapter.handle_feed_bytes(host.now, feed, &bytes);
}

fn forged_frame(input: &mut Input<'_>) -> FeedFrame {
    let feed = FeedId { node: 1, number: input.u8().into() };
    let (clock, heartbeat_ms) = (input.u8().into(), input.u16().into());
    let bits = input.u8();
    let hello = Hello { feed, clock, heartbeat_ms, incarnation: u32::from(bits >> 6), relayed: bits % 8 == 1 };
    let step = |input: &mut Input<'_>| {
        let (a, b) = (position(input), position(input));
        FeedStep { shard: input.u8().into(), from: a.min(b), to: a.max(b) }
    };
    FeedFrame {
        hello: (input.u8() % 3 == 1).then_some(hello),
        number: (input.u8() % 4).into(),
        clock_ms: position(input),
        age_ms: input.u16().into(),
        steps: (0..input.u8() % 3).map(|_| step(input)).collect(),
        late: (0..input.u8() % 2).map(|_| LateShard { shard: input.u8().into(), age_ms: u32::MAX }).collect(),
        changes: forged_changes(input),
    }
}

fn close(host: &mut Host, scope: Scope) {
    host.adapter.handle_scope_end(host.now, scope);
    host.drain();
    host.wakes.remove(&scope);
    // Its calls ended without a word: the host closes a scope because nobody waits in it.
    host.calls.retain(|_, of| *of != scope);
}

fn raw_call(host: &mut Host, scope: Scope, input: &mut Input<'_>) {
    let choice = input.u8();
    if choice < 128 {
        let call = host.adapter.call(host.now, scope, 10_000, Some(key(choice)));
        host.calls.insert(call, scope);
    } else if let Some((flight, _)) = host.attempts.pop_first() {
        let status = input.pick(&[200, 503, 429, 404, 0]);
        host.adapter.handle_call_response(host.now, flight, status, input.pick(&[None, Some(5), Some(Millis::MAX)]));
    }
    host.drain();
}

/// An answer in the form of the protocol, with content as an input has it.
fn forged(request: &BatchRequest, input: &mut Input<'_>) -> BatchResponse {
    let results = request.items.iter().map(|item| forged_result(item, input)).collect();
    let positions = (0..input.u8() % 4).map(|_| point(input)).collect();
    let changes = forged_changes(input);
    let resets = (0..input.u8() % 3).map(|_| input.u8().into()).collect();
    let base = seeds::base_map();
    let map = match input.u8() % 8 {
        0 => Some(MapUpdate::Full(base.encode())),
        1 => Some(MapUpdate::Full(seeds::next_map().encode())),
        2 => MapDelta::between(&base, &seeds::next_map()).map(|delta| MapUpdate::Delta(delta.encode())),
        3 => Some(MapUpdate::Full(input.bytes(64).to_vec())),
        4 => Some(MapUpdate::Delta(input.bytes(64).to_vec())),
        _ => None,
    };
    let clock = (input.u8() % 2 == 1).then(|| ClockReading { id: input.u8().into(), ms: position(input) });
    BatchResponse { epoch: base.epoch, clock, results, positions, changes, resets, map }
}

fn forged_changes(input: &mut Input<'_>) -> Vec<Change> {
    let count = input.u8() % 4;
    let change = |_| Change {
        shard: input.u8().into(),
        version: position(input),
        key: key(input.u8()),
        deleted: input.u8() % 2 == 1,
    };
    (0..count).map(change).collect()
}

fn forged_result(item: &BatchItem, input: &mut Input<'_>) -> ItemResult {
    let keymap = |key: CompositeKey, input: &mut Input<'_>| {
        let locator = "l".repeat(usize::from(input.u8()));
        let tags = vec!["t".to_owned(); usize::from(input.u8() % 4)];
        Keymap { key, version: position(input), fields: KeymapFields { locator, tags, ..KeymapFields::default() } }
    };
    let outcome = match input.u8() % 8 {
        0..=2 => Outcome::Found { keymap: keymap(item.key.clone(), input) },
        3 => Outcome::Found { keymap: keymap(key(input.u8()), input) },
        4 => Outcome::Unchanged { version: item.if_version.unwrap_or(7) },
        5 => Outcome::Unchanged { version: position(input) },
        6 => Outcome::Missing,
        _ => Outcome::Error { code: input.pick(ErrorCode::ALL), detail: "forged".into() },
    };
    ItemResult { outcome, at: point(input), node: input.u8().into() }
}

fn position(input: &mut Input<'_>) -> u64 {
    match input.u8() {
        choice @ 0..=127 => choice.into(),
        128..=191 => input.u16().into(),
        192..=223 => input.u64().min(MAX_VERSION),
        _ => MAX_VERSION,
    }
}

fn point(input: &mut Input<'_>) -> ReadPoint {
    let shard = if input.u8() < 128 { 3 } else { input.u16() };
    let age_ms = match input.u8() {
        255 => u32::MAX,
        choice => u32::from(choice) * 20,
    };
    ReadPoint { shard, position: position(input), age_ms }
}

/// Everything under way ends, and a gateway that keeps to the protocol is understood.
fn assert_recovers(host: &mut Host) {
    while let Some((flight, _)) = host.flight(0) {
        host.adapter.handle_failure(host.now, flight, FailureKind::Network);
        host.drain();
    }
    while let Some((flight, _)) = host.attempts.pop_first() {
        host.adapter.handle_failure(host.now, flight, FailureKind::Timeout);
        host.drain();
    }
    for _ in 0..CALM_MS / 1_000 {
        host.pass(1_000);
        serve_well(host);
    }
    assert!(host.asked.is_empty() && host.calls.is_empty(), "nothing waits for ever");
    host.assert_bounds();
    let request = host.get(0, key(0), Consistency::Bounded, true);
    for _ in 0..20 {
        host.pass(10);
        serve_well(host);
    }
    let outcome = host.last.take().filter(|(id, _)| *id == request).map(|(_, outcome)| outcome);
    let answer = outcome.expect("an outcome").expect("an answer");
    assert_eq!(answer.keymap.as_ref().map(|keymap| keymap.fields.locator.as_str()), Some("well"), "{answer:?}");
}

/// Answers everything under way as current as can be.
fn serve_well(host: &mut Host) {
    while let Some((flight, request)) = host.flight(0) {
        let result = |item: &BatchItem| {
            let fields = KeymapFields { locator: "well".into(), ..KeymapFields::default() };
            let keymap = Keymap { key: item.key.clone(), version: MAX_VERSION, fields };
            let at = ReadPoint { shard: 3, position: MAX_VERSION, age_ms: 0 };
            ItemResult { outcome: Outcome::Found { keymap }, at, node: 1 }
        };
        let results = request.items.iter().map(result).collect();
        let answer = BatchResponse { epoch: seeds::base_map().epoch, results, ..BatchResponse::default() };
        host.respond(flight, 200, None, &answer.encode());
    }
    while let Some((flight, _)) = host.attempts.pop_first() {
        host.adapter.handle_call_response(host.now, flight, 200, None);
        host.drain();
    }
}
