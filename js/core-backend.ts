import type { Backend, CallSpec, Lookup } from "./backend.js";
import { ANY, STRONG } from "./engine/core.js";
import type { Engine, RawAnswer } from "./engine/engine.js";
import type { Scope } from "./engine/scope.js";
import { ForemapError, toForemapError } from "./errors.js";
import { resultOfCore } from "./keymap.js";
import type { CoreStats, Explanation, GetResult, Prediction } from "./types.js";

/** Flags of the core for a consistency. */
export function flagsOf(consistency: Lookup["consistency"]): number {
  return consistency === "strong" ? STRONG : consistency === "any" ? ANY : 0;
}

/** The wasm core with its executor, in one scope. */
export class CoreBackend implements Backend {
  readonly state = "ready";

  constructor(
    private readonly engine: Engine,
    private readonly scope: Scope,
  ) {}

  async get(lookup: Lookup): Promise<GetResult | null> {
    const answer = await this.engine.get(this.scope, { ...lookup, flags: flagsOf(lookup.consistency) });
    return resultOfCore(answer);
  }

  async getMany(lookups: Lookup[]): Promise<(GetResult | null | ForemapError)[]> {
    const answers = lookups.map((lookup) => this.get(lookup).catch((error) => toForemapError(error, "INTERNAL")));
    return Promise.all(answers);
  }

  call(spec: CallSpec, request: (origin: string) => Request): Promise<RawAnswer> {
    return this.engine.call(this.scope, spec, request);
  }

  wrote(key: string, version: number, shard: number, position: number): void {
    this.engine.wrote(this.scope, key, version, shard, position);
  }

  canonical(key: string): string {
    return this.engine.guard.use((instance) => instance.canonicalKey(key));
  }

  prefetch(keys: string[]): void {
    this.engine.prefetch(this.scope, keys);
  }

  peek(key: string, maxStaleness: number): GetResult | null {
    const answer = this.engine.guard.run((core, now) => core.peek(now, key, maxStaleness));
    return answer === undefined ? null : resultOfCore(answer);
  }

  predictions(key: string | undefined, stream: string): Prediction[] {
    return this.engine.guard.run((core) => core.predictions(key, stream));
  }

  explain(key: string): Explanation {
    return this.engine.guard.run((core, now) => core.explain(now, key));
  }

  invalidate(what: { key?: string; prefix?: string; tag?: string; all?: boolean }): number {
    return this.engine.guard.run((core, now) => core.invalidate(now, what));
  }

  clear(): void {
    this.engine.guard.run((core, now) => core.clear(now));
  }

  coreStats(): CoreStats {
    return this.engine.guard.run((core, now) => core.stats(now));
  }

  load(): { waiting: number; open: number } {
    return this.engine.load;
  }

  close(): void {
    this.engine.closeScope(this.scope);
  }
}
