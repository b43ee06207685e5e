import { afterAll, beforeAll, expect, test } from "vitest";
import { Client } from "../../js/client.js";
import { loadInlined } from "../../js/entry/inline.js";
import type { Core, Instantiate } from "../../js/engine/core.js";
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

/** A client whose current core can be made to trap at its next call: its memory is no longer where the glue looks. */
function fragile() {
  let core: Core & { __wbg_ptr?: number };
  const load = async (): Promise<Instantiate> => {
    const instantiate = await loadInlined();
    return () => {
      const instance = instantiate();
      const Original = instance.Core;
      class Watched extends Original {
        constructor(config: ConstructorParameters<typeof Original>[0]) {
          super(config);
          core = this;
        }
      }
      return { ...instance, Core: Watched };
    };
  };
  const client = new Client({ origins: [proxy.origin], prefetch: false }, load);
  return { client, sabotage: () => (core.__wbg_ptr = 0x7fff_fff0) };
}

test("a trap is CORE_PANIC, and the next call works", async () => {
  const { client, sabotage } = fragile();
  const panics: string[] = [];
  client.on("panic", ({ message }) => panics.push(message));
  await client.put("panic/a", { locator: "a" });
  for (let i = 1; i <= 3; i += 1) {
    sabotage();
    await expect(client.get("panic/a")).rejects.toMatchObject({ code: "CORE_PANIC", retryable: true });
    expect((await client.get("panic/a"))?.keymap.locator).toBe("a");
    expect(client.stats().panics).toBe(i);
  }
  expect(panics[0]).toMatch(/memory access out of bounds/);
  client.close();
});

test("synchronous calls are guarded too", async () => {
  const { client, sabotage } = fragile();
  await client.get("panic/warm");
  for (const call of [
    () => client.peek("panic/a"),
    () => client.explain("panic/a"),
    () => client.predictions("panic/a"),
    () => client.invalidate({ all: true }),
    () => client.stats(),
    () => client.clear(),
  ]) {
    sabotage();
    expect(call).toThrow(expect.objectContaining({ code: "CORE_PANIC" }));
    expect(call).not.toThrow();
  }
  client.close();
});

test("calls under way survive the trap of another, and old answers stay out of the new cache", async () => {
  const { client, sabotage } = fragile();
  await client.put("panic/slow", { locator: "slow" });
  client.clear();
  proxy.fault = () => ({ delay: 300 });
  proxy.seen.length = 0;
  const seen = (path: string) => proxy.seen.filter((url) => url.startsWith(path)).length;
  const waiting = client.get("panic/slow");
  const writing = client.put("panic/write", { locator: "w" });
  await expect.poll(() => [seen("/v1/keymap"), seen("/v1/batch") > 0]).toEqual([1, true]);
  const batches = seen("/v1/batch");
  sabotage();
  await expect(client.get("panic/other")).rejects.toMatchObject({ code: "CORE_PANIC" });
  expect((await waiting)?.keymap.locator).toBe("slow");
  expect((await writing).version).toBeGreaterThan(0);
  // Asked again by the new core: the answer to the old request did not count.
  expect(seen("/v1/batch")).toBeGreaterThan(batches);
  expect(seen("/v1/keymap")).toBe(1);
  proxy.fault = () => undefined;
  client.close();
});

test("floors outlive the core", async () => {
  const { client, sabotage } = fragile();
  const { version } = await client.put("panic/floor", { locator: "f" });
  await client.get("panic/floor");
  const floor = () => (client.explain("panic/floor") as { floor: number }).floor;
  sabotage();
  expect(() => client.peek("panic/floor")).toThrow(expect.objectContaining({ code: "CORE_PANIC" }));
  await client.get("panic/floor");
  expect(floor()).toBeGreaterThanOrEqual(version);
  client.close();
});

test("a core that traps at once for a waiting call gives up after one more try", async () => {
  const { client, sabotage } = fragile();
  await client.get("panic/warm2");
  proxy.fault = () => "hang";
  const waiting = expect(client.get("panic/never")).rejects.toMatchObject({ code: "CORE_PANIC" });
  await expect.poll(() => client.stats().open).toBe(1);
  for (let i = 0; i < 2; i += 1) {
    sabotage();
    expect(() => client.clear()).toThrow(expect.objectContaining({ code: "CORE_PANIC" }));
    await new Promise((done) => setTimeout(done, 10));
    client.prefetch(["panic/x"]).catch(() => undefined);
    await new Promise((done) => setTimeout(done, 10));
  }
  await waiting;
  proxy.fault = () => undefined;
  client.close();
});
