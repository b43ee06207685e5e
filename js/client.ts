import type { Backend, Lookup } from "./backend.js";
import { Calls, jsonText } from "./calls.js";
import { bookmarkText } from "./bookmark.js";
import { MAX_STALENESS_MS, PERSON_STALENESS_MS, milliseconds, settings, within, type Settings } from "./config.js";
import { CoreBackend } from "./core-backend.js";
import { Engine, type EngineEvents } from "./engine/engine.js";
import type { LoadCore } from "./engine/core.js";
import { ForemapError, toForemapError } from "./errors.js";
import { Emitter } from "./events.js";
import { FallbackBackend } from "./fallback.js";
import { canStream, type Fetch } from "./feed/source.js";
import { keyText } from "./keys.js";
import { Page } from "./page.js";
import type { LoadStore } from "./persistence/keeper.js";
import { holdsFeed, isBrowser } from "./surroundings.js";
import type {
  CallOptions,
  ClientEvents,
  ClientOptions,
  DeleteOptions,
  Explanation,
  ForemapClient,
  GetOptions,
  GetResult,
  Invalidation,
  KeyInput,
  Keymap,
  KeymapFields,
  ListOptions,
  ListPage,
  ManyResult,
  Prediction,
  PrefetchHint,
  PutOptions,
  Stats,
  VersionEntry,
  WriteResult,
} from "./types.js";

/** Origins with an open connection at once: what browsers do for one page without queueing. */
const MAX_ORIGINS = 4;

/** Most selectors that wait for the first use; with more of them everything is forgotten. */
const MAX_EARLY = 16;

/** What to forget, as a backend takes it. */
type Selector = Parameters<Backend["invalidate"]>[0];

/** What an entry knows of its runtime. */
export interface EntryTraits {
  /** Whether a connection can be kept between calls; an edge worker ends it with the request. Default true. */
  lasting?: boolean;
  /** Loads what keeps a client's state beyond its page, where there are pages. */
  loadStore?: LoadStore;
}

/** The client behind `createClient`; entries differ only in how they load the core. */
export class Client implements ForemapClient {
  readonly #settings: Settings;
  readonly #fetch: Fetch;
  readonly #emitter = new Emitter<ClientEvents>();
  #backend: Backend | null = null;
  #loading: Promise<Backend> | null = null;
  #closed = false;
  #panics = 0;
  readonly #page: Page;
  /** Asked for before there was anything to forget: what is read then is to be as new all the same. */
  #early: Selector[] = [];

