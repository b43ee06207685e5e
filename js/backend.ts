import type { RawAnswer } from "./engine/engine.js";
import type { ForemapError } from "./errors.js";
import type { Consistency, CoreStats, Explanation, GetResult, Prediction } from "./types.js";

/** A checked get. */
export interface Lookup {
  key: string;
  consistency: Consistency;
  maxStaleness: number;
  timeout: number;
  stream: string | undefined;
  signal: AbortSignal | undefined;
}

/** Bounds of a plain call. */
export interface CallSpec {
  timeout: number;
  signal: AbortSignal | undefined;
  /** The key that it is about, to address its owner. */
  key?: string | undefined;
}

/** What the client stands on: the wasm core, or plain HTTP where wasm is not allowed. */
export interface Backend {
  readonly state: "ready" | "fallback";
  get(lookup: Lookup): Promise<GetResult | null>;
  getMany(lookups: Lookup[]): Promise<(GetResult | null | ForemapError)[]>;
  /** Performs the same request against one origin after another until one gives an answer that stands. */
  call(spec: CallSpec, request: (origin: string) => Request): Promise<RawAnswer>;
  wrote(key: string, version: number, shard: number, position: number): void;
  /** @throws {ForemapError} `BAD_KEY` */
  canonical(key: string): string;
  prefetch(keys: string[]): void;
  peek(key: string, maxStaleness: number): GetResult | null;
  predictions(key: string | undefined, stream: string): Prediction[];
  explain(key: string): Explanation | null;
  invalidate(what: { key?: string; prefix?: string; tag?: string; all?: boolean }): number;
  clear(): void;
  coreStats(): CoreStats | null;
  load(): { waiting: number; open: number };
  close(): void;
}
