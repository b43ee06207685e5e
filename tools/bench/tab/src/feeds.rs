//! Change feeds between tabs and nodes: opened, extended by batches, and pushed through with a delay.

use std::collections::HashMap;

use foremap::Millis;
use foremap::adapter::FlightId;
use foremap::node::{FeedNumber, Subject, Subscriber, additions};
use foremap::protocol::{BatchRequest, BatchResponse, Cursor, FeedFrame};

use super::event::{Event, ONE_WAY_MS};
use super::fleet;
use super::scene::Scene;
use super::visit::Visit;

/// Time from a write until a node has it in its logs and looks whom to tell.
const PUSH_MS: Millis = 20;

/// Reader of a feed.
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

/// A tab asks its node for a feed.
pub(crate) fn ask_for_feed(
    scene: &mut Scene,
    number: usize,
    visit: &mut Visit,
    feed: FlightId,
    origin: &str,
    body: &[u8],
) {
    let request = BatchRequest::decode(body).expect("an adapter sends what can be read");
    let node = fleet::node_at(origin).expect("an adapter knows the origins that it was given");
    scene.tally.feeds.opened += 1;
    scene.tally.feeds.bytes += body.len() as u64;
    visit.feed = Some(feed);
    scene.after(ONE_WAY_MS, Event::OpenFeed { visit: number, feed, node, request });
}

impl Feeds {
    /// A tab asks a node for a feed; it may have left meanwhile.
    pub(crate) fn arrive(
        &mut self,
        scene: &mut Scene,
        visit: usize,
        feed: FlightId,
        node: usize,
        request: &BatchRequest,
    ) {
        if !scene.reads(visit, feed) {
            return;
        }
        scene.fleet.poll_cursors(&scene.store, scene.now, node, &request.cursors);
        let local = scene.fleet.local(node, scene.now);
        let number = scene.fleet.feeds(node).open(local, request, Subscriber::default());
        let number = number.expect("a node takes a feed within the limits");
        self.readers.insert((node, number), Reader { visit, feed, followed: request.cursors.clone() });
        send_bytes(scene, visit, feed, FeedFrame::PREAMBLE.to_vec());
        self.pump(scene, node);
    }

    /// A batch adds what it touched to the feed of whoever sent it.
    pub(crate) fn extend(&mut self, scene: &mut Scene, request: &BatchRequest, response: &BatchResponse) {
        let Some(feed) = request.feed else { return };
        let node = feed.node as usize - 1;
        let added = additions(&request.cursors, &response.results);
        if let Some(reader) = self.readers.get_mut(&(node, feed.number)) {
            reader.followed.extend(&added);
            reader.followed.sort_unstable_by_key(|cursor| cursor.shard);
            reader.followed.dedup_by_key(|cursor| cursor.shard);
        }
        let local = scene.fleet.local(node, scene.now);
        scene.fleet.feeds(node).extend(local, feed.number, Subject::default(), &added);
        self.pump(scene, node);
    }

    /// Something was written: nodes with feeds hear of it soon.
    pub(crate) fn push(&mut self, scene: &mut Scene) {
        if self.readers.is_empty() {
            return;
        }
        for node in 0..fleet::NODES {
            if self.pushes[node].is_none() {
                let at = scene.now + PUSH_MS;
                self.pushes[node] = Some(at);
                scene.queue.push(at, Event::PushFeeds { node });
            }
        }
    }

    pub(crate) fn pushed(&mut self, scene: &mut Scene, node: usize) {
        self.pushes[node] = None;
        scene.fleet.poll_all(&scene.store, scene.now, node);
        self.pump(scene, node);
    }

    pub(crate) fn tick(&mut self, scene: &mut Scene, node: usize) {
        if self.ticks[node] == Some(scene.now) {
            self.ticks[node] = None;
            self.pump(scene, node);
        }
    }

    /// Sends every frame that is due at `node`, and sees to it that heartbeats are.
    fn pump(&mut self, scene: &mut Scene, node: usize) {
        let local = scene.fleet.local(node, scene.now);
        for number in scene.fleet.feeds(node).due(local) {
            let Some(reader) = self.readers.get(&(node, number)) else { continue };
            let Reader { visit, feed, .. } = *reader;
            scene.fleet.poll_cursors(&scene.store, scene.now, node, &reader.followed);
            if !scene.reads(visit, feed) {
                self.readers.remove(&(node, number));
                scene.fleet.feeds(node).close(number);
                continue;
            }
            while let Some(bytes) = scene.fleet.feeds(node).next_frame(local, number) {
                send_bytes(scene, visit, feed, bytes);
            }
            if scene.fleet.feeds(node).is_over(local, number) {
                self.readers.remove(&(node, number));
                scene.fleet.feeds(node).close(number);
                scene.after(ONE_WAY_MS, Event::FeedEnds { visit, feed });
            }
        }
        if let Some(due) = scene.fleet.feeds(node).next_due() {
            let at = scene.now + due.saturating_sub(local).max(1);
            if self.ticks[node].is_none_or(|tick| at < tick) {
                self.ticks[node] = Some(at);
                scene.queue.push(at, Event::TickFeeds { node });
            }
        }
    }
}

fn send_bytes(scene: &mut Scene, visit: usize, feed: FlightId, bytes: Vec<u8>) {
    scene.after(ONE_WAY_MS, Event::FeedBytes { visit, feed, bytes });
}
