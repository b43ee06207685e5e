import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient, type ForemapClient } from "foremap";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy, type Proxy } from "../support/proxy.js";

let gateway: Gateway;
let proxy: Proxy;
let client: ForemapClient;
let space = 0;

beforeAll(async () => {
  gateway = await startGateway(3);
  proxy = await startProxy(gateway.origins[0] ?? "");
});
afterAll(async () => {
  await proxy?.stop();
  await gateway?.stop();
});
beforeEach(() => {
  client?.close();
  space += 1;
  proxy.seen.length = 0;
  proxy.fault = () => undefined;
  // One origin, so that the proxy sees every request.
  client = createClient({ origins: [proxy.origin], prefetch: false });
});

const key = (...rest: (string | number)[]) => [`test${space}`, ...rest];
const batches = () => proxy.seen.filter((path) => path === "/v1/batch").length;

test("what is written is read, with all its fields", async () => {
  const fields = { locator: "s3://b/o", size: 12, etag: "e", tags: ["t"], meta: { a: [1, null, "ü", { b: true }] } };
  const { version } = await client.put(key("a", 1), fields);
  expect(version).toBeGreaterThan(0);
  const keymap = { key: `test${space}/a/1`, version, ...fields };
  // What this client wrote it need not ask for.
  expect(await client.get(key("a", 1))).toMatchObject({ keymap, source: "cache", stale: false });
  using other = createClient({ origins: [proxy.origin], bookmark: client.bookmark() });
  expect(await other.get(key("a", 1))).toMatchObject({ keymap, source: "network", stale: false });
  expect((await other.get(key("a", 1)))?.source).toBe("cache");
  expect(await client.get(key("missing"))).toBeNull();
});

test("a session reads its own writes, through whichever node", async () => {
  using session = createClient({ origins: gateway.origins });
  for (let i = 0; i < 20; i += 1) {
    const { version } = await session.put(key("own"), { locator: `l${i}` });
    expect((await session.get(key("own")))?.keymap).toMatchObject({ version, locator: `l${i}` });
  }
  await session.delete(key("own"));
  expect(await session.get(key("own"))).toBeNull();
});

test("gets of one turn share a batch, the same key even a fetch", async () => {
  await client.put(key("one"), { locator: "1" });
  await client.put(key("two"), { locator: "2" });
  client.clear();
  const before = batches();
  const results = await Promise.all([client.get(key("one")), client.get(key("two")), client.get(key("one"))]);
  expect(results.map((result) => result?.keymap.locator)).toEqual(["1", "2", "1"]);
  expect(batches() - before).toBe(1);
});

test("getMany keeps the order and fails per key", async () => {
  await client.put(key("x"), { locator: "x" });
  const results = await client.getMany([key("none"), "", key("x")]);
  expect(results[0]).toBeNull();
  expect(results[1]).toMatchObject({ code: "BAD_KEY" });
  expect(results[2]).toMatchObject({ keymap: { locator: "x" } });
  expect(await client.getMany([])).toEqual([]);
});

test("more keys than one batch holds", async () => {
  const keys = Array.from({ length: 600 }, (_, i) => key("many", i));
  await client.put(key("many", 599), { locator: "last" });
  const results = await client.getMany(keys);
  expect(results).toHaveLength(600);
  expect(results.slice(0, 599).every((result) => result === null)).toBe(true);
  expect(results[599]).toMatchObject({ keymap: { locator: "last" } });
});

test("list goes through all pages in key order, whole components only", async () => {
  for (const name of ["p/b", "p/a", "p/c", "p", "pp/x"]) await client.put(`test${space}/${name}`, { locator: name });
  const seen: string[] = [];
  for await (const keymap of client.list(key("p"), { limit: 2 })) seen.push(keymap.locator);
  expect(seen).toEqual(["p", "p/a", "p/b", "p/c"]);
});

test("conditional writes, versions and deletion of an old one", async () => {
  const first = await client.put(key("v"), { locator: "1" }, { ifVersion: 0 });
  await expect(client.put(key("v"), { locator: "x" }, { ifVersion: 0 })).rejects.toMatchObject({
    code: "VERSION_CONFLICT",
    retryable: false,
  });
  const second = await client.put(key("v"), { locator: "2" }, { ifVersion: first.version });
  await expect(client.delete(key("v"), { ifVersion: first.version })).rejects.toMatchObject({ code: "VERSION_CONFLICT" });
  const third = await client.delete(key("v"), { ifVersion: second.version });
  expect((await client.versions(key("v"))).map(({ version, deleted }) => [version, deleted])).toEqual([
    [third.version, true],
    [second.version, false],
    [first.version, false],
  ]);
  await client.delete(key("v"), { version: first.version });
  expect((await client.versions(key("v"))).map(({ version }) => version)).toEqual([third.version, second.version]);
  await expect(client.delete(key("nothing"))).rejects.toMatchObject({ code: "NOT_FOUND" });
});

test("bad fields name the limit", async () => {
  await expect(client.put(key("f"), { locator: "" })).rejects.toMatchObject({ code: "BAD_REQUEST" });
  await expect(client.put(key("f"), { locator: "x".repeat(5000) })).rejects.toThrow(/4,?096/);
});

