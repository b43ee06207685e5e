import { ForemapError, toForemapError, type ErrorCode } from "../errors.js";
import {
  FAILED_ABORTED,
  FAILED_NETWORK,
  FAILED_TIMEOUT,
  type Action,
  type Core,
  type CoreAnswer,
  type CoreConfig,
  type Instantiate,
} from "./core.js";
import { Guard } from "./guard.js";
import { Scope, type ScopeHost } from "./scope.js";

type Event<T> = (core: Core, now: number) => T;

/** A get of the engine. */
export interface GetSpec {
  key: string;
  flags: number;
  maxStaleness: number;
  timeout: number;
  stream?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** A get that waits. */
export interface Waiter {
  readonly scope: Scope;
  readonly spec: GetSpec;
  readonly deadline: number;
  id: number;
  reissued: boolean;
  resolve(answer: CoreAnswer): void;
  reject(error: ForemapError): void;
}

/** An answer, read to its end. */
export interface RawAnswer {
  status: number;
  headers: Headers;
  body: Uint8Array<ArrayBuffer>;
}

/** A plain HTTP call whose origin and retries the core decides. */
interface Call {
  readonly scope: Scope;
  readonly generation: number;
  readonly request: (origin: string) => Request;
  flight: Flight | null;
  answer: RawAnswer | null;
  settle(result: RawAnswer | ForemapError): void;
}

/** A request that is open. */
interface Flight {
  readonly id: number;
  readonly scope: Scope;
  readonly generation: number;
  readonly controller: AbortController;
}

/** What the engine tells whoever drives it. */
export interface EngineEvents {
  request?(url: string, prefetch: boolean): void;
  response?(url: string, status: number, ms: number, prefetch: boolean): void;
  panic?(message: string, count: number): void;
}

/** Executes what the core decides: requests, timers, and the promises of callers. */
export class Engine {
  readonly guard: Guard;
  #scopes = new Map<number, Scope>();
  #waiters = new Map<number, Waiter>();
  #calls = new Map<number, Call>();
  #flights = new Map<number, Flight>();
  #nextScope = 0;

