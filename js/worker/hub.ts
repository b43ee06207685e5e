import { ForemapError, type ErrorCode } from "../errors.js";
import { isRecord } from "../keymap.js";
import { BINARY, LimitError, json, mediaType, problem, readBody, refusal } from "./answers.js";
import { MAX_SUMMARY_BYTES } from "../limits.js";
import type { HubCore, WorkerCoreInstance } from "./core.js";
import { HubStore, type HubStorage } from "./hub-store.js";
import { CALLER, OBSERVED, readCaller } from "./hubs.js";
import { matches } from "./negotiate.js";
import { Query } from "./query.js";
import { loadZlib, type Zlib } from "./zlib.js";

/** What an operator decides about {@link AnalyzerHub}. */
export interface HubOptions {
  /** Distinct clients that must have gone the same way before others are told of it. Default 5. */
  clients?: number;
  /** Prefixes of keys that everybody may know of, however few asked for them. Default: none. */
  shared?: readonly string[];
  /** Milliseconds after which the model is made anew, if there is news. Default 60,000. */
  every?: number;
}

/** What a Durable Object is given. */
export interface HubState {
  readonly storage: HubStorage;
}

/** Age at which a model is made anew unless told otherwise, in milliseconds. */
const EVERY_MS = 60_000;
/** Longest wait after an alarm that failed, in milliseconds. */
const MAX_RETRY_MS = 60_000;

/** A hub in memory: gone whenever the runtime likes, and after ten seconds without a request. */
interface Live {
  core: HubCore;
  zlib: Zlib;
  /** The newest row that the core has merged. */
  merged: number;
  /** Whether the stored model was handed over. */
  serves: boolean;
  pending: { rows: number; bytes: number };
}

/**
 * The hub of the model that clients share at the edge: a Durable Object with SQLite storage.
 *
 * What it is told is stored before it is acknowledged, and merged by its alarm. So a hub that ends at any moment loses
 * nothing. Decisions are the core's; this class stores, answers and sets alarms.
 */
export abstract class HubObject {
  readonly #store: HubStore;
  #live: Live | null = null;
  /** When the alarm is set for; undefined until that is known. */
  #alarm: number | null | undefined;
  /** The row that is being merged. */
  #merging = 0;
  #figures = { rounds: 0, models: 0, failures: 0, dropped: 0 };

  /** As the runtime makes it. */
  constructor(
    protected readonly ctx: HubState,
    protected readonly env: unknown,
  ) {
    this.#store = new HubStore(ctx.storage);
  }

  /** What is decided about this hub: for classes that extend it. */
  protected options(): HubOptions {
    return {};
  }

  /** An instance of the core. */
  protected abstract instance(): WorkerCoreInstance;

  /** Answers an edge worker, or the operator's own code. Whoever calls it has checked who may. */
  async fetch(request: Request): Promise<Response> {
    try {
      const live = await this.#load();
      return await this.#route(live, request, new URL(request.url));
    } catch (error) {
      return this.#refuse(error);
    }
  }

  /** Merges what was told. Never rejects but where not even the next alarm can be set, as then the runtime tries again. */
  async alarm(): Promise<void> {
    this.#alarm = null;
    const models = this.#figures.models;
    const began = Date.now();
    let wake: number | undefined;
    try {
      const live = await this.#load(false);
      wake = this.#guarded(() => this.#round(live));
    } catch (error) {
      // An alarm that throws is tried seven times and then never again.
      this.#figures.failures += 1;
      console.error("foremap: the hub could not merge what it was told; it tries again", error);
      wake = Date.now() + this.#retryMs();
    }
    if (wake !== undefined) await this.#wake(wake);
    if (this.#figures.models === models) return;
    // On Cloudflare clocks stand still until something was waited for.
    await this.ctx.storage.getAlarm();
    const now = Date.now();
    this.#guarded(() => this.#live?.core.took(now, now - began));
  }

  /** Also where it is the options that fail. */
  #retryMs(): number {
    try {
      return Math.min(this.options().every ?? MAX_RETRY_MS, MAX_RETRY_MS);
    } catch {
      return MAX_RETRY_MS;
    }
  }

