import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient, type ForemapClient } from "foremap";
import { bookmarkBytes, bookmarkText, readBookmark, writeBookmark } from "../../js/bookmark.js";
import { fieldsOfJson } from "../../js/calls.js";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy, type Proxy } from "../support/proxy.js";

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
  client?.close();
  space += 1;
  proxy.seen.length = 0;
  proxy.fault = () => undefined;
  client = make();
});

const make = (options = {}) => createClient({ origins: [proxy.origin], prefetch: false, feed: false, ...options });
const key = (name: string) => `session${space}/${name}`;
const requests = () => proxy.seen.length;

test("own writes are cached: put, conditional put, retried put, delete", async () => {
  const fields = { locator: "a", size: 3, etag: "e", tags: ["t"], meta: { a: [1.5, null, "ü"] } };
  const first = await client.put(key("a"), fields);
  expect(await client.get(key("a"))).toMatchObject({ keymap: { ...fields, version: first.version }, source: "cache" });
  const second = await client.put(key("a"), { locator: "b" }, { ifVersion: first.version });
  expect(await client.get(key("a"))).toMatchObject({
    keymap: { key: key("a"), version: second.version, locator: "b" },
    source: "cache",
  });
  let left = 1;
  proxy.fault = () => (left-- > 0 ? { status: 503 } : undefined);
  const third = await client.put(key("a"), { locator: "c" });
  expect(await client.get(key("a"))).toMatchObject({ keymap: { version: third.version }, source: "cache" });
  await client.delete(key("a"));
  const before = requests();
  expect(await client.get(key("a"))).toBeNull();
  expect(requests()).toBe(before);
});

test("what is cached of an own write is what was sent, whatever becomes of the caller's object", async () => {
  const fields = { locator: "sent", tags: ["t"], meta: { n: 1 } };
  const writing = client.put(key("a"), fields);
  fields.locator = "changed";
  fields.tags.push("changed");
  fields.meta.n = 2;
  await writing;
  expect((await client.get(key("a")))?.keymap).toMatchObject({ locator: "sent", tags: ["t"], meta: { n: 1 } });
  client.clear();
  expect((await client.get(key("a")))?.keymap).toMatchObject({ locator: "sent", tags: ["t"], meta: { n: 1 } });
});

test("a refused write changes nothing", async () => {
  const { version } = await client.put(key("a"), { locator: "a" });
  await expect(client.put(key("a"), { locator: "b" }, { ifVersion: 1 })).rejects.toMatchObject({ code: "VERSION_CONFLICT" });
  expect((await client.get(key("a")))?.keymap).toMatchObject({ version, locator: "a" });
});

test("deleting an old version leaves the current one", async () => {
  const first = await client.put(key("a"), { locator: "1" });
  await client.put(key("a"), { locator: "2" });
  await client.delete(key("a"), { version: first.version });
  expect((await client.get(key("a")))?.keymap.locator).toBe("2");
});

test("fields as a gateway understands them", () => {
  expect(fieldsOfJson('{"locator":"l","size":null,"etag":null,"meta":null,"tags":[]}')).toEqual({ locator: "l", tags: [] });
  expect(fieldsOfJson('{"locator":"l","meta":{"a" : [1, 2]}}')).toEqual({ locator: "l", meta: '{"a":[1,2]}' });
});