  constructor(
    instantiate: Instantiate,
    config: CoreConfig,
    private readonly events: EngineEvents = {},
  ) {
    this.guard = new Guard(instantiate, config, (message, count) => this.#rebuilt(message, count));
  }

  /** Begins a scope; the first one is 0. */
  openScope(host: ScopeHost): Scope {
    const scope = new Scope(this.#nextScope++, host, this);
    this.#scopes.set(scope.id, scope);
    return scope;
  }

  /** Ends a scope: what waits in it rejects with `CLOSED`, what is open is cancelled. */
  closeScope(scope: Scope): void {
    if (scope.closed) return;
    const reason = closed();
    for (const [id, waiter] of this.#waiters) {
      if (waiter.scope !== scope) continue;
      this.#waiters.delete(id);
      waiter.reject(reason);
    }
    for (const waiter of scope.reissue) waiter.reject(reason);
    for (const [id, call] of this.#calls) {
      if (call.scope !== scope) continue;
      this.#calls.delete(id);
      call.settle(reason);
    }
    for (const [id, flight] of this.#flights) {
      if (flight.scope !== scope) continue;
      this.#flights.delete(id);
      flight.controller.abort();
    }
    scope.close();
    this.#scopes.delete(scope.id);
    try {
      this.guard.run((core, now) => core.closeScope(now, scope.id));
    } catch {
      // A trap here was reported as a panic, and the new core knows no scope.
    }
  }

  /** Calls that wait and requests that are open, over all scopes. */
  get load(): { waiting: number; open: number } {
    return { waiting: this.#waiters.size + this.#calls.size, open: this.#flights.size };
  }

  /** Resolves a key. */
  get(scope: Scope, spec: GetSpec): Promise<CoreAnswer> {
    return new Promise((resolve, reject) => {
      if (scope.closed) throw closed();
      if (spec.signal?.aborted) throw aborted(spec.signal);
      const done = once(() => {
        scope.waiting -= 1;
        scope.holdProcess();
        spec.signal?.removeEventListener("abort", onAbort);
      });
      const waiter: Waiter = {
        scope,
        spec,
        deadline: this.guard.now() + spec.timeout,
        id: -1,
        reissued: false,
        resolve: (answer) => (done(), resolve(answer)),
        reject: (error) => (done(), reject(error)),
      };
      const onAbort = () => this.#cancel(waiter);
      scope.waiting += 1;
      spec.signal?.addEventListener("abort", onAbort, { once: true });
      try {
        this.#issue(waiter);
      } catch (error) {
        waiter.reject(toForemapError(error, "INTERNAL"));
      } finally {
        this.#drain(scope);
        scope.pollSoon();
        scope.holdProcess();
      }
    });
  }

  /** Notes keys to be fetched ahead. */
  prefetch(scope: Scope, keys: string[]): void {
    if (scope.closed) throw closed();
    this.#enter(scope, (core, now) => core.prefetch(now, scope.id, keys));
    scope.pollSoon();
  }

  /** Timers and batches that are due. */
  poll(scope: Scope): void {
    if (scope.closed) return;
    this.#quietly(scope, (core, now) => core.poll(now, scope.id));
  }

  /** Notes an acknowledged write of this session. */
  wrote(scope: Scope, key: string, version: number, shard: number, position: number): void {
    this.#quietly(scope, (core) => core.wrote(key, version, shard, position));
    this.guard.keepFloors();
  }

  /** Performs a call against the origin that the core chooses, again if it says so. */
  call(
    scope: Scope,
    spec: { timeout: number; key?: string | undefined; signal?: AbortSignal | undefined },
    request: (origin: string) => Request,
  ): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      const { signal } = spec;
      if (scope.closed) throw closed();
      if (signal?.aborted) throw aborted(signal);
      const id = this.guard.run((core, now) => core.call(now, scope.id, spec.timeout, spec.key));
      const onAbort = () => {
        if (signal === undefined) return;
        // After a rebuild another call may have this id.
        if (this.#calls.get(id) === call) {
          this.#calls.delete(id);
          this.#quietly(scope, (core) => core.cancelCall(id));
        }
        call.settle(aborted(signal));
      };
      const done = once(() => {
        scope.waiting -= 1;
        scope.holdProcess();
        signal?.removeEventListener("abort", onAbort);
      });
      const call: Call = {
        scope,
        generation: this.guard.generation,
        request,
        flight: null,
        answer: null,
        settle: (result) => {
          done();
          if (result instanceof ForemapError) reject(result);
          else resolve(result);
        },
      };
      this.#calls.set(id, call);
      scope.waiting += 1;
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#drain(scope);
      scope.pollSoon();
      scope.holdProcess();
    });
  }

  #issue(waiter: Waiter): void {
    const { scope, spec } = waiter;
    const left = Math.max(1, waiter.deadline - this.guard.now());
    waiter.id = this.guard.run((core, now) =>
      core.get(now, scope.id, spec.key, spec.flags, spec.maxStaleness, left, spec.stream),
    );
    this.#waiters.set(waiter.id, waiter);
  }

