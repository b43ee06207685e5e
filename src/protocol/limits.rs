//! [`LIMITS`]: one list of all bounds, which the golden vectors, `docs/openapi.json` and TypeScript are held against.

use super::bounds::*;
use super::{BatchRequest, KeymapFields};
use crate::key::{MAX_COMPONENTS, MAX_KEY_BYTES};

/// Every bound by its name in the golden vectors.
pub const LIMITS: &[(&str, u64)] = &[
    ("batch_keys", MAX_BATCH_KEYS as u64),
    ("body_bytes", MAX_BODY_BYTES as u64),
    ("changes", MAX_CHANGES as u64),
    ("default_max_staleness_ms", BatchRequest::DEFAULT_MAX_STALENESS_MS as u64),
    ("default_page", DEFAULT_PAGE as u64),
    ("etag_bytes", KeymapFields::MAX_ETAG as u64),
    ("head_bytes", MAX_HEAD_BYTES as u64),
    ("key_bytes", MAX_KEY_BYTES as u64),
    ("key_components", MAX_COMPONENTS as u64),
    ("locator_bytes", KeymapFields::MAX_LOCATOR as u64),
    ("map_wait_s", MAX_MAP_WAIT_S),
    ("meta_bytes", KeymapFields::MAX_META as u64),
    ("model_bytes", MAX_MODEL_BYTES),
    ("model_bytes_least", MIN_MODEL_BYTES),
    ("page", MAX_PAGE as u64),
    ("shards", MAX_SHARDS as u64),
    ("stream_bytes", BatchRequest::MAX_STREAM_BYTES as u64),
    ("summary_bytes", MAX_SUMMARY_BYTES as u64),
    ("tag_bytes", KeymapFields::MAX_TAG as u64),
    ("tags", KeymapFields::MAX_TAGS as u64),
    ("version", MAX_VERSION),
    ("write_id_bytes", MAX_WRITE_ID_BYTES as u64),
];
