import { ForemapError, toForemapError, type ErrorCode } from "../errors.js";
import {
  FAILED_ABORTED,
  type Action,
  type Core,
  type CoreAnswer,
  type CoreConfig,
  type CoreFence,
  type CorePage,
  type CoreWrite,
  type Instantiate,
} from "./core.js";
import { exchange, type RawAnswer } from "./exchange.js";
import { Feeds } from "./feeds.js";
import type { News } from "../feed/news.js";
import { Guard } from "./guard.js";
import type { Call, CallSpec, Flight, GetSpec, Waiter } from "./pending.js";
import { retryAfter } from "../retry-after.js";
import { Scope } from "./scope.js";
import type { ScopeHost } from "./scope-host.js";

/** What browsers let all requests of a page together carry beyond its end is 64 KiB. */
const MAX_TOLD_BYTES = 60 << 10;

/** Older than everything. */
const NO_FENCE: CoreFence = new Float64Array(2);

type Event<T> = (core: Core, now: number) => T;

/** What the engine tells whoever drives it. */
export interface EngineEvents {
  request?(url: string, prefetch: boolean): void;
  response?(url: string, status: number, ms: number, prefetch: boolean): void;
  panic?(message: string, count: number): void;
  sessionReset?(incarnation: number): void;
  /** A model that clients share was taken over. */
  model?(model: Uint8Array): void;
}

/** Executes what the core decides: requests, timers, and the promises of callers. */
export class Engine {
  readonly guard: Guard;
  #scopes = new Map<number, Scope>();
  #waiters = new Map<number, Waiter>();
  #calls = new Map<number, Call>();
  #flights = new Map<number, Flight>();
  readonly #feeds: Feeds;
  /** Gets that a trap of the core cut short, to be asked again when their scope runs. */
  readonly #reissues = new Set<Waiter>();
  #nextScope = 0;

