import type { CoreWrite } from "./engine/core.js";
import type { RawAnswer } from "./engine/exchange.js";
import type { CallSpec } from "./engine/pending.js";
import type { ForemapError } from "./errors.js";
import type { Consistency, CoreStats, Explanation, GetResult, ListPage, Prediction } from "./types.js";

/** A checked get. */
export interface Lookup {
  key: string;
  consistency: Consistency;
  maxStaleness: number;
  timeout: number;
  stream: string | undefined;
  staleWhileRevalidate: number;
  staleIfError: number;
  hedge: boolean;
  signal: AbortSignal | undefined;
}

/** What was listed. */
export interface Listed {
  prefix: string;
  /** Whether it is the first page. */
  first: boolean;
  stream: string;
}

/** What the application knows of keys that it will ask for. */
export interface Hint {
  probability: number | undefined;
  within: number | undefined;
}

/** What the client stands on: the wasm core, or plain HTTP where wasm is not allowed. */
export interface Backend {
  readonly state: "ready" | "fallback";
  get(lookup: Lookup): Promise<GetResult | null>;
  getMany(lookups: Lookup[]): Promise<(GetResult | null | ForemapError)[]>;
  /** Performs the same request against one origin after another until one gives an answer that stands. */
  call(spec: CallSpec, request: (origin: string) => Request): Promise<RawAnswer>;
  /** Notes an acknowledged write. @param answer what acknowledged it */
  wrote(answer: RawAnswer, write: CoreWrite): void;
  /** Reads a page of a list in binary form; null where only JSON is understood. */
  readonly listed: ((answer: RawAnswer, listed: Listed) => ListPage) | null;
  /** @throws {ForemapError} `BAD_KEY` */
  canonical(key: string): string;
  prefetch(keys: string[], hint: Hint): void;
  peek(key: string, maxStaleness: number): GetResult | null;
  predictions(key: string | undefined, stream: string): Prediction[];
  explain(key: string): Explanation | null;
  invalidate(what: { key?: string; prefix?: string; tag?: string; all?: boolean }): number;
  clear(): void;
  /** What the session has seen. */
  bookmark(): Uint8Array;
  coreStats(): CoreStats | null;
  load(): { waiting: number; open: number };
  close(): void;
}
