import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createClient } from "foremap";
import { startEdge, type Edge } from "../support/edge.js";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy, type Proxy } from "../support/proxy.js";
import { summary } from "../support/summary.js";
import { startWorker, type Worker } from "../support/worker.js";

const BINARY = "application/vnd.foremap.v1";
const PUBLIC = "(env) => ({ origins: env.ORIGINS, public: true, debug: true, hub: env.HUB, maxStaleness: 60_000 })";
const QUICK = "class Hub extends AnalyzerHub { options() { return { clients: 2, every: 400 }; } }";
const SHOP = Array.from({ length: 150 }, (_, i) => `shop/${(i * 7919) % 1009}/${["page", "icon", "price"][i % 3]}`);

let gateway: Gateway;
let proxy: Proxy;
let edge: Edge | undefined;
beforeAll(async () => {
  gateway = await startGateway(1, "--share-clients", "1", "--share-every", "1s");
  proxy = await startProxy(gateway.origins[0] ?? "");
  using client = createClient({ origins: gateway.origins });
  for (const key of [...SHOP, "diary/1", "diary/2"]) await client.put(key, { locator: key });
});
afterAll(async () => {
  await proxy?.stop();
  await gateway?.stop();
});
afterEach(async () => {
  proxy.fault = () => undefined;
  await edge?.stop();
  edge = undefined;
});

const read = (worker: Worker | undefined, client: number, keys: string[]) =>
  worker?.fetch("/v1/batch", {
    method: "POST",
    headers: { "content-type": "application/json", "cf-connecting-ip": `192.0.2.${client}`, "foremap-stream": `c${client}` },
    body: JSON.stringify({ items: keys.map((key) => ({ key })) }),
  });

/** Batches that told the gateway what led to them. */
const followed = async () =>
  /^foremap_batches_followed_total\{.*\} (\d+)$/m.exec(await (await fetch(`${proxy.origin}/metrics`)).text())?.[1];

const modelOf = async (worker: Worker | undefined) => {
  const answer = await worker?.fetch("/v1/model?bytes=262144");
  return answer?.status === 200 ? Buffer.from(await answer.arrayBuffer()).toString("latin1") : "";
};

test("what an isolate's clients ask for is told for each of them, and another isolate has it ahead", async () => {
  const persist = await mkdtemp(join(tmpdir(), "foremap-hub-"));
  const spec = { bindings: { ORIGINS: [proxy.origin] }, hub: QUICK, persist };
  edge = await startEdge({ ...spec, workers: [PUBLIC, PUBLIC] });
  const [first, second] = edge.workers;
  for (const client of [1, 2]) expect((await read(first, client, SHOP))?.status).toBe(200);
  // What one client alone did, however often and through whichever isolate, is nobody else's business.
  for (const worker of [first, second]) await read(worker, 3, ["diary/1", "diary/2"]);
  await read(first, 1, ["missing/1", "missing/2"]);
  await expect.poll(() => modelOf(first), { timeout: 10_000 }).not.toBe("");
  const model = await modelOf(first);
  expect(model).not.toContain("diary");
  expect(model).not.toContain("missing");
  // All isolates end, and the hub. One that has never seen a request begins, and looks for the model behind its first answer.
  await edge.stop();
  edge = await startEdge({ ...spec, workers: [PUBLIC] });
  const [fresh] = edge.workers;
  await fresh?.fetch("/healthz");
  await expect
    .poll(async () => (await (await fresh?.fetch("/v1/stats"))?.json()) as object)
    .toMatchObject({ sharing: { imports: 1 } });
  const sources: (string | null | undefined)[] = [];
  for (const key of SHOP.slice(0, 12)) {
    const answer = await fresh?.fetch(`/v1/keymap?key=${key}`, { headers: { "foremap-stream": "new" } });
    sources.push(answer?.headers.get("foremap-source"));
    await new Promise((done) => setTimeout(done, 60));
  }
  expect(sources.filter((source) => source === "cache").length).toBeGreaterThan(4);
  await edge.stop();
  edge = undefined;
  await rm(persist, { recursive: true, force: true });
});

test("what a hub did not take is told again", async () => {
  const refusing = `let left = 1;
    class Hub extends AnalyzerHub {
      fetch(request) {
        return request.url.endsWith("/observed") && left-- > 0 ? Promise.reject(new Error("no hub")) : super.fetch(request);
      }
      options() { return { clients: 2, every: 400 }; }
    }`;
  edge = await startEdge({ workers: [PUBLIC], bindings: { ORIGINS: [proxy.origin] }, hub: refusing });
  const [worker] = edge.workers;
  const sharing = async () =>
    ((await (await worker?.fetch("/v1/stats"))?.json()) as { sharing: { pages: number; observers: { told: number } } }).sharing;
  for (const client of [1, 2]) await read(worker, client, SHOP);
  await expect.poll(async () => (await sharing()).observers.told).toBe(1);
  expect((await sharing()).pages).toBe(0);
  for (const client of [1, 2]) await read(worker, client, SHOP);
  await expect.poll(async () => (await sharing()).pages).toBe(2);
  await expect.poll(() => modelOf(worker), { timeout: 10_000 }).toContain("shop/");
});