test("peek, invalidate by key, prefix, tag and all", async () => {
  const load = async () => {
    await client.put(key("i", "a"), { locator: "a", tags: ["red"] });
    await client.put(key("i", "b"), { locator: "b" });
    await client.getMany([key("i", "a"), key("i", "b")]);
    expect(client.peek(key("i", "a"))).toMatchObject({ keymap: { locator: "a" }, source: "cache" });
  };
  await load();
  expect(client.invalidate({ key: key("i", "a") })).toBe(1);
  expect(client.peek(key("i", "a"))).toBeNull();
  await load();
  expect(client.invalidate({ tag: "red" })).toBe(1);
  expect(client.peek(key("i", "b"))).not.toBeNull();
  await load();
  expect(client.invalidate({ prefix: key("i") })).toBe(2);
  await load();
  expect(client.invalidate({ all: true })).toBeGreaterThanOrEqual(2);
  expect(client.peek(key("i", "b"))).toBeNull();
});

test("prefetched keys are answered from the cache", async () => {
  using ahead = createClient({ origins: [proxy.origin] });
  await client.put(key("ahead"), { locator: "soon" });
  await ahead.prefetch([key("ahead")]);
  await expect.poll(() => ahead.peek(key("ahead"))?.keymap.locator).toBe("soon");
  expect((await ahead.get(key("ahead")))?.source).toBe("cache");
});

test("a repeated sequence is learnt and fetched ahead", async () => {
  using reader = createClient({ origins: [proxy.origin], cache: { maxEntries: 40 }, prefetch: { wasteBudget: 1 } });
  const names = ["cart", "address", "payment", "receipt"];
  for (let user = 0; user < 12; user += 1) {
    for (const name of names) await client.put(key("learn", name, user % 2), { locator: name });
  }
  for (let round = 0; round < 20; round += 1) {
    reader.invalidate({ all: true });
    for (const name of names) {
      await reader.get(key("learn", name, 0));
      await new Promise((done) => setTimeout(done, 15));
    }
  }
  // On a slow machine what is two steps ahead comes first: only that would arrive in time.
  const predicted = reader.predictions(key("learn", "cart", 0)).map((prediction) => prediction.key);
  expect(predicted).toContain(`test${space}/learn/address/0`);
  const stats = reader.stats().core as { prefetch: { issued: number; used: number } };
  expect(stats.prefetch.issued).toBeGreaterThan(0);
  expect(stats.prefetch.used).toBeGreaterThan(0);
});

test("explain tells placement and cache state", async () => {
  expect(client.explain(key("e"))).toBeNull();
  await client.put(key("e"), { locator: "e" });
  client.clear();
  await client.get(key("e"));
  expect(client.explain(key("e"))).toMatchObject({ key: `test${space}/e`, cached: "fresh", node: expect.any(Number) });
});

test("events tell of answers, requests and responses; a throwing listener stops nothing", async () => {
  const seen: string[] = [];
  const stop = client.on("answer", ({ source, found }) => seen.push(`${source} ${found}`));
  client.on("answer", () => {
    throw new Error("listener");
  });
  client.on("response", ({ status, prefetch }) => seen.push(`${status} ${prefetch}`));
  await client.get(key("ev"));
  stop();
  await client.get(key("ev"));
  expect(seen).toEqual(["200 false", "null false"]);
});

test("close rejects what waits, may be repeated, and ends the client", async () => {
  await client.get(key("warm"));
  proxy.fault = () => "hang";
  const waiting = expect(client.get(key("c"))).rejects.toMatchObject({ code: "CLOSED" });
  await expect.poll(() => client.stats().open).toBe(1);
  client.close();
  client.close();
  await waiting;
  expect(client.stats().state).toBe("closed");
  await expect(client.get(key("c"))).rejects.toMatchObject({ code: "CLOSED" });
  expect(() => client.peek(key("c"))).toThrow(expect.objectContaining({ code: "CLOSED" }));
});

test("a client closed at any moment of a call rejects it with CLOSED", async () => {
  const closed = { code: "CLOSED" };
  // While wasm is loading; and afterwards, when the load has ended.
  const cold = createClient({ origins: gateway.origins });
  const waiting = expect(cold.get("close/a")).rejects.toMatchObject(closed);
  cold.close();
  await waiting;
  await expect(cold.get("close/a")).rejects.toMatchObject(closed);
  // In the same turn as the call.
  const warm = createClient({ origins: gateway.origins });
  await warm.get("close/a");
  const calls = [warm.listPage("close"), warm.versions("close/a"), warm.put("close/a", { locator: "x" }), warm.get("close/b")];
  warm.close();
  for (const call of await Promise.allSettled(calls)) expect(call).toMatchObject({ status: "rejected", reason: closed });
});

test("a meta that is not JSON is BAD_REQUEST", async () => {
  const circle: { [name: string]: unknown } = {};
  circle.self = circle;
  for (const meta of [circle, 1n]) {
    await expect(client.put("bad/meta", { locator: "x", meta: meta as never })).rejects.toMatchObject({ code: "BAD_REQUEST" });
  }
});
