import type { Action, Core } from "./core.js";
import type { Guard } from "./guard.js";
import type { Scope } from "./scope.js";

/** The core takes this for a gateway without feeds, and asks again some minutes later. */
const NO_SOURCE = 501;

type Deliver = (scope: Scope, event: (core: Core, now: number) => void) => void;

/** The change feeds that the core has asked for. There is at most one; none costs any other request anything. */
export class Feeds {
  #open = new Map<number, { close(): void }>();

  /** @param deliver takes an event into the core, and does what follows */
  constructor(
    private readonly guard: Guard,
    private readonly deliver: Deliver,
  ) {}

  /** Opens one and hands on what it brings, until it is closed or its core is gone. */
  open(scope: Scope, { feed, request }: Extract<Action, { kind: "openFeed" }>): void {
    const { generation } = this.guard;
    const entry = { close: () => {} };
    this.#open.set(feed, entry);
    const isOpen = () => this.#open.get(feed) === entry && generation === this.guard.generation && !scope.closed;
    const end = (status: number, retryAfterMs: number) => {
      if (!isOpen()) return;
      this.#open.delete(feed);
      this.deliver(scope, (core, now) => core.onFeedEnd(now, feed, status, retryAfterMs));
    };
    const bytes = (chunk: Uint8Array) => {
      if (isOpen()) this.deliver(scope, (core, now) => core.onFeedBytes(now, feed, chunk));
    };
    const { feed: source } = scope.host;
    if (source === undefined) return end(NO_SOURCE, -1);
    try {
      entry.close = source.open(request, { bytes, end });
    } catch {
      return end(0, -1);
    }
    // It may have been closed by what it brought at once.
    if (!isOpen()) entry.close();
  }

  /** Closes one, if it is open. */
  close(feed: number): void {
    const entry = this.#open.get(feed);
    this.#open.delete(feed);
    entry?.close();
  }

  /** Closes all: their core is gone, or its host. */
  closeAll(): void {
    for (const feed of [...this.#open.keys()]) this.close(feed);
  }
}
