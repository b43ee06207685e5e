//! Reading requests.

use std::borrow::Cow;
use std::error::Error;

use axum::body::Body;
use axum::http::{HeaderMap, Uri, header};
use foremap::codec::MAX_SAFE_INTEGER;
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::protocol::{ErrorCode, MAX_BODY_BYTES, Problem, Route};
use percent_encoding::percent_decode_str;

use super::handler_error::HandlerError;
use super::receiving::BodyFault;
use crate::host::SUBJECT;
use crate::store::Expect;

/// The query of a URL, decoded strictly: a key must not change on the way.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// The query of a request for `route`: a parameter that nobody looks at was meant to do something.
    pub(super) fn of(uri: &Uri, route: &Route) -> Result<Self, HandlerError> {
        let known = route.query;
        let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let params: Vec<(String, String)> = pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let name = decode(name).ok_or_else(|| HandlerError::bad_request("the query is not UTF-8"))?;
                let value = decode(value).ok_or_else(|| match name.as_str() {
                    "key" | "prefix" => HandlerError::new(ErrorCode::BadKey, format!("`{name}` is not UTF-8")),
                    _ => HandlerError::bad_request(format!("`{name}` is not UTF-8")),
                })?;
                Ok((name, value))
            })
            .collect::<Result<_, HandlerError>>()?;
        for (at, (name, _)) in params.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(HandlerError::bad_request(format!("`{name}` is not known here, {}", names(known))));
            }
            if params[..at].iter().any(|(other, _)| other == name) {
                return Err(HandlerError::bad_request(format!("`{name}` is given twice")));
            }
        }
        Ok(Self(params))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, HandlerError> {
        let read = |text: &str| {
            whole(text).ok_or_else(|| HandlerError::bad_request(format!("`{name}` is not a whole number below 2^53")))
        };
        self.get(name).map(read).transpose()
    }

    pub(super) fn key(&self) -> Result<CompositeKey, HandlerError> {
        let text = self.get("key").ok_or_else(|| HandlerError::bad_request("the query has no `key`"))?;
        CompositeKey::parse(text).map_err(|error| HandlerError::new(ErrorCode::BadKey, error.reason()))
    }

    pub(super) fn prefix(&self) -> Result<KeyPrefix, HandlerError> {
        let text = self.get("prefix").unwrap_or_default();
        KeyPrefix::parse(text).map_err(|error| HandlerError::new(ErrorCode::BadKey, error.reason()))
    }
}

/// A whole number below 2^53, in digits alone: `parse` would take a sign, too.
pub(super) fn whole(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&number| is_plain && number <= MAX_SAFE_INTEGER)
}

/// A number of 64 bits in hexadecimal digits alone.
pub(super) fn hexadecimal(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| is_plain)
}

fn names(known: &[&str]) -> String {
    match known {
        [] => "there are no parameters".to_owned(),
        [one] => format!("only `{one}` is"),
        [most @ .., last] => format!("only `{}` and `{last}` are", most.join("`, `")),
    }
}

/// As `application/x-www-form-urlencoded`, which is what URL builders write into a query.
fn decode(text: &str) -> Option<String> {
    let text = if text.contains('+') { text.replace('+', " ").into() } else { Cow::Borrowed(text) };
    percent_decode_str(&text).decode_utf8().ok().map(Cow::into_owned)
}

/// The subject that a caller speaks for, if it names one; whether it may is for the route to decide.
pub(super) fn named_subject(headers: &HeaderMap) -> Option<u128> {
    let named = headers.get(SUBJECT).and_then(|value| value.to_str().ok());
    named.and_then(|text| u128::from_str_radix(text, 16).ok())
}

/// The whole body.
pub(super) async fn body(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, HandlerError> {
    body_within(headers, body, MAX_BODY_BYTES).await
}

/// The whole body, of at most `limit` bytes.
pub(super) async fn body_within(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, HandlerError> {
    let too_large = || {
        let detail = format!("the body is over its limit of {limit} bytes");
        HandlerError::from(Problem::new(ErrorCode::BodyTooLarge, detail).with_limit(limit as u64))
    };
    let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    match axum::body::to_bytes(body, limit).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(match fault(&error) {
            Some(BodyFault::Late) => HandlerError::new(ErrorCode::RequestTimeout, BodyFault::Late.to_string()),
            Some(BodyFault::NoRoom(limit)) => {
                let problem = Problem::new(ErrorCode::Overloaded, BodyFault::NoRoom(limit).to_string());
                HandlerError::from(problem.with_limit(limit as u64)).closing()
            }
            Some(BodyFault::Broken) => HandlerError::bad_request("the body ended early"),
            None => too_large(),
        }),
    }
}

/// Finds the fault that the body names; without one it was over the limit of whoever read it.
fn fault(error: &axum::Error) -> Option<BodyFault> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref::<BodyFault>() {
            return Some(fault.clone());
        }
        cause = error.source();
    }
    None
}

/// Tells whether `body` is a JSON object. A struct could also be read from an array, by position: that is no protocol.
pub(super) fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{')
}

/// The media type of the body in lower case, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

pub(super) fn unsupported(headers: &HeaderMap, expected: &str) -> HandlerError {
    let detail = format!("the body is `{}`, this route reads {expected}", media_type(headers));
    HandlerError::new(ErrorCode::UnsupportedMediaType, detail)
}

/// Tells whether the caller prefers `wanted` over JSON.
pub(super) fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| value.to_str().is_ok_and(|value| value.contains(wanted)))
}

/// The compare-and-set condition of a write.
pub(super) fn expectation(headers: &HeaderMap) -> Result<Expect, HandlerError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) => Ok(Expect::Any),
        (Some("*"), None) => Ok(Expect::Present),
        (Some(tag), None) => strong_tag(tag)
            .map(Expect::Version)
            .ok_or_else(|| HandlerError::bad_request("`If-Match` takes `*` or one version as \"123\"")),
        (None, Some("*")) => Ok(Expect::Version(0)),
        (None, Some(_)) => Err(HandlerError::bad_request("`If-None-Match` of a write takes `*` only")),
        (Some(_), Some(_)) => Err(HandlerError::bad_request("`If-Match` and `If-None-Match` exclude each other")),
    }
}

fn strong_tag(tag: &str) -> Option<u64> {
    whole(tag.strip_prefix('"')?.strip_suffix('"')?)
}

/// Tells whether `If-None-Match` names `tag` (weakly compared, RFC 9110) or anything at all.
pub(super) fn none_match(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|t| t == "*" || t.trim_start_matches("W/") == tag)
}