  constructor(
    instantiate: Instantiate,
    config: CoreConfig,
    private readonly events: EngineEvents = {},
    bookmark?: Uint8Array,
  ) {
    this.guard = new Guard(instantiate, config, (message, count) => this.#rebuilt(message, count), bookmark);
    this.#feeds = new Feeds(this.guard, (scope, event) => this.#quietly(scope, event));
  }

  /** Begins a scope; the first one is 0. */
  openScope(host: ScopeHost): Scope {
    const scope = new Scope(this.#nextScope++, host, (scope) => this.poll(scope));
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
    for (const waiter of this.#takeReissues(scope)) waiter.reject(reason);
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
    // Only the first scope has feeds.
    if (scope.id === 0) this.#feeds.closeAll();
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
        deadline: 0,
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
  prefetch(scope: Scope, keys: string[], probability?: number, within?: number): void {
    if (scope.closed) throw closed();
    this.enter(scope, (core, now) => core.prefetch(now, scope.id, keys, probability, within));
    scope.pollSoon();
  }

  /** Timers and batches that are due. */
  poll(scope: Scope): void {
    if (scope.closed) return;
    this.#quietly(scope, (core, now) => core.poll(now, scope.id));
  }

  /** Notes an acknowledged write of this session, and what it left behind. */
  wrote(scope: Scope, answer: RawAnswer, write: CoreWrite): void {
    const { key, version, shard, position } = write;
    // A core that did not see it leave cannot tell what happened to the key meanwhile.
    const sent = answer.sent?.generation === this.guard.generation ? answer.sent : undefined;
    const told = sent === undefined ? { key, version, shard, position } : write;
    this.#quietly(scope, (core, now) => core.wrote(now, sent?.first ?? NO_FENCE, told));
    this.guard.keepSession();
  }

  /** Takes in a page of a list in binary form. @throws {ForemapError} `BAD_ANSWER` */
  listed(scope: Scope, answer: RawAnswer, list: { prefix: string; first: boolean; stream?: string }): CorePage {
    const { prefix, first, stream } = list;
    const { sent, body } = answer;
    if (sent?.generation !== this.guard.generation) return this.guard.use((instance) => instance.decodeList(body));
    const page = this.enter(scope, (core, now) => core.listed(now, scope.id, stream, prefix, sent.last, body, first));
    this.guard.keepSession();
    return page;
  }

  /** Whether somebody looks at the page. */
  setAttention(scope: Scope, active: boolean): void {
    this.guard.setAttention(active);
    this.#drain(scope);
  }

  /** The host woke up. @param missed whether it may not have been told of what others did meanwhile */
  resume(scope: Scope, missed: boolean): void {
    this.#quietly(scope, (core, now) => {
      if (missed) core.missed(now);
      core.resume(now);
    });
  }

  /** Another client of this session wrote or invalidated something. */
  told(scope: Scope, { writes, dropped, feed }: News): void {
    if (feed !== undefined) this.#quietly(scope, (core, now) => core.setFeedAtHand(now, feed));
    for (const write of writes) this.#quietly(scope, (core, now) => core.wrote(now, NO_FENCE, write));
    for (const what of dropped) this.#quietly(scope, (core, now) => void core.invalidate(now, what));
    this.guard.keepSession();
  }

  /** Whether frames of the feed go to {@link ScopeHost.relay}; for this core and those after it. */
  setRelaying(relaying: boolean): void {
    this.guard.setRelaying(relaying);
  }

  /** What another core needs to follow this one's feed from here on, as first bytes of a feed; null without one. */
  feedOpening(): Uint8Array<ArrayBuffer> | null {
    try {
      return this.guard.run((core, now) => core.feedOpening(now)) ?? null;
    } catch {
      return null;
    }
  }

  /** Performs a call against the origin that the core chooses, again if it says so. */
  call(scope: Scope, spec: CallSpec, request: (origin: string) => Request): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      const { signal } = spec;
      if (scope.closed) throw closed();
      if (signal?.aborted) throw aborted(signal);
      const id = this.guard.run((core, now) => core.call(now, scope.id, spec.timeout, spec.key));
      const onAbort = () => {
        if (signal !== undefined) this.#giveUp(id, call, aborted(signal));
      };
      const done = once(() => {
        scope.waiting -= 1;
        scope.holdProcess();
        signal?.removeEventListener("abort", onAbort);
      });
      const call: Call = {
        scope,
        generation: this.guard.generation,
        spec,
        request,
        flight: null,
        firstFence: null,
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
    const { key, flags, maxStaleness, stream, staleWhileRevalidate = 0, staleIfError = 0 } = spec;
    waiter.id = this.guard.run((core, now) => {
      if (waiter.deadline === 0) waiter.deadline = now + spec.timeout;
      const left = Math.max(1, waiter.deadline - now);
      return core.get(now, scope.id, key, flags, maxStaleness, left, stream, staleWhileRevalidate, staleIfError);
    });
    this.#waiters.set(waiter.id, waiter);
  }

  /** A trap at the second try is the last one: nobody else would settle this waiter. */
  #takeReissues(scope: Scope): Waiter[] {
    // As nearly always.
    if (this.#reissues.size === 0) return [];
    const taken = [...this.#reissues].filter((waiter) => waiter.scope === scope);
    for (const waiter of taken) this.#reissues.delete(waiter);
    return taken;
  }

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
    this.#reissues.delete(waiter);
    if (spec.signal) waiter.reject(aborted(spec.signal));
  }

  /** One event into the core, then what follows from it. @throws {ForemapError} as {@link Guard.run} */
  enter<T>(scope: Scope, event: Event<T>): T {
    try {
      return this.guard.run(event);
    } finally {
      this.#drain(scope);
    }
  }

  /** The same where nobody waits for the outcome: a trap has been reported as a panic already. */
  #quietly(scope: Scope, event: Event<void>): void {
    try {
      this.enter(scope, event);
    } catch {
      // See above.
    }
  }

  #drain(scope: Scope): void {
    // A trap while draining leaves a new core and gets to ask again; more than one in a row ends the attempt.
    for (let traps = 0; traps < 3; ) {
      try {
        const again = this.#takeReissues(scope);
        for (const waiter of again) this.#reissue(waiter);
        const actions = scope.mail.splice(0).concat(this.guard.ask((core) => core.actions()));
        if (actions.length === 0 && again.length === 0) return;
        for (const action of actions) this.#route(action, scope);
      } catch {
        traps += 1;
      }
    }
  }

