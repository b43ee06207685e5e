import type { Engine } from "./engine/engine.js";
import type { CoreWrite } from "./engine/core.js";
import type { Scope } from "./engine/scope.js";
import type { Settings } from "./config.js";
import { groupName } from "./feed/group.js";
import { NewsChannel, type Selector } from "./feed/news.js";
import { SharedFeed } from "./feed/shared.js";
import { DirectFeed, type Fetch } from "./feed/source.js";
import { watchLifecycle } from "./lifecycle.js";
import { Keeper, type LoadStore } from "./persistence/keeper.js";
import { isBrowser } from "./surroundings.js";
import type { PersistenceStats, SharedFeedStats } from "./types.js";

/** Who this client is among those of one browser. */
export interface Identity {
  token: string | undefined;
  /** Whether requests are made by the application, which may say for whom in them. */
  ownFetch: boolean;
}

/**
 * What a client shares with other tabs of its browser and with the next page, and what it hears of its own page's life.
 * Outside a browser: a feed of its own, and nothing else.
 */
export class Page {
  readonly #keeper: Keeper | null = null;
  #news: NewsChannel | null = null;
  #shared: SharedFeed | null = null;
  #unwatch = () => {};

  /** Does no I/O. */
  constructor(
    private readonly settings: Settings,
    private readonly identity: Identity,
    private readonly fetch: Fetch,
    loadStore: LoadStore | undefined,
  ) {
    const { persist, core } = settings;
    if (persist !== null && loadStore !== undefined && isBrowser() && typeof indexedDB === "object") {
      const cluster = [...core.origins].sort().join(" ");
      this.#keeper = new Keeper(loadStore, { ...persist, cluster });
    }
  }

  /** Begins with what takes time, while the core is loaded. */
  begin(): void {
    this.#keeper?.start();
  }

  /** Puts the core to work in this page: in a scope of its own, with what was kept, if that comes in time. */
  async attach(engine: Engine): Promise<Scope> {
    const direct = new DirectFeed(this.fetch);
    const meeting = this.#meeting();
    const { core } = this.settings;
    if (meeting !== null && core.feed?.enabled === true && this.settings.shared !== false && hasLocks()) {
      const leads = (leads: boolean) => this.#news?.leads(leads);
      this.#shared = new SharedFeed({ name: meeting, locks: navigator.locks, channel, leads }, direct, engine);
    }
    const scope = engine.openScope({
      fetch: this.fetch,
      feed: core.feed?.enabled === true ? (this.#shared ?? direct) : undefined,
      relay: (frame) => this.#shared?.relay(frame),
    });
    if (meeting !== null) this.#news = new NewsChannel(meeting, channel, (news) => engine.told(scope, news));
    this.#unwatch = this.#watch(engine, scope);
    await this.#keeper?.attach({
      exportState: (maxBytes) => engine.guard.run((core) => core.exportState(maxBytes)),
      importState: (state) => engine.enter(scope, (core, now) => core.importState(now, state)),
      importModel: (model) => void engine.importModel(scope, model),
    });
    return scope;
  }

  #watch(engine: Engine, scope: Scope): () => void {
    return watchLifecycle({
      caution: (caution) => engine.guard.setCaution(caution),
      attention: (active) => engine.setAttention(scope, active),
      hidden: () => {
        engine.tell(scope);
        this.#keeper?.save();
      },
      suspended: () => {
        engine.tell(scope);
        this.#keeper?.suspend();
        this.#news?.pause();
      },
      resumed: () => {
        this.#keeper?.resume();
        this.#news?.resume();
        engine.resume(scope, this.#news !== null);
      },
    });
  }

  /** The name under which this client meets others of its user; null where there are none, or nobody knows who the user is. */
  #meeting(): Promise<string> | null {
    const { settings, identity } = this;
    if (!isBrowser() || typeof BroadcastChannel !== "function" || globalThis.crypto?.subtle === undefined) return null;
    const scope = settings.persist?.scope;
    const known = !identity.ownFetch || identity.token !== undefined || scope !== undefined;
    if (!known && settings.shared !== true) return null;
    return groupName(settings.core.origins, identity.token, scope, String(settings.core.maxStalenessMs));
  }

  /** Something was asked for or answered. */
  changed(): void {
    this.#keeper?.changed();
  }

  /** A model that clients share has come. */
  keepModel(model: Uint8Array): void {
    this.#keeper?.keepModel(model);
  }

  wrote(write: CoreWrite): void {
    this.#news?.wrote(write);
    this.#keeper?.changed();
  }

  dropped(what: Selector): void {
    this.#news?.dropped(what);
    this.#keeper?.changed();
  }

  /** What outlives the page is not to, and other tabs are to forget, too. */
  clear(): void {
    this.#news?.dropped({ all: true });
    this.#keeper?.clear();
  }

  stats(): { feed: SharedFeedStats | null; persistence: PersistenceStats | null } {
    const { persist } = this.settings;
    const off = persist === null ? null : { state: "off" as const, bytes: 0, max: persist.maxBytes };
    return { feed: this.#shared?.stats() ?? null, persistence: this.#keeper?.stats() ?? off };
  }

  /** To be called while the core is still there. */
  close(): void {
    this.#keeper?.close();
    this.#unwatch();
    this.#shared?.dispose();
    this.#news?.dispose();
  }
}

function hasLocks(): boolean {
  return typeof navigator === "object" && typeof navigator.locks?.request === "function";
}

function channel(name: string): BroadcastChannel {
  const channel: BroadcastChannel & { unref?(): void } = new BroadcastChannel(name);
  // Where a page is made up in Node, for tests, an open channel would keep the process alive.
  channel.unref?.();
  return channel;
}
