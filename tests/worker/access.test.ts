import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "foremap";
import { createWorker, type WorkerOptions } from "foremap/worker";
import { gatewayCommand, startGateway, type Gateway } from "../support/gateway.js";
import { startWorker, type Worker } from "../support/worker.js";

const SECRET = "0123456789abcdef0123456789abcdef";
let folder: string;
let keyFile: string;
let gateway: Gateway;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "foremap-"));
  keyFile = join(folder, "key");
  await writeFile(keyFile, SECRET, { mode: 0o600 });
  gateway = await startGateway(1, "--token-key", keyFile);
  using writer = createClient({ origins: gateway.origins, token: await token("put") });
  await writer.put("open/a", { locator: "a" });
  await writer.put("shut/a", { locator: "a" });
});
afterAll(async () => {
  await gateway?.stop();
  await rm(folder, { recursive: true, force: true });
});

const token = (verbs: string, ...prefixes: string[]) =>
  gatewayCommand("token", "--key", keyFile, "--verbs", verbs, ...(prefixes.length > 0 ? prefixes : [""]).map((p) => `--prefix=${p}`));
const bearer = (value: string) => ({ headers: { authorization: `Bearer ${value}` } });
const get = (worker: Worker, key: string, init?: RequestInit) => worker.fetch(`/v1/keymap?key=${key}`, init);

describe("tokenKey", () => {
  let worker: Worker;
  beforeAll(async () => {
    const bindings = { ORIGINS: gateway.origins, TOKEN: await token("get"), KEY: `${SECRET}\n` };
    worker = await startWorker("(env) => ({ origins: env.ORIGINS, token: env.TOKEN, tokenKey: env.KEY })", bindings);
  });
  afterAll(() => worker?.stop());

  test("a gateway's token opens what it covers, cached or not, and nothing else", async () => {
    const init = bearer(await token("get", "open"));
    expect((await get(worker, "open/a", init)).status).toBe(200);
    expect((await get(worker, "open/a", init)).headers.get("foremap-source")).toBe("cache");
    expect((await get(worker, "shut/a", init)).status).toBe(403);
    expect((await get(worker, "opening/a", init)).status).toBe(403);
    expect((await worker.fetch("/v1/list?prefix=open", init)).status).toBe(403);
    expect((await worker.fetch("/v1/stats", init)).status).toBe(403);
    const batch = { method: "POST", body: JSON.stringify({ items: [{ key: "open/a" }, { key: "shut/a" }] }) };
    const answer = await worker.fetch("/v1/batch", {
      ...batch,
      headers: { ...init.headers, "content-type": "application/json" },
    });
    expect(await answer.json()).toMatchObject({ results: [{ outcome: "found" }, { outcome: "error", code: "FORBIDDEN" }] });
  });

  test("without, with an expired, forged or unsigned token nothing is told, not even from the cache", async () => {
    const claims = { verbs: ["get"], prefixes: [""] };
    const sign = (secret: string, exp: number) =>
      new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).setExpirationTime(exp).sign(new TextEncoder().encode(secret));
    const now = Math.floor(Date.now() / 1000);
    const unsigned = `${btoa('{"alg":"none"}')}.${btoa(JSON.stringify({ ...claims, exp: now + 60 }))}.`;
    const eternal = await new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(SECRET));
    const slash = await new SignJWT({ verbs: ["get"], prefixes: ["/"] })
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime(now + 60)
      .sign(new TextEncoder().encode(SECRET));
    const bad = [slash, await sign(SECRET, now - 60), await sign("x".repeat(32), now + 60), unsigned, eternal, "nonsense"];
    for (const init of [undefined, ...bad.map(bearer)]) {
      const answer = await get(worker, "open/a", init);
      expect(answer.status).toBe(401);
      expect(answer.headers.get("www-authenticate")).toBe("Bearer");
      expect(await answer.json()).toMatchObject({ code: "UNAUTHENTICATED" });
    }
    expect((await get(worker, "open/a", bearer(await sign(SECRET, now + 60)))).status).toBe(200);
  });

  test("the SDK with a token, through the worker", async () => {
    using client = createClient({ origins: [worker.origin], token: await token("get,put,list", "open") });
    await client.put("open/b", { locator: "b" });
    expect((await client.get("open/b"))?.keymap.locator).toBe("b");
    await expect(client.get("shut/a")).rejects.toMatchObject({ code: "FORBIDDEN" });
    await expect(client.put("shut/b", { locator: "b" })).rejects.toMatchObject({ code: "FORBIDDEN" });
  });
});

test("authorize decides by request and key, before the cache", async () => {
  const bindings = { ORIGINS: gateway.origins, TOKEN: await token("get,put") };
  const worker = await startWorker(
    `(env) => ({ origins: env.ORIGINS, token: env.TOKEN,
       authorize: async (request, key) => request.headers.get("x-user") === key.split("/")[0] })`,
    bindings,
  );
  try {
    const as = (user: string) => ({ headers: { "x-user": user } });
    expect((await get(worker, "open/a", as("open"))).status).toBe(200);
    expect((await get(worker, "open/a", as("shut"))).status).toBe(403);
    expect((await get(worker, "open/a")).status).toBe(403);
    // The map names prefixes and hot keys of everybody.
    expect((await worker.fetch("/v1/map", as("open"))).status).toBe(403);
    expect((await worker.fetch("/v1/map", as(""))).status).toBe(200);
    const write = { method: "PUT", body: '{"locator":"x"}' };
    const headers = { "content-type": "application/json" };
    expect((await get(worker, "open/c", { ...write, headers: { ...headers, "x-user": "open" } })).status).toBe(201);
    expect((await get(worker, "open/c", { ...write, headers })).status).toBe(403);
  } finally {
    await worker.stop();
  }
});

