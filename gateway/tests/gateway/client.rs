//! A light HTTP client, and a gateway inside the test's process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use foremap::protocol::{ErrorCode, Problem};
use foremap_gateway::host::ShifterMode;
use foremap_gateway::http::HttpOptions;
use foremap_gateway::run::{Options, Running, ShareOptions, StoreOptions, start, start_over};
use foremap_gateway::store::{RedbOptions, Store};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tempfile::TempDir;

/// Time for which a node that has too much to do is asked again: one that has for longer is broken.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Client {
    http: HyperClient<HttpConnector, Full<Bytes>>,
    is_patient: bool,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    /// One that comes again, as clients do, while a node has more to do than it can: on a loaded machine any may.
    pub(crate) fn new() -> Self {
        Self { http: HyperClient::builder(TokioExecutor::new()).build_http(), is_patient: true }
    }

    /// One that returns every refusal.
    pub(crate) fn impatient() -> Self {
        Self { is_patient: false, ..Self::new() }
    }

    /// `None` where no answer arrived.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Option<Reply> {
        let request =
            headers.iter().fold(Request::builder().method(method).uri(url), |r, (name, v)| r.header(*name, *v));
        let request = request.body(Full::new(body.into())).expect("a valid request");
        let response = self.http.request(request).await.ok()?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Reply { status: head.status, headers: head.headers, body })
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let (body, since) = (body.into(), Instant::now());
        loop {
            let reply = self.try_send(method.clone(), url, headers, body.clone()).await.expect("an answer");
            if !self.is_patient || !reply.is_overloaded() || since.elapsed() > PATIENCE {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn get(&self, url: &str) -> Reply {
        self.send(Method::GET, url, &[], "").await
    }

    pub(crate) async fn put(&self, url: &str, locator: &str) -> Reply {
        let body = serde_json::json!({ "locator": locator }).to_string();
        self.send(Method::PUT, url, &[("content-type", "application/json")], body).await
    }

    /// The body of an endless answer as it arrives.
    pub(crate) async fn open(&self, url: &str, headers: &[(&str, &str)]) -> hyper_util::client::legacy::ResponseFuture {
        let request = headers.iter().fold(Request::builder().uri(url), |r, (name, value)| r.header(*name, *value));
        self.http.request(request.body(Full::default()).expect("a valid request"))
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON: {self:?}"))
    }

    /// The problem details, having checked their form.
    pub(crate) fn problem(&self) -> Problem {
        assert_eq!(self.header(header::CONTENT_TYPE.as_str()), "application/problem+json", "{self:?}");
        let problem: Problem = serde_json::from_slice(&self.body).expect("problem details");
        assert_eq!((problem.status, problem.kind.as_str()), (self.status.as_u16(), "about:blank"));
        assert!(!problem.title.is_empty() && !problem.detail.is_empty());
        problem
    }

    fn is_overloaded(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
            && serde_json::from_slice::<Problem>(&self.body).is_ok_and(|problem| problem.code == ErrorCode::Overloaded)
    }

    pub(crate) fn code(&self) -> &'static str {
        self.problem().code.as_str()
    }
}

/// Nodes over a store of their own.
pub(crate) struct Gateway {
    pub(crate) client: Client,
    pub(crate) running: Running,
    dir: TempDir,
}

impl Gateway {
    pub(crate) async fn start(nodes: usize) -> Self {
        Self::with(nodes, HttpOptions::default()).await
    }

    pub(crate) async fn with(nodes: usize, http: HttpOptions) -> Self {
        Self::shifting(nodes, http, ShifterMode::Off).await
    }

    pub(crate) async fn shifting(nodes: usize, http: HttpOptions, shifter: ShifterMode) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let running = start(Self::options(&dir, nodes, http, shifter)).await.expect("started");
        Self { client: Client::new(), running, dir }
    }

    /// One node over `store`.
    pub(crate) async fn over(store: Arc<dyn Store>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Self::options(&dir, 1, HttpOptions::default(), ShifterMode::Off);
        let running = start_over(store, options).await.expect("started");
        Self { client: Client::new(), running, dir }
    }

    fn options(dir: &TempDir, nodes: usize, http: HttpOptions, shifter: ShifterMode) -> Options {
        Options {
            admin_listen: None,
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0)); nodes],
            origin: None,
            node: 1,
            store: StoreOptions::File { path: dir.path().join("store.redb"), options: RedbOptions::default() },
            memory_entries: 10_000,
            patience: Duration::ZERO,
            share: ShareOptions { every: Duration::from_secs(2), ..ShareOptions::default() },
            shifter,
            http,
        }
    }

    /// Status and text of a GET at the first node.
    pub(crate) async fn text(&self, path: &str) -> (u16, String) {
        let reply = self.client.get(&self.url(1, path)).await;
        (reply.status.as_u16(), String::from_utf8_lossy(&reply.body).into_owned())
    }

    /// A URL of node `id`.
    pub(crate) fn url(&self, id: usize, path: &str) -> String {
        format!("http://{}{path}", self.running.addresses[id - 1])
    }

    pub(crate) async fn stop(self) -> TempDir {
        self.running.stop().await.expect("stopped");
        self.dir
    }
}