  constructor(
    private readonly options: ClientOptions,
    private readonly loadCore: LoadCore,
    { lasting = true, loadStore }: EntryTraits = {},
  ) {
    this.#settings = settings(options, {
      maxOrigins: MAX_ORIGINS,
      maxStaleness: isBrowser() ? PERSON_STALENESS_MS : MAX_STALENESS_MS,
      feed: lasting && canStream() ? holdsFeed() : null,
    });
    const { fetch } = options;
    // Called through a wrapper: browsers refuse `fetch` with another `this`.
    this.#fetch = (request, init) => (fetch === undefined ? globalThis.fetch(request, init) : fetch(request, init));
    const identity = { token: options.token, ownFetch: fetch !== undefined };
    this.#page = new Page(this.#settings, identity, this.#fetch, loadStore);
  }

  async get(key: KeyInput, options: GetOptions = {}): Promise<GetResult | null> {
    const lookup = this.#lookup(keyText(key), options);
    const backend = this.#ready() ?? (await this.#load());
    const result = await backend.get(lookup);
    this.#answered(lookup.key, result);
    return result;
  }

  async getMany(keys: readonly KeyInput[], options: GetOptions = {}): Promise<ManyResult[]> {
    const results: ManyResult[] = new Array<ManyResult>(keys.length).fill(null);
    const lookups: { at: number; lookup: Lookup }[] = [];
    keys.forEach((key, at) => {
      try {
        lookups.push({ at, lookup: this.#lookup(keyText(key), options) });
      } catch (error) {
        results[at] = toForemapError(error, "BAD_KEY");
      }
    });
    const backend = this.#ready() ?? (await this.#load());
    const answers = await backend.getMany(lookups.map(({ lookup }) => lookup));
    lookups.forEach(({ at, lookup }, index) => {
      const answer = answers[index] ?? null;
      results[at] = answer;
      if (!(answer instanceof ForemapError)) this.#answered(lookup.key, answer);
    });
    return results;
  }

  async *list(prefix: KeyInput, options: ListOptions = {}): AsyncIterableIterator<Keymap> {
    let { cursor } = options;
    do {
      const page: ListPage = await this.listPage(prefix, cursor === undefined ? options : { ...options, cursor });
      yield* page.keymaps;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  async listPage(prefix: KeyInput, options: ListOptions = {}): Promise<ListPage> {
    const text = prefixText(prefix);
    const calls = await this.#calls();
    const listed = { prefix: text, first: options.cursor === undefined, stream: this.#settings.stream };
    return calls.listPage(listed, options.limit, options.cursor, this.#spec(options));
  }

  async put(key: KeyInput, fields: KeymapFields, options: PutOptions = {}): Promise<WriteResult> {
    const text = keyText(key);
    // At once: the object is the caller's, who may go on with it.
    const body = jsonText(fields);
    const calls = await this.#calls();
    return calls.put(this.#canonical(text), body, options, this.#spec(options));
  }

  async delete(key: KeyInput, options: DeleteOptions = {}): Promise<WriteResult> {
    const text = keyText(key);
    const calls = await this.#calls();
    return calls.delete(this.#canonical(text), options, this.#spec(options));
  }

  async versions(key: KeyInput, options: CallOptions = {}): Promise<VersionEntry[]> {
    const text = keyText(key);
    const calls = await this.#calls();
    return calls.versions(this.#canonical(text), this.#spec(options));
  }

  async prefetch(keys: readonly KeyInput[], hint: PrefetchHint = {}): Promise<void> {
    const texts = keys.map(keyText);
    const checked = {
      probability: within("probability", hint.probability, 0, 1),
      within: milliseconds("within", hint.within),
    };
    const backend = this.#ready() ?? (await this.#load());
    backend.prefetch(texts, checked);
  }

  peek(key: KeyInput, options: { maxStaleness?: number } = {}): GetResult | null {
    const text = keyText(key);
    const maxStaleness = milliseconds("maxStaleness", options.maxStaleness) ?? this.#settings.maxStaleness;
    return this.#ready()?.peek(text, maxStaleness) ?? null;
  }

  predictions(key?: KeyInput): Prediction[] {
    const text = key === undefined ? undefined : keyText(key);
    return this.#ready()?.predictions(text, this.#settings.stream) ?? [];
  }

  bookmark(): string {
    return bookmarkText(this.#ready()?.bookmark() ?? this.#settings.bookmark);
  }

  invalidate(what: Invalidation): number {
    return this.#invalidate(selectorOf(what));
  }

  explain(key: KeyInput): Explanation | null {
    const text = keyText(key);
    return this.#ready()?.explain(text) ?? null;
  }

  stats(): Stats {
    const backend = this.#backend;
    if (this.#closed || backend === null) {
      const state = this.#closed ? "closed" : "idle";
      return { state, panics: this.#panics, waiting: 0, open: 0, core: null, ...this.#page.stats() };
    }
    const { state } = backend;
    return { state, panics: this.#panics, ...backend.load(), core: backend.coreStats(), ...this.#page.stats() };
  }

  on<E extends keyof ClientEvents>(event: E, listener: (detail: ClientEvents[E]) => void): () => void {
    return this.#emitter.on(event, listener);
  }

  clear(): void {
    const backend = this.#ready();
    if (backend === null) this.#invalidate({ all: true });
    else backend.clear();
    this.#page.clear();
  }

  #invalidate(selector: Selector): number {
    const backend = this.#ready();
    if (backend !== null) return backend.invalidate(selector);
    this.#early = this.#early.length < MAX_EARLY ? [...this.#early, selector] : [{ all: true }];
    return 0;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#page.close();
    this.#backend?.close();
    // Dropped rather than kept: with it goes the memory of the wasm instance.
    this.#backend = null;
    this.#loading = null;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #ready(): Backend | null {
    if (this.#closed) throw closedError();
    return this.#backend;
  }

  /** Loads wasm at the first use; a failure that may pass is tried again at the next. */
  async #load(): Promise<Backend> {
    if (this.#closed) throw closedError();
    this.#loading ??= this.#start().catch((error: unknown) => {
      this.#loading = null;
      throw toForemapError(error, "INTERNAL");
    });
    const backend = await this.#loading;
    if (this.#closed) throw closedError();
    for (const selector of this.#early.splice(0)) backend.invalidate(selector);
    return backend;
  }

  async #start(): Promise<Backend> {
    const { core, bookmark } = this.#settings;
    let engine: Engine;
    this.#page.begin();
    try {
      const instantiate = await this.loadCore();
      if (this.#closed) throw closedError();
      engine = new Engine(instantiate, core, this.#engineEvents(), bookmark);
    } catch (cause) {
      if (this.#closed) throw closedError();
      if (cause instanceof ForemapError) throw cause;
      // The runtime refuses wasm: most when compiling, some browsers only when instantiating.
      console.warn(
        "foremap: the core cannot be loaded here (most often, a content security policy lacks 'wasm-unsafe-eval'); " +
          "keymaps are fetched without cache and prediction.",
        cause,
      );
      this.#emitter.emit("fallback", { cause });
      return (this.#backend = new FallbackBackend(core.origins, this.options.token, this.#fetch, bookmark));
    }
    const scope = await this.#page.attach(engine);
    const backend = new CoreBackend(engine, scope, this.#page);
    if (!this.#closed) return (this.#backend = backend);
    backend.close();
    throw closedError();
  }

  #engineEvents(): EngineEvents {
    return {
      request: (url, prefetch) => this.#emitter.emit("request", { url, prefetch }),
      response: (url, status, ms, prefetch) => {
        this.#page.changed();
        this.#emitter.emit("response", { url, status, ms, prefetch });
      },
      panic: (message) => {
        this.#panics += 1;
        this.#emitter.emit("panic", { message, count: this.#panics });
      },
      model: (model) => this.#page.keepModel(model),
      sessionReset: (incarnation) => this.#emitter.emit("sessionReset", { incarnation }),
    };
  }

  async #calls(): Promise<Calls> {
    return new Calls(this.#ready() ?? (await this.#load()), this.options.token);
  }

  #canonical(text: string): string {
    const backend = this.#ready();
    return backend === null ? text : backend.canonical(text);
  }

  #lookup(key: string, options: GetOptions): Lookup {
    return {
      key,
      consistency: options.consistency ?? "bounded",
      maxStaleness: milliseconds("maxStaleness", options.maxStaleness) ?? this.#settings.maxStaleness,
      stream: options.stream ?? this.#settings.stream,
      staleWhileRevalidate:
        milliseconds("staleWhileRevalidate", options.staleWhileRevalidate) ?? this.#settings.staleWhileRevalidate,
      staleIfError: milliseconds("staleIfError", options.staleIfError) ?? this.#settings.staleIfError,
      hedge: options.hedge ?? this.#settings.hedge,
      ...this.#spec(options),
    };
  }

  #spec(options: CallOptions): { timeout: number; signal: AbortSignal | undefined } {
    return {
      timeout: milliseconds("timeout", options.timeout) ?? this.#settings.timeout,
      signal: options.signal,
    };
  }

  #answered(key: string, result: GetResult | null): void {
    this.#page.changed();
    const { source, age, stale } = result ?? { source: null, age: 0, stale: false };
    this.#emitter.emit("answer", { key, found: result !== null, source, age, stale });
  }
}

function prefixText(prefix: KeyInput): string {
  return prefix.length === 0 ? "" : keyText(prefix);
}

function selectorOf(what: Invalidation): Selector {
  if ("key" in what) return { key: keyText(what.key) };
  if ("prefix" in what) return { prefix: prefixText(what.prefix) };
  return "tag" in what ? { tag: what.tag } : { all: what.all };
}

function closedError(): ForemapError {
  return new ForemapError("CLOSED", "the client is closed");
}
