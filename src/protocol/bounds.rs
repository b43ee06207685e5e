//! Bounds of what travels.

/// Most keys in one batch.
pub const MAX_BATCH_KEYS: usize = 256;
/// Largest request body in bytes.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// Largest body of `POST /v1/summaries` in bytes.
pub const MAX_SUMMARY_BYTES: usize = 64 << 10;
/// Longest head of a request in bytes. A URL with a key of 1,024 bytes, all escaped, a token with hundreds of prefixes and the
/// cursors of all shards fit together.
pub const MAX_HEAD_BYTES: usize = 32 << 10;
/// Page of a list that names no limit.
pub const DEFAULT_PAGE: usize = 100;
/// Largest page of a list.
pub const MAX_PAGE: usize = 1_000;
/// Most changes in one answer; the rest follows with the next cursor exchange.
pub const MAX_CHANGES: usize = 4_096;
/// Most storage shards of a namespace.
pub const MAX_SHARDS: usize = u16::MAX as usize;
/// Largest version or log position: the largest integer that JavaScript represents exactly.
pub const MAX_VERSION: u64 = crate::codec::MAX_SAFE_INTEGER;
/// Longest `foremap-write-id` in bytes.
pub const MAX_WRITE_ID_BYTES: usize = 64;
/// Longest wait for a newer map in seconds: below what proxies tolerate without an answer.
pub const MAX_MAP_WAIT_S: u64 = 30;
/// Fewest bytes that `GET /v1/model` may be asked for.
pub const MIN_MODEL_BYTES: u64 = 1_024;
/// Most bytes that `GET /v1/model` may be asked for.
pub const MAX_MODEL_BYTES: u64 = 1 << 20;
