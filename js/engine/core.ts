/**
 * The wasm core as TypeScript sees it.
 *
 * The core performs nothing: it is told what happened, and is then asked for the {@link Action}s that follow. Times are
 * whole milliseconds on one monotonic clock. A scope separates contexts that must not share work in flight: a client
 * has one, the edge worker one per request.
 */
import type { Source } from "../types.js";

/** Flags of {@link Core.get}. */
export const STRONG = 1;
export const ANY = 2;
/** The analyzer does not learn from this read. */
export const UNOBSERVED = 8;
/** No second gateway is asked, however long an answer takes. */
export const UNHEDGED = 16;

/** Kinds of {@link Core.onFailure}. */
export const FAILED_NETWORK = 0;
export const FAILED_TIMEOUT = 1;
export const FAILED_ABORTED = 2;

/** Configuration of a core; what is left out has the core's own default. */
export interface CoreConfig {
  origins: string[];
  token?: string;
  seed: number;
  maxOrigins: number;
  maxStalenessMs: number;
  /** Whether it takes part in the model that all clients share. Default: off. */
  share?: "off" | "read" | "both";
  /** Most bytes, compressed, of a model that is to follow an answer; 0 for none. */
  modelBytes?: number;
  /** Without it no feed is ever asked for. */
  feed?: { enabled: boolean; idleMs?: number; afterRequests?: number };
  cache: { maxBytes?: number; maxEntries?: number; negativeTtlMs?: number; seed: number };
  prefetch: {
    enabled: boolean;
    wasteBudget?: number;
    threshold?: number;
    maxDepth?: number;
    maxOrders?: number;
    analyzer?: { memoryBytes: number };
  };
}

/** What an answer is current as of: a position in the log of the key's storage shard. */
export interface ReadPoint {
  shard: number;
  position: number;
  age_ms: number;
}

/** A keymap as it leaves the core: `meta` is the text of a JSON value. */
export interface CoreKeymap {
  key: string;
  version: number;
  locator: string;
  size?: number;
  etag?: string;
  tags?: string[];
  meta?: string;
}

/** A page of a list. */
export interface CorePage {
  keymaps: CoreKeymap[];
  next: string | null | undefined;
}

/** An own write that a gateway acknowledged; without fields and unless deleted it is not known what it left behind. */
export interface CoreWrite {
  key: string;
  version: number;
  shard: number;
  position: number;
  fields?: Omit<CoreKeymap, "key" | "version">;
  deleted?: boolean;
}

/** State of the cache when a request was sent; opaque. */
export type CoreFence = Float64Array;

/** What a get found. */
export interface CoreAnswer {
  keymap: CoreKeymap | null | undefined;
  source: Source;
  age: number;
  stale: boolean;
  at: ReadPoint;
}

/** What the core wants done. */
export type Action =
  | ({ kind: "answer"; request: number } & CoreAnswer)
  | { kind: "error"; request: number; code: string; message: string; retryable: boolean }
  | { kind: "send"; scope: number; flight: number; request: Request; timeoutMs: number; prefetch: boolean }
  | { kind: "attempt"; scope: number; call: number; flight: number; origin: string; timeoutMs: number }
  | { kind: "callEnd"; call: number; ok: boolean; code?: string | null; retryable: boolean }
  | { kind: "abort"; flight: number }
  | { kind: "openFeed"; scope: number; feed: number; request: Request }
  | { kind: "closeFeed"; scope: number; feed: number }
  | { kind: "relay"; scope: number; feed: number; frame: Uint8Array<ArrayBuffer> }
  | { kind: "sessionReset"; incarnation: number }
  | { kind: "wake"; scope: number; at: number };

