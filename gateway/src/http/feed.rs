//! `POST /v1/changes`: the change feed in binary frames.
//!
//! What a frame is, [`foremap::node::Feeds`] decides. Here it is only carried: the next frame is asked for when the last
//! one has been taken, so whoever reads slowly costs no memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use foremap::Millis;
use foremap::codec::DecodeError;
use foremap::node::{FeedNumber, Priority, Subject, Subscriber};
use foremap::protocol::{BatchRequest, CONTENT_TYPE, FeedFrame};
use futures_util::Stream;
use futures_util::task::AtomicWaker;
use jsonwebtoken::get_current_timestamp;
use parking_lot::Mutex;

use super::forwarded::ClientAddress;
use super::handler_error::{HandlerError, HandlerResult};
use super::request;
use super::server::Server;
use crate::auth::{TokenScope, Verb};

pub(super) async fn open(
    State(server): State<Arc<Server>>,
    peer: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Body,
) -> HandlerResult {
    let scope = server.scope(&headers)?;
    scope.require(Verb::Get)?;
    if request::media_type(&headers) != CONTENT_TYPE {
        return Err(request::unsupported(&headers, &format!("`{CONTENT_TYPE}`")));
    }
    let body = request::body(&headers, body).await?;
    let bad = |error: DecodeError| HandlerError::bad_request(format!("the request cannot be decoded: {error}"));
    let request = BatchRequest::decode(&body).map_err(bad)?;
    server.admit(Priority::List).await?;
    let now = server.process.clock.now();
    let subscriber = subscriber(&scope, Server::subject(&scope, peer), now);
    let number = server.node.node().feeds().open(now, &request, subscriber)?;
    let frames =
        FrameStream { waker: server.node.wakers.add(number), server: server.clone(), number, has_begun: false };
    server.process.feed_news.notify_one();
    Ok(respond(&server, frames))
}

fn subscriber(scope: &TokenScope, share: Subject, now: Millis) -> Subscriber {
    let left = |at: u64| Duration::from_secs(at.saturating_sub(get_current_timestamp())).as_millis();
    let until = scope.expires_at().map(|at| now.saturating_add(Millis::try_from(left(at)).unwrap_or(Millis::MAX)));
    Subscriber { subject: scope.subject(), share, prefixes: scope.prefixes(), until }
}

fn respond(server: &Server, frames: FrameStream) -> Response {
    let frames = FrameHandover(Arc::new(Mutex::new(Some(frames))));
    let mut headers = server.headers();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // Proxies that keep answers back until they are whole are asked not to.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    let mut response = (headers, Body::from_stream(frames.clone())).into_response();
    response.extensions_mut().insert(frames);
    response
}

/// The frames of one feed, which is closed when this is dropped.
pub(super) struct FrameStream {
    server: Arc<Server>,
    number: FeedNumber,
    waker: Arc<AtomicWaker>,
    has_begun: bool,
}

impl FrameStream {
    /// Polls for the next frame to send; `None` where the feed has ended.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        // First: a call that comes while the frame is being made must not be lost.
        self.waker.register(cx.waker());
        let (feeds, now) = (self.server.node.node().feeds(), self.server.process.clock.now());
        if let Some(frame) = feeds.next_frame(now, self.number) {
            if std::mem::replace(&mut self.has_begun, true) {
                return Poll::Ready(Some(frame));
            }
            return Poll::Ready(Some([FeedFrame::PREAMBLE.as_slice(), &frame].concat()));
        }
        if self.is_stopped() || feeds.is_over(now, self.number) {
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// Tells whether the node ends.
    pub(super) fn is_stopped(&self) -> bool {
        *self.server.stop.borrow()
    }
}

impl Drop for FrameStream {
    fn drop(&mut self) {
        self.server.node.wakers.remove(self.number);
        self.server.node.node().feeds().close(self.number);
    }
}

/// The frames as an answer's body, until somebody takes them to send them without one.
#[derive(Clone)]
pub(super) struct FrameHandover(Arc<Mutex<Option<FrameStream>>>);

impl FrameHandover {
    /// The frames; the body has none any more.
    pub(super) fn take(&self) -> Option<FrameStream> {
        self.0.lock().take()
    }
}

impl Stream for FrameHandover {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.lock().as_mut() {
            Some(frames) => frames.poll_next(cx).map(|frame| frame.map(|frame| Ok(frame.into()))),
            None => Poll::Ready(None),
        }
    }
}
