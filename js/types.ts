import type { ErrorCode, ForemapError } from "./errors.js";

/**
 * A composite key. A string is parsed: `/` separates components, `%XX` is an escape. The parts of an array
 * are data, with `/` and `%` in them taken literally; a number stands for its decimal text.
 */
export type KeyInput = string | readonly (string | number)[];

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** What a writer states about an object instance. */
export interface KeymapFields {
  /** Where the object instance is; opaque to foremap. At most 4,096 bytes. */
  locator: string;
  /** Size of the object in bytes. */
  size?: number;
  /** Entity tag of the object. At most 256 bytes. */
  etag?: string;
  /** Names that entries can be invalidated by. At most 16 of 128 bytes. */
  tags?: readonly string[];
  /** Any JSON value of the application's. At most 16,384 bytes of text. */
  meta?: Json;
}

/** What a key resolves to. */
export interface Keymap extends KeymapFields {
  /** The key in canonical text. */
  key: string;
  /** Version of the write that made it; grows with every write of the key. */
  version: number;
}

/** How fresh an answer must be: see {@link GetOptions.consistency}. */
export type Consistency = "strong" | "bounded" | "any";

/**
 * Where an answer came from: the local cache, its knowledge that there is no such keymap (`negative`), a fetch that was
 * already on its way (`joined`), a gateway that confirmed the cached version (`revalidated`), a gateway, or the cache
 * beyond the bound (`stale`).
 */
export type Source = "cache" | "negative" | "joined" | "network" | "revalidated" | "stale";

/** Options of every call that may wait. */
export interface CallOptions {
  /** Ends the call with `ABORTED`; a request that nobody waits for any more is cancelled. */
  signal?: AbortSignal;
  /** Milliseconds until the call ends with `TIMEOUT`. Default: the client's {@link ClientOptions.timeout}. */
  timeout?: number;
}

/** Options of {@link ForemapClient.get}. */
export interface GetOptions extends CallOptions {
  /**
   * `strong`: from the store, linearizable per key. `bounded` (default): never older than `maxStaleness`.
   * `any`: may be older when nothing else answers.
   */
  consistency?: Consistency;
  /** Greatest age of a bounded answer in milliseconds. Default: the client's {@link ClientOptions.maxStaleness}. */
  maxStaleness?: number;
  /** Name of the request sequence that this access belongs to, for prediction. Default: one per client. */
  stream?: string;
  /**
   * Milliseconds by which an answer from the cache may be older than `maxStaleness` (RFC 5861): it comes at once, marked
   * `stale`, while the keymap is asked for anew. Default: the client's {@link ClientOptions.staleWhileRevalidate}.
   */
  staleWhileRevalidate?: number;
  /**
   * Milliseconds by which an answer from the cache may be older than `maxStaleness` where no gateway answers (RFC 5861); it
   * is marked `stale`. Default: the client's {@link ClientOptions.staleIfError}.
   */
  staleIfError?: number;
  /** Whether a second gateway may be asked once an answer takes unusually long. Default: the client's. */
  hedge?: boolean;
}

/** An answer that is not "there is no such keymap". */
export interface GetResult {
  /** The keymap. */
  keymap: Keymap;
  /** Where it came from. */
  source: Source;
  /** Milliseconds since it was last known to be current, over all tiers that it passed. */
  age: number;
  /**
   * Whether it is older than `maxStaleness`: with consistency `any`, `staleWhileRevalidate` or `staleIfError`, or over a
   * slow link without wasm.
   */
  stale: boolean;
}

/** One element of what {@link ForemapClient.getMany} returns, in the order of the keys. */
export type ManyResult = GetResult | null | ForemapError;

/** Options of {@link ForemapClient.list}. */
export interface ListOptions extends CallOptions {
  /** Keymaps per page, 1 to 1,000. Default: the gateway's, 100. */
  limit?: number;
  /** Continues behind an earlier page's {@link ListPage.cursor}. */
  cursor?: string;
}

