//! Error codes and problem details.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $retryable:literal;)*) => {
        /// Stable error codes. The same text is `code` in problem details and in the SDK's `ForemapError`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl ErrorCode {
            /// Every code, in order of its wire number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status an answer with this code has; 0 for errors that only arise in the client.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Tells whether the same request may succeed later.
            pub fn retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)* }
            }
        }
    };
}

// New codes are appended: the position is the code's number in the binary form.
codes! {
    /// The key or prefix is not canonicalisable.
    BadKey = "BAD_KEY", 400, false;
    /// The request is malformed.
    BadRequest = "BAD_REQUEST", 400, false;
    /// The body is over its limit.
    BodyTooLarge = "BODY_TOO_LARGE", 413, false;
    /// The batch holds more keys than allowed.
    TooManyKeys = "TOO_MANY_KEYS", 400, false;
    /// The content type is not one that the route reads.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415, false;
    /// There is no such route.
    NoRoute = "NO_ROUTE", 404, false;
    /// The route does not know the method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405, false;
    /// There is no such keymap.
    NotFound = "NOT_FOUND", 404, false;
    /// The stored version is not the expected one.
    VersionConflict = "VERSION_CONFLICT", 412, false;
    /// The token is missing, expired or not genuine.
    Unauthenticated = "UNAUTHENTICATED", 401, false;
    /// The token does not cover the verb or the key.
    Forbidden = "FORBIDDEN", 403, false;
    /// The node cannot answer now.
    Unavailable = "UNAVAILABLE", 503, true;
    /// The outcome of a write is not known; the same `write_id` may be retried.
    Unknown = "UNKNOWN", 503, true;
    /// Too many requests.
    TooManyRequests = "TOO_MANY_REQUESTS", 429, true;
    /// A defect of the node.
    Internal = "INTERNAL", 500, true;
    /// No answer in time.
    Timeout = "TIMEOUT", 504, true;
    /// The caller cancelled the request.
    Aborted = "ABORTED", 0, false;
    /// The client is closed.
    Closed = "CLOSED", 0, false;
    /// The options of the client are wrong.
    Config = "CONFIG", 0, false;
    /// The wasm core trapped; it has been rebuilt and the next call works.
    CorePanic = "CORE_PANIC", 0, true;
    /// A gateway could not be reached.
    Network = "NETWORK", 0, true;
    /// A gateway answered with something that is not this protocol.
    BadAnswer = "BAD_ANSWER", 502, true;
    /// The node has more to do than it can: this kind of request waits until it has less.
    Overloaded = "OVERLOADED", 503, true;
    /// The request did not arrive in time.
    RequestTimeout = "REQUEST_TIMEOUT", 408, true;
}

impl ErrorCode {
    /// The code that a failing HTTP status stands for where no problem details say more: whoever answered was perhaps no
    /// gateway. So 404 is no statement about a keymap.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthenticated,
            403 => Self::Forbidden,
            404 => Self::NoRoute,
            405 => Self::MethodNotAllowed,
            408 => Self::RequestTimeout,
            412 => Self::VersionConflict,
            413 => Self::BodyTooLarge,
            415 => Self::UnsupportedMediaType,
            429 => Self::TooManyRequests,
            400..=499 => Self::BadRequest,
            500 => Self::Internal,
            504 => Self::Timeout,
            501..=599 => Self::Unavailable,
            _ => Self::BadAnswer,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Problem details (RFC 9457) with a stable code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `about:blank`: the code says what the type would.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: ErrorCode,
    /// Description of what was wrong in this very request.
    pub detail: String,
    /// The limit that was exceeded, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<u64>,
}

impl Problem {
    /// A problem with the status that belongs to `code`.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let status = code.status();
        let title = match status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            412 => "Precondition Failed",
            413 => "Content Too Large",
            415 => "Unsupported Media Type",
            429 => "Too Many Requests",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            _ => "Internal Server Error",
        };
        Self { kind: "about:blank".into(), title: title.into(), status, code, detail: detail.into(), limit: None }
    }

    /// The same, naming the limit that was exceeded.
    #[must_use]
    pub fn with_limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
