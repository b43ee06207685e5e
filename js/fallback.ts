import type { Backend, Lookup } from "./backend.js";
import { readBookmark, writeBookmark } from "./bookmark.js";
import { errorOfAnswer } from "./calls.js";
import type { CoreWrite } from "./engine/core.js";
import type { RawAnswer } from "./engine/exchange.js";
import type { CallSpec } from "./engine/pending.js";
import { ForemapError, toForemapError, type ErrorCode } from "./errors.js";
import { isRecord, jsonOf, keymapOfJson } from "./keymap.js";
import { MAX_BATCH_KEYS } from "./limits.js";
import type { CoreStats, Explanation, GetResult, Prediction } from "./types.js";
import { retryAfter } from "./retry-after.js";

/** Longest that one origin is waited for before the next is tried, in milliseconds. */
const ATTEMPT_MS = 3_000;
/** Statuses that another origin may do better than. */
const TRANSIENT: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

/**
 * Answers through any origin in JSON, where the runtime does not allow wasm (a content security policy without
 * `wasm-unsafe-eval`). Nothing is cached and nothing predicted.
 */
export class FallbackBackend implements Backend {
  readonly state = "fallback";
  readonly listed = null;
  /** Per storage shard the position that this session has seen: answers must not be older. */
  #floors = new Map<number, number>();
  #incarnation = 0;
  /** What is read must be newer than this. */
  #invalidatedAt = -Infinity;
  #preferred = 0;
  #open = 0;
  #closing = new AbortController();

  constructor(
    private readonly origins: readonly string[],
    private readonly token: string | undefined,
    private readonly fetch: (request: Request, init: { signal: AbortSignal }) => Promise<Response>,
    bookmark: Uint8Array = new Uint8Array(0),
  ) {
    if (bookmark.byteLength > 0) {
      const { incarnation, floors } = readBookmark(bookmark);
      this.#incarnation = incarnation;
      for (const [shard, position] of floors) this.#raise(shard, position);
    }
    // A wildcard names no host that could be asked.
    this.origins = origins.filter((origin) => !origin.includes("//*."));
  }

  async get(lookup: Lookup): Promise<GetResult | null> {
    const [result] = await this.getMany([lookup]);
    if (result instanceof ForemapError) throw result;
    return result ?? null;
  }

  async getMany(lookups: Lookup[]): Promise<(GetResult | null | ForemapError)[]> {
    const parts: { results: (GetResult | null | ForemapError)[]; at: number }[] = [];
    for (let at = 0; at < lookups.length; at += MAX_BATCH_KEYS) {
      const part = lookups.slice(at, at + MAX_BATCH_KEYS);
      const results = await this.#batch(part).catch((error) => part.map(() => toForemapError(error, "INTERNAL")));
      parts.push({ results, at: performance.now() });
    }
    const now = performance.now();
    // Earlier batches have waited for later ones.
    return parts.flatMap(({ results, at }) => results.map((result) => later(result, now - at, lookups[0]?.maxStaleness)));
  }

