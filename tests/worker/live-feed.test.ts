import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createClient, type ForemapClient } from "foremap";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startWorker, type Worker } from "../support/worker.js";

/** A person thinks for longer than this; heartbeats come at a third of it. */
const BOUND = 4_000;
const THOUGHT = 6_000;

let gateway: Gateway;
let worker: Worker;
let writer: ForemapClient;
let client: ForemapClient;
beforeAll(async () => {
  gateway = await startGateway(2);
  worker = await startWorker("(env) => ({ origins: env.ORIGINS, public: true })", { ORIGINS: gateway.origins });
  writer = createClient({ origins: gateway.origins, feed: false });
});
afterEach(() => client?.close());
afterAll(async () => {
  writer?.close();
  await worker?.stop();
  await gateway?.stop();
});

interface Figures {
  feed: { open: boolean; frames: number };
}
const figures = () => client.stats().core as unknown as Figures;
const origins = { gateway: () => gateway.origins, worker: () => [worker.origin] };

test.each(["gateway", "worker"] as const)("over a %s's feed what is cached stays young, and is never false", async (through) => {
  const key = (name: string) => `live-${through}/${name}`;
  for (const name of ["a", "b", "c"]) await writer.put(key(name), { locator: `${name}0` });
  client = createClient({ origins: origins[through](), maxStaleness: BOUND, prefetch: false });
  let batches = 0;
  client.on("request", () => (batches += 1));
  await client.get(key("a"));
  await expect.poll(() => figures().feed.open).toBe(true);
  // Asked for while the feed is open: joins it.
  await client.get(key("b"));
  const young = async (name: string, ms: number) => {
    const until = performance.now() + ms;
    let held = true;
    while (performance.now() < until) {
      held &&= client.peek(key(name)) !== null;
      await new Promise((done) => setTimeout(done, 50));
    }
    return held;
  };
  // Whatever the machine does meanwhile, at some point both stay young for much longer than the bound without a request.
  await expect
    .poll(
      async () => {
        const before = batches;
        const held = await Promise.all([young("a", THOUGHT), young("b", THOUGHT)]);
        return [...held, batches - before];
      },
      { timeout: 40_000 },
    )
    .toEqual([true, true, 0]);
  expect(await client.get(key("a"))).toMatchObject({ source: "cache", keymap: { locator: "a0" } });
  for (const name of ["a", "b"]) {
    await writer.put(key(name), { locator: `${name}1` });
    await expect.poll(() => client.peek(key(name))?.keymap.locator).not.toBe(`${name}0`);
    await expect.poll(async () => (await client.get(key(name)))?.keymap.locator).toBe(`${name}1`);
  }
}, 60_000);

test("lists come in binary form and fill the cache", async () => {
  client = createClient({ origins: [worker.origin], maxStaleness: BOUND * 60, prefetch: false, feed: false });
  const meta = { a: [1, null] };
  for (const name of ["x", "y"]) await writer.put(`listed/${name}`, { locator: name, meta, tags: ["t"] });
  const found: string[] = [];
  for await (const keymap of client.list("listed", { limit: 1 })) found.push(keymap.locator);
  expect(found).toEqual(["x", "y"]);
  expect(client.peek("listed/y")).toMatchObject({ keymap: { locator: "y", meta, tags: ["t"] } });
  client.invalidate({ prefix: "listed" });
  expect(client.peek("listed/y")).toBeNull();
});