test("what authorize throws is for the log alone", async () => {
  const options = `(env) => ({ origins: env.ORIGINS, authorize: () => { throw new Error("password of the database"); } })`;
  const worker = await startWorker(options, { ORIGINS: gateway.origins });
  try {
    const one = await get(worker, "open/a");
    expect(one.status).toBe(500);
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: '{"items":[{"key":"open/a"}]}' };
    const texts = [await one.text(), await (await worker.fetch("/v1/batch", init)).text()];
    for (const text of texts) {
      expect(text).toContain("INTERNAL");
      expect(text).not.toContain("password");
    }
  } finally {
    await worker.stop();
  }
});

test("public lends nobody the worker's own right to write", async () => {
  const bindings = { ORIGINS: gateway.origins, TOKEN: await token("get,put,list") };
  const worker = await startWorker("(env) => ({ origins: env.ORIGINS, token: env.TOKEN, public: true })", bindings);
  try {
    expect((await get(worker, "open/a")).status).toBe(200);
    const headers = { "content-type": "application/json" };
    const write = { method: "PUT", headers, body: '{"locator":"x"}' };
    expect((await get(worker, "open/d", write)).status).toBe(401);
    const own = bearer(await token("put")).headers;
    expect((await get(worker, "open/d", { ...write, headers: { ...headers, ...own } })).status).toBe(201);
  } finally {
    await worker.stop();
  }
});

test("what is public is keymaps, not who asks for them when", async () => {
  const bindings = { ORIGINS: gateway.origins, TOKEN: await token("get") };
  const of = (more: string) => startWorker(`(env) => ({ origins: env.ORIGINS, token: env.TOKEN, public: true${more} })`, bindings);
  const workers = await Promise.all([of(""), of(", debug: true")]);
  try {
    const statuses = async (target: string) => Promise.all(workers.map(async (worker) => (await worker.fetch(target)).status));
    expect(await statuses("/v1/keymap?key=open/a")).toEqual([200, 200]);
    expect(await statuses("/v1/stats")).toEqual([403, 200]);
    expect(await statuses("/v1/explain?key=open/a")).toEqual([403, 200]);
  } finally {
    for (const worker of workers) await worker.stop();
  }
});

test.each([
  ["an operator of a part", "", "get,admin"],
  ["a caller of a worker for debugging", ", debug: true", "get"],
])("a prediction is told for keys that may be read: %s", async (_, more, verbs) => {
  const bindings = { ORIGINS: gateway.origins, TOKEN: await token("get"), KEY: SECRET };
  const worker = await startWorker(
    `(env) => ({ origins: env.ORIGINS, token: env.TOKEN, tokenKey: env.KEY, prefetch: { enabled: true }${more} })`,
    bindings,
  );
  try {
    const all = bearer(await token("get,admin"));
    const headers = { ...all.headers, "foremap-stream": "one" };
    // From one part to the other and back, often enough to be sure of it.
    for (let n = 0; n < 40; n += 1) await get(worker, n % 2 === 0 ? "open/a" : "shut/a", { headers });
    const next = async (init: RequestInit) => {
      const answer = await worker.fetch("/v1/explain?key=open/a", init);
      expect(answer.status).toBe(200);
      return ((await answer.json()) as { next: { key: string }[] }).next.map(({ key }) => key);
    };
    expect(await next(all)).toContain("shut/a");
    const part = bearer(await token(verbs, "open"));
    expect(await next(part)).not.toContain("shut/a");
    expect((await worker.fetch("/v1/explain?key=shut/a", part)).status).toBe(403);
  } finally {
    await worker.stop();
  }
});

const origins = ["https://gateway.example"];
test.each<[string, object]>([
  ["nobody decided who may ask", { origins }],
  ["two ways at once", { origins, public: true, tokenKey: SECRET }],
  ["public: false", { origins, public: false }],
  ["a short key", { origins, tokenKey: "short" }],
  ["a short second key", { origins, tokenKey: `${SECRET}\nshort` }],
  ["three keys", { origins, tokenKey: [SECRET, SECRET, SECRET].join("\n") }],
  ["a wildcard in cors", { origins, public: true, cors: ["*"] }],
  ["no origins", { origins: [], public: true }],
])("a worker refuses to start: %s", async (_, options) => {
  const config = expect.objectContaining({ code: "CONFIG" });
  expect(() => createWorker(options as WorkerOptions)).toThrow(config);
  const late = createWorker(() => options as WorkerOptions);
  const answer = await late.fetch(new Request("https://edge.example/v1/keymap?key=a"), {}, { waitUntil: () => undefined });
  expect(answer.status).toBe(500);
  expect(await answer.json()).toMatchObject({ code: "CONFIG" });
});
