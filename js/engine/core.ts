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
  | { kind: "wake"; scope: number; at: number };

/** The generated class. Any method may trap; only {@link Guard} calls them. */
export interface Core {
  get(
    now: number,
    scope: number,
    key: string,
    flags: number,
    maxStalenessMs: number,
    timeoutMs: number,
    stream?: string,
  ): number;
  cancel(now: number, request: number): void;
  prefetch(now: number, scope: number, keys: string[]): void;
  call(now: number, scope: number, timeoutMs: number, key?: string): number;
  cancelCall(call: number): void;
  poll(now: number, scope: number): void;
  closeScope(now: number, scope: number): void;
  setScopeFloors(scope: number, floors: Float64Array): void;
  onResponse(now: number, flight: number, status: number, retryAfterMs: number, body: Uint8Array): void;
  onCallDone(now: number, flight: number, status: number, retryAfterMs: number): void;
  onFailure(now: number, flight: number, kind: number): void;
  actions(): Action[];
  wrote(key: string, version: number, shard: number, position: number): void;
  peek(now: number, key: string, maxStalenessMs: number): CoreAnswer | undefined;
  predictions(key?: string, stream?: string): { key: string; confidence: number; expert: string }[];
  explain(now: number, key: string): { readonly [name: string]: unknown };
  stats(now: number): { readonly [name: string]: unknown };
  invalidate(now: number, what: { key?: string; prefix?: string; tag?: string; all?: boolean }): number;
  clear(now: number): void;
  floors(): Float64Array<ArrayBuffer>;
  setFloors(floors: Float64Array): void;
  setCaution(level: number): void;
}

/** A binary batch as a worker reads it. */
export interface CoreBatch {
  items: { key: string; ifVersion?: number | null; prefetch: boolean }[];
  consistency: "strong" | "bounded" | "any";
  maxStalenessMs: number;
  /** `[shard, position, ...]` */
  floors: number[];
  stream?: string | null;
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
  decodeBatch(bytes: Uint8Array): CoreBatch;
  encodeBatch(results: CoreBatchResult[], upstream: Uint8Array | undefined, elapsedMs: number): Uint8Array<ArrayBuffer>;
}

/** Makes fresh instances of a compiled module; each is independent of every other. */
export type Instantiate = () => CoreInstance;

/** Compiles the module, once; rejects where the runtime does not allow it. */
export type LoadCore = () => Promise<Instantiate>;
