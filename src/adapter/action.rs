//! Events in and actions out.

use std::sync::Arc;

use serde::Serialize;

use crate::Millis;
use crate::key::CompositeKey;
use crate::protocol::{Consistency, ErrorCode, Keymap, ReadPoint};

/// A context whose I/O no other context waits for.
pub type Scope = u32;
/// Names one `get` until it is answered.
pub type RequestId = u32;
/// Names one HTTP exchange until its outcome is reported.
pub type FlightId = u32;
/// Names one raw HTTP call over all its attempts.
pub type CallId = u32;

/// A demand request.
#[derive(Debug, Clone)]
pub struct GetRequest<'a> {
    /// The context it belongs to.
    pub scope: Scope,
    /// The key.
    pub key: CompositeKey,
    /// The sequence of requests that the analyzer should see it in.
    pub stream: &'a str,
    /// How fresh the answer must be.
    pub consistency: Consistency,
    /// Greatest end-to-end age of a bounded answer, in milliseconds.
    pub max_staleness_ms: u32,
    /// Answered with `TIMEOUT` after so many milliseconds.
    pub timeout_ms: u32,
    /// Ask a gateway even where the cache could answer.
    pub bypass_cache: bool,
    /// Whether the analyzer learns from it. A caller's own prefetch is no sign of what its application does next.
    pub observe: bool,
    /// How much older than the bound an answer from the cache may be, in milliseconds, while it is asked for anew.
    pub stale_while_revalidate_ms: u32,
    /// How much older than the bound an answer from the cache may be, in milliseconds, where nothing else answers.
    pub stale_if_error_ms: u32,
    /// Whether another gateway may be asked as well once an answer takes unusually long.
    pub hedge: bool,
}

impl GetRequest<'_> {
    /// A bounded read of scope 0 in the stream without a name: no older than 2 s, within 10 s.
    pub fn new(key: CompositeKey) -> Self {
        Self {
            scope: 0,
            key,
            stream: "",
            consistency: Consistency::Bounded,
            max_staleness_ms: 2_000,
            timeout_ms: 10_000,
            bypass_cache: false,
            observe: true,
            stale_while_revalidate_ms: 0,
            stale_if_error_ms: 0,
            hedge: true,
        }
    }
}

/// Where an answer came from. The text is the metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Served {
    /// The Local Cache, within the staleness bound.
    Cache,
    /// The Local Cache knows that there is no such keymap.
    Negative,
    /// A fetch that was already on its way, often a prefetch.
    Joined,
    /// A gateway confirmed that the cached version is current.
    Revalidated,
    /// A gateway.
    Network,
    /// The Local Cache, beyond the bound: because nothing else answered, or while it is asked for anew.
    Stale,
}

impl Served {
    /// The stable text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Negative => "negative",
            Self::Joined => "joined",
            Self::Revalidated => "revalidated",
            Self::Network => "network",
            Self::Stale => "stale",
        }
    }
}

/// What a `get` resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The keymap; `None` where there is none.
    pub keymap: Option<Arc<Keymap>>,
    /// Where it came from.
    pub served: Served,
    /// Greatest time in milliseconds that a newer version can have existed unseen.
    pub age_ms: u64,
    /// What the answer is current as of.
    pub at: ReadPoint,
    /// Whether it is older than asked for: from the cache because the caller allowed it, or as new as a round trip longer
    /// than the bound can make it.
    pub stale: bool,
}

/// How a raw call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// With the response that the host holds, whatever its status.
    Response,
    /// Without one.
    Failed(ErrorCode),
}

/// Why a flight brought no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The gateway could not be reached or the connection broke.
    Network,
    /// No answer within the time given with the action.
    Timeout,
    /// The host gave up on purpose.
    Aborted,
}

/// What the host must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Resolve a request.
    Answer {
        /// Which.
        request: RequestId,
        /// With what.
        answer: Answer,
    },
    /// Reject a request.
    Fail {
        /// Which.
        request: RequestId,
        /// Why.
        code: ErrorCode,
        /// In words.
        detail: String,
    },
    /// `POST {origin}/v1/batch` with the binary `body`, then report the outcome of `flight`.
    Send {
        /// The context to perform it in.
        scope: Scope,
        /// Report the outcome under this id.
        flight: FlightId,
        /// Scheme, host and port.
        origin: Arc<str>,
        /// A [`BatchRequest`](crate::protocol::BatchRequest) in binary form.
        body: Vec<u8>,
        /// Give up after so many milliseconds.
        timeout_ms: u32,
        /// Whether nobody waits for it.
        prefetch: bool,
    },
    /// Perform one attempt of a raw call, then report the outcome of `flight`.
    Attempt {
        /// The context to perform it in.
        scope: Scope,
        /// The call.
        call: CallId,
        /// Report the outcome under this id.
        flight: FlightId,
        /// Scheme, host and port.
        origin: Arc<str>,
        /// Give up after so many milliseconds.
        timeout_ms: u32,
    },
    /// A raw call is over.
    CallEnd {
        /// Which.
        call: CallId,
        /// How.
        end: CallEnd,
    },
    /// Nobody needs this flight any more; its outcome need not be reported.
    Abort {
        /// Which.
        flight: FlightId,
    },
    /// `POST {origin}/v1/changes` with the binary `body`, and hand on what arrives with
    /// [`Adapter::on_feed_bytes`](super::Adapter::on_feed_bytes) until [`Adapter::on_feed_end`](super::Adapter::on_feed_end).
    OpenFeed {
        /// The context to perform it in.
        scope: Scope,
        /// Hand on its bytes under this id.
        feed: FlightId,
        /// Scheme, host and port.
        origin: Arc<str>,
        /// A [`BatchRequest`](crate::protocol::BatchRequest) in binary form.
        body: Vec<u8>,
    },
    /// Nobody reads this feed any more.
    CloseFeed {
        /// The context it was opened in.
        scope: Scope,
        /// Which.
        feed: FlightId,
    },
    /// Pass a frame of the feed on to the other clients of this host.
    Relay {
        /// The context the feed was opened in.
        scope: Scope,
        /// Which feed.
        feed: FlightId,
        /// A [`FeedFrame`](crate::protocol::FeedFrame) behind its length.
        frame: Vec<u8>,
    },
    /// The store is another one than this session has seen: floors and cache were given up.
    SessionReset {
        /// The incarnation that the gateways tell of now.
        incarnation: u32,
    },
    /// Call [`Adapter::poll`](super::Adapter::poll) for `scope` at `at`, or sooner. Replaces an earlier wake.
    Wake {
        /// Which context.
        scope: Scope,
        /// When.
        at: Millis,
    },
}
