//! Writes, and what their answers mean.

use std::sync::Arc;

use foremap::key::CompositeKey;
use foremap_check::Outcome;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request};

use crate::http::{Lost, Reply, request};

/// A put or delete, tried under one id until its outcome is known.
#[derive(Debug, Clone)]
pub(crate) struct WriteRequest {
    pub(crate) id: String,
    pub(crate) key: CompositeKey,
    /// `None` deletes.
    pub(crate) value: Option<Arc<str>>,
    pub(crate) expect: Expect,
}

/// The condition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    Any,
    Absent,
    Version(u64),
}

/// Result that one attempt was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Written {
        version: u64,
        shard: u16,
        position: u64,
    },
    Conflict {
        current: u64,
    },
    /// This attempt certainly was not executed.
    NotDone,
    Unknown,
    /// An answer that no write of this program should get.
    Nonsense(String),
}

impl WriteRequest {
    /// One attempt at the gateway `origin`.
    pub(crate) fn attempt(&self, origin: &str) -> Request<Full<Bytes>> {
        let url = format!("{origin}/v1/keymap?key={}", self.key.as_str());
        let version = match self.expect {
            Expect::Version(version) => format!("\"{version}\""),
            _ => String::new(),
        };
        let mut headers = vec![("foremap-write-id", self.id.as_str())];
        match self.expect {
            Expect::Any => {}
            Expect::Absent => headers.push(("if-none-match", "*")),
            Expect::Version(_) => headers.push(("if-match", &version)),
        }
        match &self.value {
            Some(value) => {
                headers.push(("content-type", "application/json"));
                request(Method::PUT, &url, &headers, serde_json::json!({ "locator": &**value }).to_string())
            }
            None => request(Method::DELETE, &url, &headers, Bytes::new()),
        }
    }
}

impl Told {
    /// Interprets the answer to an attempt.
    pub(crate) fn of(answer: &Result<Reply, Lost>) -> Self {
        let reply = match answer {
            Ok(reply) => reply,
            Err(Lost::Refused) => return Self::NotDone,
            Err(Lost::Broken | Lost::Timeout) => return Self::Unknown,
        };
        match (reply.status, reply.code().as_str()) {
            (200 | 201, _) => {
                let number = |name| reply.number(name);
                let parts =
                    (number("version"), number("shard").and_then(|n| u16::try_from(n).ok()), number("position"));
                match parts {
                    (Some(version), Some(shard), Some(position)) => Self::Written { version, shard, position },
                    _ => Self::Nonsense(format!("{reply:?}")),
                }
            }
            (412, "VERSION_CONFLICT") => {
                Self::Conflict { current: reply.header("etag").trim_matches('"').parse().unwrap_or(0) }
            }
            (404, "NOT_FOUND") => Self::Conflict { current: 0 },
            (503, "UNAVAILABLE") | (429, _) => Self::NotDone,
            (500.., _) => Self::Unknown,
            _ => Self::Nonsense(format!("{reply:?}")),
        }
    }
}

/// Summary of all attempts at one write.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attempts {
    /// One may have been executed, or may yet be: it waits in a process that is paused.
    perhaps: bool,
}

impl Attempts {
    /// Adds an attempt; the outcome, once one is known.
    pub(crate) fn add(&mut self, told: &Told, expect: Expect) -> Option<Outcome> {
        match told {
            Told::Written { version, .. } => return Some(Outcome::Acknowledged { version: *version }),
            // An earlier attempt can still come true once the key is there, or is gone, again. A version never returns.
            Told::Conflict { current } => {
                let certain = !self.perhaps || matches!(expect, Expect::Version(_));
                return Some(if certain { Outcome::Conflict { current: *current } } else { Outcome::Unknown });
            }
            Told::Unknown => self.perhaps = true,
            Told::NotDone | Told::Nonsense(_) => {}
        }
        None
    }

    /// Tells whether one of them may have been executed.
    pub(crate) fn may_have_happened(self) -> bool {
        self.perhaps
    }

    /// The outcome where nobody told it.
    pub(crate) fn outcome(self) -> Outcome {
        if self.perhaps { Outcome::Unknown } else { Outcome::Failed }
    }
}
