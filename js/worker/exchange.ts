import { flagsOf } from "../core-backend.js";
import { fieldsOfJson, noteWrite, type LeftBehind } from "../calls.js";
import { type CoreAnswer, UNOBSERVED } from "../engine/core.js";
import type { RawAnswer } from "../engine/exchange.js";
import type { Scope } from "../engine/scope.js";
import { ForemapError } from "../errors.js";
import { isRecord, keymapOfCore } from "../keymap.js";
import { MAX_STREAM_BYTES } from "../limits.js";
import type { Consistency } from "../types.js";
import type { Grant, Verb } from "./access.js";
import { json, problem, readBody } from "./answers.js";
import type { Isolate } from "./isolate.js";
import type { WorkerContext } from "./options.js";
import { matches } from "./negotiate.js";
import { Query } from "./query.js";
import type { Subrequests } from "./subrequests.js";

/** Headers that a passed-on request keeps. */
const PASSED_ON = [
  "accept",
  "content-type",
  "if-match",
  "if-none-match",
  "last-event-id",
  "foremap-write-id",
  "foremap-stream",
];
/** Headers that a passed-on answer keeps; all of `foremap-` as well. */
const PASSED_BACK = ["cache-control", "content-type", "etag", "retry-after"];

/** How fresh and for whom: what every read of a request has in common. */
export interface ReadSpec {
  consistency: Consistency;
  maxStaleness: number;
  stream: string | undefined;
  /** Keys in the request. */
  keys: number;
  /** Whether the caller only fetches ahead: no sign of what its user did, so nothing is learnt from it. */
  ahead?: boolean;
}

/** One request of the worker, with its scope in the core. */
export class Exchange {
  readonly #began = performance.now();
  /** `HEAD` is answered as `GET` is; the body stays behind on the way out. */
  readonly method: string;
  readonly url: URL;
  #client: Promise<string> | null = null;

  constructor(
    readonly isolate: Isolate,
    readonly scope: Scope,
    readonly subrequests: Subrequests,
    readonly request: Request,
    readonly context: WorkerContext,
  ) {
    this.url = new URL(request.url);
    this.method = request.method === "HEAD" ? "GET" : request.method;
  }

  /** Canonical text of a key. @throws {ForemapError} `BAD_KEY` */
  canonical(key: string): string {
    return this.isolate.engine.guard.use((instance) => instance.canonicalKey(key));
  }

  /** Reads one key through isolate cache, Cache API and gateway. */
  async read(key: string, spec: ReadSpec): Promise<CoreAnswer> {
    const { engine, tier, rules } = this.isolate;
    const answer = await engine.get(this.scope, {
      key,
      flags: flagsOf(spec.consistency) | (spec.ahead === true ? UNOBSERVED : 0),
      maxStaleness: spec.maxStaleness,
      timeout: rules.settings.timeout,
      stream: spec.stream,
      signal: this.request.signal,
    });
    if (tier !== null) this.context.waitUntil(tier.keep(key, answer, spec.keys, this.subrequests));
    return answer;
  }

  /** Lets the shared model learn what a client asked for and found, in its order. The answer does not wait for it. */
  observed(grant: Grant, stream: string | undefined, keys: readonly string[]): void {
    const { sharing } = this.isolate;
    if (sharing?.observes !== true || keys.length === 0) return;
    const note = async () => {
      const client = await this.client(grant);
      for (const key of keys) sharing.note(client, stream ?? "", key);
    };
    this.context.waitUntil(note());
  }

