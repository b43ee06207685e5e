import { MAX_STALENESS_MS, settings, whole, type Settings } from "../config.js";
import type { LoadCore } from "../engine/core.js";
import { Engine } from "../engine/engine.js";
import type { Scope } from "../engine/scope.js";
import { ForemapError } from "../errors.js";
import { Access } from "./access.js";
import { CacheTier } from "./cache-tier.js";
import { Cors } from "./cors.js";
import { Hubs } from "./hubs.js";
import type { WorkerContext, WorkerOptions } from "./options.js";
import { Sharing } from "./sharing.js";
import { FREE_PLAN, Subrequests } from "./subrequests.js";

/** Origins with an open connection at once: half of the six that one request may have. */
const MAX_ORIGINS = 3;
/** Requests to gateways open at once; the sixth connection is left to the Cache API. */
const MAX_OPEN = 5;
/** Time that prefetching may go on after the answer, in milliseconds. */
const SETTLE_MS = 5_000;
/** Most components of a key. */
const MAX_DEPTH = 16;

/** What the runtime of an entry can do. */
export interface Platform {
  loadCore: LoadCore;
  /** Whether it has Durable Objects, and the core what they need. */
  hubs: boolean;
  /** Whether it encodes a body as the header `content-encoding` says. */
  encodes: boolean;
}

/** Everything that checks options; made before the first request where they are known. */
export class Rules {
  readonly settings: Settings;
  readonly access: Access;
  readonly cors: Cors;
  readonly hubs: Hubs | null;
  readonly subrequests: number;
  readonly shares: boolean;

  /** @throws {ForemapError} `CONFIG` */
  constructor(
    readonly options: WorkerOptions,
    platform: Platform,
  ) {
    const surroundings = { maxOrigins: MAX_ORIGINS, maxStaleness: MAX_STALENESS_MS, feed: null };
    this.settings = settings({ ...options, share: "off" }, surroundings);
    this.access = new Access(options);
    this.cors = new Cors(options.cors ?? []);
    this.hubs = hubsOf(options, platform);
    this.subrequests = whole("subrequests", options.subrequests) ?? FREE_PLAN;
    this.shares = options.share ?? true;
    if (typeof this.shares !== "boolean") throw new ForemapError("CONFIG", "`share` is true or false");
    this.shares &&= options.prefetch !== false;
    // An isolate reads its model beside its requests, never behind one of their answers.
    if (this.shares) Object.assign(this.settings.core, { share: "read", modelBytes: 0 });
  }
}

function hubsOf(options: WorkerOptions, platform: Platform): Hubs | null {
  const { hub } = options;
  const depth = whole("hubDepth", options.hubDepth) ?? 0;
  if (depth > MAX_DEPTH) throw new ForemapError("CONFIG", `\`hubDepth\` must be from 0 to ${MAX_DEPTH}`);
  if (hub === undefined) return null;
  if (!platform.hubs) throw new ForemapError("CONFIG", "the option `hub` needs workerd, which has Durable Objects");
  if (typeof hub !== "object" || hub === null || typeof hub.idFromName !== "function") {
    throw new ForemapError("CONFIG", "`hub` must be the binding of a Durable Object class");
  }
  // Each shard that somebody names is an object that somebody pays for.
  if (depth > 0 && options.public === true) {
    throw new ForemapError("CONFIG", "`hubDepth` needs `tokenKey` or `authorize`: anybody could make hubs without end");
  }
  return new Hubs(hub, depth);
}

/** What all requests of one isolate share: the core with its cache and predictor, and no promise. */
export class Isolate {
  readonly engine: Engine;
  readonly tier: CacheTier | null;
  readonly sharing: Sharing | null;
  panics = 0;

  private constructor(
    readonly rules: Rules,
    readonly platform: Platform,
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
    this.sharing = rules.shares
      ? new Sharing(this.engine, rules.hubs, (target, init) => this.#askGateway(target, init))
      : null;
  }

  get hubs(): Hubs | null {
    return this.rules.hubs;
  }

  static async start(rules: Rules, platform: Platform): Promise<Isolate> {
    return new Isolate(rules, platform, await platform.loadCore());
  }

  /** Begins the scope of one request. */
  enter(subrequests: Subrequests): Scope {
    const { tier } = this;
    const fetch = (request: Request, init: { signal?: AbortSignal }) => {
      subrequests.take();
      return this.#fetch(request, init);
    };
    return this.engine.openScope({
      maxOpen: MAX_OPEN,
      mayPrefetch: () => subrequests.spare(),
      fetch: (request, init) =>
        tier === null ? fetch(request, init) : tier.fetch(request, subrequests, () => fetch(request, init)),
    });
  }

  /** Ends it once its prefetches have landed, and what there is to share is shared. */
  leave(scope: Scope, subrequests: Subrequests, context: WorkerContext): void {
    context.waitUntil(
      scope
        .settled(SETTLE_MS)
        .finally(() => this.engine.closeScope(scope))
        .then(() => this.sharing?.after(subrequests)),
    );
  }

  #fetch(request: Request, init?: { signal?: AbortSignal }): Promise<Response> {
    const { fetch = (sent, how) => globalThis.fetch(sent, how) } = this.rules.options;
    return fetch(request, init);
  }

  /** With the worker's own right, as what comes back serves all its callers. */
  #askGateway(target: string, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
    const { origins, token } = this.rules.settings.core;
    const named = origins.filter((origin) => !origin.includes("*"));
    const headers = new Headers(init.headers);
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
    // Any gateway has it; another one after a failure, more likely than not.
    const origin = named[Math.floor(Math.random() * named.length)] ?? "";
    const { signal } = init;
    return this.#fetch(new Request(origin + target, { headers }), { signal });
  }
}