  /** A trap at the second try is the last one: nobody else would settle this waiter. */
  #reissue(waiter: Waiter): void {
    try {
      this.#issue(waiter);
    } catch (error) {
      waiter.reject(toForemapError(error, "INTERNAL"));
    }
  }

  #cancel(waiter: Waiter): void {
    const { scope, spec } = waiter;
    if (this.#waiters.get(waiter.id) === waiter) {
      this.#waiters.delete(waiter.id);
      this.#quietly(scope, (core, now) => core.cancel(now, waiter.id));
    }
    const at = scope.reissue.indexOf(waiter);
    if (at >= 0) scope.reissue.splice(at, 1);
    if (spec.signal) waiter.reject(aborted(spec.signal));
  }

  /** One event into the core, then what follows from it. */
  #enter<T>(scope: Scope, event: Event<T>): T {
    try {
      return this.guard.run(event);
    } finally {
      this.#drain(scope);
    }
  }

  /** The same where nobody waits for the outcome: a trap has been reported as a panic already. */
  #quietly(scope: Scope, event: Event<void>): void {
    try {
      this.#enter(scope, event);
    } catch {
      // See above.
    }
  }

  #drain(scope: Scope): void {
    // A trap while draining leaves a new core and gets to ask again; more than one in a row ends the attempt.
    for (let traps = 0; traps < 3; ) {
      try {
        const again = scope.reissue.splice(0);
        for (const waiter of again) this.#reissue(waiter);
        const actions = scope.mail.splice(0).concat(this.guard.run((core) => core.actions()));
        if (actions.length === 0 && again.length === 0) return;
        for (const action of actions) this.#route(action, scope);
      } catch {
        traps += 1;
      }
    }
  }

  #route(action: Action, current: Scope): void {
    const scope = this.#scopeOf(action);
    if (scope === undefined || scope.closed) return this.#refuse(action);
    if (scope === current) this.#perform(action, scope);
    else scope.mail.push(action);
  }

  #scopeOf(action: Action): Scope | undefined {
    switch (action.kind) {
      case "answer":
      case "error":
        return this.#waiters.get(action.request)?.scope;
      case "callEnd":
        return this.#calls.get(action.call)?.scope;
      case "abort":
        return this.#flights.get(action.flight)?.scope;
      default:
        return this.#scopes.get(action.scope);
    }
  }

  /** Nobody is there to perform it; the core must not wait for it. */
  #refuse(action: Action): void {
    if (action.kind !== "send" && action.kind !== "attempt") return;
    this.guard.run((core, now) => core.onFailure(now, action.flight, FAILED_ABORTED));
  }

  #perform(action: Action, scope: Scope): void {
    switch (action.kind) {
      case "answer":
      case "error": {
        const waiter = this.#waiters.get(action.request);
        this.#waiters.delete(action.request);
        if (action.kind === "answer") waiter?.resolve(action);
        else waiter?.reject(new ForemapError(action.code as ErrorCode, action.message, { retryable: action.retryable }));
        return;
      }
      case "send":
        return this.#send(scope, action);
      case "attempt":
        return this.#attempt(scope, action);
      case "callEnd":
        return this.#endCall(action);
      case "abort": {
        const flight = this.#flights.get(action.flight);
        this.#flights.delete(action.flight);
        return flight?.controller.abort();
      }
      case "wake":
        return scope.wake(action.at, this.guard.now());
    }
  }

  #fly(id: number, scope: Scope): Flight {
    const flight = { id, scope, generation: this.guard.generation, controller: new AbortController() };
    this.#flights.set(id, flight);
    return flight;
  }

  /** Whether the core still waits for this flight. */
  #lands(flight: Flight): boolean {
    if (this.#flights.get(flight.id) !== flight) return false;
    this.#flights.delete(flight.id);
    return flight.generation === this.guard.generation && !flight.scope.closed;
  }

  #send(scope: Scope, action: Extract<Action, { kind: "send" }>): void {
    const { request, prefetch } = action;
    const flight = this.#fly(action.flight, scope);
    scope.enqueue(prefetch, async () => {
      this.events.request?.(request.url, prefetch);
      const began = performance.now();
      const result = await exchange(scope, () => request, flight.controller, action.timeoutMs);
      const status = typeof result === "number" ? 0 : result.status;
      this.events.response?.(request.url, status, performance.now() - began, prefetch);
      // What left before a rebuild is unknown to the new core, and must not enter its cache.
      if (!this.#lands(flight)) return this.#drain(scope);
      this.#quietly(scope, (core, now) => {
        if (typeof result === "number") return core.onFailure(now, flight.id, result);
        core.onResponse(now, flight.id, result.status, retryAfter(result.headers), result.body);
      });
      this.guard.keepFloors();
    });
  }

  #attempt(scope: Scope, action: Extract<Action, { kind: "attempt" }>): void {
    const call = this.#calls.get(action.call);
    if (call === undefined) return this.#refuse(action);
    const flight = this.#fly(action.flight, scope);
    call.flight = flight;
    scope.enqueue(false, async () => {
      const result = await exchange(scope, () => call.request(action.origin), flight.controller, action.timeoutMs);
      if (typeof result !== "number") call.answer = result;
      if (call.generation !== this.guard.generation) return this.#endOrphan(call, result);
      if (!this.#lands(flight)) return;
      this.#quietly(scope, (core, now) => {
        if (typeof result === "number") core.onFailure(now, flight.id, result);
        else core.onCallDone(now, flight.id, result.status, retryAfter(result.headers));
      });
    });
  }

  /** A call whose core is gone gets the answer of the attempt under way, and no further one. */
  #endOrphan(call: Call, result: RawAnswer | number): void {
    if (typeof result !== "number") return call.settle(result);
    call.settle(new ForemapError("CORE_PANIC", "the core trapped while the call was under way"));
  }

  #endCall(action: Extract<Action, { kind: "callEnd" }>): void {
    const call = this.#calls.get(action.call);
    this.#calls.delete(action.call);
    if (call === undefined) return;
    // The last answer says more than the core, which saw only its status.
    if (call.answer !== null) return call.settle(call.answer);
    const code = (action.code ?? "NETWORK") as ErrorCode;
    const why = code === "TOO_MANY_REQUESTS" ? "too many calls are under way" : "no gateway gave an answer";
    call.settle(new ForemapError(code, why, { retryable: action.retryable }));
  }

  #rebuilt(message: string, count: number): void {
    // Ids of the old core mean nothing to the new one. Each get is asked again once, in its own scope.
    for (const waiter of this.#waiters.values()) {
      if (waiter.reissued) {
        waiter.reject(new ForemapError("CORE_PANIC", `the core trapped and was rebuilt: ${message}`));
      } else {
        waiter.reissued = true;
        waiter.scope.reissue.push(waiter);
      }
    }
    this.#waiters.clear();
    for (const call of this.#calls.values()) {
      // Between two attempts there is no answer under way that could end it.
      if (call.flight === null || this.#flights.get(call.flight.id) !== call.flight) {
        call.settle(new ForemapError("CORE_PANIC", `the core trapped and was rebuilt: ${message}`));
      }
    }
    this.#calls.clear();
    this.#flights.clear();
    for (const scope of this.#scopes.values()) scope.mail.length = 0;
    this.events.panic?.(message, count);
  }
}

/** One HTTP exchange; a number is a kind of failure. */
async function exchange(
  scope: Scope,
  request: () => Request,
  controller: AbortController,
  timeoutMs: number,
): Promise<RawAnswer | number> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    controller.abort();
  }, timeoutMs);
  try {
    const response = await scope.host.fetch(request(), { signal: controller.signal });
    const body = new Uint8Array(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, body };
  } catch {
    if (late) return FAILED_TIMEOUT;
    return controller.signal.aborted ? FAILED_ABORTED : FAILED_NETWORK;
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds that an answer asks to wait (RFC 9110, 10.2.3), or -1. */
export function retryAfter(headers: Headers): number {
  const text = headers.get("retry-after");
  if (text === null) return -1;
  const seconds = Number(text);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, Math.round(ms)) : -1;
}

/** Runs `action` at the first call only. */
function once(action: () => void): () => void {
  let ran = false;
  return () => {
    if (!ran) action();
    ran = true;
  };
}

function closed(): ForemapError {
  return new ForemapError("CLOSED", "the client is closed");
}

function aborted(signal: AbortSignal): ForemapError {
  return new ForemapError("ABORTED", "the caller cancelled the call", { cause: signal.reason });
}
