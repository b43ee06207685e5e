//! Answers to callers, and what they prove.

use foremap::adapter::{Answer, CallEnd, CallId, Own, OwnWrite, RequestId};
use foremap::cache::Fence;
use foremap::protocol::{Consistency, ErrorCode};

use super::world::World;
use crate::check::{Read, check};
use crate::client::{TIMER_SLACK, Waiting, Writing};
use crate::cluster::Outcome;
use crate::event::Event;
use crate::mutant::Mutant;

impl World {
    pub(super) fn answered(&mut self, client: usize, request: RequestId, answer: &Answer) {
        self.note(|| format!("client {client} answers {request}: {answer:?}"));
        let Some(waiting) = self.clients[client].reads.remove(&request) else {
            return self.violate("once", format!("client {client} resolved {request}, which nobody waits for"));
        };
        self.in_time(&waiting);
        self.judge(&waiting.read, waiting.session, answer);
    }

    pub(super) fn failed(&mut self, client: usize, request: RequestId, code: ErrorCode, detail: &str) {
        self.note(|| format!("client {client} fails {request}: {code} {detail}"));
        let Some(waiting) = self.clients[client].reads.remove(&request) else {
            return self.violate("once", format!("client {client} rejected {request}, which nobody waits for"));
        };
        self.in_time(&waiting);
        self.tally.add(code.as_str(), 1);
        let expected = matches!(
            code,
            ErrorCode::Timeout
                | ErrorCode::Network
                | ErrorCode::Unavailable
                | ErrorCode::TooManyRequests
                | ErrorCode::BadAnswer
                | ErrorCode::Aborted
        );
        let refused = code == ErrorCode::TooManyRequests;
        if !expected || (waiting.must_succeed && !refused) {
            self.violate("failed", format!("{:?} ended with {code}: {detail}", waiting.read));
        }
    }

    fn in_time(&mut self, waiting: &Waiting) {
        if self.now > waiting.deadline + TIMER_SLACK {
            let (now, deadline) = (self.now, waiting.deadline);
            self.violate("in time", format!("{:?} was resolved at {now}, due at {deadline}", waiting.read));
        }
    }

    pub(super) fn judge(&mut self, read: &Read, session: usize, answer: &Answer) {
        self.tally.add(answer.served.as_str(), 1);
        if read.consistency == Consistency::Bounded && answer.age_ms > read.max_staleness_ms.into() {
            self.tally.add("over the bound, through the store", 1);
        }
        self.record_read(read, session, answer);
        match check(&self.truth, self.now, read, answer) {
            Ok(version) => {
                let session = &mut self.sessions[session];
                session.seen.raise(&read.key, version);
                let floor = session.floors.entry(answer.at.shard).or_default();
                *floor = answer.at.position.max(*floor);
            }
            Err(violation) => self.violate(violation.rule, violation.detail),
        }
    }

    pub(super) fn call_ended(&mut self, client: usize, call: CallId, end: CallEnd) {
        let Some(writing) = self.clients[client].writes.remove(&call) else {
            return self.violate("once", format!("client {client} ended call {call}, which nobody waits for"));
        };
        let told = writing.told.filter(|_| end == CallEnd::Response);
        self.write_told(&writing, told);
        let Some(Outcome::Written { version, .. }) = told else {
            let session = writing.session;
            return match writing.more {
                Some(0) => {
                    let key = &writing.request.key;
                    self.violate("last write", format!("session {session}: {key} ended with {end:?}, {told:?}"));
                }
                Some(more) => self.schedule(self.now + 200, Event::LastWrite { session, more: more - 1 }),
                None => {}
            };
        };
        self.tally.add("writes acknowledged", 1);
        let key = &writing.request.key;
        let shard = self.truth.shard(key);
        if self.mutant != Some(Mutant::WriteUntold) {
            let host = &mut self.clients[client];
            let (now, position) = (host.local(self.now), version);
            let fence = Fence::from_parts([0, host.local(writing.began)]);
            let own = writing.request.fields.clone().map_or(Own::Deleted, Own::Put);
            host.adapter.handle_write(now, OwnWrite { key: key.clone(), version, shard, position, own, fence });
        }
        let session = &mut self.sessions[writing.session];
        session.seen.raise(key, version);
        if session.client.is_none() {
            let floor = session.floors.entry(shard).or_default();
            *floor = version.max(*floor);
        }
        self.note(|| format!("client {client} is told of its write of {} at {version}", writing.request.key));
    }

    /// Conclusion of the writer.
    fn write_told(&mut self, writing: &Writing, told: Option<Outcome>) {
        let outcome = match told {
            Some(Outcome::Written { version, .. }) => foremap_check::Outcome::Acknowledged { version },
            // A write id names a write that happened. One that was refused may still happen, if it was sent twice and
            // the other is on its way.
            Some(Outcome::Conflict { current }) if writing.sent == 1 => foremap_check::Outcome::Conflict { current },
            Some(Outcome::Missing) if writing.sent == 1 => foremap_check::Outcome::Conflict { current: 0 },
            None if writing.sent == 0 => foremap_check::Outcome::Failed,
            _ => return,
        };
        self.record_outcome(writing.recorded, outcome);
    }
}
