import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient, type ForemapClient } from "foremap";
import { Client } from "../../js/client.js";
import { loadInlined } from "../../js/entry/inline.js";
import type { Core } from "../../js/engine/core.js";
import { encodeFrame, opening, type ServedFeed } from "../support/feed.js";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy, type Proxy } from "../support/proxy.js";

/** Short, so that the cache is soon about to grow too old, which is when a feed is asked for. */
const BOUND = 400;

let gateway: Gateway;
let proxy: Proxy;
let client: ForemapClient;
let space = 0;

beforeAll(async () => {
  gateway = await startGateway(1);
  proxy = await startProxy(gateway.origins[0] ?? "");
});
afterAll(async () => {
  await proxy?.stop();
  await gateway?.stop();
});
beforeEach(() => {
  space += 1;
  proxy.feeds.length = 0;
  proxy.seen.length = 0;
  proxy.fault = ({ url }) => (url === "/v1/changes" ? "feed" : undefined);
  client = make();
});
afterEach(() => client.close());

const make = (options = {}) => createClient({ origins: [proxy.origin], prefetch: false, maxStaleness: BOUND, ...options });
const key = (name: string) => `feed${space}/${name}`;
const asked = () => proxy.seen.filter((path) => path === "/v1/changes").length;

/** The feed that was opened last. */
async function opened(count = 1): Promise<ServedFeed> {
  await expect.poll(() => proxy.feeds.length).toBe(count);
  return proxy.feeds[count - 1] as ServedFeed;
}

test("a client that has something cached holds a feed, with its token, until it is closed", async () => {
  client.close();
  client = make({ token: "abc" });
  await client.get(key("a"));
  const feed = await opened();
  expect(feed.headers).toMatchObject({ authorization: "Bearer abc", "content-type": "application/vnd.foremap.v1" });
  expect([...feed.body.subarray(0, 2)].map((byte) => String.fromCharCode(byte)).join("")).toBe("FM");
  expect(client.stats()).toMatchObject({ waiting: 0, open: 0 });
  client.close();
  await expect.poll(() => feed.isClosed).toBe(true);
});

test("a change that is told is not read from the cache", async () => {
  using writer = createClient({ origins: gateway.origins });
  await writer.put(key("a"), { locator: "old" });
  const long = { maxStaleness: 60_000 };
  expect((await client.get(key("a"), long))?.keymap.locator).toBe("old");
  const feed = await opened();
  feed.write(opening());
  await expect.poll(() => client.stats().core).toMatchObject({ feed: { open: true } });
  expect(client.peek(key("a"), long)?.keymap.locator).toBe("old");
  const { version } = await writer.put(key("a"), { locator: "new" });
  const { shard } = client.explain(key("a")) as { shard: number };
  // Cut anywhere.
  const frame = encodeFrame({ number: 1, changes: [{ shard, version, key: key("a") }] });
  for (const byte of frame) feed.write(Uint8Array.of(byte));
  await expect.poll(() => client.peek(key("a"), long)).toBeNull();
  expect((await client.get(key("a"), long))?.keymap.locator).toBe("new");
});

test("a gateway without feeds is asked once, and answers as ever", async () => {
  proxy.fault = ({ url }) => (url === "/v1/changes" ? { status: 404 } : undefined);
  await client.put(key("a"), { locator: "a" });
  await client.get(key("a"));
  await expect.poll(asked).toBe(1);
  await expect.poll(() => client.peek(key("a"))).toBeNull();
  expect((await client.get(key("a")))?.keymap.locator).toBe("a");
  expect(asked()).toBe(1);
});

test("bytes that are no feed end it, and cost no answer", async () => {
  await client.put(key("a"), { locator: "a" });
  await client.get(key("a"));
  const feed = await opened();
  feed.write(new TextEncoder().encode("<html>"));
  await expect.poll(() => feed.isClosed).toBe(true);
  expect((await client.get(key("a")))?.keymap.locator).toBe("a");
});

test("a trap ends the feed of the core that it ended", async () => {
  let core: (Core & { __wbg_ptr?: number }) | undefined;
  const load = async () => {
    const instantiate = await loadInlined();
    return () => {
      const instance = instantiate();
      class Watched extends instance.Core {
        constructor(config: ConstructorParameters<typeof instance.Core>[0]) {
          super(config);
          core = this;
        }
      }
      return { ...instance, Core: Watched };
    };
  };
  using fragile = new Client({ origins: [proxy.origin], prefetch: false, maxStaleness: BOUND }, load);
  const before = fragile.bookmark();
  await fragile.put(key("a"), { locator: "a" });
  await fragile.get(key("a"));
  const feed = await opened();
  const bookmark = fragile.bookmark();
  expect(bookmark).not.toBe(before);
  if (core !== undefined) core.__wbg_ptr = 0x7fff_fff0;
  feed.write(opening());
  await expect.poll(() => fragile.stats().panics).toBe(1);
  await expect.poll(() => feed.isClosed).toBe(true);
  expect(fragile.bookmark()).toBe(bookmark);
  expect((await fragile.get(key("a")))?.keymap.locator).toBe("a");
  const next = await opened(2);
  next.write(opening());
  await expect.poll(() => fragile.stats().core).toMatchObject({ feed: { open: true } });
});

test("no feed where none is wanted", async () => {
  using quiet = make({ feed: false });
  await quiet.get(key("a"));
  await client.get(key("a"));
  await opened();
  expect(asked()).toBe(1);
});

test("in Node an open feed does not keep the process", async () => {
  const code = `
    import { createClient } from "foremap";
    const client = createClient({ origins: ["${proxy.origin}"], maxStaleness: ${BOUND} });
    console.log(await client.get("${key("exit")}"));
    while (client.stats().core.feed.open !== true) await new Promise((done) => setTimeout(done, 20));
    console.log("open");
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    cwd: resolve(import.meta.dirname, "../.."),
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const exit = new Promise((done) => child.once("exit", done));
  const feed = await opened();
  feed.write(opening());
  // Vitest's own limit ends a process that does not.
  expect(await exit).toBe(0);
  expect(output).toBe("null\nopen\n");
  await expect.poll(() => feed.isClosed).toBe(true);
});
