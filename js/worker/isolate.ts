import { MAX_STALENESS_MS, settings, type Settings } from "../config.js";
import type { LoadCore } from "../engine/core.js";
import { Engine } from "../engine/engine.js";
import type { Scope } from "../engine/scope.js";
import { Access } from "./access.js";
import { CacheTier } from "./cache-tier.js";
import { Cors } from "./cors.js";
import type { WorkerContext, WorkerOptions } from "./options.js";

/** Origins with an open connection at once: half of the six that one request may have. */
const MAX_ORIGINS = 3;
/** Requests to gateways open at once; the sixth connection is left to the Cache API. */
const MAX_OPEN = 5;
/** Time that prefetching may go on after the answer, in milliseconds. */
const SETTLE_MS = 5_000;

/** Everything that checks options; made before the first request where they are known. */
export class Rules {
  readonly settings: Settings;
  readonly access: Access;
  readonly cors: Cors;

  /** @throws {ForemapError} `CONFIG` */
  constructor(readonly options: WorkerOptions) {
    this.settings = settings(options, { maxOrigins: MAX_ORIGINS, maxStaleness: MAX_STALENESS_MS, feed: null });
    this.access = new Access(options);
    this.cors = new Cors(options.cors ?? []);
  }
}

/** What all requests of one isolate share: the core with its cache and predictor, and no promise. */
export class Isolate {
  readonly engine: Engine;
  readonly tier: CacheTier | null;
  panics = 0;

  private constructor(
    readonly rules: Rules,
    instantiate: Awaited<ReturnType<LoadCore>>,
  ) {
    this.engine = new Engine(instantiate, rules.settings.core, {
      panic: (message, count) => {
        this.panics = count;
        console.error(`foremap: the core trapped and was rebuilt (${count}): ${message}`);
      },
    });
    const { maxStaleness, core } = rules.settings;
    this.tier = rules.options.cacheApi ? new CacheTier(this.engine, maxStaleness, core.origins) : null;
  }

  static async start(rules: Rules, loadCore: LoadCore): Promise<Isolate> {
    return new Isolate(rules, await loadCore());
  }

  /** Begins the scope of one request. */
  enter(): Scope {
    const { fetch = (request, init) => globalThis.fetch(request, init) } = this.rules.options;
    const { tier } = this;
    return this.engine.openScope({
      maxOpen: MAX_OPEN,
      fetch: (request, init) => (tier === null ? fetch(request, init) : tier.fetch(request, () => fetch(request, init))),
    });
  }

  /** Ends it once its prefetches have landed. */
  leave(scope: Scope, context: WorkerContext): void {
    const end = scope.settled(SETTLE_MS).finally(() => this.engine.closeScope(scope));
    context.waitUntil(end);
  }
}
