import { ForemapError, type ErrorCode } from "../errors.js";
import type { Core, CoreConfig, CoreInstance, Instantiate } from "./core.js";

/**
 * The only caller of the core.
 *
 * After a trap a wasm instance goes on answering from memory that may be corrupt. So whatever the core throws that is
 * not one of its own coded errors ends the instance: the call that trapped fails with `CORE_PANIC`, and the next one
 * finds a fresh instance, with the session's floors.
 */
export class Guard {
  /** Counts instances; what was started under another generation is void. */
  generation = 0;
  /** Null between a trap and the next call. */
  #live: Live | null;
  #floors = new Float64Array(0);
  #caution = 0;
  #last = 0;

  constructor(
    private readonly instantiate: Instantiate,
    private readonly config: CoreConfig,
    private readonly onPanic: (message: string, count: number) => void,
  ) {
    // What this throws is the runtime's own refusal, which the caller tells from a core that does not start.
    const instance = instantiate();
    this.#live = this.#start(() => instance);
  }

  /** Milliseconds on the clock that the core is given; never goes back. */
  now(): number {
    this.#last = Math.max(this.#last, Math.floor(performance.now()));
    return this.#last;
  }

  /** Calls the core. @throws {ForemapError} the core's own error, or `CORE_PANIC` */
  run<T>(call: (core: Core, now: number) => T): T {
    return this.#guarded(({ core }) => call(core, this.now()));
  }

  /** Calls a function of the module that needs no core. @throws {ForemapError} as {@link Guard.run} */
  use<T>(call: (instance: CoreInstance) => T): T {
    return this.#guarded(({ instance }) => call(instance));
  }

  /** Copies the session's floors out of the core, so that they outlive it. */
  keepFloors(): void {
    try {
      this.#floors = this.run((core) => core.floors());
    } catch {
      // A trap was reported as a panic; the floors kept before are in the new core.
    }
  }

  /** How eager to fetch ahead, for this core and those after it. Never throws. */
  setCaution(level: number): void {
    this.#caution = level;
    try {
      this.run((core) => core.setCaution(level));
    } catch {
      // A trap was reported as a panic; the new core has the level already.
    }
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
      if (this.#floors.length > 0) core.setFloors(this.#floors);
      core.setCaution(this.#caution);
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
