import { bookmarkBytes } from "./bookmark.js";
import type { CoreConfig } from "./engine/core.js";
import { ForemapError } from "./errors.js";
import type { CacheOptions, ClientOptions, FeedOptions, PersistOptions, PrefetchOptions } from "./types.js";

/** Greatest age of an answer unless told otherwise, in milliseconds: where a person looks, and where a program does. */
export const PERSON_STALENESS_MS = 10_000;
export const MAX_STALENESS_MS = 2_000;
/** Time that a call may take unless told otherwise, in milliseconds. */
export const TIMEOUT_MS = 10_000;

/** What outlives a page unless told otherwise, in bytes. */
export const PERSIST_BYTES = 1 << 20;

/** Options of which every one is known. */
export interface Settings {
  core: CoreConfig;
  maxStaleness: number;
  timeout: number;
  staleWhileRevalidate: number;
  staleIfError: number;
  hedge: boolean;
  /** What an earlier session has seen; empty where there was none. */
  bookmark: Uint8Array;
  /** Whether tabs share a feed and tell each other what they do; undefined where the surroundings decide. */
  shared: boolean | undefined;
  /** What outlives the page, and whose it is. */
  persist: Required<PersistOptions> | null;
  /** Name of the sequence of requests where a call names none; tells clients of one worker or gateway apart. */
  stream: string;
}

/** What the surroundings decide where the options do not. */
export interface Surroundings {
  /** Origins with an open connection at once. */
  maxOrigins: number;
  maxStaleness: number;
  /** Whether a change feed is held unless told otherwise; null where none can be. */
  feed: boolean | null;
}

/** Checks options. @throws {ForemapError} `CONFIG`, naming the option */
export function settings(options: ClientOptions, surroundings: Surroundings): Settings {
  const origins = checkedOrigins(options.origins);
  if (options.token !== undefined && !/^[\x21-\x7e]+$/.test(options.token)) {
    throw config("`token` must be visible ASCII without spaces");
  }
  const maxStaleness = milliseconds("maxStaleness", options.maxStaleness) ?? surroundings.maxStaleness;
  const timeout = milliseconds("timeout", options.timeout) ?? TIMEOUT_MS;
  // 53 bits at most, so that the number crosses into wasm exactly.
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 52);
  if (!Number.isSafeInteger(seed) || seed < 0) throw config("`seed` must be a whole number from 0 to 2^53 - 1");
  return {
    core: {
      origins,
      ...(options.token === undefined ? {} : { token: options.token }),
      seed,
      maxOrigins: surroundings.maxOrigins,
      maxStalenessMs: maxStaleness,
      share: shareConfig(options.share),
      feed: feedConfig(options.feed, surroundings.feed),
      cache: { ...cacheConfig(options.cache), seed },
      prefetch: prefetchConfig(options.prefetch),
    },
    maxStaleness,
    timeout,
    staleWhileRevalidate: milliseconds("staleWhileRevalidate", options.staleWhileRevalidate) ?? 0,
    staleIfError: milliseconds("staleIfError", options.staleIfError) ?? 0,
    hedge: options.hedge ?? true,
    bookmark: bookmarkBytes(options.bookmark ?? ""),
    shared: typeof options.feed === "object" ? options.feed.shared : undefined,
    persist: persistConfig(options.persist),
    stream: seed.toString(36),
  };
}

function checkedOrigins(origins: readonly string[]): string[] {
  if (!Array.isArray(origins) || origins.length === 0) throw config("`origins` must name at least one gateway");
  return origins.map((origin: unknown) => {
    const bad = () => config(`\`${String(origin)}\` is not an origin: expected http(s)://host[:port]`);
    if (typeof origin !== "string") throw bad();
    // `*.` stands for one label; URL parsers do not take it.
    const probe = URL.canParse(origin.replace("//*.", "//x.")) ? new URL(origin.replace("//*.", "//x.")) : null;
    if (probe === null || !/^https?:$/.test(probe.protocol) || probe.username !== "" || probe.password !== "") throw bad();
    if (probe.pathname !== "/" || probe.search !== "" || probe.hash !== "") throw bad();
    return origin.replace(/\/$/, "");
  });
}

function cacheConfig(cache: CacheOptions | false | undefined): Omit<CoreConfig["cache"], "seed"> {
  if (cache === false) return { maxBytes: 0, maxEntries: 0 };
  return defined({
    maxBytes: whole("cache.maxBytes", cache?.maxBytes),
    maxEntries: whole("cache.maxEntries", cache?.maxEntries),
    negativeTtlMs: milliseconds("cache.negativeTtl", cache?.negativeTtl),
  });
}

function feedConfig(feed: FeedOptions | boolean | undefined, usual: boolean | null): NonNullable<CoreConfig["feed"]> {
  if (feed === false || usual === null) return { enabled: false };
  if (feed === undefined || feed === true) return { enabled: feed ?? usual };
  if (!["undefined", "boolean"].includes(typeof feed.shared)) throw config("`feed.shared` must be true or false");
  return { enabled: true, ...defined({ idleMs: milliseconds("feed.idle", feed.idle) }) };
}

function shareConfig(share: ClientOptions["share"]): "off" | "read" | "both" {
  if (share === undefined || share === "read" || share === "off" || share === "both") return share ?? "read";
  throw config(`\`share\` must be "off", "read" or "both", not ${String(share)}`);
}

function persistConfig(persist: PersistOptions | undefined): Required<PersistOptions> | null {
  if (persist === undefined) return null;
  const { scope, maxBytes } = persist;
  if (typeof scope !== "string" || scope === "") throw config("`persist.scope` must name whose data it is");
  return { scope, maxBytes: whole("persist.maxBytes", maxBytes) ?? PERSIST_BYTES };
}

function prefetchConfig(prefetch: PrefetchOptions | boolean | undefined): CoreConfig["prefetch"] {
  if (prefetch === false) return { enabled: false };
  if (prefetch === undefined || prefetch === true) return { enabled: true };
  const memoryBytes = whole("prefetch.memoryBytes", prefetch.memoryBytes);
  return {
    enabled: true,
    ...defined({
      wasteBudget: within("prefetch.wasteBudget", prefetch.wasteBudget, 0, 16),
      threshold: within("prefetch.threshold", prefetch.threshold, 0, 1),
      maxDepth: within("prefetch.maxDepth", whole("prefetch.maxDepth", prefetch.maxDepth), 1, 64),
      maxOrders: whole("prefetch.maxOrders", prefetch.maxOrders),
      analyzer: memoryBytes === undefined ? undefined : { memoryBytes },
    }),
  };
}

/** A duration that fits the core and every timer. */
export function milliseconds(name: string, value: number | undefined): number | undefined {
  return within(name, whole(name, value), 0, 0x7fff_ffff);
}

/** A whole number that is not negative. */
export function whole(name: string, value: number | undefined): number | undefined {
  if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) {
    throw config(`\`${name}\` must be a whole number, not ${String(value)}`);
  }
  return value;
}

/** A number in a range. */
export function within(name: string, value: number | undefined, low: number, high: number): number | undefined {
  if (value !== undefined && !(value >= low && value <= high)) {
    throw config(`\`${name}\` must be from ${low} to ${high}, not ${String(value)}`);
  }
  return value;
}

/** Without the fields that are undefined. */
function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function config(message: string): ForemapError {
  return new ForemapError("CONFIG", message);
}