test("without a hub the routes are a gateway's, and the isolate starts from its model", async () => {
  const worker = await startWorker("(env) => ({ origins: env.ORIGINS, public: true, debug: true })", { ORIGINS: [proxy.origin] });
  try {
    const post = (body: Uint8Array<ArrayBuffer>) =>
      worker.fetch("/v1/summaries", { method: "POST", headers: { "content-type": BINARY }, body });
    expect((await post(summary(11, ["shop/a", "shop/b", "shop/c"]))).status).toBe(204);
    const bad = await post(new TextEncoder().encode("nonsense"));
    expect([bad.status, ((await bad.json()) as { code: string }).code]).toEqual([400, "BAD_REQUEST"]);
    await expect.poll(() => modelOf(worker), { timeout: 20_000 }).toContain("shop/");
    const read = await worker.fetch("/v1/model", { headers: { "accept-encoding": "br" } });
    expect(read.headers.get("content-encoding")).toBe("br");
    const tag = read.headers.get("etag") ?? "";
    const again = await worker.fetch("/v1/model", { headers: { "if-none-match": tag, "accept-encoding": "br" } });
    expect([again.status, again.headers.get("etag")]).toEqual([304, tag]);
    // Whose right it would be the worker does not know.
    const forget = { method: "POST", headers: { "content-type": "application/json" }, body: '{"prefix":"shop"}' };
    expect((await worker.fetch("/v1/model/forget", forget)).status).toBe(403);
  } finally {
    await worker.stop();
  }
  const fresh = await startWorker("(env) => ({ origins: env.ORIGINS, public: true, debug: true })", { ORIGINS: [proxy.origin] });
  try {
    await fresh.fetch("/v1/keymap?key=shop/a");
    await expect
      .poll(async () => (await (await fresh.fetch("/v1/stats")).json()) as object)
      .toMatchObject({ sharing: { imports: 1, failures: 0 } });
    const next = (await (await fresh.fetch("/v1/explain?key=shop/a")).json()) as { next: { key: string }[] };
    expect(next.next.map(({ key }) => key)).toContain("shop/b");
    // A client of the worker has it behind its first answer, and what it tells the worker goes no further.
    const before = await followed();
    using client = createClient({ origins: [fresh.origin], feed: false, share: "both" });
    await client.get(SHOP[0] ?? "");
    const model = () => client.stats().core?.model as { imported: number; told: number };
    await expect.poll(() => model().imported).toBe(1);
    expect(client.predictions("shop/a")[0]?.key).toBe("shop/b");
    expect([model().told, await followed()]).toEqual([1, before]);
  } finally {
    await fresh.stop();
  }
}, 40_000);

test("a model that cannot be had or read costs no request its answer, and few tries", async () => {
  let asked = 0;
  let status = 500;
  proxy.fault = (request) => {
    if (request.url?.startsWith("/v1/model") !== true) return undefined;
    asked += 1;
    return { status, body: "no model" };
  };
  for (status of [500, 200]) {
    asked = 0;
    const worker = await startWorker("(env) => ({ origins: env.ORIGINS, public: true, debug: true })", { ORIGINS: [proxy.origin] });
    try {
      for (let i = 0; i < 10; i += 1) {
        expect((await worker.fetch(`/v1/keymap?key=${SHOP[i]}`)).status).toBe(200);
      }
      const stats = (await (await worker.fetch("/v1/stats")).json()) as { panics: number; sharing: object };
      expect(stats.panics).toBe(0);
      expect(stats.sharing).toMatchObject(status === 500 ? { failures: 1 } : { refused: 1, imports: 0 });
      expect(asked).toBe(1);
    } finally {
      await worker.stop();
    }
  }
});

test.each(["prefetch: false", "share: false"])("with %s nothing is asked for and nothing told", async (option) => {
  const before = proxy.seen.length;
  const worker = await startWorker(`(env) => ({ origins: env.ORIGINS, public: true, debug: true, ${option} })`, { ORIGINS: [proxy.origin] });
  try {
    await worker.fetch(`/v1/keymap?key=${SHOP[0]}`);
    expect(await (await worker.fetch("/v1/stats")).json()).toMatchObject({ sharing: null });
    expect(proxy.seen.slice(before).filter((path) => path.startsWith("/v1/model"))).toEqual([]);
  } finally {
    await worker.stop();
  }
});
