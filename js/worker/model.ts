/** The routes of the model that clients share: through hubs where there are some, otherwise through a gateway. */
import type { RawAnswer } from "../engine/exchange.js";
import { ForemapError } from "../errors.js";
import { MAX_SUMMARY_BYTES } from "../limits.js";
import type { Grant } from "./access.js";
import { BINARY, mediaType, readBody } from "./answers.js";
import type { WorkerCoreInstance } from "./core.js";
import type { Exchange } from "./exchange.js";
import { CALLER, writeCaller, type Hubs } from "./hubs.js";
import { encodingOf } from "./negotiate.js";
import { Query } from "./query.js";

/** `POST /v1/summaries`. */
export async function answerSummaries(exchange: Exchange, grant: Grant): Promise<Response> {
  const { hubs } = exchange.isolate;
  await requireRead(grant);
  const { headers } = exchange.request;
  if (mediaType(headers) !== BINARY) {
    throw new ForemapError("UNSUPPORTED_MEDIA_TYPE", `the body must be \`${BINARY}\``);
  }
  const body = await readBody(exchange.request, MAX_SUMMARY_BYTES);
  if (hubs === null) return exchange.relay(grant, "put", body);
  const { prefixes, verified } = grant;
  const client = await exchange.client(grant);
  const init = { method: "POST", headers: { "content-type": BINARY, [CALLER]: writeCaller({ client, prefixes, verified }) } };
  let last: Response | null = null;
  for (const [shard, summary] of split(exchange, hubs, body, prefixes)) {
    exchange.subrequests.take();
    last = await hubs.ask(shard, "/v1/summaries", { ...init, body: summary });
    // What one hub took counts once, however often the whole comes.
    if (last.status !== 204) return through(last);
  }
  // Nothing of it was for a hub: no request followed another within one shard.
  return last === null ? new Response(null, { status: 204, headers: { "cache-control": "no-store" } }) : through(last);
}

function split(
  exchange: Exchange,
  hubs: Hubs,
  body: Uint8Array<ArrayBuffer>,
  prefixes: readonly string[] | null,
): [string, Uint8Array<ArrayBuffer>][] {
  if (hubs.depth === 0) return [["", body]];
  const { guard } = exchange.isolate.engine;
  return guard.use((instance) => (instance as WorkerCoreInstance).splitSummary(body, hubs.depth, prefixes ?? undefined));
}

/** `GET /v1/model`. */
export async function answerModel(exchange: Exchange, grant: Grant): Promise<Response> {
  const { hubs } = exchange.isolate;
  await requireRead(grant);
  const { headers } = exchange.request;
  const encoding = encodingOf(headers.get("accept-encoding"));
  if (hubs === null) return encoded(await exchange.call(grant, "get", { "accept-encoding": encoding || "identity" }), encoding, exchange);
  const query = new Query(new URL(exchange.request.url).search, ["bytes", "from", "prefix"]);
  const shard = await shardFor(hubs, grant, query, exchange);
  const numbers = (["bytes", "from"] as const).flatMap((name) => {
    const number = query.number(name);
    return number === undefined ? [] : [`&${name}=${number}`];
  });
  const target = `/v1/model?encoding=${encoding}${numbers.join("")}`;
  const asked = new Headers({ [CALLER]: writeCaller({ client: "", prefixes: grant.prefixes, verified: grant.verified }) });
  const known = headers.get("if-none-match");
  if (known !== null) asked.set("if-none-match", known);
  exchange.subrequests.take();
  return through(await hubs.ask(shard, target, { headers: asked }));
}

/** Where the keys are spread over several hubs, the caller says which part of them it works with. */
async function shardFor(hubs: Hubs, grant: Grant, query: Query, exchange: Exchange): Promise<string> {
  if (hubs.depth === 0) return "";
  const prefix = query.get("prefix");
  if (prefix === undefined) {
    const shards = new Set((grant.prefixes ?? [""]).map((own) => hubs.shardOf(own)));
    const [only] = shards;
    if (shards.size === 1 && typeof only === "string") return only;
  } else {
    const text = exchange.canonical(prefix);
    const shard = hubs.shardOf(text);
    if (!(await grant.allows("get", text))) throw new ForemapError("FORBIDDEN", "`get` is not allowed here");
    if (shard !== null) return shard;
  }
  throw new ForemapError("BAD_REQUEST", `\`prefix\` must name at least ${hubs.depth} components of keys`);
}

/** `POST /v1/model/forget`. */
export async function answerForget(exchange: Exchange, grant: Grant): Promise<Response> {
  const { hubs } = exchange.isolate;
  if (!grant.decided || !(await grant.allows("admin", ""))) throw new ForemapError("FORBIDDEN", "`admin` is not allowed here");
  const body = await readBody(exchange.request);
  if (hubs === null) return exchange.relay(grant, "admin", body);
  const type = mediaType(exchange.request.headers);
  const shard = hubs.depth === 0 ? "" : shardToForget(exchange, hubs, body);
  exchange.subrequests.take();
  return through(await hubs.ask(shard, "/v1/model/forget", { method: "POST", headers: { "content-type": type }, body }));
}

function shardToForget(exchange: Exchange, hubs: Hubs, body: Uint8Array): string {
  let prefix: unknown;
  try {
    ({ prefix } = JSON.parse(new TextDecoder().decode(body)) as { prefix: unknown });
  } catch (cause) {
    throw new ForemapError("BAD_REQUEST", "the body is not JSON", { cause });
  }
  const shard = typeof prefix === "string" && prefix !== "" ? hubs.shardOf(exchange.canonical(prefix.replace(/\/$/, ""))) : null;
  if (shard !== null) return shard;
  throw new ForemapError("BAD_REQUEST", `\`prefix\` must name at least ${hubs.depth} components of keys`);
}

/** The figures of the hub, where there is one hub only; null where it does not answer. */
export async function hubStats(exchange: Exchange): Promise<unknown> {
  const { hubs } = exchange.isolate;
  if (hubs === null || hubs.depth > 0) return null;
  exchange.subrequests.take();
  return hubs.ask("", "/v1/stats").then((answer) => answer.json(), () => null);
}

/** As with changes: what a function decides about named keys says nothing about those of others. */
async function requireRead(grant: Grant): Promise<void> {
  const may = grant.relayed ? grant.may("get") : await grant.allows("get", "");
  if (!may) throw new ForemapError("FORBIDDEN", "`get` is not allowed here");
}

/** A hub's answer, as it is: the runtime hands on what is encoded, or encodes it anew. */
function through(answer: Response): Response {
  const headers = new Headers(answer.headers);
  headers.delete("content-length");
  return new Response([204, 304].includes(answer.status) ? null : answer.body, { status: answer.status, headers });
}

/** A gateway's answer, which was decoded on its way, in the encoding that its tag is of. */
function encoded(answer: RawAnswer, encoding: string, exchange: Exchange): Response {
  const headers = new Headers();
  for (const name of ["cache-control", "content-type", "etag", "retry-after", "vary"]) {
    const value = answer.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  if ([204, 304].includes(answer.status)) return new Response(null, { status: answer.status, headers });
  // Other runtimes send bytes as they are, whatever the header says.
  if (answer.status === 200 && encoding !== "" && exchange.isolate.platform.encodes) headers.set("content-encoding", encoding);
  return new Response(answer.body, { status: answer.status, headers });
}