  async #batch(lookups: Lookup[]): Promise<(GetResult | null | ForemapError)[]> {
    const [first] = lookups;
    if (first === undefined) return [];
    const body = JSON.stringify({
      items: lookups.map(({ key }) => ({ key })),
      consistency: first.consistency,
      max_staleness_ms: Math.min(first.maxStaleness, Math.max(0, Math.floor(performance.now() - this.#invalidatedAt))),
      stream: first.stream,
      floors: [...this.#floors].map(([shard, position]) => ({ shard, position })),
    });
    const headers = new Headers({ "content-type": "application/json", accept: "application/json" });
    if (this.token !== undefined) headers.set("authorization", `Bearer ${this.token}`);
    const began = performance.now();
    const answer = await this.call(first, (origin) => new Request(`${origin}/v1/batch`, { method: "POST", headers, body }));
    if (answer.status !== 200) throw errorOfAnswer(answer);
    const response = jsonOf(answer.body);
    if (!isRecord(response) || !Array.isArray(response.results) || response.results.length !== lookups.length) {
      throw new ForemapError("BAD_ANSWER", "the gateway did not answer every key of the batch");
    }
    this.#meet(response.epoch);
    const elapsed = Math.round(performance.now() - began);
    return response.results.map((result: unknown) => {
      this.#see(result);
      return itemResult(result, elapsed, first.maxStaleness);
    });
  }

  /** Positions mean nothing in a store that was set up anew, and would keep the session from ever reading again. */
  #meet(epoch: unknown): void {
    if (!isRecord(epoch) || typeof epoch.incarnation !== "number" || epoch.incarnation <= this.#incarnation) return;
    if (this.#incarnation > 0) this.#floors.clear();
    this.#incarnation = epoch.incarnation;
  }

  #see(result: unknown): void {
    if (!isRecord(result) || result.outcome === "error" || !isRecord(result.at)) return;
    const { shard, position } = result.at;
    if (typeof shard === "number" && typeof position === "number") this.#raise(shard, position);
  }

  #raise(shard: number, position: number): void {
    this.#floors.set(shard, Math.max(position, this.#floors.get(shard) ?? 0));
  }

  async call(spec: CallSpec, request: (origin: string) => Request): Promise<RawAnswer> {
    const deadline = performance.now() + spec.timeout;
    let answer: RawAnswer | null = null;
    let failure: ForemapError | null = null;
    // Every origin once, and the first one again: a blip of a single origin is not the end.
    for (let attempt = 0; attempt <= this.origins.length; attempt += 1) {
      const at = (this.#preferred + attempt) % this.origins.length;
      const left = Math.ceil(deadline - performance.now());
      if (left <= 0) break;
      try {
        answer = await this.#exchange(request(this.origins[at] ?? ""), Math.min(left, ATTEMPT_MS), spec.signal);
        if (!TRANSIENT.has(answer.status)) {
          this.#preferred = at;
          return answer;
        }
        const wait = retryAfter(answer.headers);
        if (wait > 0) await this.#pause(Math.min(wait, Math.max(0, deadline - performance.now())), spec.signal);
      } catch (error) {
        failure = toForemapError(error, "NETWORK");
        if (failure.code === "ABORTED" || failure.code === "CLOSED") throw failure;
      }
    }
    if (answer !== null) return answer;
    if (performance.now() >= deadline) throw new ForemapError("TIMEOUT", "no answer in time", { cause: failure });
    throw failure ?? new ForemapError("NETWORK", "no gateway could be reached");
  }

  async #exchange(request: Request, timeoutMs: number, signal: AbortSignal | undefined): Promise<RawAnswer> {
    if (this.#closing.signal.aborted) throw new ForemapError("CLOSED", "the client is closed");
    const timer = AbortSignal.timeout(timeoutMs);
    const any = AbortSignal.any([timer, this.#closing.signal, ...(signal ? [signal] : [])]);
    this.#open += 1;
    try {
      const response = await this.fetch(request, { signal: any });
      return {
        status: response.status,
        headers: response.headers,
        body: new Uint8Array(await response.arrayBuffer()),
      };
    } catch (cause) {
      if (signal?.aborted) throw new ForemapError("ABORTED", "the caller cancelled the call", { cause: signal.reason });
      if (this.#closing.signal.aborted) throw new ForemapError("CLOSED", "the client is closed");
      if (timer.aborted) throw new ForemapError("TIMEOUT", "no answer in time", { cause });
      throw new ForemapError("NETWORK", "the gateway could not be reached", { cause });
    } finally {
      this.#open -= 1;
    }
  }

  /** Waits, at most until the caller or the client gives up. */
  #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const end = AbortSignal.any([this.#closing.signal, ...(signal ? [signal] : [])]);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, end.aborted ? 0 : ms);
      end.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    });
  }

  /** The gateway makes keys canonical and refuses bad ones. */
  canonical(key: string): string {
    return key;
  }

  wrote(_answer: RawAnswer, { shard, position }: CoreWrite): void {
    this.#raise(shard, position);
  }

  bookmark(): Uint8Array {
    return writeBookmark({ incarnation: this.#incarnation, floors: [...this.#floors] });
  }

  prefetch(): void {}

  peek(): null {
    return null;
  }

  predictions(): Prediction[] {
    return [];
  }

  explain(): Explanation | null {
    return null;
  }

  invalidate(): number {
    this.#invalidatedAt = performance.now();
    return 0;
  }

  clear(): void {
    this.invalidate();
  }

  coreStats(): CoreStats | null {
    return null;
  }

  load(): { waiting: number; open: number } {
    return { waiting: this.#open, open: this.#open };
  }

  close(): void {
    this.#closing.abort();
  }
}

function itemResult(result: unknown, elapsed: number, maxStaleness: number): GetResult | null | ForemapError {
  if (!isRecord(result)) return new ForemapError("BAD_ANSWER", "the gateway sent a result of an unknown shape");
  switch (result.outcome) {
    case "found": {
      const age = (isRecord(result.at) && typeof result.at.age_ms === "number" ? result.at.age_ms : 0) + elapsed;
      try {
        return { keymap: keymapOfJson(result.keymap), source: "network", age, stale: age > maxStaleness };
      } catch (error) {
        return toForemapError(error, "BAD_ANSWER");
      }
    }
    case "missing":
      return null;
    case "error":
      return new ForemapError(result.code as ErrorCode, String(result.detail));
    default:
      return new ForemapError("BAD_ANSWER", "the gateway sent a result of an unknown shape");
  }
}

/** A result `waited` milliseconds later. */
function later<T extends GetResult | null | ForemapError>(result: T, waited: number, maxStaleness = 0): T {
  if (result === null || result instanceof ForemapError) return result;
  const age = result.age + Math.round(waited);
  return { ...result, age, stale: age > maxStaleness };
}
