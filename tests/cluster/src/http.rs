//! One exchange over HTTP.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// The whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The member `name` of a JSON body.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        body[name].as_u64()
    }

    /// The code of problem details.
    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    /// `Retry-After` in milliseconds.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        Some(self.header("retry-after").parse::<u64>().ok()? * 1_000)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nothing was sent: there was no connection.
    Refused,
    /// The connection broke.
    Broken,
    /// No answer in time.
    Timeout,
}

/// A client with connections of its own.
#[derive(Clone)]
pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

impl Http {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    /// Sends `request`, and reads the answer within `patience`.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>, patience: Duration) -> Result<Reply, Lost> {
        let exchange = async {
            let (head, body) = self.open(request).await?.into_parts();
            let body = body.collect().await.map_err(|_| Lost::Broken)?.to_bytes();
            Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(patience, exchange).await.unwrap_or(Err(Lost::Timeout))
    }

    /// Sends `request`; the body of the answer is read by the caller.
    pub(crate) async fn open(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Lost> {
        let lost =
            |error: hyper_util::client::legacy::Error| if error.is_connect() { Lost::Refused } else { Lost::Broken };
        self.0.request(request).await.map_err(lost)
    }

    /// Tells whether the gateway at `origin` says that it is ready.
    pub(crate) async fn is_ready(&self, origin: &str) -> bool {
        let reply = self.send(get(&format!("{origin}/readyz")), Duration::from_secs(1)).await;
        reply.is_ok_and(|reply| reply.status == 200)
    }
}

/// A request of this program, whose parts are known to be well-formed.
pub(crate) fn request(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.into()));
    *request.method_mut() = method;
    *request.uri_mut() = url.parse().unwrap_or_default();
    for (name, value) in headers {
        let parts = (name.parse::<hyper::header::HeaderName>(), hyper::header::HeaderValue::from_str(value));
        if let (Ok(name), Ok(value)) = parts {
            request.headers_mut().append(name, value);
        }
    }
    request
}

pub(crate) fn get(url: &str) -> Request<Full<Bytes>> {
    request(Method::GET, url, &[], Bytes::new())
}
