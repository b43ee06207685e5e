//! Headers that answers carry, and how their values are written.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use foremap::Millis;

pub(super) const POSITION: HeaderName = HeaderName::from_static("foremap-position");

pub(super) const AGE: HeaderName = HeaderName::from_static("foremap-age");

pub(super) const EPOCH: HeaderName = HeaderName::from_static("foremap-epoch");

pub(super) const NODE: HeaderName = HeaderName::from_static("foremap-node");

pub(super) const PARTITION: HeaderName = HeaderName::from_static("foremap-partition");

pub(super) const MODEL: HeaderName = HeaderName::from_static("foremap-model");

pub(super) const WRITE_ID: HeaderName = HeaderName::from_static("foremap-write-id");

pub(super) const STREAM: HeaderName = HeaderName::from_static("foremap-stream");

/// Sets a header whose value is made of digits and punctuation.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Sets a header whose value is a number.
pub(super) fn number(headers: &mut HeaderMap, name: HeaderName, value: u64) {
    headers.insert(name, HeaderValue::from(value));
}

/// For `retry-after`: not sooner.
pub(super) fn whole_seconds(wait: Millis) -> u64 {
    wait.div_ceil(1_000).max(1)
}

/// The entity tag of a version.
pub(super) fn etag(version: u64) -> String {
    format!("\"{version}\"")
}
