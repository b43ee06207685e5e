//! Hosts of adapters.

use foremap::Millis;
use foremap::adapter::{Action, FailureKind, FlightId, Scope};
use foremap::protocol::{BatchRequest, ErrorCode};

use super::world::World;
use crate::client::TIMER_SLACK;
use crate::event::{Event, Outcome};
use crate::hop::Reply;
use crate::net::Place;

impl World {
    pub(super) fn wake(&mut self, client: usize, scope: Scope, at: Millis) {
        let host = &mut self.clients[client];
        if host.wakes.get(&scope) != Some(&at) {
            return;
        }
        host.wakes.remove(&scope);
        let now = host.local(self.now);
        host.adapter.handle_timeout(now, scope);
        self.drain(client);
    }

    pub(super) fn close_scope(&mut self, client: usize, scope: Scope) {
        let host = &mut self.clients[client];
        if !host.scopes.contains(&scope) {
            return;
        }
        host.scopes.retain(|&open| open != scope);
        let now = host.local(self.now);
        host.adapter.handle_scope_end(now, scope);
        host.wakes.remove(&scope);
        host.writes.retain(|_, writing| writing.scope != scope);
        self.drain(client);
    }

    pub(super) fn deliver(&mut self, client: usize, flight: FlightId, outcome: Outcome) {
        let host = &mut self.clients[client];
        let Some((_, call)) = host.open.remove(&flight) else { return };
        let now = host.local(self.now);
        match (outcome, call) {
            (Outcome::Failure(kind), _) => host.adapter.handle_failure(now, flight, kind),
            (Outcome::Response { status, retry_after, body }, None) => {
                host.adapter.handle_response(now, flight, status, retry_after, &body);
            }
            (Outcome::Response { status, retry_after, .. }, Some(call)) => {
                if let Some(writing) = host.writes.get_mut(&call) {
                    writing.told = None;
                }
                host.adapter.handle_call_response(now, flight, status, retry_after);
            }
            (Outcome::Written(outcome), call) => {
                if let Some(writing) = call.and_then(|call| host.writes.get_mut(&call)) {
                    writing.told = Some(outcome);
                }
                host.adapter.handle_call_response(now, flight, 200, None);
            }
        }
        self.drain(client);
    }

    /// Performs what the adapter wants done, then ends the scopes that have nothing to do.
    pub(super) fn drain(&mut self, client: usize) {
        loop {
            while let Some(action) = self.clients[client].adapter.poll_action() {
                self.perform(client, action);
            }
            let host = &self.clients[client];
            let local = host.local(self.now);
            let Some(&idle) = host.scopes.iter().find(|&&scope| host.is_idle(scope, local)) else { return };
            self.close_scope(client, idle);
        }
    }

    fn perform(&mut self, client: usize, action: Action) {
        match action {
            Action::Answer { request, answer } => self.answered(client, request, &answer),
            Action::Fail { request, code, detail } => self.failed(client, request, code, &detail),
            Action::Send { scope, flight, origin, body, timeout_ms, .. } => {
                self.clients[client].open.insert(flight, (scope, None));
                let gateway = gateway_of(&origin);
                match BatchRequest::decode(&body) {
                    Ok(request) => {
                        self.note(|| format!("client {client}.{scope} sends {flight} to {origin}: {request:?}"));
                        let reply = Reply::Client { client, flight };
                        self.transmit(client, gateway, flight, timeout_ms, Event::Arrive { gateway, reply, request });
                    }
                    Err(error) => self.violate("request", format!("client {client} sent nonsense: {error}")),
                }
            }
            Action::Attempt { scope, call, flight, origin, timeout_ms } => {
                self.clients[client].open.insert(flight, (scope, Some(call)));
                let gateway = gateway_of(&origin);
                let twice = self.fault(3);
                let Some(writing) = self.clients[client].writes.get_mut(&call) else { return };
                writing.sent += 1 + usize::from(twice);
                let write = writing.request.clone();
                if twice {
                    // Something on the way repeats it, at leisure.
                    let (at, write) = (self.now + 3 * self.delay(), write.clone());
                    self.schedule(at, Event::Write { client, flight, gateway, write });
                }
                self.transmit(client, gateway, flight, timeout_ms, Event::Write { client, flight, gateway, write });
            }
            Action::CallEnd { call, end } => self.call_ended(client, call, end),
            Action::Abort { flight } => {
                self.clients[client].open.remove(&flight);
            }
            Action::OpenFeed { feed, origin, body, .. } => {
                self.ask_for_feed(client, feed, gateway_of(&origin), &body);
            }
            Action::CloseFeed { feed, .. } => {
                let host = &mut self.clients[client];
                host.feed = host.feed.filter(|&open| open != feed);
            }
            // There is one store, and each client has a feed of its own.
            Action::Relay { .. } | Action::SessionReset { .. } => {}
            Action::Wake { scope, at } => {
                let host = &mut self.clients[client];
                host.wakes.insert(scope, at);
                let late = self.rng.range(0, TIMER_SLACK);
                let at_true =
                    at.saturating_sub(host.offset).max(self.now) + if at > host.local(self.now) { late } else { 0 };
                self.schedule(at_true, Event::Wake { client, scope, at });
            }
        }
    }

    /// The way to a gateway. Whatever happens to the request, its time-out ends it.
    fn transmit(&mut self, client: usize, gateway: usize, flight: FlightId, timeout_ms: u32, event: Event) {
        let timeout = Outcome::Failure(FailureKind::Timeout);
        let at = self.now + Millis::from(timeout_ms);
        self.schedule(at, Event::Deliver { client, flight, outcome: timeout });
        let delay = self.delay();
        let cut = self.net.cut(self.now, Place::Client(client), Place::Gateway(gateway));
        if cut.is_some() || self.fault(3) {
            return;
        }
        if self.fault(3) {
            let outcome = Outcome::Failure(FailureKind::Network);
            return self.schedule(self.now + delay, Event::Deliver { client, flight, outcome });
        }
        if self.fault(2) {
            let code = self.rng.pick(&[ErrorCode::Unavailable, ErrorCode::TooManyRequests]);
            return self.refuse(gateway, client, flight, code);
        }
        self.schedule(self.now + delay, event);
    }
}

fn gateway_of(origin: &str) -> usize {
    let id: usize = origin.rsplit('-').next().and_then(|id| id.parse().ok()).expect("an origin of the simulation");
    id - 1
}
