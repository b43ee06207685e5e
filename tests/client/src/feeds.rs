//! Feeds between gateways and clients, and from one client to the other.

use foremap::adapter::{Attention, FeedEnd};
use foremap::protocol::{Cursor, FeedFrame, FeedId};

use super::client::{Packet, Source, Stream};
use super::gateway::{Feed, shown};
use super::judge::Verdict;
use super::mutant::Mutant;
use super::step::End;
use super::truth::Truth;
use super::world::World;

impl World {
    /// A client that asked for a feed gets it: from the other client where that has one, else from a gateway.
    pub(crate) fn accept_feed(&mut self, truth: &Truth, client: usize) -> Verdict {
        let asked = |stream: &&mut Stream| matches!(stream.source, Source::Asked);
        if self.clients[client].stream.as_mut().filter(asked).is_none() {
            return Ok(());
        }
        self.tick(truth, 0)?;
        let opening = if client == 1 && self.is_fed(0) {
            let now = self.clients[0].now;
            self.clients[0].adapter.feed_opening(now)
        } else {
            None
        };
        self.feeds += 1;
        let Some(stream) = self.clients[client].stream.as_mut().filter(asked) else { return Ok(()) };
        match opening {
            Some(opening) => {
                self.tally.note("feed relayed");
                stream.source = Source::Relay;
                stream.queue.push(Packet::Relayed(opening[FeedFrame::PREAMBLE.len()..].to_vec()));
            }
            None => {
                let mut feed = Feed::new(truth, stream.gateway, self.feeds, &stream.request);
                stream.queue.push(Packet::Frame(feed.frame(truth, self.mutant)));
                stream.source = Source::Gateway(feed);
            }
        }
        Ok(())
    }

    fn is_fed(&self, client: usize) -> bool {
        let stream = self.clients[client].stream.as_ref();
        stream.is_some_and(|stream| matches!(stream.source, Source::Gateway(_)))
    }

    pub(crate) fn extend_feed(&mut self, name: FeedId, added: &[Cursor]) {
        for stream in self.clients.iter_mut().filter_map(|client| client.stream.as_mut()) {
            if let Source::Gateway(feed) = &mut stream.source
                && feed.name() == name
            {
                self.tally.note("feed extended");
                feed.extend(added);
            }
        }
    }

    /// The gateway of a feed sends a frame, or is not there any more.
    pub(crate) fn beat(&mut self, truth: &Truth, client: usize) -> Verdict {
        let Some(stream) = &mut self.clients[client].stream else { return Ok(()) };
        let Source::Gateway(feed) = &mut stream.source else { return Ok(()) };
        if feed.lives(truth) {
            let frame = feed.frame(truth, self.mutant);
            stream.queue.push(Packet::Frame(frame));
            return Ok(());
        }
        self.end_feed(truth, client, End::Broken)
    }

    /// A frame arrives, perhaps in two pieces, of which the second may come with the next one.
    pub(crate) fn hear(&mut self, truth: &Truth, client: usize, pick: usize, again: bool, cut: u8) -> Verdict {
        self.tick(truth, client)?;
        let mutant = self.mutant;
        let this = &mut self.clients[client];
        let Some(stream) = this.stream.as_mut().filter(|stream| !stream.queue.is_empty()) else { return Ok(()) };
        let at = pick % stream.queue.len();
        let packet = if again { stream.queue[at].clone() } else { stream.queue.remove(at) };
        let mut bytes = std::mem::take(&mut stream.rest);
        if !std::mem::replace(&mut stream.begun, true) {
            bytes.extend(FeedFrame::PREAMBLE);
        }
        let frame = match packet {
            Packet::Frame(mut frame) => {
                stream.heard += 1;
                if mutant == Some(Mutant::ChainHidden) {
                    frame.number = stream.heard - 1;
                }
                if mutant == Some(Mutant::FramesDatedByArrival)
                    && let Source::Gateway(feed) = &stream.source
                {
                    frame.clock_ms = shown(truth, feed, truth.now);
                }
                frame.encode()
            }
            Packet::Relayed(bytes) => bytes,
        };
        self.tally.note("frame heard");
        bytes.extend(frame);
        let (id, end) = (stream.id, bytes.len() * (256 - usize::from(cut)) / 256);
        self.take_in(truth, client, &bytes[..end])?;
        let rest = bytes[end..].to_vec();
        if cut % 3 == 1
            && let Some(stream) = self.clients[client].stream.as_mut().filter(|stream| stream.id == id)
        {
            stream.rest = rest;
            return Ok(());
        }
        self.take_in(truth, client, &rest)
    }

    /// Bytes of a feed arrive, and with its beginning the name of its store.
    fn take_in(&mut self, truth: &Truth, client: usize, bytes: &[u8]) -> Verdict {
        let this = &mut self.clients[client];
        let Some(stream) = &mut this.stream else { return Ok(()) };
        let frames = stream.reader.push(bytes).unwrap_or_else(|error| panic!("a feed: {error}"));
        for store in frames.iter().filter_map(|frame| frame.hello?.incarnation.checked_sub(1)) {
            this.judge.session.meet(store as usize);
        }
        this.adapter.handle_feed_bytes(this.now, stream.id, bytes);
        self.drain(truth, client, None)
    }

    /// A frame does not arrive; where none is on its way, one is sent first.
    pub(crate) fn lose_frame(&mut self, truth: &Truth, client: usize, pick: usize) -> Verdict {
        if self.clients[client].stream.as_ref().is_some_and(|stream| stream.queue.is_empty()) {
            self.beat(truth, client)?;
        }
        if let Some(stream) = self.clients[client].stream.as_mut().filter(|stream| !stream.queue.is_empty()) {
            stream.queue.remove(pick % stream.queue.len());
        }
        Ok(())
    }

    pub(crate) fn end_feed(&mut self, truth: &Truth, client: usize, end: End) -> Verdict {
        self.tick(truth, client)?;
        let this = &mut self.clients[client];
        let Some(stream) = &this.stream else { return Ok(()) };
        let asked = matches!(stream.source, Source::Asked);
        let end = match end {
            End::Ended => FeedEnd::Ended,
            End::Refused if asked => FeedEnd::Refused { status: 503, retry_after: Some(100) },
            End::NoRoute if asked => FeedEnd::Refused { status: 404, retry_after: None },
            End::Broken | End::Refused | End::NoRoute => FeedEnd::Broken,
        };
        this.adapter.handle_feed_end(this.now, stream.id, end);
        self.drain(truth, client, None)
    }

    /// The feed of `client` is over, and so it is for whoever follows it.
    pub(crate) fn end_relay(&mut self, truth: &Truth, client: usize) -> Verdict {
        for other in (0..self.clients.len()).filter(|&other| other != client) {
            let this = &mut self.clients[other];
            if this.stream.as_ref().is_some_and(|stream| matches!(stream.source, Source::Relay)) && client == 0 {
                self.end_feed(truth, other, End::Broken)?;
            }
        }
        Ok(())
    }

    pub(crate) fn attend(&mut self, truth: &Truth, client: usize, looks: bool) -> Verdict {
        self.tick(truth, client)?;
        let this = &mut self.clients[client];
        let attention = if looks { Attention::Active } else { Attention::Away };
        this.adapter.handle_attention(this.now, attention);
        self.drain(truth, client, None)
    }
}
