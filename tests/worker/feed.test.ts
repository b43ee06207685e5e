import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SignJWT } from "jose";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient } from "foremap";
import { loadInlined } from "../../js/entry/inline.js";
import { encodeFrame, opening, type ServedFeed } from "../support/feed.js";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy, type Proxy } from "../support/proxy.js";
import { startWorker, type Worker } from "../support/worker.js";

const BINARY = "application/vnd.foremap.v1";
const SECRET = "0123456789abcdef0123456789abcdef";

let gateway: Gateway;
let proxy: Proxy;
let worker: Worker;
let locked: Worker;
let space = 0;

beforeAll(async () => {
  gateway = await startGateway(1);
  proxy = await startProxy(gateway.origins[0] ?? "");
  const bindings = { ORIGINS: [proxy.origin], KEY: SECRET };
  worker = await startWorker("(env) => ({ origins: env.ORIGINS, public: true, token: 'own', cors: ['https://app.example'] })", bindings);
  locked = await startWorker("(env) => ({ origins: env.ORIGINS, tokenKey: env.KEY, token: 'own' })", bindings);
});
afterAll(async () => {
  await locked?.stop();
  await worker?.stop();
  await proxy?.stop();
  await gateway?.stop();
});
beforeEach(() => {
  space += 1;
  proxy.feeds.length = 0;
  proxy.seen.length = 0;
  proxy.requests.length = 0;
  proxy.fault = ({ url }) => (url?.startsWith("/v1/changes") === true ? "feed" : undefined);
});
afterEach(() => proxy.feeds.forEach((feed) => feed.end()));

const key = (name: string) => `wf${space}/${name}`;
const post = (at: Worker, headers = {}) =>
  at.fetch("/v1/changes", { method: "POST", headers: { "content-type": BINARY, accept: BINARY, ...headers }, body: "asked" });
const token = (...verbs: string[]) =>
  new SignJWT({ verbs, prefixes: ["wf"] })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(SECRET));

async function opened(count = 1): Promise<ServedFeed> {
  await expect.poll(() => proxy.feeds.length).toBe(count);
  return proxy.feeds[count - 1] as ServedFeed;
}

test("a feed is the gateway's own bytes, as they arrive", async () => {
  const answer = await post(worker, { origin: "https://app.example" });
  const feed = await opened();
  expect(Buffer.from(feed.body).toString()).toBe("asked");
  expect(feed.headers).toMatchObject({ authorization: "Bearer own", "content-type": BINARY, accept: BINARY });
  expect(answer.status).toBe(200);
  expect(Object.fromEntries(answer.headers)).toMatchObject({
    "content-type": BINARY,
    "cache-control": "no-store",
    "access-control-allow-origin": "https://app.example",
  });
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  for (const chunk of [opening(), encodeFrame({ number: 1 }), Uint8Array.of(0xff, 0)]) {
    feed.write(chunk);
    const read: number[] = [];
    while (read.length < chunk.byteLength) read.push(...((await reader.read()).value ?? []));
    expect(read).toEqual([...chunk]);
  }
  feed.end();
  expect((await reader.read()).done).toBe(true);
});

test("events for other readers go the same way", async () => {
  const answer = await worker.fetch("/v1/changes?shards=1", { headers: { accept: "text/event-stream", "last-event-id": "7" } });
  const feed = await opened();
  expect(feed.headers).toMatchObject({ accept: "text/event-stream", "last-event-id": "7" });
  expect(proxy.seen).toContain("/v1/changes?shards=1");
  feed.write(new TextEncoder().encode(": beat\n\n"));
  feed.end();
  expect(await answer.text()).toBe(": beat\n\n");
});

test("a reader that leaves is noticed with the gateway's next word", async () => {
  const controller = new AbortController();
  const answer = await worker.fetch("/v1/changes", { method: "POST", body: "asked", signal: controller.signal });
  const feed = await opened();
  feed.write(opening());
  await (answer.body as ReadableStream<Uint8Array>).getReader().read();
  controller.abort();
  const gone = () => {
    if (!feed.isClosed) feed.write(encodeFrame({ number: 1 }));
    return feed.isClosed;
  };
  await expect.poll(gone).toBe(true);
  expect((await worker.fetch("/healthz")).status).toBe(200);
});

