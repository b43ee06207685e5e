//! `GET /v1/changes`: the change feed, as server-sent events, for people and for readers that know nothing else.
//!
//! Every event carries the JSON of an answer to an empty batch: positions,
//! changes, resets. Its id is the feed's cursor, `shard:position` joined by commas and `@` with the incarnation of the
//! store, and goes back in `Last-Event-ID` or `since=`. An event `reset` says that the store is another one than that
//! cursor or the events before were of: nothing that was read of the old one counts any more, and the feed goes on from now. A feed holds no queue: a slow reader is served from the node's recent
//! changes, and told of a reset where those no longer reach back.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use foremap::key::KeyPrefix;
use foremap::node::{ChangeSet, Priority};
use foremap::protocol::{BatchResponse, Cursor, ErrorCode, Problem, Route};
use futures_util::stream;
use jsonwebtoken::get_current_timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::forwarded::ClientAddress;
use super::handler_error::{HandlerError, HandlerResult};
use super::permits::SubjectPermit;
use super::request::{self, Params};
use super::server::Server;
use crate::auth::{TokenScope, Verb};

const BAD_CURSOR: &str =
    "a feed's cursor is `shard:position` joined by commas, and `@` with the incarnation of the store";
/// Longest time without an event: a feed that says nothing covers nothing.
const HEARTBEAT: Duration = Duration::from_secs(1);

pub(super) async fn changes(
    State(server): State<Arc<Server>>,
    peer: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    uri: Uri,
) -> HandlerResult {
    let scope = server.scope(&headers)?;
    scope.require(Verb::Get)?;
    let params = Params::of(&uri, &Route::EVENTS)?;
    let prefix = params.prefix()?;
    let last_event = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let since = last_event.or(params.get("since")).map(read_cursors).transpose()?.unwrap_or_default();
    let (since, of) = since;
    let incarnation = server.node.node().map().epoch.incarnation;
    // Cursors of another store mean nothing in this one.
    let is_reset = of.is_some_and(|of| of != incarnation);
    let known = if is_reset { Vec::new() } else { since.clone() };
    let shards: Vec<u16> = since.iter().map(|cursor| cursor.shard).collect();
    let cursors = cursors(&server, &params, &prefix, &shards, &known)?;
    server.admit(Priority::List).await?;
    let share = SubjectPermit::enter(&server.event_feeds, Server::subject(&scope, peer)).map_err(|limit| {
        let detail = "no more change feeds of this form are served, or none for this subject";
        Problem::new(ErrorCode::TooManyRequests, detail).with_limit(limit as u64)
    })?;
    let feed = EventFeed {
        applied: server.process.applied(),
        stop: server.stop.clone(),
        server: server.clone(),
        _share: share,
        expires: expiry(&scope),
        scope,
        prefix,
        cursors,
        incarnation,
        is_reset,
        heartbeat: Instant::now(),
    };
    let events = stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    Ok(respond(&server, Sse::new(events)))
}

fn respond(server: &Server, events: impl IntoResponse) -> Response {
    let mut response = events.into_response();
    response.headers_mut().extend(server.headers());
    response
}

/// Cursors at which the feed of every shard asked for begins: at `since`, or now.
fn cursors(
    server: &Server,
    params: &Params,
    prefix: &KeyPrefix,
    named: &[u16],
    since: &[Cursor],
) -> Result<Vec<Cursor>, HandlerError> {
    let layout = server.process.store.layout();
    let mut shards: Vec<u16> = match params.get("shards") {
        Some(text) => text
            .split(',')
            .map(|t| u16::try_from(request::whole(t.trim())?).ok())
            .collect::<Option<_>>()
            .unwrap_or(vec![u16::MAX]),
        None if prefix.depth() == 0 && !named.is_empty() => named.to_vec(),
        None => layout.shards_of(prefix),
    };
    shards.sort_unstable();
    shards.dedup();
    if shards.iter().any(|&shard| shard >= layout.shards) {
        let problem = Problem::new(ErrorCode::BadRequest, format!("`shards` are 0 to {}", layout.shards - 1));
        return Err(problem.with_limit(layout.shards.into()).into());
    }
    let now = server.node.node().positions(server.process.clock.now());
    let start = |&shard: &u16| {
        let known = since.iter().find(|c| c.shard == shard).map(|c| c.position);
        let position = known.unwrap_or_else(|| now.get(usize::from(shard)).map_or(0, |p| p.position));
        Cursor { shard, position }
    };
    Ok(shards.iter().map(start).collect())
}

