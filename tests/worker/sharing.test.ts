import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient } from "foremap";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy, type Proxy } from "../support/proxy.js";
import { startWorker, type Worker } from "../support/worker.js";

let gateway: Gateway;
let proxy: Proxy;
let worker: Worker;
beforeAll(async () => {
  gateway = await startGateway(1);
  proxy = await startProxy(gateway.origins[0] ?? "");
});
afterAll(async () => {
  await proxy?.stop();
  await gateway?.stop();
});
beforeEach(async () => {
  proxy.fault = () => undefined;
  worker = await startWorker(
    "(env) => ({ origins: env.ORIGINS, public: true, debug: true, timeout: 4000, ...env.OPTIONS, stream: (r) => r.headers.get('x-user') })",
    { ORIGINS: [proxy.origin], OPTIONS: { prefetch: { wasteBudget: 1 }, maxStaleness: 60_000 } },
  );
});
afterEach(() => worker?.stop());

const get = (key: string, init?: RequestInit) => worker.fetch(`/v1/keymap?key=${key}`, init);
const stats = async () => (await (await worker.fetch("/v1/stats")).json()) as { [name: string]: number } & {
  prefetch: { issued: number; used: number; late: number };
};
const seed = async (...keys: string[]) => {
  using client = createClient({ origins: gateway.origins });
  for (const key of keys) await client.put(key, { locator: key });
};

test("requests at once for one slow key are all answered", async () => {
  await seed("slow/a");
  await get("warm");
  proxy.fault = () => ({ delay: 400 });
  const answers = await Promise.all(Array.from({ length: 20 }, () => get("slow/a")));
  for (const answer of answers) expect(await answer.json()).toMatchObject({ locator: "slow/a" });
});

test("a caller that goes away takes nobody with it", async () => {
  await seed("gone/a");
  await get("warm");
  proxy.fault = () => ({ delay: 500 });
  const controller = new AbortController();
  const leaving = get("gone/a", { signal: controller.signal }).catch(() => "left");
  await new Promise((done) => setTimeout(done, 100));
  const staying = get("gone/a");
  controller.abort();
  expect(await leaving).toBe("left");
  expect((await staying).status).toBe(200);
});

test("prefetching goes on after the answer, and the next request finds its result", async () => {
  const keys = ["a", "b", "c", "d"].map((name) => `seq/${name}`);
  await seed(...keys, ...Array.from({ length: 40 }, (_, i) => `noise/${i}`));
  // Nine users go through the sequence; the cache is not what answers, as each has keys of the others evicted.
  const small = await startWorker(
    "(env) => ({ origins: env.ORIGINS, public: true, debug: true, cache: { maxEntries: 4 }, prefetch: { wasteBudget: 4 }, maxStaleness: 60000 })",
    { ORIGINS: [proxy.origin] },
  );
  const read = async (key: string, user: string) => {
    const answer = await small.fetch(`/v1/keymap?key=${key}`, { headers: { "foremap-stream": user } });
    return answer.headers.get("foremap-source");
  };
  try {
    const last: (string | null)[] = [];
    for (let user = 0; user < 14; user += 1) {
      for (let i = 0; i < 6; i += 1) await read(`noise/${(user * 6 + i) % 40}`, "noise");
      last.length = 0;
      for (const key of keys) {
        last.push(await read(key, `user${user}`));
        await new Promise((done) => setTimeout(done, 30));
      }
    }
    expect(last.slice(1)).toContain("cache");
    const body = (await (await small.fetch("/v1/stats")).json()) as { prefetch: { issued: number; used: number } };
    expect(body.prefetch.issued).toBeGreaterThan(0);
    expect(body.prefetch.used).toBeGreaterThan(0);
  } finally {
    await small.stop();
  }
});

test("a request for a key that another request is prefetching waits for it in its own context", async () => {
  await seed("park/a", "park/b");
  for (let round = 0; round < 25; round += 1) {
    const user = { headers: { "x-user": `u${round}` } };
    await get("park/a", user);
    await get("park/b", user);
  }
  // Prefetches are slow now; the demand for the same key arrives while one is on its way.
  proxy.fault = () => ({ delay: 300 });
  const answers = await Promise.all(
    Array.from({ length: 10 }, async (_, i) => {
      const user = { headers: { "x-user": `late${i}` } };
      await get("park/a", user);
      return (await get("park/b", user)).status;
    }),
  );
  expect(new Set(answers)).toEqual(new Set([200]));
  expect((await stats()).failed).toBe(0);
});

test("a hanging gateway is TIMEOUT for its callers only", async () => {
  await seed("fine/a");
  await get("fine/a");
  proxy.fault = () => "hang";
  const [hanging, cached] = await Promise.all([get("hang/a"), get("fine/a")]);
  expect(cached.status).toBe(200);
  expect(hanging.status).toBe(504);
  expect(await hanging.json()).toMatchObject({ code: "TIMEOUT" });
  proxy.fault = () => undefined;
  await expect.poll(async () => (await get("hang/a")).status, { timeout: 10_000 }).toBe(404);
});

test("many clients at once, cold and through a failing gateway, are all answered correctly", async () => {
  const keys = Array.from({ length: 60 }, (_, i) => `load/${i}`);
  await seed(...keys);
  let count = 0;
  proxy.fault = () => ((count += 1) % 7 === 0 ? "reset" : { delay: 5 });
  await Promise.all(
    Array.from({ length: 15 }, async (_, client) => {
      for (let i = 0; i < 40; i += 1) {
        const key = keys[(client * 7 + i * i) % keys.length] ?? "";
        const answer = await get(key, { headers: { "x-user": String(client) } });
        const body = (await answer.json()) as { key?: string; code?: string };
        // A failure is allowed, a wrong answer is not.
        if (answer.status === 200) expect(body.key).toBe(key);
        else expect(body.code).toMatch(/NETWORK|UNAVAILABLE|TIMEOUT/);
      }
    }),
  );
  const { waiting, panics } = (await stats()) as unknown as { waiting: { used: number }; panics: number };
  expect({ used: waiting.used, panics }).toEqual({ used: 0, panics: 0 });
});

test("the Cache API answers a cold isolate within the bound, and not beyond", async () => {
  await seed("edge/a");
  const options = "(env) => ({ origins: env.ORIGINS, public: true, debug: true, cacheApi: true, cache: false, maxStaleness: 1500 })";
  const cold = await startWorker(options, { ORIGINS: [proxy.origin] });
  try {
    const read = () => cold.fetch("/v1/keymap?key=edge/a");
    await read();
    await read();
    await new Promise((done) => setTimeout(done, 100));
    const asked = () => proxy.seen.filter((path) => path === "/v1/batch").length;
    const before = asked();
    const cached = await read();
    expect(await cached.json()).toMatchObject({ locator: "edge/a" });
    expect(Number(cached.headers.get("foremap-age"))).toBeGreaterThan(0);
    expect(asked()).toBe(before);
    // Whatever it is answered in between is within the bound.
    const age = async () => Number((await read()).headers.get("foremap-age"));
    for (const end = Date.now() + 30_000; asked() === before && Date.now() < end; ) {
      expect(await age()).toBeLessThan(1_500);
    }
    expect(await age()).toBeLessThan(1_500);
    expect(asked()).toBeGreaterThan(before);
  } finally {
    await cold.stop();
  }
});
