import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient } from "foremap";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy, type Proxy } from "../support/proxy.js";

let gateway: Gateway;
/** Two ways to the gateway; the first is the one that a client takes while both will do. */
let busy: Proxy;
let other: Proxy;
beforeAll(async () => {
  gateway = await startGateway(1);
  [busy, other] = await Promise.all([startProxy(gateway.origins[0] ?? ""), startProxy(gateway.origins[0] ?? "")]);
});
afterAll(async () => {
  await busy?.stop();
  await other?.stop();
  await gateway?.stop();
});
beforeEach(() => {
  for (const proxy of [busy, other]) {
    proxy.fault = () => undefined;
    proxy.seen.length = 0;
    proxy.requests.length = 0;
  }
});

const overloaded = (seconds: number) => ({
  status: 503,
  headers: { "retry-after": String(seconds), "content-type": "application/problem+json" },
  body: JSON.stringify({ title: "the node has more to do than it can", status: 503, code: "OVERLOADED" }),
});
/** Whether a request named `key`, which batches hold as text. */
const askedFor = (proxy: Proxy, key: string) => proxy.requests.some(({ body }) => Buffer.from(body).includes(key));

test("where a gateway asks for a pause, demand goes elsewhere, and nothing is fetched ahead", async () => {
  using client = createClient({ origins: [busy.origin, other.origin], feed: false });
  await client.put("pause/kept", { locator: "kept" });
  await client.put("pause/ahead", { locator: "ahead" });
  client.clear();
  expect((await client.get("pause/kept"))?.source).toBe("network");
  expect(other.seen).toEqual([]);
  const statuses: number[] = [];
  const stop = client.on("response", ({ status }) => statuses.push(status));
  busy.fault = () => overloaded(2);
  const before = busy.seen.length;
  // Refused: it waits for as long as it was told.
  const refused = client.get("pause/refused");
  await expect.poll(() => statuses).toEqual([503]);
  stop();
  // What comes then asks the other one, and nobody waits.
  let isAnswered = false;
  void refused.then(() => (isAnswered = true));
  await client.prefetch(["pause/ahead"], { probability: 1, within: 1_000 });
  for (let i = 0; i < 5; i += 1) expect(await client.get(`pause/new/${i}`)).toBeNull();
  expect((await client.put("pause/written", { locator: "w" })).version).toBeGreaterThan(0);
  expect(isAnswered).toBe(false);
  // What was refused is asked for elsewhere then.
  expect(await refused).toBeNull();
  expect(askedFor(other, "pause/refused")).toBe(true);
  expect(busy.seen.length).toBe(before + 1);
  expect(askedFor(other, "pause/ahead")).toBe(false);
  expect(client.peek("pause/ahead")).toBeNull();
  expect(client.stats().core).toMatchObject({ openBreakers: 0 });
});

test("where there is no other gateway, demand waits, and is answered", async () => {
  using client = createClient({ origins: [busy.origin], feed: false });
  await client.put("alone/a", { locator: "a" });
  client.clear();
  let left = 1;
  busy.fault = () => (left-- > 0 ? overloaded(1) : undefined);
  const before = busy.seen.length;
  expect((await client.get("alone/a"))?.keymap.locator).toBe("a");
  expect(busy.seen.length).toBe(before + 2);
});
