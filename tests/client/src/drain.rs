//! Actions that a client's core asks its host for.

use foremap::adapter::{Action, Answer, RequestId};
use foremap::protocol::{BatchRequest, Class, ErrorCode, FeedReader};

use super::client::{Packet, Source, Stream};
use super::judge::{Invariant, Verdict, demand};
use super::mutant::Mutant;
use super::truth::{GATEWAYS, Real, Truth, number, origin};
use super::world::{Content, Message, World};

impl World {
    /// Does what the core of `client` asks for. `sent` is when the flight left that has just landed, if one has.
    pub(crate) fn drain(&mut self, truth: &Truth, client: usize, sent: Option<Real>) -> Verdict {
        while let Some(action) = self.clients[client].adapter.poll_action() {
            match action {
                Action::Answer { request, answer } => self.answer(truth, client, request, &answer, sent)?,
                Action::Fail { request, code, detail } => self.refuse(client, request, code, &detail)?,
                Action::Send { flight, origin, body, timeout_ms, .. } => {
                    self.send(truth, client, (flight, &origin), &body, timeout_ms);
                }
                Action::Wake { scope, at } => {
                    self.clients[client].wakes.insert(scope, at);
                }
                Action::OpenFeed { feed, origin, body, .. } => {
                    self.tally.note("feed asked for");
                    self.clients[client].stream = Some(Stream {
                        id: feed,
                        gateway: gateway_at(&origin),
                        request: read(&body),
                        source: Source::Asked,
                        queue: Vec::new(),
                        rest: Vec::new(),
                        reader: FeedReader::default(),
                        begun: false,
                        heard: 0,
                    });
                }
                Action::CloseFeed { feed, .. } => {
                    let stream = &mut self.clients[client].stream;
                    if stream.as_ref().is_some_and(|stream| stream.id == feed) {
                        *stream = None;
                    }
                    self.end_relay(truth, client)?;
                }
                Action::Relay { frame, .. } => self.relay(client, frame),
                Action::SessionReset { .. } => {
                    self.tally.note("session reset");
                    let this = &mut self.clients[client];
                    this.judge.brought.clear();
                    this.events += 1;
                    this.invalidated_at = Some(this.now);
                    this.excuse();
                }
                Action::Abort { flight } => self.forget(client, flight),
                Action::Attempt { .. } | Action::CallEnd { .. } => {}
            }
        }
        Ok(())
    }

    /// A host does not report the outcome of what it has aborted.
    fn forget(&mut self, client: usize, flight: u32) {
        let generation = self.clients[client].generation;
        let is_it = |message: &Message| {
            message.client == client
                && message.generation == generation
                && message.flight == flight
                && matches!(message.content, Content::Batch(_))
        };
        self.sent.retain(|message| !is_it(message));
        self.answered.retain(|(message, _)| !is_it(message));
    }

    fn answer(
        &mut self,
        truth: &Truth,
        client: usize,
        request: RequestId,
        answer: &Answer,
        sent: Option<Real>,
    ) -> Verdict {
        self.tally.note(answer.served.as_str());
        let times = if self.mutant == Some(Mutant::OutcomesDoubled) { 2 } else { 1 };
        (0..times).try_for_each(|_| self.clients[client].judge.answered(truth, request, answer, sent))
    }

    fn refuse(&mut self, client: usize, request: RequestId, code: ErrorCode, detail: &str) -> Verdict {
        let this = &mut self.clients[client];
        let pending = this.judge.take(request)?;
        self.tally.note("failed");
        let excused =
            pending.excused || pending.answers >= 4 || (code == ErrorCode::Timeout && pending.deadline <= this.now);
        demand(excused, Invariant::WaitersOutliveEviction, || {
            format!("{code:?} ({detail}) at {} for {pending:?}", this.now)
        })
    }

    fn send(&mut self, truth: &Truth, client: usize, (flight, origin): (u32, &str), body: &[u8], timeout_ms: u32) {
        let this = &mut self.clients[client];
        let request = read(body);
        let predicted = |item: &foremap::protocol::BatchItem| {
            item.class == Class::Prefetch && !this.hinted.contains(&number(&item.key))
        };
        if !request.items.is_empty() && request.items.iter().all(predicted) {
            self.tally.note("predicted alone");
            this.judge.predicted += if self.mutant == Some(Mutant::PredictedTwice) { 2 } else { 1 };
        }
        self.sent.push(Message {
            client,
            generation: this.generation,
            flight,
            gateway: gateway_at(origin),
            sent: truth.now,
            expires: this.now + u64::from(timeout_ms),
            content: Content::Batch(request),
        });
    }

    fn relay(&mut self, client: usize, frame: Vec<u8>) {
        for (other, this) in self.clients.iter_mut().enumerate() {
            if other != client
                && let Some(stream) = &mut this.stream
                && matches!(stream.source, Source::Relay)
            {
                self.tally.note("frame relayed");
                stream.queue.push(Packet::Relayed(frame.clone()));
            }
        }
    }
}

pub(crate) fn read(body: &[u8]) -> BatchRequest {
    BatchRequest::decode(body).unwrap_or_else(|error| panic!("a client sends what can be read: {error}"))
}

fn gateway_at(url: &str) -> usize {
    (0..GATEWAYS).find(|&gateway| origin(gateway) == url).unwrap_or_else(|| panic!("{url} is no gateway"))
}