  #route(action: Action, current: Scope): void {
    if (action.kind === "sessionReset") return this.events.sessionReset?.(action.incarnation);
    const scope = this.#scopeOf(action);
    if (scope === undefined || scope.closed) return this.#refuse(action);
    if (scope === current) this.#perform(action, scope);
    else scope.mail.push(action);
  }

  #scopeOf(action: Exclude<Action, { kind: "sessionReset" }>): Scope | undefined {
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

  #perform(action: Exclude<Action, { kind: "sessionReset" }>, scope: Scope): void {
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
      case "openFeed":
        return this.#feeds.open(scope, action);
      case "closeFeed":
        return this.#feeds.close(action.feed);
      case "relay":
        return scope.host.relay?.(action.frame);
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
      const began = performance.now();
      const result = await this.#fetch(scope, flight, action);
      const status = typeof result === "number" ? 0 : result.status;
      this.events.response?.(request.url, status, performance.now() - began, prefetch);
      // What left before a rebuild is unknown to the new core, and must not enter its cache.
      if (!this.#lands(flight)) return this.#drain(scope);
      this.#quietly(scope, (core, now) => {
        if (typeof result === "number") return core.onFailure(now, flight.id, result);
        core.onResponse(now, flight.id, result.status, retryAfter(result.headers), result.body);
      });
      this.guard.keepSession();
      if (typeof result !== "number" && result.model !== undefined) void this.#takeModel(flight, result.model);
    });
  }

  async #takeModel({ scope, generation }: Flight, coming: Promise<Uint8Array | null>): Promise<void> {
    const model = await coming;
    if (model === null || scope.closed || generation !== this.guard.generation) return;
    const whole = this.importModel(scope, model);
    if (whole !== null) this.events.model?.(whole);
  }

  /** Takes over a model that clients share, or what leads to it from the one at hand. @returns the whole; null where it is none */
  importModel(scope: Scope, model: Uint8Array): Uint8Array | null {
    try {
      return this.enter(scope, (core, now) => core.importModel(now, model)) ?? model;
    } catch {
      // The core counts what it cannot read; a trap has been reported as a panic.
      return null;
    }
  }

  /** Tells a gateway of what was asked for, in a request that outlives the page, if there is something to tell. */
  tell(scope: Scope): void {
    try {
      const request = this.guard.run((core, now) => core.tellGateway(now, MAX_TOLD_BYTES));
      if (request === undefined) return;
      // Where it does not get through, it is lost: others tell the same.
      scope.host.fetch(new Request(request, { keepalive: true }), {}).catch(() => undefined);
    } catch {
      // See above.
    }
  }

  #fetch(scope: Scope, flight: Flight, action: Extract<Action, { kind: "send" }>): Promise<RawAnswer | number> {
    const { request, prefetch, timeoutMs } = action;
    if (prefetch && scope.host.mayPrefetch?.() === false) return Promise.resolve(FAILED_ABORTED);
    this.events.request?.(request.url, prefetch);
    return exchange(scope.host, () => request, flight.controller, timeoutMs);
  }

  #attempt(scope: Scope, action: Extract<Action, { kind: "attempt" }>): void {
    const call = this.#calls.get(action.call);
    if (call === undefined) return this.#refuse(action);
    const flight = this.#fly(action.flight, scope);
    const { generation, spec } = call;
    const { controller } = flight;
    call.flight = flight;
    scope.enqueue(false, async () => {
      const last = this.#fence();
      const first = (call.firstFence ??= last);
      const request = () => call.request(action.origin);
      const result = await exchange(scope.host, request, controller, action.timeoutMs, spec.unread);
      if (typeof result !== "number") call.answer = { ...result, sent: { first, last, generation } };
      if (generation !== this.guard.generation) return this.#endOrphan(call, result);
      // Nobody would read what has not been read yet.
      if (!this.#lands(flight)) return controller.abort();
      if (spec.unread === true && call.answer !== null && call.answer.stream === undefined) {
        // Whoever passes answers on passes on refusals too, and leaves it to the caller when to ask again.
        return this.#giveUp(action.call, call, call.answer);
      }
      this.#quietly(scope, (core, now) => {
        if (typeof result === "number") core.onFailure(now, flight.id, result);
        else core.onCallDone(now, flight.id, result.status, retryAfter(result.headers));
      });
    });
  }

  /** State of the cache now; nothing is ever as new as the one of a core that cannot be asked. */
  #fence(): CoreFence {
    try {
      return this.guard.run((core, now) => core.fence(now));
    } catch {
      return NO_FENCE;
    }
  }

  /** A call whose core is gone gets the answer of the attempt under way, and no further one. */
  #endOrphan(call: Call, result: RawAnswer | number): void {
    if (typeof result !== "number" && call.answer !== null) return call.settle(call.answer);
    call.settle(new ForemapError("CORE_PANIC", "the core trapped while the call was under way"));
  }

  /** Ends a call that the core would go on with. */
  #giveUp(id: number, call: Call, result: RawAnswer | ForemapError): void {
    // After a rebuild another call may have this id.
    if (this.#calls.get(id) === call) {
      this.#calls.delete(id);
      this.#quietly(call.scope, (core) => core.cancelCall(id));
    }
    call.settle(result);
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
        this.#reissues.add(waiter);
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
    this.#feeds.closeAll();
    for (const scope of this.#scopes.values()) scope.mail.length = 0;
    this.events.panic?.(message, count);
  }
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
