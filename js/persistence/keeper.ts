import type { PersistenceStats } from "../types.js";
import type { Store, StateKey } from "./store.js";

/** Raised with the form of the core's exported state, and of models. */
const FORM = "1";
const MODEL_FORM = "model 1";
/** Shortest time between two savings of a page that stays. */
const PAUSE_MS = 10_000;
/** So long the first call waits for what was kept; if it comes later it is taken in then. */
const PATIENCE_MS = 50;

/** Tries to open the database that may fail: the first one and one later. */
const MAX_FAILURES = 2;

/** What is kept, and where it goes. */
export interface Kept {
  exportState(maxBytes: number): Uint8Array;
  importState(bytes: Uint8Array): void;
  importModel(bytes: Uint8Array): void;
}

/** What opens the database; loaded when it is first needed. */
export type LoadStore = () => Promise<{ openStore(lost: () => void): Promise<Store> }>;

/**
 * Keeps what a client has cached beyond the page.
 *
 * Nothing here ever fails a call: where the browser has no database, or takes it away, the client goes on with its
 * memory, after one more try.
 */
export class Keeper {
  #state: PersistenceStats["state"] = "off";
  #bytes = 0;
  #max: number;
  readonly #key: StateKey;
  #kept: Kept | null = null;
  /** What was read before there was a core. */
  #early: Uint8Array | null = null;
  #earlyModel: Uint8Array | null = null;
  /** One that has come and is to be kept. */
  #model: Uint8Array | null = null;
  #store: Store | null = null;
  #opening: Promise<Store | null> | null = null;
  /** What is under way, one thing after the other. */
  #work: Promise<unknown> = Promise.resolve();
  #failures = 0;
  /** Whether it is known what was kept, or does not matter any more. */
  #loaded = false;
  #dirty = false;
  #suspended = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly loadStore: LoadStore,
    { scope, cluster, maxBytes }: { scope: string; cluster: string; maxBytes: number },
  ) {
    this.#key = [scope, cluster, FORM];
    this.#max = maxBytes;
  }

  stats(): PersistenceStats {
    return { state: this.#state, bytes: this.#bytes, max: this.#max };
  }

  /** Begins to read what was kept, while the core is loaded. */
  start(): void {
    void this.#queue(() => this.#load());
  }

  /** The core is there. Resolves when it has what was kept, at the latest after a moment. */
  async attach(kept: Kept): Promise<void> {
    this.#kept = kept;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise((done) => (timer = setTimeout(done, PATIENCE_MS)));
    await Promise.race([this.#work, patience]);
    clearTimeout(timer);
    this.#takeIn();
  }

  /** Something was asked for, answered or written: what is kept is not the newest any more. */
  changed(): void {
    this.#dirty = true;
    if (this.#timer !== undefined || this.#closed || this.#suspended) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.save();
    }, PAUSE_MS);
  }

  /** Keeps what there is now, if it is not kept already. */
  save(): void {
    if (!this.#dirty || !this.#loaded || this.#closed) return;
    const store = this.#store;
    // A page that is suspended would hold a connection that came too late.
    if (store === null && this.#suspended) return;
    const bytes = this.#export();
    if (bytes === null) return;
    this.#dirty = false;
    // Where there is a connection the transaction begins before this returns: the page may be about to go.
    const saving = store === null ? null : this.#put(store, bytes);
    void this.#queue(async () => {
      if (saving !== null) return saving;
      const opened = await this.#open();
      if (opened !== null) await this.#put(opened, bytes);
    });
  }

  /** Keeps a model that has come. */
  keepModel(model: Uint8Array): void {
    this.#model = model;
    this.#earlyModel = null;
    this.#saveModel();
  }

  #saveModel(): void {
    const model = this.#model;
    if (model === null || this.#closed || this.#suspended) return;
    this.#model = null;
    void this.#queue(async () => {
      const [scope, cluster] = this.#key;
      const store = await this.#open();
      // Where there is no room it is read again next time.
      await store?.save([scope, cluster, MODEL_FORM], model, false);
    });
  }

  /** The page is about to be suspended: a connection held by a frozen page is in everybody's way. */
  suspend(): void {
    this.#suspended = true;
    this.save();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#disconnect();
  }

  /** It woke up. */
  resume(): void {
    if (!this.#suspended) return;
    this.#suspended = false;
    // Opened ahead: the page may be gone at once again.
    void this.#queue(async () => void (await this.#open()));
    this.#saveModel();
    if (this.#dirty) this.changed();
  }

  /** Deletes what is kept. */
  clear(): void {
    this.#dirty = false;
    this.#bytes = 0;
    this.#early = null;
    this.#earlyModel = null;
    this.#model = null;
    this.#loaded = true;
    void this.#queue(async () => {
      const store = await this.#open();
      if (store === null) return;
      try {
        await store.delete(this.#key);
      } catch {
        this.#lost(store);
      }
    });
  }

  /** Keeps what there is a last time. */
  close(): void {
    if (this.#closed) return;
    this.save();
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#kept = null;
    void this.#queue(async () => this.#disconnect());
  }

  async #load(): Promise<void> {
    this.#state = "opening";
    const store = await this.#open();
    if (store === null || this.#loaded) return void (this.#loaded = true);
    try {
      const [scope, cluster, form] = this.#key;
      const [state = null, model = null] = await store.load(scope, cluster, [form, MODEL_FORM]);
      // It may have been cleared meanwhile.
      if (!this.#loaded) [this.#early, this.#earlyModel] = [state, model];
    } catch {
      this.#lost(store);
    }
    this.#loaded = true;
    this.#takeIn();
  }

  #takeIn(): void {
    // Before the state, whose requests teach more.
    if (this.#earlyModel !== null) this.#kept?.importModel(this.#earlyModel);
    if (this.#kept !== null) this.#earlyModel = null;
    if (this.#early === null || this.#kept === null) return;
    const bytes = this.#early;
    this.#early = null;
    try {
      this.#kept.importState(bytes);
      this.#bytes = bytes.byteLength;
    } catch {
      // Of another version of this package, or damaged: the next saving replaces it.
    }
  }

  #export(): Uint8Array | null {
    try {
      return this.#kept?.exportState(this.#max) ?? null;
    } catch {
      return null;
    }
  }

  async #put(store: Store, bytes: Uint8Array): Promise<void> {
    try {
      await store.save(this.#key, bytes, false);
      this.#bytes = bytes.byteLength;
    } catch (error) {
      if (!isQuota(error)) return this.#lost(store);
      await this.#squeeze(store);
    }
  }

  /** There is no room: half as much, in place of everything else. */
  async #squeeze(store: Store): Promise<void> {
    this.#max = Math.floor(this.#max / 2);
    const bytes = this.#export();
    if (bytes === null) return;
    try {
      await store.save(this.#key, bytes, true);
      this.#bytes = bytes.byteLength;
    } catch {
      this.#failures = MAX_FAILURES;
      this.#lost(store);
    }
  }

  /** One connection, opened when it is needed; null where there is none any more. */
  #open(): Promise<Store | null> {
    if (this.#store !== null) return Promise.resolve(this.#store);
    if (this.#failures >= MAX_FAILURES) return Promise.resolve(null);
    this.#opening ??= this.#connect().finally(() => (this.#opening = null));
    return this.#opening;
  }

  async #connect(): Promise<Store | null> {
    try {
      const { openStore } = await this.loadStore();
      const store: Store = await openStore(() => this.#lost(store));
      if (this.#suspended) {
        store.close();
        return null;
      }
      this.#store = store;
      this.#state = "ready";
      return store;
    } catch {
      this.#failures += 1;
      this.#state = "memory";
      return null;
    }
  }

  /** The database vanished, or does not answer. */
  #lost(store: Store): void {
    store.close();
    if (this.#store !== store) return;
    this.#store = null;
    this.#failures += 1;
    this.#state = "memory";
    this.#dirty = true;
  }

  #disconnect(): void {
    this.#store?.close();
    this.#store = null;
  }

  #queue(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work, work).catch(() => undefined);
    this.#work = done;
    return done;
  }
}

function isQuota(error: unknown): boolean {
  return error instanceof DOMException && error.name === "QuotaExceededError";
}
