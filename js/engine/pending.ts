import type { ForemapError } from "../errors.js";
import type { CoreAnswer, CoreFence } from "./core.js";
import type { RawAnswer } from "./exchange.js";
import type { Scope } from "./scope.js";

/** A get of the engine. */
export interface GetSpec {
  key: string;
  flags: number;
  maxStaleness: number;
  timeout: number;
  stream?: string | undefined;
  /** How much older than the bound an answer may be while it is asked for anew. */
  staleWhileRevalidate?: number;
  /** How much older than the bound an answer may be where nothing else answers. */
  staleIfError?: number;
  signal?: AbortSignal | undefined;
}

/** A get that waits. */
export interface Waiter {
  readonly scope: Scope;
  readonly spec: GetSpec;
  /** Set when it is first issued. */
  deadline: number;
  id: number;
  reissued: boolean;
  resolve(answer: CoreAnswer): void;
  reject(error: ForemapError): void;
}

/** Bounds of a plain call. */
export interface CallSpec {
  timeout: number;
  signal?: AbortSignal | undefined;
  /** The key that it is about, to address its owner. */
  key?: string | undefined;
  /** Whether a success is wanted before its body arrives, as {@link RawAnswer.stream}. */
  unread?: boolean;
}

/** A plain HTTP call whose origin and retries the core decides. */
export interface Call {
  readonly scope: Scope;
  readonly generation: number;
  readonly spec: CallSpec;
  readonly request: (origin: string) => Request;
  flight: Flight | null;
  /** Taken when the first attempt was sent. */
  firstFence: CoreFence | null;
  answer: RawAnswer | null;
  settle(result: RawAnswer | ForemapError): void;
}

/** A request that is open. */
export interface Flight {
  readonly id: number;
  readonly scope: Scope;
  readonly generation: number;
  readonly controller: AbortController;
}
