//! [`Feeds`]: streams from gateways to clients.

use std::collections::BTreeMap;

use foremap::Millis;
use foremap::adapter::FlightId;
use foremap::node::FeedNumber;

/// Reader of a feed, and the state of its stream.
pub(crate) struct Reader {
    pub(crate) client: usize,
    pub(crate) feed: FlightId,
    /// When the newest bytes arrive: those after them do not arrive before.
    pub(crate) arrives: Millis,
    /// Nothing arrives any more, and nobody is told.
    pub(crate) silent: bool,
}

/// All feeds, by gateway, its life, and their number.
#[derive(Default)]
pub(crate) struct Feeds {
    pub(crate) readers: BTreeMap<(usize, u32, FeedNumber), Reader>,
    /// When each gateway looks next who is due.
    pub(crate) ticks: BTreeMap<usize, Millis>,
}
