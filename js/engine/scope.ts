import type { Action } from "./core.js";
import type { ScopeHost } from "./scope-host.js";

// Timers take 31 bits; a longer wait would fire at once.
const MAX_DELAY_MS = 0x7fff_ffff;

interface Queued {
  start: () => Promise<void>;
  prefetch: boolean;
}

/**
 * A context in which I/O may be done: the client, or one request of a worker.
 *
 * In a worker a timer or request that belongs to one incoming request must not be touched by another, so whatever the
 * core wants done for a scope while another one is running waits in `mail` until the scope runs again by itself.
 */
export class Scope {
  /** Actions of this scope that came up while another one ran. */
  readonly mail: Action[] = [];
  /** Calls that wait, and requests that are open or queued. */
  waiting = 0;
  open = 0;
  closed = false;
  #queue: Queued[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wakeAt = Infinity;
  #pollQueued = false;
  #idle: (() => void)[] = [];

  constructor(
    readonly id: number,
    readonly host: ScopeHost,
    private readonly poll: (scope: Scope) => void,
  ) {}

  /** Polls once at the end of this turn, so that all gets of the turn share batches. */
  pollSoon(): void {
    if (this.#pollQueued) return;
    this.#pollQueued = true;
    queueMicrotask(() => {
      this.#pollQueued = false;
      this.poll(this);
      this.#checkIdle();
    });
  }

  /** Polls at `at` on the engine's clock, or earlier if an earlier time is already set. */
  wake(at: number, now: number): void {
    if (this.closed) return;
    if (at <= now) return this.pollSoon();
    if (at >= this.#wakeAt) return;
    clearTimeout(this.#timer);
    this.#wakeAt = at;
    this.#timer = setTimeout(
      () => {
        this.#wakeAt = Infinity;
        this.poll(this);
      },
      Math.min(at - now, MAX_DELAY_MS),
    );
    this.holdProcess();
  }

  /** In Node only a timer that somebody waits for may keep the process alive. */
  holdProcess(): void {
    const timer: unknown = this.#timer;
    if (typeof timer !== "object" || timer === null) return;
    const method = this.waiting > 0 ? "ref" : "unref";
    (timer as { ref?(): void; unref?(): void })[method]?.();
  }

  /** Runs `start` when a connection is free. */
  enqueue(prefetch: boolean, start: () => Promise<void>): void {
    this.#queue.push({ start, prefetch });
    this.#startQueued();
  }

  #startQueued(): void {
    while (this.#queue.length > 0 && this.open < (this.host.maxOpen ?? Infinity)) {
      const demand = this.#queue.findIndex((queued) => !queued.prefetch);
      const [next] = this.#queue.splice(Math.max(demand, 0), 1);
      if (next === undefined) return;
      this.open += 1;
      void next.start().finally(() => {
        this.open -= 1;
        this.#startQueued();
        this.#checkIdle();
      });
    }
  }

  /** Resolves when no request is open or queued and none is about to be, at the latest after `limitMs`. */
  settled(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const limit = setTimeout(resolve, limitMs);
      this.#idle.push(() => {
        clearTimeout(limit);
        resolve();
      });
      this.#checkIdle();
    });
  }

  #checkIdle(): void {
    // A poll that is due may still send something; a wake further off serves only timeouts.
    if (this.open > 0 || this.#queue.length > 0 || this.#pollQueued) return;
    for (const done of this.#idle.splice(0)) done();
  }

  /** Drops timer and queue. */
  close(): void {
    this.closed = true;
    clearTimeout(this.#timer);
    this.#queue = [];
    this.mail.length = 0;
    this.#checkIdle();
  }
}
