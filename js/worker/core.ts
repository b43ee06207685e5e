/** The edge worker's core as TypeScript sees it: that of clients, and what only workers need. */
import type { CoreInstance } from "../engine/core.js";

/** What an operator decides about a hub. */
export interface HubConfig {
  clients?: number;
  shared?: string[];
  everyMs?: number;
}

/** Who tells something. */
export interface HubCaller {
  /** 32 hexadecimal digits of a subject, or an address. */
  client: string;
  /** What the caller's token covers; null is everything. */
  prefixes: readonly string[] | null;
  verified: boolean;
}

type Bytes = Uint8Array<ArrayBuffer>;

/** Decides what a hub does; its host stores, answers and wakes. Any method may trap. */
export interface HubCore {
  isMerging(): boolean;
  resume(counts: Uint8Array, shares: Uint8Array): void;
  serve(model: Uint8Array): void;
  take(now: number, caller: HubCaller, summary: Uint8Array, rows: number, bytes: number): { row: Bytes; wake: number };
  takePage(now: number, page: Uint8Array, rows: number, bytes: number): { row: Bytes; wake: number };
  merge(now: number, row: Uint8Array): void;
  forget(prefix: string): string;
  round(
    now: number,
    rows: number,
    bytes: number,
    sizeOf: (bytes: Bytes) => number,
  ): { model?: Bytes; counts?: Bytes; shares?: Bytes; wake?: number };
  took(now: number, took: number): void;
  body(
    prefixes: readonly string[] | undefined,
    bytes: number | undefined,
    encoding: string,
    from: number | undefined,
    compress: (bytes: Bytes, encoding: string) => Uint8Array,
  ): { bytes: Bytes; tag: string } | undefined;
  stats(): { readonly [name: string]: unknown };
}

/** What an isolate sees its clients ask for. */
export interface Observers {
  note(now: number, client: string, stream: string, key: string): void;
  isDue(now: number): boolean;
  /** Pages by the shard that they belong to. */
  tell(depth: number): [shard: string, page: Bytes][];
  stats(): { readonly [name: string]: unknown };
}

/** One instance of the edge worker's wasm module. */
export interface WorkerCoreInstance extends CoreInstance {
  Hub: new (config: HubConfig) => HubCore;
  Observers: new (seed: number) => Observers;
  /** What each hub is told of a summary, by the first `depth` components of keys. */
  splitSummary(summary: Uint8Array, depth: number, prefixes?: readonly string[]): [shard: string, summary: Bytes][];
}
