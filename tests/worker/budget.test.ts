import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createClient } from "foremap";
import { createWorker, type EdgeWorker, type WorkerOptions } from "foremap/worker";
import { startGateway, type Gateway } from "../support/gateway.js";

const CHAIN = Array.from({ length: 40 }, (_, i) => `chain/${(i * 7919) % 1009}`);

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway(2);
  using client = createClient({ origins: gateway.origins });
  for (const key of CHAIN) await client.put(key, { locator: key });
});
afterAll(() => gateway?.stop());
afterEach(() => void Reflect.deleteProperty(globalThis, "caches"));

/** A worker, what it has sent, and how many requests of one invocation were open at once. */
class Invoked {
  sent: string[] = [];
  most = 0;
  /** Whether the answer of the invocation is there. */
  answered = false;
  /** Holds a request up. */
  hold: (request: Request, signal: AbortSignal | undefined) => Promise<void> = async () => undefined;
  #open = 0;
  readonly worker: EdgeWorker<unknown>;

  constructor(options: Partial<WorkerOptions> = {}) {
    this.worker = createWorker({
      ...{ origins: gateway.origins, public: true, debug: true, share: false, seed: 7, maxStaleness: 60_000 },
      ...options,
      fetch: async (request, init) => {
        this.sent.push(request.url);
        this.#open += 1;
        this.most = Math.max(this.most, this.#open);
        try {
          await this.hold(request, init?.signal);
          return await fetch(request, init);
        } finally {
          this.#open -= 1;
        }
      },
    } as WorkerOptions);
  }

  /** One invocation: its answer, how many requests it made in all, and how long it went on. */
  async get(target: string, init?: RequestInit): Promise<{ answer: Response; requests: number; ms: number }> {
    const before = this.sent.length;
    const later: Promise<unknown>[] = [];
    const began = performance.now();
    const request = new Request(`https://edge.example${target}`, init);
    this.answered = false;
    const answer = await this.worker.fetch(request, {}, { waitUntil: (work) => void later.push(work) });
    this.answered = true;
    for (let at = 0; at < later.length; at += 1) await later[at];
    return { answer, requests: this.sent.length - before, ms: performance.now() - began };
  }

  read(key: string, stream: string) {
    return this.get(`/v1/keymap?key=${key}`, { headers: { "foremap-stream": stream } });
  }
}

/** Users who go along the chain, with the requests that were made behind answers from the cache. */
async function walk(invoked: Invoked, users: number): Promise<{ hits: number; ahead: number }> {
  let [hits, ahead] = [0, 0];
  for (let user = 0; user < users; user += 1) {
    for (const key of CHAIN) {
      const { answer, requests } = await invoked.read(key, `user${user}`);
      expect(await answer.json()).toMatchObject({ key, locator: key });
      if (answer.headers.get("foremap-source") !== "cache") continue;
      hits += 1;
      ahead += requests;
    }
  }
  return { hits, ahead };
}

/** So few that nothing of the chain is left when the next one comes along. */
const EAGER: Partial<WorkerOptions> = { cache: { maxEntries: 8 }, prefetch: { wasteBudget: 4 } };

test("what is fetched ahead never takes the last requests of an invocation", async () => {
  const plenty = new Invoked(EAGER);
  const free = await walk(plenty, 6);
  expect(free.hits).toBeGreaterThan(20);
  expect(free.ahead).toBeGreaterThan(5);
  // Ten are kept for what is demanded: there is none to spare.
  const frugal = new Invoked({ ...EAGER, subrequests: 10 });
  const none = await walk(frugal, 6);
  expect(none.ahead).toBe(0);
  // What was not fetched ahead is found all the same, and what rides along with a demand still comes early.
  const stats = (await (await frugal.get("/v1/stats")).answer.json()) as { failed: number };
  expect(stats.failed).toBe(0);
}, 30_000);

test("with few requests left the Cache API is not asked, and a gateway is", async () => {
  const asked: string[] = [];
  const cache = { match: async (url: string) => void asked.push(url), put: async (url: string) => void asked.push(url) };
  Object.assign(globalThis, { caches: { default: cache } });
  const plenty = new Invoked({ cacheApi: true, prefetch: false });
  expect((await plenty.read(CHAIN[0] ?? "", "a")).answer.status).toBe(200);
  expect(asked.length).toBe(2);
  // What the isolate has it does not look up in a cache further away.
  expect((await plenty.read(CHAIN[0] ?? "", "a")).answer.headers.get("foremap-source")).toBe("cache");
  expect(asked.length).toBe(2);
  const frugal = new Invoked({ cacheApi: true, prefetch: false, subrequests: 10 });
  expect((await frugal.read(CHAIN[0] ?? "", "a")).answer.status).toBe(200);
  expect(asked.length).toBe(2);
});

test("a second gateway is asked where the first is unusually slow, within five open requests", async () => {
  const invoked = new Invoked({ cache: false, prefetch: false });
  const hedges = async () => ((await (await invoked.get("/v1/stats")).answer.json()) as { hedges: number }).hedges;
  const hanging = (signal: AbortSignal | undefined) =>
    new Promise<void>((done, failed) => {
      const timer = setTimeout(done, 3_000);
      signal?.addEventListener("abort", () => (clearTimeout(timer), failed(new Error("aborted"))));
    });
  let hedged = false;
  for (let round = 0; round < 5 && !hedged; round += 1) {
    // Experience, and the budget that it brings: a busy machine may have spent that already.
    invoked.hold = async () => undefined;
    for (let i = 0; i < 120; i += 1) await invoked.read(CHAIN[i % CHAIN.length] ?? "", "a");
    const before = await hedges();
    let held = 0;
    invoked.most = 0;
    invoked.hold = (_, signal) => ((held += 1) > 1 ? Promise.resolve() : hanging(signal));
    const { answer, requests, ms } = await invoked.read(CHAIN[0] ?? "", "a");
    expect(answer.status).toBe(200);
    hedged = (await hedges()) === before + 1;
    if (!hedged) continue;
    // Not because the first one was given up: both were open.
    expect([requests, invoked.most]).toEqual([2, 2]);
    expect(ms).toBeLessThan(2_000);
    expect(new Set(invoked.sent.slice(-2).map((url) => new URL(url).origin)).size).toBe(2);
  }
  expect(hedged).toBe(true);
  // Six connections at once is what an invocation may have; one of them is the Cache API's.
  invoked.hold = () => new Promise((done) => setTimeout(done, 50));
  invoked.most = 0;
  const passed = Array.from({ length: 12 }, (_, i) => `{"key":"${CHAIN[i]}"}`).join();
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: `{"items":[${passed}]}` };
  expect((await invoked.get("/v1/batch", init)).answer.status).toBe(200);
  expect(invoked.most).toBeLessThanOrEqual(5);
}, 30_000);

test("what is fetched ahead ends with its time, whatever a gateway does", async () => {
  const invoked = new Invoked(EAGER);
  await walk(invoked, 4);
  const slow: number[] = [];
  let hanging = 0;
  invoked.hold = async (_, signal) => {
    // Two batches in all, which nobody waits for.
    await new Promise((done) => setTimeout(done, 1));
    if (!invoked.answered || hanging >= 2) return;
    hanging += 1;
    await new Promise((_done, failed) => signal?.addEventListener("abort", () => failed(new Error("aborted"))));
  };
  for (const key of CHAIN) {
    const before = hanging;
    const { ms } = await invoked.read(key, "user9");
    if (hanging > before) slow.push(ms);
  }
  expect(slow.length).toBeGreaterThan(0);
  for (const ms of slow) expect(ms).toBeLessThan(6_000);
}, 60_000);
