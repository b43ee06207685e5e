import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient } from "foremap";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy, type Proxy } from "../support/proxy.js";
import { startWorker, type Worker } from "../support/worker.js";

const BINARY = "application/vnd.foremap.v1";
let gateway: Gateway;
let proxy: Proxy;
let worker: Worker;
let space = 0;

beforeAll(async () => {
  gateway = await startGateway(3, "--shifter", "off");
  proxy = await startProxy(gateway.origins[0] ?? "");
  worker = await startWorker("(env) => ({ origins: env.ORIGINS, public: true, debug: true, cors: ['https://app.example'] })", {
    ORIGINS: [proxy.origin],
  });
});
afterAll(async () => {
  await worker?.stop();
  await proxy?.stop();
  await gateway?.stop();
});
beforeEach(() => {
  space += 1;
  proxy.fault = () => undefined;
  proxy.seen.length = 0;
});

const path = (key: string) => `/v1/keymap?key=${encodeURIComponent(`w${space}/${key}`)}`;
const put = (key: string, body: unknown = { locator: key }, headers = {}) =>
  worker.fetch(path(key), {
    method: "PUT",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
const post = (body: BodyInit, type: string) =>
  worker.fetch("/v1/batch", { method: "POST", headers: { "content-type": type }, body });

test("a keymap, with what is known about the answer in its headers", async () => {
  using writer = createClient({ origins: gateway.origins });
  const { version } = await writer.put(`w${space}/a`, { locator: "a", meta: { x: [1] } });
  const first = await worker.fetch(path("a"));
  expect(first.status).toBe(200);
  expect(await first.json()).toEqual({ key: `w${space}/a`, version, locator: "a", meta: { x: [1] } });
  const headers = Object.fromEntries(first.headers);
  expect(headers).toMatchObject({
    etag: `"${version}"`,
    "foremap-source": "network",
    "foremap-version": String(version),
    "foremap-age": expect.stringMatching(/^\d+$/),
    "foremap-position": expect.stringMatching(/^\d+:\d+$/),
    "foremap-epoch": expect.stringMatching(/^\d+\.1$/),
    "foremap-node": expect.stringMatching(/^[123]$/),
    "foremap-partition": expect.stringMatching(/^\d+$/),
    "server-timing": expect.stringContaining("network"),
  });
  const second = await worker.fetch(path("a"), { headers: { "if-none-match": `"${version}"` } });
  expect([second.status, await second.text()]).toEqual([304, ""]);
  expect(second.headers.get("foremap-source")).toBe("cache");
});

test("a write through the worker is seen by the next read through it", async () => {
  const written = await put("w", { locator: "w", meta: { x: [1] } });
  expect(written.status).toBe(201);
  const first = await worker.fetch(path("w"));
  expect(first.headers.get("foremap-source")).toBe("cache");
  expect(await first.json()).toMatchObject({ locator: "w", meta: { x: [1] } });
  for (let i = 0; i < 10; i += 1) {
    const { version } = (await (await put("w", { locator: `l${i}` })).json()) as { version: number };
    expect(await (await worker.fetch(path("w"))).json()).toMatchObject({ version, locator: `l${i}` });
  }
  expect((await worker.fetch(path("w"), { method: "DELETE" })).status).toBe(200);
  expect((await worker.fetch(path("w"))).status).toBe(404);
  expect((await put("w", { locator: "x" }, { "if-match": '"1"' })).status).toBe(412);
});

test("list, versions, one version and map", async () => {
  const { version } = (await (await put("l/1")).json()) as { version: number };
  await put("l/2");
  const list = await (await worker.fetch(`/v1/list?prefix=w${space}/l&limit=1`)).json();
  expect(list).toMatchObject({ items: [{ key: `w${space}/l/1` }], next: expect.any(String) });
  const key = encodeURIComponent(`w${space}/l/1`);
  expect(await (await worker.fetch(`/v1/versions?key=${key}`)).json()).toMatchObject({ items: [{ version }] });
  expect(await (await worker.fetch(`/v1/keymap?key=${key}&version=${version}`)).json()).toMatchObject({ version });
  const map = await worker.fetch("/v1/map");
  expect(await map.json()).toMatchObject({ epoch: { incarnation: expect.any(Number), number: 1 } });
  const again = await worker.fetch("/v1/map", { headers: { "if-none-match": map.headers.get("etag") ?? "" } });
  expect(again.status).toBe(304);
});

test("a JSON batch answers every key in order", async () => {
  await put("b");
  const items = [{ key: `w${space}/none` }, { key: `w${space}/b` }];
  const answer = await post(JSON.stringify({ items }), "application/json");
  const { results } = (await answer.json()) as { results: { keymap?: { version: number } }[] };
  expect(results).toMatchObject([{ outcome: "missing" }, { outcome: "found", keymap: { key: `w${space}/b` } }]);
  const held = { key: `w${space}/b`, if_version: results[1]?.keymap?.version };
  const second = await post(JSON.stringify({ items: [held], consistency: "strong" }), "application/json");
  expect(await second.json()).toMatchObject({ results: [{ outcome: "unchanged", version: held.if_version }] });
});

test("the SDK works through the worker as through a gateway", async () => {
  using client = createClient({ origins: [worker.origin] });
  for (let i = 0; i < 5; i += 1) {
    const { version } = await client.put(["sdk", space, i], { locator: `${i}`, meta: { i } });
    expect((await client.get(["sdk", space, i]))?.keymap).toMatchObject({ version, meta: { i } });
  }
  const many = await client.getMany([["sdk", space, 3], ["sdk", space, "none"], ["sdk", space, 1]]);
  expect(many).toMatchObject([{ keymap: { locator: "3" } }, null, { keymap: { locator: "1" } }]);
  const listed: string[] = [];
  for await (const keymap of client.list(["sdk", space], { limit: 2 })) listed.push(keymap.locator);
  expect(listed).toEqual(["0", "1", "2", "3", "4"]);
  expect(client.explain(["sdk", space, 0])).toMatchObject({ epoch: { number: 1 }, node: expect.any(Number) });
  expect(client.stats().core).toMatchObject({ mapErrors: 0, failed: 0 });
});

test("a client's floor is kept although the worker has an older answer in its cache", async () => {
  await put("floor");
  await worker.fetch(path("floor"));
  // Written past the worker, whose cache still holds the version before.
  const straight = createClient({ origins: gateway.origins });
  const { version } = await straight.put(`w${space}/floor`, { locator: "new" });
  straight.close();
  const { position, shard } = { position: version, shard: await shardOf(`w${space}/floor`) };
  const body = JSON.stringify({ items: [{ key: `w${space}/floor` }], floors: [{ shard, position }] });
  const answer = await post(body, "application/json");
  expect(await answer.json()).toMatchObject({ results: [{ outcome: "found", keymap: { version, locator: "new" } }] });
});

async function shardOf(key: string): Promise<number> {
  const body = (await (await worker.fetch(`/v1/explain?key=${encodeURIComponent(key)}`)).json()) as { shard: number };
  return body.shard;
}

test("health and figures", async () => {
  expect(await (await worker.fetch("/healthz")).json()).toEqual({ status: "ok", panics: 0 });
  await worker.fetch(path("s"));
  const stats = await (await worker.fetch("/v1/stats")).json();
  expect(stats).toMatchObject({ requests: expect.any(Number), cache: {}, prefetch: { issued: expect.any(Number) } });
  expect(await (await worker.fetch(`/v1/explain?key=w${space}/s`)).json()).toMatchObject({ cached: "negative", next: [] });
});

test("gateway trouble becomes problem details", async () => {
  proxy.fault = () => ({ status: 503, headers: { "retry-after": "0" } });
  const answer = await worker.fetch(path("trouble"));
  expect(answer.status).toBeGreaterThanOrEqual(502);
  expect(await answer.json()).toMatchObject({ code: expect.stringMatching(/UNAVAILABLE|NETWORK/) });
  proxy.fault = () => undefined;
  await expect.poll(async () => (await worker.fetch(path("trouble"))).status, { timeout: 10_000 }).toBe(404);
});

const long = "k".repeat(2000);
const many = JSON.stringify({ items: Array.from({ length: 257 }, (_, i) => ({ key: `k${i}` })) });
const bad: [string, string, RequestInit, number, string][] = [
  ["no key", "/v1/keymap", {}, 400, "BAD_REQUEST"],
  ["empty key", "/v1/keymap?key=", {}, 400, "BAD_KEY"],
  ["empty component", "/v1/keymap?key=a//b", {}, 400, "BAD_KEY"],
  ["dot component", "/v1/keymap?key=a/../b", {}, 400, "BAD_KEY"],
  ["bad escape", "/v1/keymap?key=a%25zz", {}, 400, "BAD_KEY"],
  ["key that is no UTF-8", "/v1/keymap?key=%ff", {}, 400, "BAD_KEY"],
  ["key twice", "/v1/keymap?key=a&key=b", {}, 400, "BAD_REQUEST"],
  ["long key", `/v1/keymap?key=${long}`, {}, 400, "BAD_KEY"],
  ["bad consistency", "/v1/keymap?key=a&consistency=exact", {}, 400, "BAD_REQUEST"],
  ["bad staleness", "/v1/keymap?key=a&max_staleness_ms=-1", {}, 400, "BAD_REQUEST"],
  ["bad prefix", "/v1/list?prefix=a//b", {}, 400, "BAD_KEY"],
  ["bad limit", "/v1/list?limit=0", {}, 400, "BAD_REQUEST"],
  ["unknown route", "/v1/nothing", {}, 404, "NO_ROUTE"],
  ["model of no size", "/v1/model?bytes=1", {}, 400, "BAD_REQUEST"],
  ["wrong method", "/v1/keymap?key=a", { method: "POST", body: "x" }, 405, "METHOD_NOT_ALLOWED"],
  ["batch by GET", "/v1/batch", {}, 405, "METHOD_NOT_ALLOWED"],
  ["batch of another type", "/v1/batch", json("{}", "text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE"],
  ["batch that is no JSON", "/v1/batch", json("{"), 400, "BAD_REQUEST"],
  ["batch without an object", "/v1/batch", json("7"), 400, "BAD_REQUEST"],
  ["batch that is an array", "/v1/batch", json("[]"), 400, "BAD_REQUEST"],
  ["items that are no array", "/v1/batch", json('{"items":{}}'), 400, "BAD_REQUEST"],
  ["item without key", "/v1/batch", json('{"items":[{}]}'), 400, "BAD_REQUEST"],
  ["item with a bad key", "/v1/batch", json('{"items":[{"key":"a//b"}]}'), 400, "BAD_KEY"],
  ["negative staleness", "/v1/batch", json('{"items":[{"key":"a"}],"max_staleness_ms":-5}'), 400, "BAD_REQUEST"],
  ["half a version", "/v1/batch", json('{"items":[{"key":"a","if_version":1.5}]}'), 400, "BAD_REQUEST"],
  ["unknown class", "/v1/batch", json('{"items":[{"key":"a","class":"urgent"}]}'), 400, "BAD_REQUEST"],
  ["floor that is no number", "/v1/batch", json('{"items":[],"floors":[{"shard":0,"position":"1"}]}'), 400, "BAD_REQUEST"],
  ["floor of no shard", "/v1/batch", json('{"items":[],"floors":[{"shard":65536,"position":1}]}'), 400, "BAD_REQUEST"],
  ["too many keys", "/v1/batch", json(many), 400, "TOO_MANY_KEYS"],
  ["malformed binary", "/v1/batch", json("FMBQ\u0001\u0002", BINARY), 400, "BAD_REQUEST"],
  ["body over the limit", "/v1/batch", json("x".repeat((1 << 20) + 1)), 413, "BODY_TOO_LARGE"],
  ["write that is no JSON", "/v1/keymap?key=a", { ...json("{"), method: "PUT" }, 400, "BAD_REQUEST"],
  ["write of another type", "/v1/keymap?key=a", { ...json("a", "text/plain"), method: "PUT" }, 415, "UNSUPPORTED_MEDIA_TYPE"],
];

function json(body: string, type = "application/json"): RequestInit {
  return { method: "POST", headers: { "content-type": type }, body };
}

test.each(bad)("%s", async (_, target, init, status, code) => {
  const answer = await worker.fetch(target, init);
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  const problem = (await answer.json()) as { limit?: number };
  expect(problem).toMatchObject({ type: "about:blank", title: expect.any(String), status, code, detail: expect.any(String) });
  expect(answer.status).toBe(status);
  if (code === "TOO_MANY_KEYS") expect(problem.limit).toBe(256);
  if (code === "BODY_TOO_LARGE") expect(problem.limit).toBe(1 << 20);
  expect((await worker.fetch("/healthz")).status).toBe(200);
});

test("CORS is an explicit list", async () => {
  const preflight = (origin: string) =>
    worker.fetch("/v1/keymap?key=a", { method: "OPTIONS", headers: { origin, "access-control-request-method": "PUT" } });
  const allowed = await preflight("https://app.example");
  expect(allowed.status).toBe(204);
  expect(allowed.headers.get("access-control-allow-origin")).toBe("https://app.example");
  expect(allowed.headers.get("access-control-max-age")).toBe("7200");
  expect((await preflight("https://evil.example")).headers.get("access-control-allow-origin")).toBeNull();
  const answer = await worker.fetch(path("c"), { headers: { origin: "https://app.example" } });
  expect(answer.headers.get("access-control-expose-headers")).toContain("foremap-source");
});
