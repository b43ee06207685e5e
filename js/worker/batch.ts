import type { CoreAnswer, CoreBatch, CoreBatchResult } from "../engine/core.js";
import { ForemapError } from "../errors.js";
import { isRecord, keymapOfCore } from "../keymap.js";
import { MAX_BATCH_KEYS, MAX_STREAM_BYTES } from "../limits.js";
import type { Consistency } from "../types.js";
import type { Grant } from "./access.js";
import { BINARY, LimitError, json, mediaType, readBody, refusal } from "./answers.js";
import type { Exchange, ReadSpec } from "./exchange.js";
import { strictJson } from "./json.js";
import { unknown } from "./query.js";

type Item = CoreBatch["items"][number];
type Outcome = { item: Item; answer: CoreAnswer | ForemapError };

/** `POST /v1/batch`, in the form of its content type. */
export async function answerBatch(exchange: Exchange, grant: Grant): Promise<Response> {
  const type = mediaType(exchange.request.headers);
  if (type !== BINARY && type !== "application/json") {
    throw new ForemapError("UNSUPPORTED_MEDIA_TYPE", `the body must be \`${BINARY}\` or \`application/json\``);
  }
  const body = await readBody(exchange.request);
  return type === BINARY ? binary(exchange, grant, body) : plain(exchange, grant, body);
}

async function binary(exchange: Exchange, grant: Grant, body: Uint8Array<ArrayBuffer>): Promise<Response> {
  const { guard } = exchange.isolate.engine;
  const batch = readBinary(exchange, body);
  const asked = performance.now();
  const [outcomes, upstream] = await Promise.all([answerItems(exchange, grant, batch), frame(exchange, grant, batch)]);
  extendFeed(exchange, grant, batch, outcomes);
  const results = outcomes.map(({ item, answer }): CoreBatchResult => {
    if (answer instanceof ForemapError) return { code: answer.code, message: answer.message };
    const at = { ...answer.at, age_ms: answer.age };
    if (answer.keymap && answer.keymap.version === item.ifVersion) return { unchanged: answer.keymap.version, at };
    return { keymap: answer.keymap ?? null, at };
  });
  const elapsed = Math.ceil(performance.now() - asked);
  const bytes = guard.use((instance) => instance.encodeBatch(results, upstream, elapsed));
  const headers = new Headers({ "content-type": BINARY, "cache-control": "no-store" });
  const model = modelBehind(exchange, grant, batch);
  if (model === null) return new Response(bytes, { headers });
  headers.set("foremap-model", String(bytes.byteLength));
  return new Response(new Blob([bytes, model]).stream(), { headers });
}

/** The model that the isolate itself has, for callers who may read everything that the worker may. */
function modelBehind(exchange: Exchange, grant: Grant, { wish }: CoreBatch): Uint8Array<ArrayBuffer> | null {
  if (!wish || !grant.relayed || grant.prefixes !== null) return null;
  return exchange.isolate.sharing?.behind(wish) ?? null;
}

function readBinary(exchange: Exchange, body: Uint8Array<ArrayBuffer>): CoreBatch {
  try {
    return exchange.isolate.engine.guard.use((instance) => instance.decodeBatch(body));
  } catch (error) {
    if (error instanceof ForemapError && error.code === "TOO_MANY_KEYS") throw tooManyKeys();
    throw error;
  }
}

function tooManyKeys(): LimitError {
  return new LimitError("TOO_MANY_KEYS", `the limit is ${MAX_BATCH_KEYS} keys in one batch`, MAX_BATCH_KEYS);
}

/** Changes and map, which only a gateway knows. Without its answer the caller has its keys all the same. */
async function frame(exchange: Exchange, grant: Grant, batch: CoreBatch): Promise<Uint8Array | undefined> {
  if (batch.upstream === null || !grant.relayed) return undefined;
  const headers = { "content-type": BINARY, accept: BINARY };
  const init = { method: "POST", headers, body: batch.upstream };
  const answer = await exchange.pass("/v1/batch", grant, "get", undefined, init).catch(() => null);
  return answer?.status === 200 ? answer.body : undefined;
}

/**
 * Lets the caller's change feed follow what it has just been answered from here, as a gateway that answers does by itself.
 * The answer does not wait for it: the feed goes on from where the answer stands, however late that is.
 */
function extendFeed(exchange: Exchange, grant: Grant, batch: CoreBatch, outcomes: Outcome[]): void {
  const { upstream } = batch;
  if (upstream === null || !grant.relayed) return;
  const points = outcomes.flatMap(({ answer }) =>
    answer instanceof ForemapError ? [] : [answer.at.shard, answer.at.position],
  );
  const { guard } = exchange.isolate.engine;
  const extend = async () => {
    const body = guard.use((instance) => instance.extendFeed(upstream, Float64Array.from(points)));
    const init = { method: "POST", headers: { "content-type": BINARY, accept: BINARY } };
    if (body !== undefined) await exchange.pass("/v1/batch", grant, "get", undefined, { ...init, body });
  };
  exchange.context.waitUntil(extend().catch(() => undefined));
}

