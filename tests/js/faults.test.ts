import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient } from "foremap";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy, type Proxy } from "../support/proxy.js";

let gateway: Gateway;
let proxy: Proxy;
beforeAll(async () => {
  gateway = await startGateway(1);
  proxy = await startProxy(gateway.origins[0] ?? "");
});
afterAll(async () => {
  await proxy?.stop();
  await gateway?.stop();
});
beforeEach(() => {
  proxy.fault = () => undefined;
  proxy.seen.length = 0;
  proxy.aborted = 0;
});

const make = (options = {}) => createClient({ origins: [proxy.origin], prefetch: false, ...options });

test("a passing failure is retried", async () => {
  using client = make();
  for (const fault of [{ status: 503, headers: { "retry-after": "0" } }, "reset"] as const) {
    let left = 1;
    proxy.fault = () => (left-- > 0 ? fault : undefined);
    expect(await client.get(`retry/${JSON.stringify(fault).length}`)).toBeNull();
  }
  let left = 1;
  proxy.fault = () => (left-- > 0 ? { status: 503 } : undefined);
  expect((await client.put("retry/put", { locator: "x" })).version).toBeGreaterThan(0);
  expect(await client.versions("retry/put")).toHaveLength(1);
});

test("a write whose answer is lost is applied once", async () => {
  using client = make();
  let first = true;
  const origin = gateway.origins[0] ?? "";
  // The gateway performs the write, and the connection breaks before the answer.
  const fetchOnce = async (request: Request, init?: RequestInit) => {
    const answer = await fetch(request.clone(), init);
    if (request.method !== "PUT" || !first) return answer;
    first = false;
    throw new TypeError("connection lost");
  };
  using writer = createClient({ origins: [origin], fetch: fetchOnce });
  const { version } = await writer.put("once/k", { locator: "x" });
  expect(first).toBe(false);
  expect((await client.versions("once/k")).map((entry) => entry.version)).toEqual([version]);
});

test("another origin takes over where one is dead", async () => {
  using client = createClient({ origins: ["http://127.0.0.1:9", proxy.origin], prefetch: false });
  expect(await client.get("over/a")).toBeNull();
  expect((await client.put("over/b", { locator: "b" })).version).toBeGreaterThan(0);
});

test("nobody reachable is NETWORK, and retryable", async () => {
  using client = createClient({ origins: ["http://127.0.0.1:9"] });
  await expect(client.get("a")).rejects.toMatchObject({ name: "ForemapError", code: "NETWORK", retryable: true });
  await expect(client.put("a", { locator: "a" })).rejects.toMatchObject({ code: "NETWORK" });
});

test("a gateway that hangs is TIMEOUT", async () => {
  using client = make();
  await client.get("warm");
  proxy.fault = () => "hang";
  const began = performance.now();
  await expect(client.get("hang/a", { timeout: 300 })).rejects.toMatchObject({ code: "TIMEOUT", retryable: true });
  await expect(client.versions("hang/a", { timeout: 300 })).rejects.toMatchObject({ code: "TIMEOUT" });
  expect(performance.now() - began).toBeLessThan(2_000);
});

test("a signal ends one caller; the request ends with the last", async () => {
  // Not warmed up: a batch that also fetches changes would go on for those.
  using client = make();
  proxy.fault = () => "hang";
  const [one, two] = [new AbortController(), new AbortController()];
  const first = expect(client.get("ab/a", { signal: one.signal })).rejects.toMatchObject({ code: "ABORTED", cause: "enough" });
  const second = expect(client.get("ab/a", { signal: two.signal })).rejects.toMatchObject({ code: "ABORTED" });
  await expect.poll(() => client.stats().open).toBe(1);
  one.abort("enough");
  await first;
  expect(client.stats().open).toBe(1);
  two.abort();
  await second;
  await expect.poll(() => proxy.aborted).toBe(1);
  expect(client.stats()).toMatchObject({ open: 0, waiting: 0 });
  await expect(client.get("ab/b", { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
});

test.each([
  ["text", { status: 200, body: "<html>captive portal</html>" }],
  ["another batch", { status: 200, headers: { "content-type": "application/vnd.foremap.v1" }, body: "FMBA\u0001" }],
  ["random bytes", { status: 200, body: Uint8Array.from({ length: 400 }, (_, i) => (i * 197) % 256) }],
])("an answer that is %s is BAD_ANSWER", async (_, fault) => {
  using client = make();
  proxy.fault = () => fault;
  await expect(client.get("bad/a", { timeout: 1_500 })).rejects.toMatchObject({ code: "BAD_ANSWER" });
  await expect(client.put("bad/a", { locator: "x" })).rejects.toMatchObject({ code: "BAD_ANSWER" });
  expect(client.stats().panics).toBe(0);
});

test.each([
  [401, "UNAUTHENTICATED"],
  [403, "FORBIDDEN"],
  [429, "TOO_MANY_REQUESTS"],
])("status %i without problem details is %s", async (status, code) => {
  using client = make();
  proxy.fault = () => ({ status });
  await expect(client.versions("s/a", { timeout: 1_000 })).rejects.toMatchObject({ code });
});
