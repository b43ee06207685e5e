//! The host of one client: its clock, its wakes, and what it has under way.

use std::collections::{BTreeMap, BTreeSet};

use foremap::Millis;
use foremap::adapter::{Adapter, AdapterConfig, FeedConfig, FlightId, Scope};
use foremap::analyzer::AnalyzerConfig;
use foremap::cache::{CacheConfig, Fence};
use foremap::clock::LocalClock;
use foremap::prefetch::PrefetchConfig;
use foremap::protocol::{BatchRequest, FeedFrame, FeedReader};

use super::gateway::Feed;
use super::judge::{Judge, Session};
use super::truth::{GATEWAYS, Shape, Truth, origin};

/// A feed that a client asked for.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: FlightId,
    pub(crate) gateway: usize,
    pub(crate) request: BatchRequest,
    pub(crate) source: Source,
    /// On their way.
    pub(crate) queue: Vec<Packet>,
    /// Rest of a frame that was cut.
    pub(crate) rest: Vec<u8>,
    /// Reads what arrived.
    pub(crate) reader: FeedReader,
    /// True once the first bytes have arrived.
    pub(crate) begun: bool,
    /// Number of the newest frame that arrived.
    pub(crate) heard: u32,
}

/// Sender of its frames.
#[derive(Debug)]
pub(crate) enum Source {
    /// Nobody yet.
    Asked,
    Gateway(Feed),
    /// The other client.
    Relay,
}

/// A frame on its way.
#[derive(Debug, Clone)]
pub(crate) enum Packet {
    Frame(FeedFrame),
    Relayed(Vec<u8>),
}

/// A write of this client that is under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnderWay {
    pub(crate) key: u8,
    pub(crate) deletes: bool,
    pub(crate) known: bool,
    pub(crate) fence: Fence,
    pub(crate) events: u64,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) adapter: Adapter,
    pub(crate) clock: LocalClock,
    /// Cores that it has had.
    pub(crate) generation: u32,
    pub(crate) now: Millis,
    pub(crate) wakes: BTreeMap<Scope, Millis>,
    pub(crate) stream: Option<Stream>,
    pub(crate) judge: Judge,
    /// State that was exported last, and the session of then.
    pub(crate) kept: Option<(Vec<u8>, Session)>,
    pub(crate) puts: BTreeMap<u32, UnderWay>,
    /// Invalidations and own writes so far.
    pub(crate) events: u64,
    pub(crate) invalidated_at: Option<Millis>,
    pub(crate) broke_at: Option<Millis>,
    /// Keys that an application has named, which are no predictions.
    pub(crate) hinted: BTreeSet<u8>,
}

/// An adapter of client `number`.
pub(crate) fn adapter(shape: Shape, number: usize) -> Adapter {
    // A thousand cores a second are built: their tables are as small as they can be.
    let analyzer = AnalyzerConfig { memory_bytes: PrefetchConfig::MIN_MEMORY, ..AnalyzerConfig::default() };
    let config = AdapterConfig {
        origins: (0..GATEWAYS).map(origin).collect(),
        seed: number as u64 + 7,
        cache: CacheConfig {
            max_entries: shape.max_entries,
            negative_ttl_ms: shape.negative_ttl_ms,
            ..CacheConfig::default()
        },
        prefetch: PrefetchConfig { enabled: shape.predicts, analyzer, ..PrefetchConfig::default() },
        feed: FeedConfig { enabled: shape.feeds, idle_ms: 30_000, after_requests: 1 },
        ..AdapterConfig::default()
    };
    Adapter::new(config).unwrap_or_else(|error| panic!("valid options: {error}"))
}

impl Client {
    pub(crate) fn new(truth: &Truth, number: usize) -> Self {
        let mut client = Self {
            number,
            adapter: adapter(truth.shape, number),
            clock: LocalClock::default(),
            generation: 0,
            now: 0,
            wakes: BTreeMap::new(),
            stream: None,
            judge: Judge::default(),
            kept: None,
            puts: BTreeMap::new(),
            events: 0,
            invalidated_at: None,
            broke_at: None,
            hinted: BTreeSet::new(),
        };
        client.adapter.set_relaying(true);
        client.start_clock(truth);
        client
    }

    fn start_clock(&mut self, truth: &Truth) {
        let (monotonic, wall) = truth.host_clocks(self.number);
        self.clock = LocalClock::default();
        self.now = self.clock.read(monotonic, wall).now;
    }

    /// A new core in the place of this one, whose answers are not heard any more.
    pub(crate) fn rebuild(&mut self, truth: &Truth, session: Session) {
        let (generation, kept) = (self.generation + 1, self.kept.take());
        *self = Self { generation, kept, ..Self::new(truth, self.number) };
        self.judge.session = session;
    }

    /// Position of its floor in a shard; 0 without one.
    pub(crate) fn floor(&self, shard: u16) -> u64 {
        self.adapter.session_token().find(|floor| floor.shard == shard).map_or(0, |floor| floor.position)
    }

    /// Whatever waits may fail from now on.
    pub(crate) fn excuse(&mut self) {
        self.judge.pending.values_mut().for_each(|pending| pending.excused = true);
    }
}
