//! Change feeds: streams from gateways to clients, which arrive in order, break, or fall silent.

use foremap::adapter::{FeedEnd, FlightId};
use foremap::node::{FeedNumber, Subject, Subscriber, additions};
use foremap::protocol::{BatchRequest, BatchResponse, Cursor, FeedFrame, FeedId};

use super::world::World;
use crate::event::Event;
use crate::feeds::Reader;
use crate::net::Place;

impl World {
    /// A client's request for a feed leaves.
    pub(super) fn ask_for_feed(&mut self, client: usize, feed: FlightId, gateway: usize, body: &[u8]) {
        self.clients[client].feed = Some(feed);
        let Ok(request) = BatchRequest::decode(body) else {
            return self.violate("request", format!("client {client} sent nonsense for a feed"));
        };
        self.note(|| format!("client {client} asks node {} for feed {feed}: {request:?}", gateway + 1));
        let cut = self.net.cut(self.now, Place::Client(client), Place::Gateway(gateway));
        let at = self.now + self.delay();
        if cut.is_some() || self.fault(3) {
            return; // the client finds out by itself
        }
        if self.fault(3) {
            let end = FeedEnd::Refused { status: 503, retry_after: Some(100) };
            return self.schedule(at, Event::FeedEnds { client, feed, end });
        }
        self.schedule(at, Event::OpenFeed { gateway, client, feed, request });
    }

    pub(super) fn open_feed(&mut self, gateway: usize, client: usize, feed: FlightId, request: &BatchRequest) {
        let host = &self.gateways[gateway];
        if !host.up || self.clients[client].feed != Some(feed) {
            let at = self.now + self.delay();
            return self.schedule(at, Event::FeedEnds { client, feed, end: FeedEnd::Broken });
        }
        let now = host.local(self.now);
        match host.node.feeds().open(now, request, Subscriber::default()) {
            Ok(number) => {
                let reader = Reader { client, feed, arrives: self.now, silent: false };
                self.feeds.readers.insert((gateway, host.incarnation, number), reader);
                self.tally.add("feeds", 1);
                self.push(gateway, number, FeedFrame::PREAMBLE.to_vec());
                self.push_feeds(gateway);
            }
            Err(problem) => self.violate("request", format!("a node refused the feed {request:?}: {problem:?}")),
        }
    }

    /// Adds the shards of a batch to the feed that it names.
    pub(super) fn extend_feed(&mut self, feed: FeedId, cursors: &[Cursor], response: &BatchResponse) {
        let gateway = feed.node as usize - 1;
        let added = additions(cursors, &response.results);
        if self.gateways[gateway].up {
            let now = self.gateways[gateway].local(self.now);
            self.gateways[gateway].node.feeds().extend(now, feed.number, Subject::default(), &added);
            self.push_feeds(gateway);
        }
    }

    /// Sends what is due at `gateway`, and looks again when something will be.
    pub(super) fn push_feeds(&mut self, gateway: usize) {
        let host = &self.gateways[gateway];
        if !host.up {
            return;
        }
        let (now, incarnation) = (host.local(self.now), host.incarnation);
        for number in host.node.feeds().due(now) {
            let place = (gateway, incarnation, number);
            let reads = |reader: &Reader| self.clients[reader.client].feed == Some(reader.feed);
            if !self.feeds.readers.get(&place).is_some_and(reads) {
                self.feeds.readers.remove(&place);
                self.gateways[gateway].node.feeds().close(number);
                continue;
            }
            while let Some(bytes) = self.gateways[gateway].node.feeds().next_frame(now, number) {
                self.push(gateway, number, bytes);
            }
        }
        if let Some(due) = self.gateways[gateway].node.feeds().next_due() {
            let at = self.now + due.saturating_sub(now).max(1);
            if self.feeds.ticks.get(&gateway).is_none_or(|&tick| at < tick) {
                self.feeds.ticks.insert(gateway, at);
                self.schedule(at, Event::FeedTick { gateway });
            }
        }
    }

    pub(super) fn tick_feeds(&mut self, gateway: usize) {
        if self.feeds.ticks.get(&gateway).is_some_and(|&tick| tick <= self.now) {
            self.feeds.ticks.remove(&gateway);
            self.push_feeds(gateway);
        }
    }

    fn push(&mut self, gateway: usize, number: FeedNumber, bytes: Vec<u8>) {
        let place = (gateway, self.gateways[gateway].incarnation, number);
        let Some((client, feed)) = self.feeds.readers.get(&place).map(|reader| (reader.client, reader.feed)) else {
            return;
        };
        let cut = self.net.cut(self.now, Place::Gateway(gateway), Place::Client(client)).is_some();
        let (breaks, silent, at) = (self.fault(1), cut || self.fault(1), self.now + self.delay());
        let Some(reader) = self.feeds.readers.get_mut(&place) else { return };
        reader.silent |= silent;
        reader.arrives = reader.arrives.max(at);
        let at = reader.arrives;
        if reader.silent {
            return;
        }
        if breaks {
            reader.silent = true;
            return self.schedule(at, Event::FeedEnds { client, feed, end: FeedEnd::Broken });
        }
        self.schedule(at, Event::FeedBytes { client, feed, bytes });
    }

    /// The process of `gateway` ended, and its streams with it.
    pub(super) fn drop_feeds(&mut self, gateway: usize) {
        let of_gateway = self.feeds.readers.range((gateway, 0, 0)..=(gateway, u32::MAX, FeedNumber::MAX));
        let gone: Vec<_> = of_gateway.map(|(place, reader)| (*place, reader.client, reader.feed)).collect();
        for (place, client, feed) in gone {
            self.feeds.readers.remove(&place);
            let at = self.now + self.delay();
            self.schedule(at, Event::FeedEnds { client, feed, end: FeedEnd::Broken });
        }
    }

    pub(super) fn feed_bytes(&mut self, client: usize, feed: FlightId, bytes: &[u8]) {
        let host = &mut self.clients[client];
        let now = host.local(self.now);
        host.adapter.handle_feed_bytes(now, feed, bytes);
        self.drain(client);
    }

    pub(super) fn feed_ends(&mut self, client: usize, feed: FlightId, end: FeedEnd) {
        let host = &mut self.clients[client];
        if host.feed == Some(feed) {
            let now = host.local(self.now);
            host.adapter.handle_feed_end(now, feed, end);
            self.drain(client);
        }
    }
}
