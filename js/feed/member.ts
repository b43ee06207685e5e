import { FeedChannel, name, type Message } from "./messages.js";
import type { FeedSink, FeedSource } from "./source.js";

/**
 * Waits between attempts while nobody answers, at the end of which the lock is taken away. The first one is for a leader
 * that has just gone, whose word may overtake its lock; asking anew is all that a page kept for the back button needs.
 * The core gives an opening four seconds.
 */
const PATIENCE_MS = [100, 700, 800];
/** Members that wait for an opening; those beyond ask again. */
export const MAX_WAITING = 64;

/** What the leader needs of its core. */
export interface RelayingCore {
  setRelaying(relaying: boolean): void;
  feedOpening(): Uint8Array<ArrayBuffer> | null;
}

/** As much of Web Locks as is needed. */
export type Locks = Pick<LockManager, "request">;

/** What members of one group share. */
export interface Group {
  /** Resolves to the name that they meet under; the same for those alone who may follow the same feed. */
  readonly name: Promise<string>;
  readonly locks: Locks;
  channel(name: string): BroadcastChannel;
  /** Takes word to those who hold or follow no feed, whether there is one to follow. */
  leads?(leads: boolean): void;
}

/** What becomes of one `open`. */
export type Role = "asking" | "leading" | "following" | "alone" | "closed";

/**
 * One `open` of a shared feed: from asking to its end.
 *
 * Whoever has the lock leads: it holds the real feed for one term, and says what the feed says. The lock is given back with
 * the feed, so nobody leads who hears nothing. The others join, and are given an opening that was made after they asked
 * for it. They judge the leader by what it says, never by the lock: a frozen page keeps that.
 *
 * A page that nobody looks at gives its feed up, so the leader is one that somebody looks at. That is why no SharedWorker
 * holds the feed: it would outlive frozen pages, for which there is no feed to hold, and needs a core of its own for openings.
 */
export class Member {
  role: Role = "asking";
  readonly #id = name();
  #channel: FeedChannel | null = null;
  #name = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts beginnings of asking; attempts of earlier ones are void. */
  #round = 0;
  #closeFeed = () => {};
  #release = () => {};
  /** The term that this member leads or follows. */
  #term = 0;
  #leader = "";
  #deposed = false;
  #waiting = new Set<string>();

  /** @param seen the newest term that anybody here has heard of */
  constructor(
    private readonly group: Group,
    private readonly direct: FeedSource,
    private readonly core: RelayingCore,
    private readonly seen: { term: number },
    private readonly request: Request,
    private readonly sink: FeedSink,
  ) {
    void this.#start();
  }

  /** Members that wait for an opening. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** A frame that this member's core has taken in. */
  relay(frame: Uint8Array<ArrayBuffer>): void {
    if (this.role !== "leading") return;
    for (const id of this.#waiting) this.#admit(id);
    this.#channel?.say({ type: "frame", term: this.#term, bytes: frame });
  }

  /** The core wants no feed any more. */
  close(): void {
    this.#leave(200, -1);
  }

  async #start(): Promise<void> {
    try {
      this.#name = await this.group.name;
      if (this.role !== "asking") return;
      this.#channel = new FeedChannel(this.group.channel(this.#name), (message) => this.#hear(message));
    } catch {
      return this.#goAlone();
    }
    this.#ask();
  }

  /** Looks for a leader, or becomes it: where nobody answers by asking anew, and at last by force. */
  #ask(): void {
    clearTimeout(this.#timer);
    void this.#attempt(0, ++this.#round);
  }

  async #attempt(number: number, round: number): Promise<void> {
    const patience = PATIENCE_MS[number];
    await this.#stand(patience === undefined);
    if (this.role !== "asking" || round !== this.#round) return;
    this.#join();
    if (patience !== undefined) this.#timer = setTimeout(() => void this.#attempt(number + 1, round), patience);
  }

  /** Somebody leads: there is nothing to do but to wait for its opening. */
  #settle(): void {
    clearTimeout(this.#timer);
    this.#round += 1;
  }

