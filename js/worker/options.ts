import type { CacheOptions, PrefetchOptions } from "../types.js";
import type { HubNamespace } from "./hubs.js";

/** Options of {@link createWorker}. Exactly one of `tokenKey`, `authorize` and `public` says who may ask. */
export interface WorkerOptions {
  /** Gateways to ask, as `https://host[:port]`. */
  origins: readonly string[];
  /** The worker's own bearer token for the gateways. */
  token?: string;
  /**
   * Secret that callers' tokens are signed with (HS256), at least 32 bytes: the gateways' own. A token's verbs and key
   * prefixes are checked before any cache is looked into. Writes and lists travel on with the caller's token. A second line is
   * a second secret: tokens of either are accepted while one takes the place of the other.
   */
  tokenKey?: string;
  /** Names that callers' tokens may be for (`aud`); those for others are refused. Default: none, so only tokens for everybody. */
  audience?: string | readonly string[];
  /**
   * Decides about one key (or the prefix of a list) itself; what it allows is done with the worker's own token, writes
   * included, so it should look at `request.method` too. The empty key stands for everything: lists without prefix, the
   * map, figures. Changes are not relayed to such callers, because the decision is about keys that are named, not about
   * those that change.
   */
  authorize?: (request: Request, key: string) => boolean | Promise<boolean>;
  /** Lets anybody read keymaps. Writes still need a token that the gateways accept. */
  public?: true;
  /**
   * Tells everybody who may read how the worker behaves: `/v1/stats`, and what `/v1/explain` says of keys that they may read.
   * For development and demonstrations; otherwise that takes the verb `admin`, or the leave of `authorize`. Default false.
   */
  debug?: boolean;
  /** Names the request sequence that a request belongs to. Default: its header `foremap-stream`. */
  stream?: (request: Request) => string | null | undefined;
  /** Cache of the isolate, or false for none. */
  cache?: CacheOptions | false;
  /** Prediction, or false for none. */
  prefetch?: PrefetchOptions | boolean;
  /** Also keeps answers in the data centre's Cache API, never beyond `maxStaleness`. Default false. */
  cacheApi?: boolean;
  /**
   * The binding of {@link AnalyzerHub}: isolates tell it what their clients ask for, start from what all of them learned, and
   * serve that to clients. Without one, `/v1/summaries` and `/v1/model` are a gateway's, and isolates start from its model.
   */
  hub?: HubNamespace | undefined;
  /**
   * Components of a key that choose the hub, where one object is not enough: with 1, everything below `acme/` has a hub of
   * its own. Ways between such parts are not learnt, an isolate starts from the model of the part that it was asked for
   * last, and `GET /v1/model` takes the part as `prefix`. Needs `tokenKey` or `authorize`. Default 0: one hub.
   */
  hubDepth?: number;
  /** Whether isolates take part in the model that all clients share. Default true, unless `prefetch` is false. */
  share?: boolean;
  /**
   * Requests that one invocation may make: what nobody waits for is left undone before they run out. Default 50, as
   * Cloudflare's free plan has it.
   */
  subrequests?: number;
  /** Greatest age of an answer in milliseconds. Default 2,000. */
  maxStaleness?: number;
  /** Milliseconds until a request is answered with `TIMEOUT`. Default 10,000. */
  timeout?: number;
  /** Origins that browsers may call from; `http://localhost:*` stands for any port. Default: none. */
  cors?: readonly string[];
  /** Performs requests to gateways, for instance over a service binding. Default: the global `fetch`. */
  fetch?: (request: Request, init?: { signal?: AbortSignal }) => Promise<Response>;
  /** Seeds what is random in the core, for replayable tests. Default: random. */
  seed?: number;
}

/** What a runtime hands to a module worker beside the request. */
export interface WorkerContext {
  /** Keeps the worker running after its answer. */
  waitUntil(work: Promise<unknown>): void;
}

/** A module worker. */
export interface EdgeWorker<Env> {
  /** Answers one request. Never rejects. */
  fetch(request: Request, env: Env, context: WorkerContext): Promise<Response>;
}