test("a page of a list in binary form is returned like one in JSON", async () => {
  const golden = JSON.parse(readFileSync(join(import.meta.dirname, "../golden/feeds.json"), "utf8"));
  const [page] = golden.pages as [{ binary: string }];
  const headers = { "content-type": "application/vnd.foremap.v1" };
  proxy.fault = ({ url }) => (url?.startsWith("/v1/list") ? { status: 200, headers, body: Buffer.from(page.binary, "hex") } : undefined);
  const { keymaps } = await client.listPage("user");
  expect(keymaps.length).toBeGreaterThan(0);
  expect(keymaps[0]).toMatchObject({ key: expect.stringMatching(/^user\//), locator: expect.any(String) });
  const asJson = keymaps.map((keymap) => [keymap.key, keymap.locator]);
  expect(asJson).toEqual(keymaps.map(({ key: name }) => [name, `s3://bucket/${name}`]));
});

test("a page that is no page is BAD_ANSWER", async () => {
  const headers = { "content-type": "application/vnd.foremap.v1" };
  proxy.fault = ({ url }) => (url?.startsWith("/v1/list") ? { status: 200, headers, body: "nonsense" } : undefined);
  await expect(client.listPage("user")).rejects.toMatchObject({ code: "BAD_ANSWER" });
});

test("a bookmark takes what was seen to another client", async () => {
  const empty = client.bookmark();
  using untouched = make({ bookmark: empty });
  const { version } = await client.put(key("a"), { locator: "a" });
  const bookmark = client.bookmark();
  expect(bookmark).toMatch(/^[\w-]+$/);
  using other = make({ bookmark });
  // Before the first use it is handed on as it is.
  expect(other.bookmark()).toBe(bookmark);
  expect((await other.get(key("a")))?.keymap.version).toBe(version);
  expect((other.explain(key("a")) as { floor: number }).floor).toBeGreaterThanOrEqual(version);
  expect(await untouched.get(key("b"))).toBeNull();
});

test.each(["x", "FMBM", "Rk1CTQI", "Rk1CTQEA", "Rk1CTQEAAP8", "a b", "ü"])("%j is no bookmark", (bookmark) => {
  expect(() => make({ bookmark })).toThrow(expect.objectContaining({ code: "CONFIG" }));
});

test("bookmarks read and write alike", () => {
  const seen = { incarnation: 300, floors: [[0, 1], [255, 1_790_000_000_000_009], [65_535, 127]] as [number, number][] };
  expect(readBookmark(writeBookmark(seen))).toEqual(seen);
  expect(bookmarkBytes(bookmarkText(writeBookmark(seen)))).toEqual(writeBookmark(seen));
});

test("an answer beyond the bound comes at once where it may, and where nobody else answers", async () => {
  using writer = make();
  await writer.put(key("a"), { locator: "a" });
  using reader = make({ maxStaleness: 50, staleWhileRevalidate: 60_000 });
  await reader.get(key("a"));
  await expect.poll(() => reader.peek(key("a"))).toBeNull();
  const before = requests();
  expect(await reader.get(key("a"))).toMatchObject({ source: "stale", stale: true, keymap: { locator: "a" } });
  await expect.poll(requests).toBeGreaterThan(before);
  proxy.fault = () => ({ status: 503, headers: { "retry-after": "0" } });
  using failing = make({ maxStaleness: 50 });
  proxy.fault = () => undefined;
  await failing.get(key("a"));
  await expect.poll(() => failing.peek(key("a"))).toBeNull();
  proxy.fault = () => "reset";
  expect(await failing.get(key("a"), { staleIfError: 60_000, timeout: 2_000 })).toMatchObject({ stale: true });
  await expect(failing.get(key("a"), { timeout: 2_000 })).rejects.toMatchObject({ retryable: true });
});

test("hints are checked", async () => {
  await expect(client.prefetch([key("a")], { probability: 2 })).rejects.toMatchObject({ code: "CONFIG" });
  await expect(client.prefetch([key("a")], { within: -1 })).rejects.toMatchObject({ code: "CONFIG" });
  await client.prefetch([key("a")], { probability: 0.9, within: 1_000 });
});

test("an invalidation is heeded by the very next read", async () => {
  using writer = createClient({ origins: gateway.origins, feed: false });
  await writer.put(key("a"), { locator: "old" });
  await client.get(key("a"));
  for (let i = 0; i < 10; i += 1) {
    await writer.put(key("a"), { locator: `new ${i}` });
    client.invalidate({ key: key("a") });
    expect((await client.get(key("a")))?.keymap.locator).toBe(`new ${i}`);
  }
});

test("of many answers, those that wait for others grow older, and none too old", async () => {
  const bound = { maxStaleness: 10_000 };
  await client.put(key("a"), { locator: "a0" });
  await client.put(key("b"), { locator: "b0" });
  client.close();
  client = make();
  await client.get(key("a"), bound);
  proxy.fault = () => ({ delay: 400 });
  const [a, b] = await client.getMany([key("a"), key("b")], bound);
  expect(a).toMatchObject({ keymap: { locator: "a0" }, source: "cache", stale: false });
  expect(b).toMatchObject({ keymap: { locator: "b0" }, source: "network" });
  expect((a as { age: number }).age).toBeGreaterThanOrEqual(390);
  expect(requests()).toBe(4);
  // While the others are waited for, what is cached of `a` is replaced, and grows too old.
  let delays = 0;
  proxy.fault = () => (delays-- > 0 ? { delay: 1_500 } : undefined);
  await client.get(key("a"), { maxStaleness: 0 });
  await new Promise((done) => setTimeout(done, 100));
  using writer = make();
  delays = 1;
  const asked = client.getMany([key("a"), key("c")], { maxStaleness: 1_000 });
  await expect.poll(() => requests()).toBe(6);
  await writer.put(key("a"), { locator: "a1" });
  expect(await asked).toMatchObject([{ keymap: { locator: "a1" }, stale: false }, null]);
});