  #join(): void {
    this.#channel?.say({ type: "join", id: this.#id });
  }

  /** Asks for the lock, and leads with it. Resolves once that is decided. */
  #stand(steal: boolean): Promise<void> {
    return new Promise((decided) => {
      const { promise: over, resolve: release } = withResolvers();
      const held = this.group.locks.request(this.#name, steal ? { steal } : { ifAvailable: true }, (lock) => {
        if (lock !== null && this.role === "asking") {
          this.#release = release;
          this.#lead();
        } else {
          release();
        }
        decided();
        return over;
      });
      // Refused: here nobody may have locks. Later: somebody took it away.
      void Promise.resolve(held).catch(() => {
        if (this.role === "asking") this.#goAlone();
        else if (this.role === "leading") this.#depose();
        decided();
      });
    });
  }

  #lead(): void {
    clearTimeout(this.#timer);
    this.role = "leading";
    this.#term = this.seen.term = Math.max(this.seen.term + 1, Date.now());
    this.#channel?.say({ type: "lead", term: this.#term });
    this.group.leads?.(true);
    this.#openFeed();
  }

  /** A feed of its own, without anybody to share it with. */
  #goAlone(): void {
    if (this.role !== "asking") return;
    clearTimeout(this.#timer);
    this.role = "alone";
    this.#openFeed();
  }

  #openFeed(): void {
    let ended = false;
    const close = this.direct.open(this.request, {
      bytes: (chunk) => this.sink.bytes(chunk),
      end: (status, retryAfterMs) => {
        ended = true;
        this.#finish(status, retryAfterMs);
      },
    });
    if (ended) return;
    if (this.role === "closed") close();
    else this.#closeFeed = close;
  }

  #hear(message: Message): void {
    if (message.type === "join") return this.#joined(message.id);
    const { term } = message;
    if (term < this.seen.term) return;
    this.seen.term = term;
    if (this.role === "leading") {
      // The lock was taken away, and that it was will be told later.
      if (term > this.#term) this.#depose();
    } else if (this.role === "asking") {
      this.#hearAsking(message);
    } else if (this.role === "following") {
      this.#hearFollowing(message);
    }
  }

  #hearAsking(message: Exclude<Message, { type: "join" }>): void {
    switch (message.type) {
      case "lead":
        return this.#join();
      case "wait":
        // Somebody leads, and is itself waiting for an answer; if it takes too long the core gives up.
        if (message.id === this.#id) this.#settle();
        return;
      case "opening":
        if (message.id !== this.#id) return;
        this.#settle();
        this.role = "following";
        this.#term = message.term;
        this.#leader = message.from;
        return this.sink.bytes(message.bytes);
      case "end":
        // A refusal holds for everybody; after anything else somebody has to lead.
        if (message.status > 200) return this.#finish(message.status, message.retryAfterMs);
        return this.#ask();
    }
  }

  #hearFollowing(message: Exclude<Message, { type: "join" }>): void {
    if (message.term > this.#term) return this.#finish(200, -1);
    if (message.from !== this.#leader) return;
    // What broke at the leader is nothing that a follower could have done better: to it the feed just ended.
    if (message.type === "end") this.#finish(Math.max(message.status, 200), message.retryAfterMs);
    else if (message.type === "frame") this.sink.bytes(message.bytes);
  }

  #joined(id: string): void {
    if (this.role !== "leading") return;
    this.core.setRelaying(true);
    if (this.#admit(id) || this.#waiting.size >= MAX_WAITING) return;
    this.#waiting.add(id);
    this.#channel?.say({ type: "wait", term: this.#term, id });
  }

  /** Whether there is a feed to follow. */
  #admit(id: string): boolean {
    const bytes = this.core.feedOpening();
    if (bytes === null) return false;
    this.#waiting.delete(id);
    this.#channel?.say({ type: "opening", term: this.#term, id, bytes });
    return true;
  }

  /** Somebody else leads: nobody is told of an end that is none to them. */
  #depose(): void {
    this.#deposed = true;
    this.#finish(200, -1);
  }

  #finish(status: number, retryAfterMs: number): void {
    if (this.role === "closed") return;
    this.#leave(status, retryAfterMs);
    this.sink.end(status, retryAfterMs);
  }

  #leave(status: number, retryAfterMs: number): void {
    const { role } = this;
    if (role === "closed") return;
    this.role = "closed";
    clearTimeout(this.#timer);
    this.#closeFeed();
    if (role === "leading") this.core.setRelaying(false);
    if (role === "leading" && !this.#deposed) {
      this.#channel?.say({ type: "end", term: this.#term, status, retryAfterMs });
      this.group.leads?.(false);
    }
    this.#waiting.clear();
    this.#channel?.close();
    this.#release();
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
