import type { CoreAnswer, CoreBatch, CoreBatchResult, CoreKeymap, ReadPoint } from "../engine/core.js";
import type { Engine } from "../engine/engine.js";
import { isRecord } from "../keymap.js";
import { BINARY } from "./answers.js";
import type { Subrequests } from "./subrequests.js";

/** Larger batches go to the gateway at once: every look-up is a subrequest. */
const MAX_LOOKUPS = 4;
/** Never resolved: names entries in the Cache API only. */
const NAMESPACE = "https://foremap.invalid/v1/keymap";

interface Entry {
  keymap: CoreKeymap | null;
  at: ReadPoint;
}

/**
 * The data centre's Cache API as a tier between the isolate's cache and the gateways.
 *
 * It answers a batch in a gateway's place, so that age, floors and prediction are the core's business as ever. An entry
 * keeps its log position, and its age goes on from where it was; beyond the bound, or below a floor of the caller, it
 * does not count. Trouble with the cache never fails a read.
 */
export class CacheTier {
  readonly #names: string;

  /** @param origins name the cluster: workers of several may share a data centre's cache */
  constructor(
    private readonly engine: Engine,
    private readonly maxStaleness: number,
    origins: readonly string[],
  ) {
    this.#names = `${NAMESPACE}?cluster=${encodeURIComponent([...origins].sort().join(" "))}&key=`;
  }

  /** Answers a batch, or lets `next` do it. */
  async fetch(request: Request, subrequests: Subrequests, next: () => Promise<Response>): Promise<Response> {
    if (request.method !== "POST" || !request.url.endsWith("/v1/batch")) return next();
    // With the last ones a gateway is asked, which surely answers.
    if (!subrequests.spare(MAX_LOOKUPS)) return next();
    const answer = await this.#answer(request.clone(), subrequests).catch(() => null);
    return answer ?? next();
  }

  async #answer(request: Request, subrequests: Subrequests): Promise<Response | null> {
    const body = new Uint8Array(await request.arrayBuffer());
    const batch = this.engine.guard.use((instance) => instance.decodeBatch(body));
    if (batch.items.length === 0 || batch.items.length > MAX_LOOKUPS || batch.consistency === "strong") return null;
    const results: CoreBatchResult[] = [];
    for (const item of batch.items) {
      subrequests.take();
      const entry = await this.#entry(item.key, batch);
      if (entry === null) return null;
      const { keymap, at } = entry;
      results.push(keymap !== null && keymap.version === item.ifVersion ? { unchanged: keymap.version, at } : entry);
    }
    const bytes = this.engine.guard.use((instance) => instance.encodeBatch(results, undefined, 0));
    return new Response(bytes, { headers: { "content-type": BINARY } });
  }

  async #entry(key: string, batch: CoreBatch): Promise<Entry | null> {
    const cached = await dataCentreCache()?.match(this.#names + encodeURIComponent(key));
    if (cached === undefined) return null;
    const stored: unknown = await cached.json();
    if (!isRecord(stored) || typeof stored.storedAt !== "number") return null;
    const { keymap, at } = stored as object as Entry;
    const kept = Date.now() - stored.storedAt;
    // Whose clock was set, or is another machine's, tells nothing; the cache's own count is a second witness.
    if (kept < 0) return null;
    const age = at.age_ms + Math.max(kept, Number(cached.headers.get("age") ?? 0) * 1000 || 0);
    if (age > Math.min(batch.maxStalenessMs, this.maxStaleness)) return null;
    for (let i = 0; i + 1 < batch.floors.length; i += 2) {
      if (batch.floors[i] === at.shard && (batch.floors[i + 1] ?? 0) > at.position) return null;
    }
    return { keymap, at: { ...at, age_ms: age } };
  }

  /** Keeps what a gateway answered, one of `keys` in the same request: more than are looked up are not kept either. */
  async keep(key: string, answer: CoreAnswer, keys: number, subrequests: Subrequests): Promise<void> {
    if (keys > MAX_LOOKUPS || !subrequests.spare()) return;
    const left = this.maxStaleness - answer.age;
    if (left <= 0 || (answer.source !== "network" && answer.source !== "revalidated")) return;
    subrequests.take();
    const body = JSON.stringify({
      keymap: answer.keymap ?? null,
      at: { ...answer.at, age_ms: answer.age },
      storedAt: Date.now(),
    });
    // A known length, as a chunked put holds up later ones.
    const headers = {
      "content-type": "application/json",
      "content-length": String(new TextEncoder().encode(body).byteLength),
      "cache-control": `max-age=${Math.ceil(left / 1000)}`,
    };
    await dataCentreCache()
      ?.put(this.#names + encodeURIComponent(key), new Response(body, { headers }))
      .catch(() => undefined);
  }
}

function dataCentreCache(): Cache | undefined {
  return typeof caches === "undefined" ? undefined : (caches as CacheStorage & { default?: Cache }).default;
}
