//! [`Event`]: a step of simulated time.

use std::sync::Arc;

use foremap::Millis;
use foremap::adapter::FlightId;
use foremap::protocol::BatchRequest;

/// Time from a tab to a node, and back again.
pub const ONE_WAY_MS: Millis = 30;

/// A step of simulated time. Visits are named by their number.
pub(crate) enum Event {
    /// A batch reaches its node.
    Arrive { visit: usize, flight: FlightId, node: usize, request: BatchRequest },
    /// Its answer reaches the tab, with these keys fetched ahead.
    Deliver { visit: usize, flight: FlightId, body: Vec<u8>, ahead: Vec<u32> },
    /// The adapter asked to be polled at this moment of its clock.
    Wake { visit: usize, at: Millis },
    /// A tab asks its node for a change feed.
    OpenFeed { visit: usize, feed: FlightId, node: usize, request: BatchRequest },
    /// Bytes of it reach the tab.
    FeedBytes { visit: usize, feed: FlightId, bytes: Vec<u8> },
    /// The node has ended it.
    FeedEnds { visit: usize, feed: FlightId },
    /// A node has heartbeats to send.
    TickFeeds { node: usize },
    /// A node has news to tell.
    PushFeeds { node: usize },
    /// A shared model reaches the tab, behind an answer.
    Model { visit: usize, bytes: Arc<[u8]> },
    /// The visit is over, unless there were requests since.
    End { visit: usize },
}