/** The generated class. Any method may trap; only {@link Guard} calls them. */
export interface Core {
  startClock(aheadMs: number): void;
  tick(monotonic: number, wall: number): number;
  get(
    now: number,
    scope: number,
    key: string,
    flags: number,
    maxStalenessMs: number,
    timeoutMs: number,
    stream: string | undefined,
    staleWhileRevalidateMs: number,
    staleIfErrorMs: number,
  ): number;
  cancel(now: number, request: number): void;
  prefetch(now: number, scope: number, keys: string[], probability?: number, withinMs?: number): void;
  call(now: number, scope: number, timeoutMs: number, key?: string): number;
  cancelCall(call: number): void;
  poll(now: number, scope: number): void;
  closeScope(now: number, scope: number): void;
  setScopeFloors(scope: number, floors: Float64Array): void;
  onResponse(now: number, flight: number, status: number, retryAfterMs: number, body: Uint8Array): void;
  onCallDone(now: number, flight: number, status: number, retryAfterMs: number): void;
  onFailure(now: number, flight: number, kind: number): void;
  actions(): Action[];
  fence(now: number): CoreFence;
  wrote(now: number, fence: CoreFence, write: CoreWrite): void;
  listed(
    now: number,
    scope: number,
    stream: string | undefined,
    prefix: string,
    fence: CoreFence,
    page: Uint8Array,
    first: boolean,
  ): CorePage;
  setAttention(now: number, active: boolean): void;
  resume(now: number): void;
  missed(now: number): void;
  onFeedBytes(now: number, feed: number, bytes: Uint8Array): void;
  onFeedEnd(now: number, feed: number, status: number, retryAfterMs: number): void;
  setRelaying(relaying: boolean): void;
  setFeedAtHand(now: number, atHand: boolean): void;
  feedOpening(now: number): Uint8Array<ArrayBuffer> | undefined;
  bookmark(): Uint8Array<ArrayBuffer>;
  openBookmark(now: number, bookmark: Uint8Array): void;
  exportState(maxBytes: number): Uint8Array<ArrayBuffer>;
  importState(now: number, state: Uint8Array): number;
  peek(now: number, key: string, maxStalenessMs: number): CoreAnswer | undefined;
  predictions(key?: string, stream?: string): { key: string; confidence: number; expert: string }[];
  explain(now: number, key: string): { readonly [name: string]: unknown };
  stats(now: number): { readonly [name: string]: unknown };
  invalidate(now: number, what: { key?: string; prefix?: string; tag?: string; all?: boolean }): number;
  clear(now: number): void;
  setCaution(level: number): void;
  importModel(now: number, model: Uint8Array): Uint8Array<ArrayBuffer> | undefined;
  tellGateway(now: number, maxBytes: number): Request | undefined;
}

/** A binary batch as a worker reads it. */
export interface CoreBatch {
  items: { key: string; ifVersion?: number | null; prefetch: boolean }[];
  consistency: "strong" | "bounded" | "any";
  maxStalenessMs: number;
  /** `[shard, position, ...]` */
  floors: number[];
  stream?: string | null;
  /** The model that is to follow the answer, in at most so many bytes, and which one the caller has. */
  wish?: { bytes: number; known: number } | null;
  /** The batch without keys, for a gateway; null where the caller wants neither changes nor a map. */
  upstream: Uint8Array<ArrayBuffer> | null;
}

/** What a worker answers for one key of a batch. */
export type CoreBatchResult =
  | { keymap: CoreKeymap | null; at: ReadPoint; node?: number }
  | { unchanged: number; at: ReadPoint; node?: number }
  | { code: string; message: string };

/** One instance of the wasm module, with its own memory. */
export interface CoreInstance {
  Core: new (config: CoreConfig) => Core;
  canonicalKey(text: string): string;
  /** A page of a list in binary form, of which nothing is kept. */
  decodeList(page: Uint8Array): CorePage;
  decodeBatch(bytes: Uint8Array): CoreBatch;
  /** A batch without keys that adds shards to the feed that `upstream` names; nothing where there is none to add. */
  extendFeed(upstream: Uint8Array, points: Float64Array): Uint8Array<ArrayBuffer> | undefined;
  encodeBatch(results: CoreBatchResult[], upstream: Uint8Array | undefined, elapsedMs: number): Uint8Array<ArrayBuffer>;
}

/** Makes fresh instances of a compiled module; each is independent of every other. */
export type Instantiate = () => CoreInstance;

/** Compiles the module, once; rejects where the runtime does not allow it. */
export type LoadCore = () => Promise<Instantiate>;