/** A page of a list. */
export interface ListPage {
  /** Keymaps in key order. */
  keymaps: Keymap[];
  /** Where the next page begins; absent on the last one. */
  cursor?: string;
}

/** Options of {@link ForemapClient.put}. */
export interface PutOptions extends CallOptions {
  /** Writes only if this is the stored version; 0 only if there is none. Otherwise `VERSION_CONFLICT`. */
  ifVersion?: number;
}

/** Options of {@link ForemapClient.delete}. */
export interface DeleteOptions extends CallOptions {
  /** Deletes only if this is the stored version. Otherwise `VERSION_CONFLICT`. */
  ifVersion?: number;
  /** Removes this old version from the history instead; it must not be the current one. */
  version?: number;
}

/** What an acknowledged write made. */
export interface WriteResult {
  /** The version of the write, which is its position in the change log too. */
  version: number;
}

/** One version of an object. */
export interface VersionEntry {
  /** The version. */
  version: number;
  /** Whether this version removed the keymap. */
  deleted: boolean;
  /** The keymap as of this version; absent for a deletion. */
  keymap?: Keymap;
}

/** What to forget; exactly one field. */
export type Invalidation =
  | { key: KeyInput }
  | { prefix: KeyInput }
  | { tag: string }
  | { all: true };

/** A key that the client expects to be asked for. */
export interface Prediction {
  /** The key in canonical text. */
  key: string;
  /** Calibrated probability that it is asked for soon. */
  confidence: number;
  /** Which expert expects it. */
  expert: string;
}

/** Why the client treats a key as it does: placement, cache state and prediction. Fields are for people. */
export type Explanation = { readonly [name: string]: unknown };

/** Counters and fill levels of the core. Names are stable; new ones may come. */
export type CoreStats = { readonly [name: string]: unknown };

/** What {@link ForemapClient.stats} returns. */
export interface Stats {
  /** `idle` before the first use, `ready`, `fallback` where wasm is not allowed, `closed`. */
  state: "idle" | "ready" | "fallback" | "closed";
  /** How often the core trapped and was rebuilt. */
  panics: number;
  /** Calls that still wait. */
  waiting: number;
  /** HTTP requests that are open. */
  open: number;
  /** The core's own figures; null before the first use and in fallback. */
  core: CoreStats | null;
  /** The part that this client has in a feed that tabs share; null where it shares none. */
  feed: SharedFeedStats | null;
  /** What outlives the page; null without {@link ClientOptions.persist}. */
  persistence: PersistenceStats | null;
}

/** Part of {@link Stats}. */
export interface SharedFeedStats {
  /**
   * `leading`: it holds the feed for all; `following` another tab that does; `asking` who does; `alone`: it holds one for itself,
   * as the browser allows no locks here; `none`: it needs no feed now.
   */
  role: "none" | "asking" | "leading" | "following" | "alone";
  /** Tabs that wait to follow this one. */
  waiting: number;
  /** Most that wait at once. */
  maxWaiting: number;
}

/** Part of {@link Stats}. */
export interface PersistenceStats {
  /** `off` before the first use and outside browsers; `memory` where the browser keeps nothing, or nothing any more. */
  state: "off" | "opening" | "ready" | "memory";
  /** What was read or kept last. */
  bytes: number;
  /** Most bytes that are kept; less than asked for where the browser has no room. */
  max: number;
}

/** Events of a client. Listeners must not throw; what they throw is reported, not passed on. */
export interface ClientEvents {
  /** A `get` was answered; `source` is null where there is no such keymap. */
  answer: { key: string; found: boolean; source: Source | null; age: number; stale: boolean };
  /** A batch leaves for a gateway. */
  request: { url: string; prefetch: boolean };
  /** A batch ended; status 0 means that there was no answer. */
  response: { url: string; status: number; ms: number; prefetch: boolean };
  /** The core trapped and was rebuilt. */
  panic: { message: string; count: number };
  /** wasm is not available; the client goes on without cache and prediction. */
  fallback: { cause: unknown };
  /**
   * The store is another one than this session had seen: it was set up anew, or restored. What was cached is gone, and
   * what was read before says nothing about it.
   */
  sessionReset: { incarnation: number };
}

