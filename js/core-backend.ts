import type { Backend, Hint, Listed, Lookup } from "./backend.js";
import { ANY, STRONG, UNHEDGED, UNOBSERVED, type CoreAnswer, type CoreWrite } from "./engine/core.js";
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
    return resultOfCore(await this.#get(lookup, 0));
  }

  async #get(lookup: Lookup, flags: number): Promise<CoreAnswer> {
    const wanted = flagsOf(lookup.consistency) | (lookup.hedge ? 0 : UNHEDGED) | flags;
    return this.engine.get(this.scope, { ...lookup, flags: wanted });
  }

  /** Answers that were there early grow older while the others are waited for; too old ones are asked for again. */
  async getMany(lookups: Lookup[]): Promise<(GetResult | null | ForemapError)[]> {
    const began = performance.now();
    const answers = lookups.map((): Dated => ({ answer: null, at: began }));
    let open = lookups.map((lookup, index) => ({ lookup, index }));
    for (let flags = 0; open.length > 0; flags = UNOBSERVED) {
      const left = (timeout: number) => Math.max(1, Math.ceil(timeout - (performance.now() - began)));
      await Promise.all(
        open.map(async ({ lookup, index }) => {
          const get = this.#get(flags === 0 ? lookup : { ...lookup, timeout: left(lookup.timeout) }, flags);
          const answer = await get.catch((error) => toForemapError(error, "INTERNAL"));
          answers[index] = { answer, at: performance.now() };
        }),
      );
      const now = performance.now();
      open = lookups
        .map((lookup, index) => ({ lookup, index }))
        .filter(({ lookup, index }) => isTooOld(answers[index] as Dated, lookup, began, now));
    }
    const now = performance.now();
    return answers.map((dated, index) => {
      const answer = aged(dated, lookups[index] as Lookup, now);
      return answer === null || answer instanceof ForemapError ? answer : resultOfCore(answer);
    });
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

/** An answer, and when it was there. */
interface Dated {
  answer: CoreAnswer | ForemapError | null;
  at: number;
}

/** The answer as it is at `now`, marked as the core does. */
function aged({ answer, at }: Dated, lookup: Lookup, now: number): Dated["answer"] {
  if (answer === null || answer instanceof ForemapError) return answer;
  const age = answer.age + Math.round(now - at);
  return { ...answer, age, stale: answer.stale || (lookup.consistency !== "strong" && age > lookup.maxStaleness) };
}

/** Whether it may not be given as it is at `now`. What became known after the call began always may. */
function isTooOld(dated: Dated, lookup: Lookup, began: number, now: number): boolean {
  const answer = aged(dated, lookup, now);
  if (answer === null || answer instanceof ForemapError || lookup.consistency !== "bounded") return false;
  const most = lookup.maxStaleness + Math.max(lookup.staleWhileRevalidate, lookup.staleIfError);
  return answer.age > Math.max(most, now - began + 1);
}
