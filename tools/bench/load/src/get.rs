//! Single keys: the same loop and the same clock for the gateway and for Redis.
//!
//! All connections share one thread, as clients on other machines would leave the processors of the server alone as
//! far as they can. `wrk` and `redis-benchmark` cannot be held against each other: they count different parts of an exchange.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use foremap::protocol::{CONTENT_TYPE, Consistency};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::gateway::Http;
use crate::keys::Shape;
use crate::laps::{LONGEST, Measured};

/// One key, again and again.
#[derive(clap::Args)]
pub(crate) struct Get {
    /// `host:port` of the gateway
    #[arg(long, required_unless_present = "redis")]
    gateway: Option<String>,
    /// `host:port` of a Redis server without cluster mode
    #[arg(long, conflicts_with = "gateway")]
    redis: Option<String>,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// As a batch of one
    #[arg(long, requires = "gateway")]
    batch: bool,
    #[command(flatten)]
    shape: Shape,
}

/// Protocol by which an answer is told to be whole.
#[derive(Clone, Copy)]
enum Protocol {
    Http,
    Redis,
}

impl Get {
    /// Every answer must hold the value.
    pub(crate) fn run(&self) -> Result<Measured> {
        let (address, protocol, request) = match (&self.gateway, &self.redis) {
            (Some(gateway), _) => (gateway, Protocol::Http, self.http(gateway)?),
            (None, Some(redis)) => {
                let key = self.shape.key(0)?;
                let (key, length) = (key.as_str(), key.as_str().len());
                (redis, Protocol::Redis, format!("*2\r\n$3\r\nGET\r\n${length}\r\n{key}\r\n").into())
            }
            (None, None) => bail!("neither a gateway nor Redis is named"),
        };
        let least = self.shape.value(0)?.len();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let all = Rc::new(RefCell::new(Histogram::new_with_bounds(1, LONGEST, 3)?));
        let took = LocalSet::new().block_on(&runtime, async {
            let mut connections = Vec::new();
            for _ in 0..self.connections {
                let stream = TcpStream::connect(address).await.with_context(|| format!("cannot reach {address}"))?;
                stream.set_nodelay(true)?;
                let mut one = Exchange { stream, protocol, request: request.clone(), read: Vec::new(), least };
                one.lap().await?;
                connections.push(one);
            }
            let begun = Instant::now();
            let until = begun + Duration::from_secs_f64(self.seconds);
            let spawn = |one: Exchange| tokio::task::spawn_local(one.run(until, all.clone()));
            let tasks: Vec<_> = connections.into_iter().map(spawn).collect();
            for task in tasks {
                task.await??;
            }
            anyhow::Ok(begun.elapsed())
        })?;
        Measured::new(&all.borrow(), took)
    }

    fn http(&self, gateway: &str) -> Result<Vec<u8>> {
        if !self.batch {
            let key = self.shape.key(0)?;
            let head =
                format!("GET /v1/keymap?key={key} HTTP/1.1\r\nhost: {gateway}\r\naccept: {CONTENT_TYPE}\r\n\r\n");
            return Ok(head.into());
        }
        let body = Http::connect(gateway)?.batch_body(&self.shape, 1, Consistency::Bounded)?;
        let length = body.len();
        let head = format!(
            "POST /v1/batch HTTP/1.1\r\nhost: {gateway}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {length}\r\n\r\n"
        );
        Ok([head.as_bytes(), &body].concat())
    }
}

struct Exchange {
    stream: TcpStream,
    protocol: Protocol,
    request: Vec<u8>,
    read: Vec<u8>,
    /// Bytes that a value has at least.
    least: usize,
}

impl Exchange {
    async fn run(mut self, until: Instant, all: Rc<RefCell<Histogram<u64>>>) -> Result<()> {
        let mut before = Instant::now();
        while before < until {
            self.lap().await?;
            let now = Instant::now();
            all.borrow_mut().saturating_record((now - before).as_nanos() as u64);
            before = now;
        }
        Ok(())
    }

    async fn lap(&mut self) -> Result<()> {
        self.stream.write_all(&self.request).await?;
        self.read.clear();
        loop {
            ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the server closed the connection");
            let Some((head, body)) = self.protocol.lengths(&self.read)? else { continue };
            if self.read.len() >= head + body {
                ensure!(body + 16 >= self.least, "the value is missing");
                return Ok(());
            }
        }
    }
}

impl Protocol {
    /// Lengths of head and body, once the head is there.
    fn lengths(self, bytes: &[u8]) -> Result<Option<(usize, usize)>> {
        match self {
            Self::Http => {
                let mut headers = [httparse::EMPTY_HEADER; 32];
                let mut answer = httparse::Response::new(&mut headers);
                let httparse::Status::Complete(head) = answer.parse(bytes)? else { return Ok(None) };
                ensure!(answer.code == Some(200), "the gateway answered {:?}", answer.code);
                let length = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
                let length = length.context("the answer has no length")?;
                Ok(Some((head, std::str::from_utf8(length.value)?.parse()?)))
            }
            Self::Redis => {
                let Some(head) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
                let length = bytes[..head].strip_prefix(b"$").context("the answer is no value")?;
                Ok(Some((head + 2, std::str::from_utf8(length)?.parse::<usize>()? + 2)))
            }
        }
    }
}