async function plain(exchange: Exchange, grant: Grant, body: Uint8Array): Promise<Response> {
  const batch = readPlain(exchange, body);
  const outcomes = await answerItems(exchange, grant, batch);
  const results = outcomes.map(({ item, answer }) => {
    if (answer instanceof ForemapError) return { outcome: "error", code: answer.code, detail: answer.message };
    const about = { at: { ...answer.at, age_ms: answer.age } };
    if (!answer.keymap) return { outcome: "missing", ...about };
    const { version } = answer.keymap;
    if (version === item.ifVersion) return { outcome: "unchanged", version, ...about };
    return { outcome: "found", keymap: keymapOfCore(answer.keymap), ...about };
  });
  return json({ results }, { "cache-control": "no-store" });
}

/** Fields of the JSON form, those that a worker has no use for included. */
const BATCH_FIELDS = ["items", "consistency", "max_staleness_ms", "map", "floors", "cursors", "stream", "feed", "forwarded"];
const ITEM_FIELDS = ["key", "if_version", "class"];
const FLOOR_FIELDS = ["shard", "position"];

/** @throws {ForemapError} `BAD_REQUEST` for a field that nobody looks at: it was meant to do something */
function requireKnown(record: object, known: readonly string[]): void {
  for (const name in record) if (!known.includes(name)) throw new ForemapError("BAD_REQUEST", unknown(name, known));
}

/** The JSON form. @throws {ForemapError} `BAD_REQUEST`, `TOO_MANY_KEYS` or `BAD_KEY` */
function readPlain(exchange: Exchange, body: Uint8Array): CoreBatch {
  const request = strictJson(body);
  requireKnown(request, BATCH_FIELDS);
  const { items = [], consistency = "bounded", max_staleness_ms = 0xffff_ffff, floors = [], stream = null } = request;
  if (!Array.isArray(items)) throw new ForemapError("BAD_REQUEST", "`items` is not an array");
  if (items.length > MAX_BATCH_KEYS) throw tooManyKeys();
  if (consistency !== "strong" && consistency !== "bounded" && consistency !== "any") {
    throw new ForemapError("BAD_REQUEST", "`consistency` is `strong`, `bounded` or `any`");
  }
  if (stream !== null && typeof stream !== "string") throw new ForemapError("BAD_REQUEST", "`stream` is not text");
  if (stream !== null && new TextEncoder().encode(stream).byteLength > MAX_STREAM_BYTES) {
    throw new LimitError("BAD_REQUEST", `\`stream\` is over its limit of ${MAX_STREAM_BYTES}`, MAX_STREAM_BYTES);
  }
  return {
    items: items.map((item: unknown) => readItem(exchange, item)),
    consistency,
    maxStalenessMs: whole("max_staleness_ms", max_staleness_ms, 0xffff_ffff),
    floors: readFloors(floors),
    stream,
    upstream: null,
  };
}

function readItem(exchange: Exchange, item: unknown): Item {
  if (!isRecord(item) || typeof item.key !== "string") {
    throw new ForemapError("BAD_REQUEST", "an item of the batch has no `key`");
  }
  requireKnown(item, ITEM_FIELDS);
  const { if_version = null, class: kind = "demand" } = item;
  if (kind !== "demand" && kind !== "prefetch") throw new ForemapError("BAD_REQUEST", "`class` is `demand` or `prefetch`");
  const ifVersion = if_version === null ? null : whole("if_version", if_version, Number.MAX_SAFE_INTEGER);
  return { key: exchange.canonical(item.key), ifVersion, prefetch: kind === "prefetch" };
}

function readFloors(floors: unknown): number[] {
  if (!Array.isArray(floors)) throw new ForemapError("BAD_REQUEST", "`floors` is not an array");
  return floors.flatMap((floor: unknown) => {
    if (!isRecord(floor)) throw new ForemapError("BAD_REQUEST", "a floor has `shard` and `position`");
    requireKnown(floor, FLOOR_FIELDS);
    return [whole("shard", floor.shard, 0xffff), whole("position", floor.position, Number.MAX_SAFE_INTEGER)];
  });
}

/** A number that the core takes as it is; it would turn -1 into the greatest there is. */
function whole(name: string, value: unknown, most: number): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
  throw new ForemapError("BAD_REQUEST", `\`${name}\` is not a whole number from 0 to ${most}`);
}

async function answerItems(exchange: Exchange, grant: Grant, batch: CoreBatch): Promise<Outcome[]> {
  const { scope, isolate } = exchange;
  // The caller's session, not the worker's: gone with this request.
  if (batch.floors.length > 0) {
    isolate.engine.guard.run((core) => core.setScopeFloors(scope.id, new Float64Array(batch.floors)));
  }
  const stream = batch.stream ?? exchange.stream() ?? "";
  const spec = (ahead: boolean): ReadSpec => ({
    consistency: batch.consistency satisfies Consistency,
    maxStaleness: exchange.staleness(batch.maxStalenessMs),
    stream,
    ahead,
    keys: batch.items.length,
  });
  const outcomes = await Promise.all(
    batch.items.map(async (item): Promise<Outcome> => {
      try {
        if (!(await grant.allows("get", item.key))) throw new ForemapError("FORBIDDEN", "the caller may not read this key");
        return { item, answer: await exchange.read(item.key, spec(item.prefetch)) };
      } catch (error) {
        return { item, answer: refusal(error) };
      }
    }),
  );
  // What somebody only fetched ahead says nothing of what its user did, and nobody needs to be led to what there is not.
  const found = outcomes.filter(({ item, answer }) => !item.prefetch && !(answer instanceof ForemapError) && answer.keymap);
  exchange.observed(grant, stream, found.map(({ item }) => item.key));
  return outcomes;
}
