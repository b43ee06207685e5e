import type { Backend, Hint, Listed, Lookup } from "./backend.js";
import { ANY, STRONG, UNHEDGED, type CoreWrite } from "./engine/core.js";
import type { Engine } from "./engine/engine.js";
import type { RawAnswer } from "./engine/exchange.js";
import type { CallSpec } from "./engine/pending.js";
import type { Scope } from "./engine/scope.js";
import { ForemapError, toForemapError } from "./errors.js";
import type { Page } from "./page.js";
import { keymapOfCore, resultOfCore } from "./keymap.js";
import type { CoreStats, Explanation, GetResult, ListPage, Prediction } from "./types.js";

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
    private readonly page?: Page,
  ) {}

  async get(lookup: Lookup): Promise<GetResult | null> {
    const flags = flagsOf(lookup.consistency) | (lookup.hedge ? 0 : UNHEDGED);
    return resultOfCore(await this.engine.get(this.scope, { ...lookup, flags }));
  }

  async getMany(lookups: Lookup[]): Promise<(GetResult | null | ForemapError)[]> {
    const answers = lookups.map((lookup) => this.get(lookup).catch((error) => toForemapError(error, "INTERNAL")));
    return Promise.all(answers);
  }

  call(spec: CallSpec, request: (origin: string) => Request): Promise<RawAnswer> {
    return this.engine.call(this.scope, spec, request);
  }

  wrote(answer: RawAnswer, write: CoreWrite): void {
    this.engine.wrote(this.scope, answer, write);
    this.page?.wrote(write);
  }

  listed(answer: RawAnswer, listed: Listed): ListPage {
    const { keymaps, next } = this.engine.listed(this.scope, answer, listed);
    const page = { keymaps: keymaps.map(keymapOfCore) };
    return typeof next === "string" ? { ...page, cursor: next } : page;
  }

  canonical(key: string): string {
    return this.engine.guard.use((instance) => instance.canonicalKey(key));
  }

  prefetch(keys: string[], { probability, within }: Hint): void {
    this.engine.prefetch(this.scope, keys, probability, within);
  }

  peek(key: string, maxStaleness: number): GetResult | null {
    const answer = this.engine.guard.run((core, now) => core.peek(now, key, maxStaleness));
    return answer === undefined ? null : resultOfCore(answer);
  }

  predictions(key: string | undefined, stream: string): Prediction[] {
    return this.engine.guard.ask((core) => core.predictions(key, stream));
  }

  explain(key: string): Explanation {
    return this.engine.guard.run((core, now) => core.explain(now, key));
  }

  invalidate(what: { key?: string; prefix?: string; tag?: string; all?: boolean }): number {
    const count = this.engine.enter(this.scope, (core, now) => core.invalidate(now, what));
    this.page?.dropped(what);
    return count;
  }

  clear(): void {
    this.engine.enter(this.scope, (core, now) => core.clear(now));
  }

  bookmark(): Uint8Array {
    return this.engine.guard.keepSession();
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
