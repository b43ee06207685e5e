//! Change feeds that are only listened to, in both forms.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use foremap::key::KeyPrefix;
use foremap::partition::StorageLayout;
use foremap::protocol::{BatchRequest, BatchResponse, CONTENT_TYPE, Cursor, FeedReader};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use tokio::task::LocalSet;

use crate::overload::wire;

/// Addresses that they come from: a gateway gives no address all of its feeds.
const ADDRESSES: u32 = 64;
/// Connections opened at once.
const TOGETHER: usize = 64;
/// Longest time that all feeds may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// Change feeds of one gateway.
#[derive(clap::Args)]
pub(crate) struct Feeds {
    /// `host:port` of the gateway
    #[arg(long)]
    gateway: String,
    /// Number of feeds
    #[arg(long, default_value_t = 16)]
    feeds: usize,
    /// Counted from when all have begun, which a line `ready` tells
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Of the shards that hold the keys below it
    #[arg(long, default_value = "bench")]
    prefix: String,
    /// As server-sent events, instead of in binary frames
    #[arg(long)]
    events: bool,
    /// Staleness that the reader allows, in milliseconds, which tells how often a feed without news says so
    #[arg(long, default_value_t = 10_000)]
    bound_ms: u32,
}

/// Totals of what arrived over all feeds together.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Heard {
    /// Frames or events.
    events: u64,
    /// Changes in them.
    changes: u64,
    bytes: u64,
    /// Feeds that ended or failed.
    ended: u64,
}

impl Feeds {
    pub(crate) fn run(&self) -> Result<Heard> {
        // A connection each.
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, self.listen())
    }

    async fn listen(&self) -> Result<Heard> {
        let heard = Rc::new(RefCell::new(Heard::default()));
        let mut bodies = Vec::with_capacity(self.feeds);
        while bodies.len() < self.feeds {
            let first = bodies.len();
            let more = TOGETHER.min(self.feeds - first);
            let opened = tokio::time::timeout(PATIENCE, join_all((first..first + more).map(|at| self.open(at))));
            for body in opened.await.context("the feeds do not begin")? {
                bodies.push(body?);
            }
        }
        for body in bodies {
            let (heard, reader) = (heard.clone(), self.reader());
            tokio::task::spawn_local(async move {
                drop(follow(body, reader, &heard).await);
                heard.borrow_mut().ended += 1;
            });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        println!("ready");
        let before = *heard.borrow();
        tokio::time::sleep(Duration::from_secs_f64(self.seconds)).await;
        let after = *heard.borrow();
        ensure!(after.ended == 0, "{} of {} feeds ended", after.ended, self.feeds);
        let (events, changes) = (after.events - before.events, after.changes - before.changes);
        Ok(Heard { events, changes, bytes: after.bytes - before.bytes, ended: after.ended })
    }

    fn reader(&self) -> Form {
        if self.events { Form::Events(Vec::new()) } else { Form::Frames(FeedReader::default()) }
    }

    async fn open(&self, at: usize) -> Result<Incoming> {
        let stream = wire::connect(&self.gateway, at as u32 % ADDRESSES).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        let request = Request::builder().header("host", &self.gateway);
        let request = if self.events {
            request.uri(format!("/v1/changes?prefix={}", self.prefix)).body(Full::default())?
        } else {
            let prefix = KeyPrefix::parse(&self.prefix).map_err(|error| anyhow!("the prefix: {}", error.reason()))?;
            let shards = StorageLayout::default().shards_of(&prefix);
            let cursors = shards.into_iter().map(|shard| Cursor { shard, position: 0 }).collect();
            let body = BatchRequest { cursors, max_staleness_ms: self.bound_ms, ..BatchRequest::default() };
            let request = request.method(Method::POST).uri("/v1/changes").header("content-type", CONTENT_TYPE);
            request.body(Full::new(Bytes::from(body.encode())))?
        };
        let answer = sender.send_request(request).await?;
        ensure!(answer.status() == StatusCode::OK, "the gateway answered {}", answer.status());
        Ok(answer.into_body())
    }
}

/// All of them at once, in order.
pub(crate) async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in all.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// Form of what arrives.
enum Form {
    /// Until the empty line that ends an event.
    Events(Vec<u8>),
    Frames(FeedReader),
}

async fn follow(mut body: Incoming, mut form: Form, heard: &RefCell<Heard>) -> Result<()> {
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let (events, changes) = form.read(&data)?;
        let mut heard = heard.borrow_mut();
        heard.events += events;
        heard.changes += changes;
        heard.bytes += data.len() as u64;
    }
    Ok(())
}

impl Form {
    /// Events and changes that are whole now.
    fn read(&mut self, data: &[u8]) -> Result<(u64, u64)> {
        let (mut events, mut changes) = (0, 0);
        match self {
            Self::Frames(reader) => {
                for frame in reader.push(data).map_err(|error| anyhow!("a frame cannot be decoded: {error}"))? {
                    events += 1;
                    changes += frame.changes.len() as u64;
                }
            }
            Self::Events(buffer) => {
                buffer.extend_from_slice(data);
                while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
                    let event: Vec<u8> = buffer.drain(..end + 2).collect();
                    let json = event.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"data:"));
                    let answer: BatchResponse = serde_json::from_slice(json.context("an event without data")?)?;
                    events += 1;
                    changes += answer.changes.len() as u64;
                }
            }
        }
        Ok((events, changes))
    }
}
