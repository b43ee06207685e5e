//! Load on a gateway.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use foremap::partition::PartitionMap;
use foremap::protocol::{
    BatchItem, BatchRequest, BatchResponse, CONTENT_TYPE, Class, Consistency, MapKnowledge, MapUpdate, Outcome,
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::keys::Shape;
use crate::laps::{self, Lap, Measured};

/// Batches of keys below one prefix.
#[derive(clap::Args)]
pub(crate) struct Batch {
    /// `host:port` of the gateway
    #[arg(long)]
    gateway: String,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Keys of one batch
    #[arg(long, default_value_t = 64)]
    keys: usize,
    /// Read from the store, instead of from the gateway's memory
    #[arg(long)]
    strong: bool,
    #[command(flatten)]
    shape: Shape,
}

impl Batch {
    /// Every answer is decoded, and must hold all keys.
    pub(crate) fn run(&self) -> Result<Measured> {
        let consistency = if self.strong { Consistency::Strong } else { Consistency::Bounded };
        laps::run(self.connections, self.seconds, |_| {
            let mut http = Http::connect(&self.gateway)?;
            let body = http.batch_body(&self.shape, self.keys, consistency)?;
            Ok(Batches { http, body, keys: self.keys })
        })
    }
}

struct Batches {
    http: Http,
    body: Bytes,
    keys: usize,
}

impl Lap for Batches {
    fn lap(&mut self) -> Result<()> {
        let answer = self.http.batch(self.body.clone())?;
        let found = answer.results.iter().filter(|result| matches!(result.outcome, Outcome::Found { .. })).count();
        ensure!(found == self.keys, "{found} of {} keys were found", self.keys);
        Ok(())
    }
}

/// Writes to keys in turn.
#[derive(clap::Args)]
pub(crate) struct Put {
    /// `host:port` of the gateway
    #[arg(long)]
    gateway: String,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Number of keys
    #[arg(long, default_value_t = 10_000)]
    keys: usize,
    /// So many a second over all connections, instead of each as soon as the last is acknowledged
    #[arg(long)]
    rate: Option<f64>,
    #[command(flatten)]
    shape: Shape,
}

impl Put {
    /// Every write must be acknowledged.
    pub(crate) fn run(&self) -> Result<Measured> {
        laps::run(self.connections, self.seconds, |at| {
            let pause = self.rate.map(|rate| Duration::from_secs_f64(self.connections as f64 / rate));
            let mut puts = Puts { http: Http::connect(&self.gateway)?, put: self, at, pause, next: Instant::now() };
            puts.lap()?;
            Ok(puts)
        })
    }
}

struct Puts<'a> {
    http: Http,
    put: &'a Put,
    at: usize,
    pause: Option<Duration>,
    /// When the next write is due.
    next: Instant,
}

impl Lap for Puts<'_> {
    fn lap(&mut self) -> Result<()> {
        if let Some(pause) = self.pause {
            std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
            self.next = Instant::now().max(self.next + pause);
        }
        self.http.put(&self.put.shape, self.at % self.put.keys)?;
        self.at += self.put.connections;
        Ok(())
    }
}

/// One connection to a gateway.
pub(crate) struct Http {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Http {
    pub(crate) fn connect(gateway: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(gateway).await.with_context(|| format!("cannot reach {gateway}"))?;
            stream.set_nodelay(true)?;
            let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            anyhow::Ok(sender)
        })?;
        Ok(Self { runtime, sender, host: gateway.to_owned() })
    }

    fn exchange(&mut self, method: Method, path: &str, kind: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
        let request = Request::builder().method(method).uri(path).header("host", &self.host);
        let request = request.header("content-type", kind).body(Full::new(body))?;
        self.runtime.block_on(async {
            self.sender.ready().await?;
            let answer = self.sender.send_request(request).await?;
            let status = answer.status();
            Ok((status, answer.into_body().collect().await?.to_bytes()))
        })
    }

    pub(crate) fn batch(&mut self, body: impl Into<Bytes>) -> Result<BatchResponse> {
        let (status, body) = self.exchange(Method::POST, "/v1/batch", CONTENT_TYPE, body.into())?;
        ensure!(status == StatusCode::OK, "the gateway answered {status}: {}", String::from_utf8_lossy(&body));
        BatchResponse::decode(&body).map_err(|error| anyhow!("the answer cannot be decoded: {error}"))
    }

    /// A batch of the first `keys` keys, from a client that has the map, so that no answer carries it.
    pub(crate) fn batch_body(&mut self, shape: &Shape, keys: usize, consistency: Consistency) -> Result<Bytes> {
        let item = |at| Ok(BatchItem { key: shape.key(at)?, if_version: None, class: Class::Demand });
        let items = (0..keys).map(item).collect::<Result<_>>()?;
        let mut batch = BatchRequest { items, consistency, max_staleness_ms: 2_000, ..BatchRequest::default() };
        let first = self.batch(batch.encode())?;
        let Some(MapUpdate::Full(map)) = &first.map else { bail!("the gateway sent no map") };
        let map = PartitionMap::decode(map).map_err(|error| anyhow!("the map cannot be decoded: {error}"))?;
        batch.map = Some(MapKnowledge { epoch: first.epoch, hash: map.hash() });
        Ok(batch.encode().into())
    }

    pub(crate) fn put(&mut self, shape: &Shape, at: usize) -> Result<()> {
        // Keys of the bench have nothing to escape.
        let path = format!("/v1/keymap?key={}", shape.key(at)?.as_str());
        let body = serde_json::to_vec(&shape.fields(at))?;
        let (status, body) = self.exchange(Method::PUT, &path, "application/json", body.into())?;
        ensure!(status.is_success(), "the gateway answered {status}: {}", String::from_utf8_lossy(&body));
        Ok(())
    }
}