/** What the application knows of keys that it will ask for. */
export interface PrefetchHint {
  /** Probability that each of them is asked for, 0 to 1. Default: as good as certain. */
  probability?: number;
  /** Milliseconds within which they will be asked for. */
  within?: number;
}

/** Bounds of the change feed. */
export interface FeedOptions {
  /** Milliseconds without a call after which it is closed. Default 1,800,000: people pause for minutes. */
  idle?: number;
  /**
   * Whether tabs of one browser that have the same `origins`, `token` and `maxStaleness` share one feed. Default: in browsers with
   * Web Locks and BroadcastChannel, unless a `fetch` of the application's makes the requests and neither `token` nor
   * {@link ClientOptions.persist} says for whom: then two users might follow one feed.
   */
  shared?: boolean;
}

/** What outlives a page. */
export interface PersistOptions {
  /**
   * Whose it is: the user's name or number, or a fixed text where all users see the same. Another scope never sees it. Call
   * {@link ForemapClient.clear} when the user logs out.
   */
  scope: string;
  /** Most bytes kept. Default 1 MiB. */
  maxBytes?: number;
}

/** Bounds of the local cache. */
export interface CacheOptions {
  /** Most bytes kept. Default 8 MiB. */
  maxBytes?: number;
  /** Most keymaps kept. Default: only bytes count. */
  maxEntries?: number;
  /** Milliseconds for which "there is no such keymap" is remembered at most. Default 5,000. */
  negativeTtl?: number;
}

/** Bounds of prediction. */
export interface PrefetchOptions {
  /** Wasted prefetches per request that are acceptable. Default 0.25. */
  wasteBudget?: number;
  /** Lowest confidence that is ever fetched, 0 to 1; the budget can only ask for more. */
  threshold?: number;
  /** Longest chain of assumed requests, 1 to 64; its probability ends it earlier. */
  maxDepth?: number;
  /** Most prefetches that one access may order. */
  maxOrders?: number;
  /** Memory of everything that is learnt, in bytes, from 512 KiB up. Default 4 MiB. */
  memoryBytes?: number;
}

/** Options of {@link createClient}. Wrong ones throw `CONFIG` at once. */
export interface ClientOptions {
  /**
   * Gateways or workers to talk to, as `https://host[:port]`. The client never talks to anything else.
   * Order does not matter: the client uses the one that answers fastest.
   */
  origins: readonly string[];
  /** Bearer token sent with every request. */
  token?: string;
  /** Local cache, or false for none. */
  cache?: CacheOptions | false;
  /** Prediction, or false for none. */
  prefetch?: PrefetchOptions | boolean;
  /**
   * Greatest age of an answer in milliseconds. Default 10,000 in browsers, where a person looks, and 2,000 elsewhere.
   * With a change feed answers from the cache are that young however long ago they were fetched.
   */
  maxStaleness?: number;
  /** Default of {@link GetOptions.staleWhileRevalidate}: 0 unless given. */
  staleWhileRevalidate?: number;
  /** Default of {@link GetOptions.staleIfError}: 0 unless given. */
  staleIfError?: number;
  /** Default of {@link GetOptions.hedge}: true unless given. */
  hedge?: boolean;
  /**
   * Change feed: a connection over which one gateway tells what changed, while the page is shown and the client is used.
   * Default: on in browsers and in Node, where it does not keep a process alive. In Deno and Bun it would, so there it
   * must be asked for. Never in edge workers and service workers, nor where an answer cannot be read while it arrives.
   */
  feed?: FeedOptions | boolean;
  /**
   * Keeps what is cached in the browser's IndexedDB, so that a page that is loaded again begins with it; everything is confirmed
   * by the gateway before it is served. Default: nothing is kept. Does nothing outside browsers.
   */
  persist?: PersistOptions;
  /**
   * Whether the client takes part in the model of what is asked for after what, which gateways make of what their clients tell
   * (`--share`). `read` (default): it begins with the model, so that its first predictions are those of everybody before it, and
   * tells nothing. `both`: it also tells which keys it asked for one after the other, those included that its cache answered, in at
   * most a hundredth of the bytes of its demand. `off`: neither. What is told, and who sees what of it: docs/privacy.md.
   */
  share?: "off" | "read" | "both";
  /** Goes on where another session was ({@link ForemapClient.bookmark}): nothing older than that is read. */
  bookmark?: string;
  /** Milliseconds until a call ends with `TIMEOUT`. Default 10,000. */
  timeout?: number;
  /** Performs the requests. Default: the global `fetch`. */
  fetch?: (request: Request, init?: { signal?: AbortSignal }) => Promise<Response>;
  /** Seeds what is random in the core (jitter, hashing), for replayable tests. Default: random. */
  seed?: number;
}

