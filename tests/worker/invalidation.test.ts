import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient, type ForemapClient, type Invalidation } from "foremap";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy, type Proxy } from "../support/proxy.js";
import { startWorker, type Worker } from "../support/worker.js";

/** The isolate's cache and the Cache API may both answer, and hold what is old for long. */
const LONG = 60_000;

let gateway: Gateway;
let proxy: Proxy;
let worker: Worker;
let client: ForemapClient;
let writer: ForemapClient;
let space = 0;

beforeAll(async () => {
  gateway = await startGateway(1);
  proxy = await startProxy(gateway.origins[0] ?? "");
  worker = await startWorker("(env) => ({ origins: env.ORIGINS, public: true, cacheApi: true, maxStaleness: 60000 })", {
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
  client = createClient({ origins: [worker.origin], prefetch: false, feed: false, maxStaleness: LONG });
  writer = createClient({ origins: gateway.origins, feed: false });
});
afterEach(() => {
  client.close();
  writer.close();
});

const key = `a`;
const path = () => `wi${space}/${key}`;
const throughWorker = async () => (await worker.fetch(`/v1/keymap?key=${path()}`)).json();

test.each<[string, (client: ForemapClient) => unknown]>([
  ["key", (one) => one.invalidate({ key: path() })],
  ["prefix", (one) => one.invalidate({ prefix: `wi${space}` })],
  ["tag", (one) => one.invalidate({ tag: "red" } satisfies Invalidation)],
  ["all", (one) => one.invalidate({ all: true })],
  ["clear", (one) => one.clear()],
])("after an invalidation by %s nothing on the way answers with what was before", async (_, invalidate) => {
  await writer.put(path(), { locator: "0", tags: ["red"] });
  expect((await client.get(path()))?.keymap.locator).toBe("0");
  for (let i = 1; i <= 5; i += 1) {
    await writer.put(path(), { locator: String(i), tags: ["red"] });
    // The worker itself may go on answering others with what it has.
    expect(await throughWorker()).toMatchObject({ locator: String(i - 1) });
    invalidate(client);
    expect((await client.get(path()))?.keymap.locator).toBe(String(i));
  }
});

test("a request that is under way for somebody else does not answer it either", async () => {
  await writer.put(path(), { locator: "old" });
  expect((await client.get(path()))?.keymap.locator).toBe("old");
  let release = () => {};
  const late = new Promise<void>((done) => (release = done));
  let held = 0;
  proxy.fault = () => (held++ === 0 ? { late } : undefined);
  // A strong read goes past the caches; its answer is read before the write and arrives after it.
  const before = worker.fetch(`/v1/keymap?key=${path()}&consistency=strong`);
  await expect.poll(() => held).toBe(1);
  await expect.poll(async () => (await writer.get(path(), { consistency: "strong" }))?.keymap.locator).toBe("old");
  await writer.put(path(), { locator: "new" });
  client.invalidate({ key: path() });
  const after = client.get(path());
  release();
  expect((await after)?.keymap.locator).toBe("new");
  expect(await (await before).json()).toMatchObject({ locator: expect.stringMatching(/old|new/) });
  expect((await client.get(path()))?.keymap.locator).toBe("new");
});

test("a strong read and one that must be young come from the store, whatever is cached", async () => {
  await writer.put(path(), { locator: "old" });
  await throughWorker();
  await writer.put(path(), { locator: "new" });
  expect((await client.get(path(), { consistency: "strong" }))?.keymap.locator).toBe("new");
  await writer.put(path(), { locator: "newer" });
  expect((await client.get(path(), { maxStaleness: 0 }))?.keymap.locator).toBe("newer");
});
