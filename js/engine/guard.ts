import { ForemapError, type ErrorCode } from "../errors.js";
import type { Core, CoreConfig, CoreInstance, Instantiate } from "./core.js";

/**
 * The only caller of the core.
 *
 * After a trap a wasm instance goes on answering from memory that may be corrupt. So whatever the core throws that is
 * not one of its own coded errors ends the instance: the call that trapped fails with `CORE_PANIC`, and the next one
 * finds a fresh instance, which knows the session and goes on counting time where the old one was.
 */
export class Guard {
  /** Counts instances; what was started under another generation is void. */
  generation = 0;
  /** Null between a trap and the next call. */
  #live: Live | null;
  /** What the session has seen. */
  #bookmark: Uint8Array;
  #caution = 0;
  #away = false;
  #relaying = false;
  /** The newest time, and the readings of the two clocks that it was made of. */
  #last = 0;
  #monotonic = -1;
  #wall = -1;

  constructor(
    private readonly instantiate: Instantiate,
    private readonly config: CoreConfig,
    private readonly onPanic: (message: string, count: number) => void,
    bookmark: Uint8Array = new Uint8Array(0),
  ) {
    this.#bookmark = bookmark;
    // What this throws is the runtime's own refusal, which the caller tells from a core that does not start.
    const instance = instantiate();
    this.#live = this.#start(() => instance);
  }

  /** Milliseconds on the clock that the core is given; never goes back. Never throws. */
  now(): number {
    try {
      this.run(() => undefined);
    } catch {
      // The core could not be asked; the next one goes on from here.
    }
    return this.#last;
  }

  /** Calls the core. @throws {ForemapError} the core's own error, or `CORE_PANIC` */
  run<T>(call: (core: Core, now: number) => T): T {
    return this.#guarded(({ core }) => call(core, this.#tick(core)));
  }

  /** Calls the core where the time does not matter, which saves reading the clocks. @throws {ForemapError} as {@link Guard.run} */
  ask<T>(call: (core: Core) => T): T {
    return this.#guarded(({ core }) => call(core));
  }

  /** Calls a function of the module that needs no core. @throws {ForemapError} as {@link Guard.run} */
  use<T>(call: (instance: CoreInstance) => T): T {
    return this.#guarded(({ instance }) => call(instance));
  }

  /** Copies what the session has seen out of the core, so that it outlives it, and returns it. */
  keepSession(): Uint8Array {
    try {
      this.#bookmark = this.ask((core) => core.bookmark());
    } catch {
      // A trap was reported as a panic; what was kept before is in the new core.
    }
    return this.#bookmark;
  }

  /** How eager to fetch ahead, for this core and those after it. Never throws. */
  setCaution(level: number): void {
    this.#caution = level;
    this.#tell((core) => core.setCaution(level));
  }

  /** Whether somebody looks, for this core and those after it. Never throws. */
  setAttention(active: boolean): void {
    this.#away = !active;
    this.#tell((core, now) => core.setAttention(now, active));
  }

  /** Whether frames of a feed are passed on, for this core and those after it. Never throws. */
  setRelaying(relaying: boolean): void {
    this.#relaying = relaying;
    this.#tell((core) => core.setRelaying(relaying));
  }

  /** A trap is reported as a panic, and the new core is told the same when it starts. */
  #tell(event: (core: Core, now: number) => void): void {
    try {
      this.run(event);
    } catch {
      // See above.
    }
  }

  /** Both clocks are read each time: a machine that slept may have stopped one of them, and either may be set. */
  #tick(core: Core): number {
    const monotonic = performance.now();
    const wall = Date.now();
    // Most calls follow another within the same millisecond of both.
    if (wall === this.#wall && Math.floor(monotonic) === this.#monotonic) return this.#last;
    this.#last = core.tick(monotonic, wall);
    this.#monotonic = Math.floor(monotonic);
    this.#wall = wall;
    return this.#last;
  }

  #guarded<T>(call: (live: Live) => T): T {
    const live = (this.#live ??= this.#start(this.instantiate));
    try {
      return call(live);
    } catch (error) {
      throw codedError(error) ?? this.#trapped(error);
    }
  }

  /** Where there is no memory for an instance, or the core refuses its options, the next call tries again. */
  #start(instantiate: Instantiate): Live {
    try {
      const instance = instantiate();
      const core = new instance.Core(this.config);
      this.#wall = -1;
      // Its clock begins at what this one shows, which may be less than what the core before had counted.
      core.startClock(Math.max(0, Math.ceil(this.#last - performance.now())));
      const now = this.#tick(core);
      if (this.#bookmark.byteLength > 0) core.openBookmark(now, this.#bookmark);
      core.setCaution(this.#caution);
      if (this.#away) core.setAttention(now, false);
      if (this.#relaying) core.setRelaying(true);
      return { instance, core };
    } catch (error) {
      throw codedError(error) ?? new ForemapError("CORE_PANIC", "the core did not start", { cause: error });
    }
  }

  #trapped(cause: unknown): ForemapError {
    this.generation += 1;
    // The old handle is dropped, never freed: freeing would run code of the broken instance.
    this.#live = null;
    const message = cause instanceof Error ? cause.message : String(cause);
    this.onPanic(message, this.generation);
    return new ForemapError("CORE_PANIC", `the core trapped and was rebuilt: ${message}`, { cause });
  }
}

/** One instance and the core in it. */
interface Live {
  readonly instance: CoreInstance;
  readonly core: Core;
}

/** The core throws `{code, message}` for what the caller did wrong; anything else is a defect. */
function codedError(error: unknown): ForemapError | null {
  if (error instanceof WebAssembly.RuntimeError || typeof error !== "object" || error === null) return null;
  if (!("code" in error) || typeof error.code !== "string" || !("message" in error)) return null;
  return new ForemapError(error.code as ErrorCode, String(error.message));
}
