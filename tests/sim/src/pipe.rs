//! [`Pipe`]: commands of a gateway on their way to a master, with the fence behind them.

use std::sync::Arc;

use foremap::Millis;
use foremap::adapter::FlightId;
use foremap::node::ReadTicket;

use super::cluster::{Command, Reply, Server};
use super::seat::Pending;
use super::write_request::WriteRequest;

/// A connection to the server that a gateway takes for the master of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) server: Server,
    /// Start of the server that it was opened to.
    pub(crate) run: u32,
    pub(crate) connection: u64,
    /// Its history then: what waits for replicas in another one says nothing of what was executed in this one.
    pub(crate) history: usize,
}

/// Purpose of a pipeline.
pub(crate) enum Errand {
    Read {
        job: u64,
        tickets: Vec<ReadTicket>,
        attempt: u32,
    },
    Poll,
    Positions,
    Write {
        client: usize,
        flight: FlightId,
        write: Arc<WriteRequest>,
    },
    Control(Pending),
    /// Nobody waits for it.
    Leave,
}

/// A pipeline.
pub(crate) struct Pipe {
    pub(crate) gateway: usize,
    pub(crate) incarnation: u32,
    pub(crate) group: usize,
    pub(crate) link: Link,
    /// Replicas that it waits for.
    pub(crate) wait_for: u32,
    /// Times that it has waited.
    pub(crate) waits: u32,
    pub(crate) commands: Vec<Command>,
    pub(crate) replies: Vec<Reply>,
    /// On the clock of the gateway.
    pub(crate) sent_at: Millis,
    pub(crate) errand: Errand,
}

/// End of a pipeline, as the gateway is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was executed; whether the fence behind it holds.
    Executed(bool),
    /// It certainly was not executed.
    Refused,
    /// It may have been, or may still be.
    Broken,
}
