//! Change feeds between tabs and nodes: opened, extended by batches, and pushed through with a delay.

use std::collections::HashMap;

use foremap::Millis;
use foremap::adapter::FlightId;
use foremap::node::{FeedNumber, Subject, Subscriber, additions};
use foremap::protocol::{BatchRequest, BatchResponse, Cursor, FeedFrame};

use super::fleet;
use super::visit::Visit;
use super::world::{Event, ONE_WAY_MS, World};

/// How long after a write a node has it in its logs and looks whom to tell.
const PUSH_MS: Millis = 20;

/// Who reads a feed.
#[derive(Debug)]
struct Reader {
    visit: usize,
    feed: FlightId,
    /// The shards that it follows: their logs are read before it is told anything.
    followed: Vec<Cursor>,
}

/// The feeds of all nodes.
#[derive(Default)]
pub(crate) struct Feeds {
    readers: HashMap<(usize, FeedNumber), Reader>,
    /// When each node looks next whose heartbeat is due.
    ticks: [Option<Millis>; fleet::NODES],
    /// When each node tells of what was written.
    pushes: [Option<Millis>; fleet::NODES],
}

impl World<'_> {
    pub(crate) fn open_feed(&mut self, number: usize, visit: &mut Visit, feed: FlightId, origin: &str, body: &[u8]) {
        let request = BatchRequest::decode(body).expect("an adapter sends what can be read");
        let node = fleet::node_at(origin).expect("an adapter knows the origins that it was given");
        self.tally.feeds.opened += 1;
        self.tally.feeds.bytes += body.len() as u64;
        visit.feed = Some(feed);
        self.queue.push(self.now + ONE_WAY_MS, Event::OpenFeed { visit: number, feed, node, request });
    }

    /// A tab asks a node for a feed; it may have left meanwhile.
    pub(crate) fn feed_arrives(&mut self, visit: usize, feed: FlightId, node: usize, request: &BatchRequest) {
        if !self.reads(visit, feed) {
            return;
        }
        self.fleet.poll_cursors(&self.store, self.now, node, &request.cursors);
        let local = self.fleet.local(node, self.now);
        let number = self.fleet.feeds(node).open(local, request, Subscriber::default());
        let number = number.expect("a node takes a feed within the limits");
        self.feeds.readers.insert((node, number), Reader { visit, feed, followed: request.cursors.clone() });
        self.send_bytes(visit, feed, FeedFrame::PREAMBLE.to_vec());
        self.pump(node);
    }

    /// A batch adds what it touched to the feed of whoever sent it.
    pub(crate) fn extend_feed(&mut self, request: &BatchRequest, response: &BatchResponse) {
        let Some(feed) = request.feed else { return };
        let node = feed.node as usize - 1;
        let added = additions(&request.cursors, &response.results);
        if let Some(reader) = self.feeds.readers.get_mut(&(node, feed.number)) {
            reader.followed.extend(&added);
            reader.followed.sort_unstable_by_key(|cursor| cursor.shard);
            reader.followed.dedup_by_key(|cursor| cursor.shard);
        }
        let local = self.fleet.local(node, self.now);
        self.fleet.feeds(node).extend(local, feed.number, Subject::default(), &added);
        self.pump(node);
    }

    pub(crate) fn close_feed(&mut self, visit: &mut Visit, feed: FlightId) {
        if visit.feed == Some(feed) {
            visit.feed = None;
        }
    }

    pub(crate) fn deliver_feed(&mut self, visit: usize, feed: FlightId, bytes: &[u8]) {
        if self.reads(visit, feed) {
            self.tally.feeds.bytes += bytes.len() as u64;
            self.step(visit, |visit, now| visit.on_feed_bytes(now, feed, bytes));
        }
    }

    pub(crate) fn end_feed(&mut self, visit: usize, feed: FlightId) {
        if self.reads(visit, feed) {
            self.step(visit, |visit, now| visit.on_feed_end(now, feed));
        }
    }

    /// Something was written: nodes with feeds hear of it soon.
    pub(crate) fn push_feeds(&mut self) {
        if self.feeds.readers.is_empty() {
            return;
        }
        for node in 0..fleet::NODES {
            if self.feeds.pushes[node].is_none() {
                let at = self.now + PUSH_MS;
                self.feeds.pushes[node] = Some(at);
                self.queue.push(at, Event::PushFeeds { node });
            }
        }
    }

    pub(crate) fn pushed(&mut self, node: usize) {
        self.feeds.pushes[node] = None;
        self.fleet.poll_all(&self.store, self.now, node);
        self.pump(node);
    }

    pub(crate) fn tick_feeds(&mut self, node: usize) {
        if self.feeds.ticks[node] == Some(self.now) {
            self.feeds.ticks[node] = None;
            self.pump(node);
        }
    }

    /// Sends every frame that is due at `node`, and sees to it that heartbeats are.
    fn pump(&mut self, node: usize) {
        let local = self.fleet.local(node, self.now);
        for number in self.fleet.feeds(node).due(local) {
            let Some(reader) = self.feeds.readers.get(&(node, number)) else { continue };
            let Reader { visit, feed, .. } = *reader;
            self.fleet.poll_cursors(&self.store, self.now, node, &reader.followed);
            if !self.reads(visit, feed) {
                self.feeds.readers.remove(&(node, number));
                self.fleet.feeds(node).close(number);
                continue;
            }
            while let Some(bytes) = self.fleet.feeds(node).next_frame(local, number) {
                self.send_bytes(visit, feed, bytes);
            }
            if self.fleet.feeds(node).is_over(local, number) {
                self.feeds.readers.remove(&(node, number));
                self.fleet.feeds(node).close(number);
                self.queue.push(self.now + ONE_WAY_MS, Event::FeedEnds { visit, feed });
            }
        }
        if let Some(due) = self.fleet.feeds(node).next_due() {
            let at = self.now + due.saturating_sub(local).max(1);
            if self.feeds.ticks[node].is_none_or(|tick| at < tick) {
                self.feeds.ticks[node] = Some(at);
                self.queue.push(at, Event::TickFeeds { node });
            }
        }
    }

    fn send_bytes(&mut self, visit: usize, feed: FlightId, bytes: Vec<u8>) {
        self.queue.push(self.now + ONE_WAY_MS, Event::FeedBytes { visit, feed, bytes });
    }

    fn reads(&self, visit: usize, feed: FlightId) -> bool {
        self.visits[visit].as_ref().is_some_and(|visit| visit.feed == Some(feed))
    }
}