test("what the gateway refuses is refused", async () => {
  proxy.fault = () => ({ status: 429, headers: { "retry-after": "3", "content-type": "application/problem+json" }, body: "{}" });
  const answer = await post(worker);
  expect([answer.status, answer.headers.get("retry-after"), await answer.text()]).toEqual([429, "3", "{}"]);
});

test("a token opens a feed as the caller's own; without the verb, or where a function decides, there is none", async () => {
  const reader = await token("get");
  const answer = await post(locked, { authorization: `Bearer ${reader}` });
  expect(answer.status).toBe(200);
  expect((await opened()).headers.authorization).toBe(`Bearer ${reader}`);
  await answer.body?.cancel();
  expect((await post(locked)).status).toBe(401);
  expect((await post(locked, { authorization: `Bearer ${await token("put", "list")}` })).status).toBe(403);
  const deciding = await startWorker("(env) => ({ origins: env.ORIGINS, authorize: () => true })", { ORIGINS: [proxy.origin] });
  try {
    expect(await (await post(deciding)).json()).toMatchObject({ code: "FORBIDDEN" });
  } finally {
    await deciding.stop();
  }
  expect(proxy.feeds).toHaveLength(1);
  expect((await worker.fetch("/v1/changes", { method: "PUT", body: "" })).status).toBe(405);
});

test("a client follows changes through the worker, and what the worker answers joins its feed", async () => {
  using writer = createClient({ origins: gateway.origins, feed: false });
  await writer.put(key("a"), { locator: "old" });
  await writer.put(key("b"), { locator: "b" });
  using client = createClient({ origins: [worker.origin], maxStaleness: 400, prefetch: false });
  // A feed is held for as long as anything is cached.
  await client.getMany([key("a"), key("stays")]);
  const feed = await opened();
  feed.write(opening());
  await expect.poll(() => client.stats().core).toMatchObject({ feed: { open: true } });
  const long = { maxStaleness: 60_000 };
  const { version } = await writer.put(key("a"), { locator: "new" });
  const { shard } = client.explain(key("a")) as { shard: number };
  feed.write(encodeFrame({ number: 1, changes: [{ shard, version, key: key("a") }] }));
  await expect.poll(() => client.peek(key("a"), long)).toBeNull();
  // Nothing of the feed's own steps has been told, so every shard is news to it.
  proxy.seen.length = 0;
  proxy.requests.length = 0;
  expect((await client.get(key("b"), long))?.keymap.locator).toBe("b");
  const { at } = (await (await worker.fetch("/v1/batch", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ items: [{ key: key("b") }] }),
  })).json() as { results: [{ at: { shard: number; position: number } }] }).results[0];
  const { decodeBatch, extendFeed } = (await loadInlined())();
  // Of the batches without keys that name the feed, one follows the shard of the answer.
  const follows = () =>
    proxy.requests.filter(({ body, headers }) => {
      if (headers["content-type"] !== BINARY || body.byteLength === 0) return false;
      if (Buffer.from(body).subarray(0, 4).toString() !== Buffer.from(feed.body).subarray(0, 4).toString()) return false;
      if (decodeBatch(body).items.length > 0) return false;
      const named = extendFeed(body, Float64Array.of(60_000, 1)) !== undefined;
      return named && extendFeed(body, Float64Array.of(at.shard, at.position)) === undefined;
    }).length;
  await expect.poll(follows).toBe(1);
});

test("a page of a list comes in the form that was asked for", async () => {
  const golden = JSON.parse(readFileSync(join(import.meta.dirname, "../golden/feeds.json"), "utf8"));
  const [page] = golden.pages as [{ binary: string }];
  proxy.fault = ({ url, headers }) =>
    url?.startsWith("/v1/list") === true && headers.accept?.startsWith(BINARY) === true
      ? { status: 200, headers: { "content-type": BINARY }, body: Buffer.from(page.binary, "hex") }
      : undefined;
  const answer = await worker.fetch("/v1/list?prefix=user", { headers: { accept: `${BINARY}, application/json;q=0.5` } });
  expect(answer.headers.get("content-type")).toBe(BINARY);
  expect(Buffer.from(await answer.arrayBuffer()).toString("hex")).toBe(page.binary);
  using client = createClient({ origins: [worker.origin], feed: false });
  expect((await client.listPage("user")).keymaps.map((keymap) => keymap.key)).toContain("user/1");
  expect(await (await worker.fetch("/v1/list?prefix=user")).json()).toMatchObject({ items: [] });
});