/**
 * Resolves composite keys to keymaps. Made by `createClient`; does nothing until it is used.
 *
 * Every method that returns a promise rejects with a {@link ForemapError} and nothing else. The synchronous ones
 * answer from what is loaded: before the first use there is no cache and no prediction.
 */
export interface ForemapClient {
  /** Resolves one key; null where there is no such keymap. Calls of one turn travel together. */
  get(key: KeyInput, options?: GetOptions): Promise<GetResult | null>;
  /** Resolves many keys. Never rejects for one key: its error stands in its place. */
  getMany(keys: readonly KeyInput[], options?: GetOptions): Promise<ManyResult[]>;
  /** Every keymap at or below a prefix of whole components (`""` for all), in key order; fetches page by page. */
  list(prefix: KeyInput, options?: ListOptions): AsyncIterableIterator<Keymap>;
  /** One page of {@link ForemapClient.list}. */
  listPage(prefix: KeyInput, options?: ListOptions): Promise<ListPage>;
  /** Writes a keymap. Acknowledged means durable; a retried attempt is applied once. */
  put(key: KeyInput, fields: KeymapFields, options?: PutOptions): Promise<WriteResult>;
  /** Deletes a keymap, or one old version of it. */
  delete(key: KeyInput, options?: DeleteOptions): Promise<WriteResult>;
  /** The kept versions, newest first, deletions included. */
  versions(key: KeyInput, options?: CallOptions): Promise<VersionEntry[]>;
  /** Says that these keys will be needed. Resolves once they are noted, not once they are fetched. */
  prefetch(keys: readonly KeyInput[], hint?: PrefetchHint): Promise<void>;
  /** What is cached and fresh enough, without any request and without telling the predictor. */
  peek(key: KeyInput, options?: { maxStaleness?: number }): GetResult | null;
  /** What is expected next, likeliest first; after `key`, or at this moment. */
  predictions(key?: KeyInput): Prediction[];
  /**
   * What this session has seen, as text of a few hundred bytes for {@link ClientOptions.bookmark}: hand it from a server to
   * the browser, or to another device, and what is read there is never older than what was read or written here.
   */
  bookmark(): string;
  /**
   * Forgets cached keymaps, here and in other tabs of the same user; returns how many here. Whatever is read afterwards is at
   * least as new as this moment. A tag names what is cached with it, so not that there is no keymap, nor one that has been
   * given the tag since; those keep their bound.
   */
  invalidate(what: Invalidation): number;
  /** Why the client treats a key as it does; null before the first use and in fallback. */
  explain(key: KeyInput): Explanation | null;
  /** Counters and fill levels. */
  stats(): Stats;
  /** Listens to an event; returns the function that stops it. */
  on<E extends keyof ClientEvents>(event: E, listener: (detail: ClientEvents[E]) => void): () => void;
  /**
   * Forgets everything cached, here, in other tabs of the same user, and what outlives the page. Whatever is read afterwards is at
   * least as new as this moment.
   */
  clear(): void;
  /** Ends the client: waiting calls reject with `CLOSED`. May be called twice. */
  close(): void;
  /** The same as {@link ForemapClient.close}, for `using`. */
  [Symbol.dispose](): void;
}

export type { ErrorCode };