/// Cursors, and the incarnation of the store that they are of, where it is told.
fn read_cursors(text: &str) -> Result<(Vec<Cursor>, Option<u32>), HandlerError> {
    let incarnation = |text: &str| u32::try_from(request::whole(text)?).ok();
    let (text, of) = match text.split_once('@') {
        Some((text, of)) => (text, Some(incarnation(of.trim()).ok_or_else(|| HandlerError::bad_request(BAD_CURSOR))?)),
        None => (text, None),
    };
    let read = |part: &str| {
        let (shard, position) = part.trim().split_once(':')?;
        Some(Cursor { shard: u16::try_from(request::whole(shard)?).ok()?, position: request::whole(position)? })
    };
    let cursors: Option<Vec<Cursor>> = text.split(',').filter(|part| !part.is_empty()).map(read).collect();
    cursors.map(|cursors| (cursors, of)).ok_or_else(|| HandlerError::bad_request(BAD_CURSOR))
}

fn write_cursors(cursors: &[Cursor], incarnation: u32) -> String {
    let parts: Vec<String> = cursors.iter().map(|c| format!("{}:{}", c.shard, c.position)).collect();
    format!("{}@{incarnation}", parts.join(","))
}

/// The moment at which a token is no longer valid; `None` where that is too far away to wait for.
fn expiry(scope: &TokenScope) -> Option<Instant> {
    let left = scope.expires_at()?.saturating_sub(get_current_timestamp());
    Instant::now().checked_add(Duration::from_secs(left))
}

struct EventFeed {
    server: Arc<Server>,
    _share: SubjectPermit,
    applied: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
    scope: TokenScope,
    /// When its token does.
    expires: Option<Instant>,
    prefix: KeyPrefix,
    cursors: Vec<Cursor>,
    /// Of the store that they are of.
    incarnation: u32,
    /// True while its reader has to hear that the store is another one.
    is_reset: bool,
    /// When the next event is due even without changes; the first at once.
    heartbeat: Instant,
}

impl EventFeed {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if *self.stop.borrow() || self.expires.is_some_and(|at| at <= Instant::now()) {
                return None;
            }
            self.applied.borrow_and_update();
            if let Some(event) = self.reset() {
                return Some(event);
            }
            let server = &self.server;
            let set = server.node.node().changes(server.process.clock.now(), &self.cursors);
            let due = Instant::now() >= self.heartbeat;
            if let Some(event) = self.event(set, due) {
                self.heartbeat = Instant::now() + HEARTBEAT;
                return Some(event);
            }
            tokio::select! {
                _ = self.applied.changed() => {}
                _ = tokio::time::sleep_until(self.heartbeat) => {}
                _ = self.stop.changed() => return None,
            }
        }
    }

    /// Goes on in another store from where its log is now, where the store was replaced.
    fn reset(&mut self) -> Option<Event> {
        let server = &self.server;
        let epoch = server.node.node().map().epoch;
        if epoch.incarnation == self.incarnation && !self.is_reset {
            return None;
        }
        (self.incarnation, self.is_reset) = (epoch.incarnation, false);
        let now = server.node.node().positions(server.process.clock.now());
        for cursor in &mut self.cursors {
            cursor.position = now.get(usize::from(cursor.shard)).map_or(0, |at| at.position);
        }
        let data = serde_json::to_string(&BatchResponse { epoch, ..BatchResponse::default() }).unwrap_or_default();
        Some(Event::default().event("reset").id(write_cursors(&self.cursors, self.incarnation)).data(data))
    }

    fn event(&mut self, set: ChangeSet, due: bool) -> Option<Event> {
        let ChangeSet { mut positions, mut changes, resets } = set;
        changes.retain(|change| self.prefix.covers(&change.key) && self.scope.covers(&change.key));
        // Also where nothing is for this reader, or the log would leave the feed behind.
        let before = self.cursors.clone();
        for (cursor, at) in self.cursors.iter_mut().zip(&positions) {
            // After a reset the feed goes on from now; otherwise a reader ahead of this node stays ahead.
            let reset = resets.contains(&cursor.shard);
            cursor.position = if reset { at.position } else { cursor.position.max(at.position) };
        }
        if changes.is_empty() && resets.is_empty() && !due {
            return None;
        }
        if !due {
            let moved = |shard| self.cursors.iter().zip(&before).any(|(now, then)| now.shard == shard && now != then);
            positions.retain(|at| moved(at.shard));
        }
        let epoch = self.server.node.node().map().epoch;
        let body = BatchResponse { epoch, positions, changes, resets, ..BatchResponse::default() };
        let data = serde_json::to_string(&body).unwrap_or_default();
        Some(Event::default().event("changes").id(write_cursors(&self.cursors, self.incarnation)).data(data))
    }
}