  async #route(live: Live, request: Request, url: URL): Promise<Response> {
    const { method } = request;
    switch (`${method} ${url.pathname}`) {
      case "POST /v1/summaries":
        return this.#take(request, (body) => {
          const caller = readCaller(request.headers.get(CALLER));
          return (core, now, { rows, bytes }) => core.take(now, caller, body, rows, bytes);
        });
      case `POST ${OBSERVED}`:
        return this.#take(request, (body) => (core, now, { rows, bytes }) => core.takePage(now, body, rows, bytes));
      case "GET /v1/model":
        return this.#model(live, request, new Query(url.search, ["bytes", "encoding", "from"]));
      case "POST /v1/model/forget":
        return this.#forget(request);
      case "GET /v1/stats":
        return json(this.#stats(live), { "cache-control": "no-store" });
      default:
        throw new ForemapError("NO_ROUTE", `a hub has no \`${method} ${url.pathname}\``);
    }
  }

  /** Stores a row before it is acknowledged, and sets the alarm with it: both are written at once. */
  async #take(
    request: Request,
    decide: (
      body: Uint8Array<ArrayBuffer>,
    ) => (core: HubCore, now: number, pending: Live["pending"]) => { row: Uint8Array<ArrayBuffer>; wake: number },
  ): Promise<Response> {
    if (mediaType(request.headers) !== BINARY) {
      throw new ForemapError("UNSUPPORTED_MEDIA_TYPE", `the body must be \`${BINARY}\``);
    }
    const isPage = new URL(request.url).pathname === OBSERVED;
    const body = await readBody(request, isPage ? undefined : MAX_SUMMARY_BYTES);
    const taking = decide(body);
    // While the body came the hub may have trapped and begun anew.
    const live = await this.#load();
    const wake = this.#guarded(() => {
      const { row, wake: at } = taking(live.core, Date.now(), live.pending);
      this.#store.add(row);
      live.pending = { rows: live.pending.rows + 1, bytes: live.pending.bytes + row.byteLength };
      return at;
    });
    await this.#wake(wake);
    return new Response(null, { status: 204, headers: { "cache-control": "no-store" } });
  }

  #model(live: Live, request: Request, query: Query): Response {
    const prefixes = readCaller(request.headers.get(CALLER)).prefixes ?? undefined;
    const encoding = query.get("encoding") ?? "";
    const [bytes, from] = [query.number("bytes"), query.number("from")];
    const body = this.#guarded(() => {
      this.#serve(live);
      return live.core.body(prefixes, bytes, encoding, from, live.zlib.compress);
    });
    const headers = new Headers({ vary: "accept-encoding, authorization", "cache-control": "no-store" });
    if (body === undefined) return new Response(null, { status: 204, headers });
    headers.set("etag", body.tag);
    const scope = prefixes === undefined ? "public" : "private";
    headers.set("cache-control", `${scope}, max-age=60, stale-while-revalidate=600`);
    if (matches(request.headers.get("if-none-match"), body.tag)) return new Response(null, { status: 304, headers });
    headers.set("content-type", BINARY);
    if (encoding === "") return new Response(body.bytes, { headers });
    headers.set("content-encoding", encoding);
    // The bytes are encoded already.
    return new Response(body.bytes, { headers, encodeBody: "manual" } as ResponseInit);
  }

  async #forget(request: Request): Promise<Response> {
    const prefix = readPrefix(mediaType(request.headers), await readBody(request));
    const live = await this.#load();
    const [forgotten, wake] = this.#guarded(() => {
      const begun = this.#merge(live);
      const text = live.core.forget(prefix);
      return [text, this.#finish(live, begun)];
    });
    if (wake !== undefined) await this.#wake(wake);
    return json({ forgotten }, { "cache-control": "no-store" });
  }

  #stats(live: Live): object {
    const of = this.#guarded(() => live.core.stats());
    return { ...of, ...this.#figures, pending: live.pending, storedBytes: this.#store.bytes };
  }

  /** Merges all rows that are stored, and stores what is due. Nothing else runs meanwhile. @returns when to wake next */
  #round(live: Live): number | undefined {
    return this.#finish(live, this.#merge(live));
  }

  #merge(live: Live): number {
    const { core } = live;
    const now = Date.now();
    this.#serve(live);
    if (!core.isMerging()) core.resume(this.#store.read("counts"), this.#store.read("shares"));
    for (const { id, row } of this.#store.after(live.merged)) {
      this.#merging = id;
      core.merge(now, row);
      live.merged = id;
    }
    this.#merging = 0;
    return now;
  }

  #finish(live: Live, now: number): number | undefined {
    const { rows, bytes } = live.pending;
    const sizeOf = (raw: Uint8Array) => live.zlib.compress(raw, "br").byteLength;
    const { wake, model, counts, shares } = live.core.round(now, rows, bytes, sizeOf);
    this.#store.keep({ model, counts, shares }, live.merged);
    if (model !== undefined) this.#figures.models += 1;
    if (counts !== undefined) live.pending = this.#store.pending();
    this.#figures.rounds += 1;
    return wake;
  }

  #serve(live: Live): void {
    if (live.serves) return;
    live.core.serve(this.#store.read("model"));
    live.serves = true;
  }

  /**
   * Does something with the core. Whatever is not one of its own refusals, a trap or a failing storage, ends what is in
   * memory: the next call goes on from what is stored.
   */
  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (isRecord(error) && typeof error.code === "string" && !(error instanceof Error)) throw refused(error);
      this.#live = null;
      // A row that cannot be merged must not be in the way of those behind it.
      if (this.#merging > 0 && error instanceof WebAssembly.RuntimeError) {
        this.#store.drop(this.#merging);
        this.#figures.dropped += 1;
      }
      this.#merging = 0;
      throw error;
    }
  }

  /** @param rearms whether rows that no alarm is set for get one */
  async #load(rearms = true): Promise<Live> {
    if (this.#live !== null && this.#alarm !== undefined) return this.#live;
    const zlib = await loadZlib();
    const alarm = this.#alarm === undefined ? await this.ctx.storage.getAlarm() : this.#alarm;
    // Another request may have come as far meanwhile.
    if (this.#alarm === undefined) this.#alarm = alarm;
    if (this.#live !== null) return this.#live;
    const { clients, shared, every } = this.options();
    const config = {
      ...(clients === undefined ? {} : { clients }),
      ...(shared === undefined ? {} : { shared: [...shared] }),
      ...(every === undefined ? {} : { everyMs: every }),
    };
    const instance = this.instance();
    const core = this.#guarded(() => new instance.Hub(config));
    const pending = this.#store.pending();
    this.#live = { core, zlib, merged: 0, serves: false, pending };
    // Rows without an alarm: whoever stored them ended between the two. Or `every` has become shorter since.
    const isLate = this.#alarm === null || this.#alarm === undefined || this.#alarm > Date.now() + (every ?? EVERY_MS);
    if (rearms && pending.rows > 0 && isLate) await this.#wake(Date.now());
    return this.#live;
  }

  /** Sets the alarm, where none is set for an earlier time. */
  async #wake(at: number): Promise<void> {
    if (typeof this.#alarm === "number" && this.#alarm <= at) return;
    this.#alarm = at;
    await this.ctx.storage.setAlarm(at);
  }

  #refuse(error: unknown): Response {
    const headers = error instanceof Refused && error.retryAfter !== null ? { "retry-after": error.retryAfter } : {};
    return problem(refusal(error), headers);
  }
}

/** A refusal of the core. */
class Refused extends LimitError {
  constructor(
    code: ErrorCode,
    message: string,
    limit: number | undefined,
    readonly retryAfter: string | null,
  ) {
    super(code, message, limit);
  }
}

function refused(error: { readonly [name: string]: unknown }): ForemapError {
  const { code, message, limit, retryAfterMs } = error;
  const seconds = typeof retryAfterMs === "number" ? String(Math.max(1, Math.ceil(retryAfterMs / 1000))) : null;
  return new Refused(code as ErrorCode, String(message), typeof limit === "number" ? limit : undefined, seconds);
}

function readPrefix(type: string, body: Uint8Array): string {
  if (type !== "application/json") throw new ForemapError("UNSUPPORTED_MEDIA_TYPE", "the body must be `application/json`");
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(body));
  } catch (cause) {
    throw new ForemapError("BAD_REQUEST", "the body is not JSON", { cause });
  }
  if (!isRecord(value) || typeof value.prefix !== "string" || Object.keys(value).length !== 1) {
    throw new ForemapError("BAD_REQUEST", "the body must be an object with `prefix`, and nothing else");
  }
  return value.prefix;
}
