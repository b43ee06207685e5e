import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { Client } from "../../js/client.js";
import { loadInlined } from "../../js/entry/inline.js";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy } from "../support/proxy.js";

let gateway: Gateway;
let warn: ReturnType<typeof vi.spyOn>;
beforeAll(async () => {
  gateway = await startGateway(2);
});
afterAll(() => gateway?.stop());
beforeEach(() => {
  warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
});
afterEach(() => warn.mockRestore());

const refused = () => Promise.reject(new WebAssembly.CompileError("blocked by CSP"));
const make = (origins: readonly string[]) => new Client({ origins }, refused);

test("where the core cannot be unpacked the client answers", async () => {
  vi.stubGlobal("DecompressionStream", undefined);
  const client = new Client({ origins: gateway.origins }, loadInlined);
  await client.put("packed/a", { locator: "l" });
  expect((await client.get("packed/a"))?.keymap.locator).toBe("l");
  expect(client.stats()).toMatchObject({ state: "fallback", core: null });
  expect(warn).toHaveBeenCalledOnce();
  client.close();
  vi.unstubAllGlobals();
});

test("without wasm the client answers through any origin, with one warning", async () => {
  const client = make(["http://127.0.0.1:9", ...gateway.origins]);
  const { version } = await client.put(["plain", "a/b"], { locator: "l", meta: { x: 1 } });
  const found = await client.get(["plain", "a/b"]);
  expect(found).toMatchObject({
    keymap: { key: "plain/a%2Fb", version, locator: "l", meta: { x: 1 } },
    source: "network",
    stale: false,
  });
  expect(await client.get("plain/none")).toBeNull();
  const many = await client.getMany([...Array.from({ length: 300 }, (_, i) => `plain/m${i}`), ["plain", "a/b"]]);
  expect(many).toHaveLength(301);
  expect(many[300]).toMatchObject({ keymap: { version } });
  const listed: string[] = [];
  for await (const keymap of client.list("plain")) listed.push(keymap.key);
  expect(listed).toEqual(["plain/a%2Fb"]);
  await client.prefetch(["plain/x"]);
  expect(client.peek(["plain", "a/b"])).toBeNull();
  expect(client.explain("plain/x")).toBeNull();
  expect(client.stats()).toMatchObject({ state: "fallback", core: null });
  await client.delete(["plain", "a/b"]);
  expect(await client.get(["plain", "a/b"])).toBeNull();
  expect(warn).toHaveBeenCalledTimes(1);
  client.close();
});

test("bookmarks go from one kind of client to the other and back", async () => {
  const plain = make(gateway.origins);
  const { version } = await plain.put("marked/a", { locator: "a" });
  const full = new Client({ origins: gateway.origins, bookmark: plain.bookmark() }, loadInlined);
  expect((await full.get("marked/a"))?.keymap.version).toBe(version);
  expect((full.explain("marked/a") as { floor: number }).floor).toBeGreaterThanOrEqual(version);
  const second = await full.put("marked/a", { locator: "b" });
  const after = new Client({ origins: gateway.origins, bookmark: full.bookmark() }, refused);
  expect((await after.get("marked/a"))?.keymap.version).toBe(second.version);
  for (const client of [plain, full, after]) client.close();
});

test("what is read after an invalidation is newer, without wasm and before the first use too", async () => {
  const writer = make(gateway.origins);
  const plain = make(gateway.origins);
  for (let i = 0; i < 5; i += 1) {
    await writer.put("newer/a", { locator: String(i) });
    plain.invalidate({ key: "newer/a" });
    expect((await plain.get("newer/a"))?.keymap.locator).toBe(String(i));
    const full = new Client({ origins: gateway.origins, feed: false }, loadInlined);
    full.clear();
    expect((await full.get("newer/a"))?.keymap.locator).toBe(String(i));
    full.close();
  }
  writer.close();
  plain.close();
});

test("errors, signals and time-outs are the same", async () => {
  const client = make(gateway.origins);
  await expect(client.get("a//b")).rejects.toMatchObject({ code: "BAD_KEY" });
  await expect(client.get("a", { signal: AbortSignal.abort("no") })).rejects.toMatchObject({ code: "ABORTED", cause: "no" });
  await expect(client.put("a", { locator: "" })).rejects.toMatchObject({ code: "BAD_REQUEST" });
  client.close();
  await expect(client.get("a")).rejects.toMatchObject({ code: "CLOSED" });
  const alone = make(["http://127.0.0.1:9"]);
  await expect(alone.get("a")).rejects.toMatchObject({ code: "NETWORK", retryable: true });
  alone.close();
});

test("close ends a pause that a gateway asked for", async () => {
  const proxy = await startProxy(gateway.origins[0] ?? "");
  try {
    proxy.fault = () => ({ status: 503, headers: { "retry-after": "8" } });
    const client = make([proxy.origin]);
    const waiting = expect(client.get("a")).rejects.toMatchObject({ code: "CLOSED" });
    await expect.poll(() => proxy.seen.length).toBe(1);
    await new Promise((done) => setTimeout(done, 100));
    const began = performance.now();
    client.close();
    await waiting;
    expect(performance.now() - began).toBeLessThan(2_000);
  } finally {
    await proxy.stop();
  }
});