  /** Whose requests these are: the subject of a token where there is one, otherwise the address. */
  client(grant: Grant): Promise<string> {
    return (this.#client ??= clientOf(this.request, grant));
  }

  /** Lets a gateway answer, with the right of the caller. */
  async relay(grant: Grant, verb: Verb, body: Uint8Array<ArrayBuffer>): Promise<Response> {
    return back(await this.#call(grant, verb, undefined, body));
  }

  /** The same, unanswered yet, and with other headers. */
  call(grant: Grant, verb: Verb, headers: { readonly [name: string]: string }): Promise<RawAnswer> {
    return this.#call(grant, verb, undefined, undefined, false, headers);
  }

  /** The stream that this request belongs to. */
  stream(): string | undefined {
    const { stream } = this.isolate.rules.options;
    const name = (stream === undefined ? this.request.headers.get("foremap-stream") : stream(this.request)) ?? undefined;
    return name === undefined ? undefined : name.slice(0, MAX_STREAM_BYTES);
  }

  /** Greatest age of a bounded answer; a caller may ask for fresher ones only. */
  staleness(asked: number | undefined): number {
    const { maxStaleness } = this.isolate.rules.settings;
    return Math.min(asked ?? maxStaleness, maxStaleness);
  }

  /** `/v1/keymap`. */
  async keymap(grant: Grant): Promise<Response> {
    if (this.method !== "GET") return this.#write(grant);
    const query = new Query(this.url.search, ["key", "version", "consistency", "max_staleness_ms"]);
    const key = await this.#key(query, grant, "get");
    if (query.number("version") !== undefined) return this.#pass(grant, "get", key, undefined);
    const consistency = query.get("consistency") ?? "bounded";
    if (consistency !== "strong" && consistency !== "bounded" && consistency !== "any") {
      throw new ForemapError("BAD_REQUEST", "`consistency` is `strong`, `bounded` or `any`");
    }
    const maxStaleness = this.staleness(query.number("max_staleness_ms"));
    const stream = this.stream();
    const answer = await this.read(key, { consistency, maxStaleness, stream, keys: 1 });
    if (answer.keymap) this.observed(grant, stream, [key]);
    const headers = this.#about(key, answer);
    if (!answer.keymap) return problem(new ForemapError("NOT_FOUND", "there is no such keymap"), headers);
    const tag = `"${answer.keymap.version}"`;
    headers.set("etag", tag);
    headers.set("cache-control", "no-cache");
    if (matches(this.request.headers.get("if-none-match"), tag)) return new Response(null, { status: 304, headers });
    return json(keymapOfCore(answer.keymap), headers);
  }

  /** What the core knows about an answer. */
  #about(key: string, answer: CoreAnswer): Headers {
    const headers = new Headers({
      "foremap-source": answer.source,
      "foremap-age": String(answer.age),
      "foremap-position": `${answer.at.shard}:${answer.at.position}`,
      "server-timing": `foremap;dur=${(performance.now() - this.#began).toFixed(1)};desc="${answer.source}"`,
    });
    if (answer.keymap) headers.set("foremap-version", String(answer.keymap.version));
    const place = this.isolate.engine.guard.run((core, now) => core.explain(now, key));
    if (isRecord(place.epoch)) {
      headers.set("foremap-epoch", `${String(place.epoch.incarnation)}.${String(place.epoch.number)}`);
    }
    if (typeof place.node === "number") headers.set("foremap-node", String(place.node));
    if (typeof place.partition === "number") headers.set("foremap-partition", String(place.partition));
    return headers;
  }

  async #write(grant: Grant): Promise<Response> {
    const verb = this.method === "PUT" ? "put" : "delete";
    const query = new Query(this.url.search, verb === "put" ? ["key"] : ["key", "version"]);
    const key = await this.#key(query, grant, verb);
    const body = verb === "put" ? await readBody(this.request) : undefined;
    const answer = await this.#call(grant, verb, key, body);
    if (answer.status < 300) {
      const { engine } = this.isolate;
      // A caller's own id may name a write that an earlier attempt did: what stands there now may be someone else's.
      const repeated = this.request.headers.has("foremap-write-id");
      const written = () => (body === undefined ? { deleted: query.get("version") === undefined } : leftBehind(body));
      const left = repeated ? {} : written();
      noteWrite({ wrote: (...write) => engine.wrote(this.scope, ...write) }, key, answer, left);
    }
    return back(answer);
  }

  /** `/v1/list`. */
  async list(grant: Grant): Promise<Response> {
    const prefix = (new Query(this.url.search, ["prefix", "limit", "cursor"]).get("prefix") ?? "").replace(/\/$/, "");
    await this.#require(grant, "list", prefix === "" ? "" : this.canonical(prefix));
    return this.#pass(grant, "list", undefined, undefined);
  }

