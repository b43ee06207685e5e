import { BINARY } from "./answers.js";
import type { Engine } from "../engine/engine.js";
import type { Observers, WorkerCoreInstance } from "./core.js";
import { OBSERVED, type Hubs } from "./hubs.js";
import type { Subrequests } from "./subrequests.js";

/** Size of the model that an isolate starts from. */
const MODEL_BYTES = 64 << 10;
/** Time until an isolate looks for a newer model, and until it does where there is none yet, in milliseconds. */
const REFRESH_MS = 600_000;
const EMPTY_MS = 60_000;
/** Longest wait for a model, and shortest until the next try after a failure, in milliseconds. */
const PATIENCE_MS = 5_000;
const RETRY_MS = 5_000;
/** Pages kept for another try after the hub did not take them. */
const MAX_UNSENT = 4;

/** Sizes count as brotli makes them; gzip takes some more, and what it takes is not refused for that. */
const GZIP_SLACK = 1.25;

/** Where a model comes from that is not a hub's. */
export type AskGateway = (target: string, init: RequestInit & { signal: AbortSignal }) => Promise<Response>;

type Pages = ReturnType<Observers["tell"]>;

/**
 * What an isolate takes from the model that all clients share, and adds to it.
 *
 * Everything here happens after an answer, in the context of the request that was answered: no promise is kept for another
 * request, only the time until which one of them is at it.
 */
export class Sharing {
  #next = 0;
  #busyUntil = 0;
  #failures = 0;
  #shard: string | null = null;
  #model: Uint8Array<ArrayBuffer> | null = null;
  /** The same, gzipped, for clients. */
  #gzipped: Uint8Array<ArrayBuffer> | null = null;
  /** When it was made. */
  #made = 0;
  /** The core that has the model, and the one that has the observers. */
  #imported = -1;
  #observing = -1;
  #observers: Observers | null = null;
  #unsent: Pages = [];
  #figures = { imports: 0, refused: 0, pages: 0, unsent: 0 };

  constructor(
    private readonly engine: Engine,
    private readonly hubs: Hubs | null,
    private readonly gateway: AskGateway,
  ) {}

  /** Whether somebody wants to know what clients ask for: only a hub, as a gateway is not told of those of others. */
  get observes(): boolean {
    return this.hubs !== null;
  }

  /** A client was answered. */
  note(client: string, stream: string, key: string): void {
    this.#shard = this.hubs?.shardOf(key) ?? this.#shard;
    this.#observe((observers) => observers.note(Date.now(), client, stream, key));
  }

  /** What is due after an answer, if it may cost a request. */
  after(subrequests: Subrequests): Promise<void> | null {
    const now = Date.now();
    this.#import();
    if (now < this.#busyUntil) return null;
    const tells = this.hubs !== null && this.#observe((observers) => observers.isDue(now)) === true;
    const reads = now >= this.#next;
    if ((!tells && !reads) || !subrequests.spare()) return null;
    this.#busyUntil = now + 2 * PATIENCE_MS;
    const work = async () => {
      if (reads) await this.#read(subrequests);
      if (tells && this.hubs !== null) await this.#tell(this.hubs, subrequests);
    };
    return work().finally(() => {
      this.#busyUntil = 0;
    });
  }

  /** For operators. */
  stats(): object {
    const observers = this.#observe((known) => known.stats()) ?? null;
    return { ...this.#figures, failures: this.#failures, modelBytes: this.#model?.byteLength ?? 0, observers };
  }

  async #read(subrequests: Subrequests): Promise<void> {
    const init = { signal: AbortSignal.timeout(PATIENCE_MS) };
    // Where the one at hand is known, what comes leads from it to the newest.
    const from = this.#model === null || this.#imported !== this.engine.guard.generation ? "" : `&from=${this.#made}`;
    const target = `/v1/model?bytes=${MODEL_BYTES}${from}`;
    const shard = this.hubs?.depth === 0 ? "" : this.#shard;
    if (this.hubs !== null && shard === null) return;
    try {
      subrequests.take();
      const answer = await (this.hubs === null ? this.gateway(target, init) : this.hubs.ask(shard ?? "", target, init));
      const body = new Uint8Array(await answer.arrayBuffer());
      if (![200, 204].includes(answer.status)) throw new Error(`status ${answer.status}`);
      this.#failures = 0;
      // Isolates of one deployment must not all ask at once.
      this.#next = Date.now() + (answer.status === 204 ? EMPTY_MS : REFRESH_MS) * (0.9 + Math.random() / 5);
      if (answer.status !== 200) return;
      this.#import(body);
      const model = this.#model;
      // The core that had the one before may have trapped meanwhile: the next one is whole.
      if (model === null) throw new Error("not a model");
      this.#gzipped = await gzipped(model);
    } catch {
      this.#failures += 1;
      this.#next = Date.now() + Math.min(REFRESH_MS, RETRY_MS * 2 ** Math.min(this.#failures, 10));
    }
  }

  /** The model for a client that wishes for one, unless it has that one or nearly. */
  behind({ bytes, known }: { bytes: number; known: number }): Uint8Array<ArrayBuffer> | null {
    const model = this.#gzipped;
    if (model === null || this.#imported !== this.engine.guard.generation || model.byteLength > bytes * GZIP_SLACK) return null;
    return known > 0 && this.#made < known + REFRESH_MS ? null : model;
  }

  /** Hands to the core what came, or the model at hand where a core trapped. */
  #import(came: Uint8Array<ArrayBuffer> | null = null): void {
    const { guard } = this.engine;
    const model = came ?? this.#model;
    if (model === null || (came === null && this.#imported === guard.generation)) return;
    try {
      guard.run((core, now) => {
        this.#model = core.importModel(now, model) ?? model;
        this.#made = (core.stats(now).model as { made: number }).made;
      });
      this.#imported = guard.generation;
      this.#figures.imports += 1;
    } catch {
      // It would not be read the next time either, and must not break a second core.
      this.#model = null;
      this.#gzipped = null;
      this.#figures.refused += 1;
    }
  }

  async #tell(hubs: Hubs, subrequests: Subrequests): Promise<void> {
    const pages = this.#unsent.concat(this.#observe((observers) => observers.tell(hubs.depth)) ?? []);
    this.#unsent = [];
    for (const [shard, page] of pages) {
      const init = { method: "POST", headers: { "content-type": BINARY }, body: page };
      const isTaken =
        subrequests.spare() &&
        (subrequests.take(), await hubs.ask(shard, OBSERVED, init).then((answer) => answer.status === 204, () => false));
      if (isTaken) this.#figures.pages += 1;
      else if (this.#unsent.length < MAX_UNSENT) this.#unsent.push([shard, page]);
      else this.#figures.unsent += 1;
    }
  }

  /** Where the core traps, what was observed is lost with it. */
  #observe<T>(use: (observers: Observers) => T): T | undefined {
    const { guard } = this.engine;
    if (this.hubs === null) return undefined;
    try {
      return guard.use((instance) => {
        const { Observers: Made } = instance as WorkerCoreInstance;
        if (this.#observers === null || this.#observing !== guard.generation) {
          this.#observers = new Made(Math.floor(Math.random() * 2 ** 52));
          this.#observing = guard.generation;
        }
        return use(this.#observers);
      });
    } catch {
      return undefined;
    }
  }
}

async function gzipped(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
