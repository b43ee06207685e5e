import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient } from "foremap";
import { createWorker } from "foremap/worker";
import { startGateway, type Gateway } from "../support/gateway.js";

/** The Cache API's two calls, over a map. */
const kept = new Map<string, Response>();
const cache = {
  match: async (url: string) => kept.get(url)?.clone(),
  put: async (url: string, response: Response) => void kept.set(url, response),
};

let gateway: Gateway;
beforeAll(async () => {
  Object.assign(globalThis, { caches: { default: cache } });
  gateway = await startGateway(2);
  using client = createClient({ origins: gateway.origins });
  for (let i = 0; i < 5; i += 1) await client.put(["tier", i], { locator: `${i}` });
});
afterAll(async () => {
  Reflect.deleteProperty(globalThis, "caches");
  await gateway?.stop();
});
beforeEach(() => kept.clear());

/** Answers one batch in a worker of its own, and waits for all that it does afterwards. */
async function batch(origins: readonly string[], keys: number) {
  const worker = createWorker({ origins, public: true, cacheApi: true, cache: false, prefetch: false });
  const body = JSON.stringify({ items: Array.from({ length: keys }, (_, i) => ({ key: `tier/${i}` })) });
  const init = { method: "POST", headers: { "content-type": "application/json" }, body };
  const later: Promise<unknown>[] = [];
  const context = { waitUntil: (work: Promise<unknown>) => void later.push(work) };
  const answer = await worker.fetch(new Request("https://edge.example/v1/batch", init), {}, context);
  expect(await answer.json()).toMatchObject({ results: Array(keys).fill({ outcome: "found" }) });
  await Promise.all(later);
}

test("what is not looked up is not kept: a large batch stays within the connections of its request", async () => {
  await batch(gateway.origins, 4);
  expect(kept.size).toBe(4);
  kept.clear();
  await batch(gateway.origins, 5);
  expect(kept.size).toBe(0);
});

test("clusters do not answer for each other", async () => {
  await batch(gateway.origins.slice(0, 1), 1);
  await batch(gateway.origins.slice(1), 1);
  expect(kept.size).toBe(2);
  await batch(gateway.origins, 1);
  await batch([...gateway.origins].reverse(), 1);
  expect(kept.size).toBe(3);
});

test("an entry is as old as it says it was, and as the cache says; one from the future is none", async () => {
  await batch(gateway.origins, 1);
  const [[name, entry]] = [...kept] as [[string, Response]];
  const stored = (await entry.json()) as { at: { age_ms: number }; storedAt: number };
  const sources = async (changed: object, headers = {}) => {
    kept.set(name, new Response(JSON.stringify({ ...stored, storedAt: Date.now(), ...changed }), { headers }));
    let asked = 0;
    const worker = createWorker({
      ...{ origins: gateway.origins, public: true, cacheApi: true, cache: false, prefetch: false },
      fetch: (request, init) => ((asked += 1), fetch(request, init)),
    });
    const get = async (key: string) => {
      const later: Promise<unknown>[] = [];
      const context = { waitUntil: (work: Promise<unknown>) => void later.push(work) };
      const answer = await worker.fetch(new Request(`https://edge.example/v1/keymap?key=${key}`), {}, context);
      expect(answer.status).toBe(200);
      await Promise.all(later);
    };
    // How far the gateway is has to be known before anything may be trusted to be young enough on arrival.
    await get("tier/1");
    asked = 0;
    await get("tier/0");
    return asked === 0 ? "cache" : "gateway";
  };
  const young = { at: { ...stored.at, age_ms: 0 } };
  expect(await sources(young)).toBe("cache");
  expect(await sources({ at: { ...stored.at, age_ms: 60_000 } })).toBe("gateway");
  // Whatever date the cache put on it.
  expect(await sources({ ...young, storedAt: Date.now() - 60_000 }, { date: new Date().toUTCString() })).toBe("gateway");
  expect(await sources(young, { age: "60" })).toBe("gateway");
  expect(await sources({ ...young, storedAt: Date.now() + 60_000 })).toBe("gateway");
});