  /**
   * A change feed: the gateway's own bytes, as they arrive. Nothing here reads them, so a caller that leaves ends the
   * gateway's answer too, if the gateway still writes.
   */
  async changes(grant: Grant): Promise<Response> {
    // What a function decides about named keys says nothing about those that change.
    if (!grant.relayed || !grant.may("get")) throw new ForemapError("FORBIDDEN", "changes are not told here");
    const body = this.method === "POST" ? await readBody(this.request) : undefined;
    return back(await this.#call(grant, "get", undefined, body, true));
  }

  /** `/v1/versions`. */
  async versions(grant: Grant): Promise<Response> {
    const key = await this.#key(new Query(this.url.search, ["key"]), grant, "get");
    return this.#pass(grant, "get", key, undefined);
  }

  /** `/v1/map`. */
  async map(grant: Grant): Promise<Response> {
    // As with changes: what a function decides about named keys does not cover what names any.
    if (!grant.relayed) await this.#require(grant, "get", "");
    return this.#pass(grant, "get", undefined, undefined);
  }

  async #pass(grant: Grant, verb: Verb, key: string | undefined, body: Uint8Array<ArrayBuffer> | undefined): Promise<Response> {
    return back(await this.#call(grant, verb, key, body));
  }

  #call(
    grant: Grant,
    verb: Verb,
    key: string | undefined,
    body: Uint8Array<ArrayBuffer> | undefined,
    unread = false,
    others: { readonly [name: string]: string } = {},
  ): Promise<RawAnswer> {
    const method = this.method;
    const headers = new Headers(others);
    for (const name of PASSED_ON) {
      const value = this.request.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    // Compressed bytes could wait in a decoder.
    if (unread) headers.set("accept-encoding", "identity");
    // All attempts carry one id, so that a retried write is applied once.
    if ((verb === "put" || verb === "delete") && key !== undefined && !headers.has("foremap-write-id")) headers.set("foremap-write-id", crypto.randomUUID());
    const init = { method, headers, ...(body && { body }) };
    return this.pass(`${this.url.pathname}${this.url.search}`, grant, verb, key, init, unread);
  }

  /** Lets a gateway answer. */
  pass(
    target: string,
    grant: Grant,
    verb: Verb,
    key: string | undefined,
    init: RequestInit,
    unread = false,
  ): Promise<RawAnswer> {
    const headers = new Headers(init.headers);
    const authorization = grant.authorization(verb);
    if (authorization !== null) headers.set("authorization", authorization);
    const { timeout } = this.isolate.rules.settings;
    const spec = { timeout, key, signal: this.request.signal, unread };
    return this.isolate.engine.call(this.scope, spec, (origin) => new Request(origin + target, { ...init, headers }));
  }

  async #key(query: Query, grant: Grant, verb: Verb): Promise<string> {
    const text = query.get("key");
    if (text === undefined) throw new ForemapError("BAD_REQUEST", "the query has no `key`");
    const key = this.canonical(text);
    await this.#require(grant, verb, key);
    return key;
  }

  async #require(grant: Grant, verb: Verb, key: string): Promise<void> {
    if (!(await grant.allows(verb, key))) {
      throw new ForemapError("FORBIDDEN", `\`${verb}\` is not allowed here`);
    }
  }
}

/** What an acknowledged write left behind; nothing is known where it was written in another form than JSON. */
function leftBehind(body: Uint8Array): LeftBehind {
  try {
    return { fields: fieldsOfJson(new TextDecoder().decode(body)) };
  } catch {
    return {};
  }
}

/** As gateways name a subject: the first 16 bytes of a hash. */
async function clientOf(request: Request, { verified, subject, may }: Grant): Promise<string> {
  const named = request.headers.get("foremap-subject");
  // Who may do everything speaks for others.
  if (verified && may("admin") && named !== null && /^[0-9a-f]{1,32}$/i.test(named)) return named.padStart(32, "0");
  if (subject === null) return request.headers.get("cf-connecting-ip") ?? "";
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`sub ${subject}`));
  return [...new Uint8Array(hash, 0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A gateway's answer, passed back. */
function back(answer: RawAnswer): Response {
  const headers = new Headers();
  answer.headers.forEach((value, name) => {
    if (name.startsWith("foremap-") || PASSED_BACK.includes(name)) headers.set(name, value);
  });
  // These statuses must not have a body, not even an empty one.
  const body = [204, 304].includes(answer.status) ? null : (answer.stream ?? answer.body);
  return new Response(body, { status: answer.status, headers });
}
