//! Events in and actions out.

use std::sync::Arc;

use serde::Serialize;

use crate::Millis;
use crate::cache::{Fence, Hit};
use crate::key::{CompositeKey, KeyPrefix};
use crate::protocol::{Consistency, ErrorCode, Keymap, KeymapFields, ListPage, ReadPoint};

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
    /// Freshness that the answer must have.
    pub consistency: Consistency,
    /// Greatest end-to-end age of a bounded answer, in milliseconds.
    pub max_staleness_ms: u32,
    /// Answered with `TIMEOUT` after so many milliseconds.
    pub timeout_ms: u32,
    /// Ask a gateway even where the cache could answer.
    pub bypass_cache: bool,
    /// Lets the analyzer learn from it. A caller's own prefetch is no sign of what its application does next.
    pub observe: bool,
    /// Age beyond the bound that an answer from the cache may have, in milliseconds, while it is asked for anew.
    pub stale_while_revalidate_ms: u32,
    /// Age beyond the bound that an answer from the cache may have, in milliseconds, where nothing else answers.
    pub stale_if_error_ms: u32,
    /// Lets another gateway be asked as well once an answer takes unusually long.
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

/// Source of an answer. The text is the metric label.
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

/// Outcome of a `get`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The keymap; `None` where there is none.
    pub keymap: Option<Arc<Keymap>>,
    /// Its source.
    pub served: Served,
    /// Greatest time in milliseconds that a newer version can have existed unseen.
    pub age_ms: u64,
    /// Shard and position that the answer is current as of.
    pub at: ReadPoint,
    /// True where it is older than asked for: from the cache because the caller allowed it, or as new as a round trip longer
    /// than the bound can make it.
    pub stale: bool,
}

impl Answer {
    /// An answer from the cache that is fresh.
    pub(super) fn cached(hit: Hit) -> Self {
        let served = if hit.keymap.is_some() { Served::Cache } else { Served::Negative };
        Self { keymap: hit.keymap, served, age_ms: hit.at.age_ms.into(), at: hit.at, stale: false }
    }

    /// One that a caller accepted who had asked for no older than `bound`, in milliseconds.
    pub(super) fn stale(hit: Hit, bound: u32) -> Self {
        Self { served: Served::Stale, stale: hit.at.age_ms > bound, ..Self::cached(hit) }
    }
}

/// Effect of an own write on its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// A keymap with these fields.
    Put(KeymapFields),
    /// None.
    Deleted,
    /// Something else, or it is not known here.
    Unknown,
}

/// A write of this session that a gateway acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnWrite {
    /// The key.
    pub key: CompositeKey,
    /// The version it was given.
    pub version: u64,
    /// Its storage shard.
    pub shard: u16,
    /// Position of that shard's log.
    pub position: u64,
    /// Its effect.
    pub own: Own,
    /// Taken when the first attempt of all under its write id was sent: whichever of them wrote, it was not earlier.
    pub fence: Fence,
}

/// A page of a list that arrived.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    /// The prefix listed.
    pub prefix: &'a KeyPrefix,
    /// Taken when it was asked for.
    pub fence: Fence,
    /// The page.
    pub page: &'a ListPage,
    /// True for the first page.
    pub first: bool,
}

/// End of a raw call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// With the response that the host holds, whatever its status.
    Response,
    /// Without one.
    Failed(ErrorCode),
}

/// Failure of a flight that brought no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The gateway could not be reached or the connection broke.
    Network,
    /// No answer within the time given with the action.
    Timeout,
    /// The host gave up on purpose.
    Aborted,
}

/// Attention of a person or caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attention {
    /// The page is shown, or the process serves.
    #[default]
    Active,
    /// Hidden, frozen, off line, or asked to save data.
    Away,
}

/// End of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedEnd {
    /// The gateway ended it in good order, as it does after some minutes.
    Ended,
    /// It broke, or no connection came about.
    Broken,
    /// The gateway answered with another status than 200.
    Refused {
        /// The status.
        status: u16,
        /// Its `Retry-After` in milliseconds.
        retry_after: Option<Millis>,
    },
}

/// Something that the host must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Resolve a request.
    Answer {
        /// Its id.
        request: RequestId,
        /// The outcome.
        answer: Answer,
    },
    /// Reject a request.
    Fail {
        /// Its id.
        request: RequestId,
        /// The reason.
        code: ErrorCode,
        /// The reason in words.
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
        /// True where nobody waits for it.
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
        /// Its id.
        call: CallId,
        /// Its end.
        end: CallEnd,
    },
    /// Nobody needs this flight any more; its outcome need not be reported.
    Abort {
        /// Its id.
        flight: FlightId,
    },
    /// `POST {origin}/v1/changes` with the binary `body`, and hand on what arrives with
    /// [`Adapter::handle_feed_bytes`](super::Adapter::handle_feed_bytes) until [`Adapter::handle_feed_end`](super::Adapter::handle_feed_end).
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
        /// Its id.
        feed: FlightId,
    },
    /// Pass a frame of the feed on to the other clients of this host.
    Relay {
        /// The context the feed was opened in.
        scope: Scope,
        /// Its id.
        feed: FlightId,
        /// A [`FeedFrame`](crate::protocol::FeedFrame) behind its length.
        frame: Vec<u8>,
    },
    /// The store is another one than this session has seen: session token and cache were given up.
    SessionReset {
        /// The incarnation that the gateways tell of now.
        incarnation: u32,
    },
    /// Call [`Adapter::handle_timeout`](super::Adapter::handle_timeout) for `scope` at `at`, or sooner. Replaces an earlier wake.
    Wake {
        /// The scope.
        scope: Scope,
        /// The latest moment.
        at: Millis,
    },
}
