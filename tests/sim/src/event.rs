//! [`Event`]: a step of a history.

use std::sync::Arc;

use foremap::Millis;
use foremap::adapter::{FailureKind, FeedEnd, FlightId, Scope};
use foremap::node::ReadTicket;
use foremap::protocol::{BatchRequest, BatchResponse};

use super::cluster::{self, Message, Server};
use super::hop::{Hop, Reply};
use super::pipe::End;
use super::seat::Job;
use super::write_request::WriteRequest;

/// Answer to a client.
pub(crate) enum Outcome {
    Response {
        status: u16,
        retry_after: Option<Millis>,
        body: Vec<u8>,
    },
    /// Outcome of a write.
    Written(cluster::Outcome),
    Failure(FailureKind),
}

pub(crate) enum Event {
    Activity { session: usize },
    LastReads { session: usize },
    LastWrite { session: usize, more: u32 },
    Wake { client: usize, scope: Scope, at: Millis },
    CloseScope { client: usize, scope: Scope },
    Deliver { client: usize, flight: FlightId, outcome: Outcome },
    Arrive { gateway: usize, reply: Reply, request: BatchRequest },
    PeerDone { back: Box<Hop>, response: Option<BatchResponse> },
    Write { client: usize, flight: FlightId, gateway: usize, write: Arc<WriteRequest> },
    PollSend { gateway: usize, group: usize },
    Reach { pipe: u64 },
    ReachFence { pipe: u64 },
    WaitOver { server: Server, pipe: u64 },
    PipeDone { pipe: u64, gateway: usize, end: End },
    ReadAgain { gateway: usize, group: usize, job: u64, tickets: Vec<ReadTicket>, attempt: u32 },
    Relink { gateway: usize, group: usize },
    Carry { message: Message },
    Wish,
    Control { gateway: usize, incarnation: u32 },
    ControlJob { gateway: usize, incarnation: u32, job: Job },
    Restart { gateway: usize },
    Up { gateway: usize },
    OpenFeed { gateway: usize, client: usize, feed: FlightId, request: BatchRequest },
    FeedTick { gateway: usize },
    FeedBytes { client: usize, feed: FlightId, bytes: Vec<u8> },
    FeedEnds { client: usize, feed: FlightId, end: FeedEnd },
    Truncate,
    Trouble,
    Cron,
    Heal,
    Promote { group: usize },
    Notice { server: Server },
    ServerUp { server: Server },
    ClockSet { server: Server },
}

impl Event {
    /// The gateway that it happens at, which must not stand still.
    pub(crate) fn gateway(&self) -> Option<usize> {
        match self {
            Self::Arrive { gateway, .. }
            | Self::Write { gateway, .. }
            | Self::PollSend { gateway, .. }
            | Self::PipeDone { gateway, .. }
            | Self::ReadAgain { gateway, .. }
            | Self::Relink { gateway, .. }
            | Self::OpenFeed { gateway, .. }
            | Self::FeedTick { gateway }
            | Self::Control { gateway, .. }
            | Self::ControlJob { gateway, .. } => Some(*gateway),
            Self::PeerDone { back, .. } => Some(back.gateway),
            _ => None,
        }
    }
}
