//! [`Hop`]: a question of a node to another.

use foremap::Millis;
use foremap::adapter::FlightId;
use foremap::node::Forward;

/// A question to another node, and where its answer belongs.
#[derive(Clone)]
pub(crate) struct Hop {
    pub(crate) gateway: usize,
    pub(crate) incarnation: u32,
    pub(crate) job: u64,
    pub(crate) hop: u64,
    pub(crate) forward: Forward,
    pub(crate) sent_at: Millis,
}

/// Receiver of the answer of a node.
pub(crate) enum Reply {
    Client { client: usize, flight: FlightId },
    Peer(Box<Hop>),
}
