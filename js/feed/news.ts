import type { CoreWrite } from "../engine/core.js";

/** What an invalidation names, as the core takes it. */
export interface Selector {
  key?: string;
  prefix?: string;
  tag?: string;
  all?: boolean;
}

/** What one client of a browser did that concerns what others have cached: versions, never values. */
export interface News {
  writes: Pick<CoreWrite, "key" | "version" | "shard" | "position">[];
  dropped: Selector[];
  /** Whether it holds a feed that others may join, if that changed. */
  feed?: boolean;
}

/** Most of either in one message; beyond, everything counts as invalidated. */
const MAX_NEWS = 256;

/**
 * Tells the other tabs of the same user what was written and invalidated here, and hears it from them.
 *
 * What a page did not hear while it was suspended is not kept for it: the channel is closed meanwhile, since messages
 * would pile up without limit or throw the page out of the cache, and what it had cached is confirmed when it wakes.
 */
export class NewsChannel {
  #channel: BroadcastChannel | null = null;
  #writes = new Map<string, News["writes"][number]>();
  #dropped: Selector[] = [];
  #feed: boolean | undefined;
  #queued = false;
  #paused = false;
  #closed = false;
  #name: string | null = null;

  constructor(
    name: Promise<string>,
    private readonly open: (name: string) => BroadcastChannel,
    private readonly hear: (news: News) => void,
  ) {
    // Where no name can be made there is nobody to tell.
    name.then((name) => this.#begin(name), () => undefined);
  }

  /** A write of this client was acknowledged. */
  wrote({ key, version, shard, position }: CoreWrite): void {
    if ((this.#writes.get(key)?.version ?? 0) < version) this.#writes.set(key, { key, version, shard, position });
    this.#tellSoon();
  }

  /** This client invalidated something. */
  dropped(what: Selector): void {
    this.#dropped.push(what);
    this.#tellSoon();
  }

  /** This client began to hold a feed for all, or ceased. */
  leads(feed: boolean): void {
    this.#feed = feed;
    this.#tellSoon();
  }

  /** The page is about to be suspended. */
  pause(): void {
    this.#paused = true;
    this.#tell();
    this.#close();
  }

  /** It woke up. */
  resume(): void {
    this.#paused = false;
    this.#listen();
  }

  dispose(): void {
    this.#closed = true;
    this.#tell();
    this.#close();
  }

  #begin(name: string): void {
    this.#name = `${name}/news`;
    this.#listen();
    this.#tell();
  }

  #listen(): void {
    if (this.#closed || this.#paused || this.#name === null || this.#channel !== null) return;
    this.#channel = this.open(this.#name);
    this.#channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (isNews(data)) this.hear(data);
    };
  }

  #close(): void {
    if (this.#channel === null) return;
    this.#channel.onmessage = null;
    this.#channel.close();
    this.#channel = null;
  }

  /** All of one turn in one message. */
  #tellSoon(): void {
    if (this.#writes.size > MAX_NEWS || this.#dropped.length > MAX_NEWS) {
      this.#writes.clear();
      this.#dropped = [{ all: true }];
    }
    if (this.#queued) return;
    this.#queued = true;
    queueMicrotask(() => {
      this.#queued = false;
      this.#tell();
    });
  }

  #tell(): void {
    if (this.#channel === null || this.#writes.size + this.#dropped.length + Number(this.#feed !== undefined) === 0) return;
    const news: News = { writes: [...this.#writes.values()], dropped: this.#dropped };
    if (this.#feed !== undefined) news.feed = this.#feed;
    this.#feed = undefined;
    this.#writes.clear();
    this.#dropped = [];
    try {
      this.#channel.postMessage(news);
    } catch {
      // Others go on with what they have, which is no older than their bound.
    }
  }
}

/** Other scripts of the origin can say what they like on a channel; the core checks what is in it. */
function isNews(data: unknown): data is News {
  if (typeof data !== "object" || data === null) return false;
  const { writes, dropped, feed = false } = data as { [field: string]: unknown };
  if (typeof feed !== "boolean") return false;
  return Array.isArray(writes) && Array.isArray(dropped) && writes.length + dropped.length <= 2 * MAX_NEWS + 2;
}
