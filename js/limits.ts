/** Bounds that gateways have too: a test holds them against `tests/golden/protocol.json`, which is written from the core. */

/** Most keys in one batch. */
export const MAX_BATCH_KEYS = 256;
/** Largest request body in bytes. */
export const MAX_BODY_BYTES = 1 << 20;
/** Longest name of a stream in bytes. */
export const MAX_STREAM_BYTES = 128;
/** Largest summary in bytes. */
export const MAX_SUMMARY_BYTES = 64 << 10;
