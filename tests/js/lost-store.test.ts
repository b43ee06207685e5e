import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "foremap";
import { encodeFrame, PREAMBLE } from "../support/feed.js";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy, type Proxy } from "../support/proxy.js";

/** A gateway, and one whose store was made later: what is left where the first store is lost. */
let lost: Gateway;
let fresh: Gateway;
let proxy: Proxy;
beforeAll(async () => {
  lost = await startGateway(1);
  // The incarnation of a store is the second in which it was made.
  const second = Math.floor(Date.now() / 1_000);
  while (Math.floor(Date.now() / 1_000) === second) await new Promise((done) => setTimeout(done, 20));
  fresh = await startGateway(1);
  proxy = await startProxy(lost.origins[0] ?? "");
});
afterAll(async () => {
  await proxy?.stop();
  await lost?.stop();
  await fresh?.stop();
});

/** A client that has read and written on the store that will be lost, and what it heard of that. */
async function used(options = {}) {
  proxy.target = lost.origins[0] ?? "";
  const client = createClient({ origins: [proxy.origin], prefetch: false, ...options });
  const incarnations: number[] = [];
  client.on("sessionReset", ({ incarnation }) => incarnations.push(incarnation));
  await client.put("lost/a", { locator: "of the old store" });
  // A write does not tell of the store; an answer does.
  client.clear();
  expect((await client.get("lost/a"))?.keymap.locator).toBe("of the old store");
  return { client, incarnations };
}

async function incarnation(gateway: Gateway): Promise<number> {
  const map = (await (await fetch(`${gateway.origins[0]}/v1/map`)).json()) as { epoch: { incarnation: number } };
  return map.epoch.incarnation;
}

test("a session of a store that is gone goes on with the new one", async () => {
  const { client, incarnations } = await used({ feed: false });
  const bookmark = client.bookmark();
  proxy.target = fresh.origins[0] ?? "";
  // What the session had seen is nowhere any more: no answer is older than it.
  expect(await client.get("lost/b")).toBeNull();
  expect(incarnations).toEqual([await incarnation(fresh)]);
  expect(client.peek("lost/a")).toBeNull();
  expect(await client.get("lost/a")).toBeNull();
  const { version } = await client.put("lost/a", { locator: "of the new store" });
  expect((await client.get("lost/a"))?.keymap).toMatchObject({ version, locator: "of the new store" });
  using next = createClient({ origins: [proxy.origin], prefetch: false, bookmark });
  expect((await next.get("lost/a"))?.keymap.version).toBe(version);
  // An answer of the old store that comes yet is not taken.
  proxy.target = lost.origins[0] ?? "";
  client.clear();
  await expect(client.get("lost/a", { timeout: 300 })).rejects.toMatchObject({ retryable: true });
  client.close();
});

test("a session hears from its feed that the store is another one", async () => {
  const bound = { maxStaleness: 400 };
  proxy.feeds.length = 0;
  proxy.fault = ({ url }) => (url === "/v1/changes" ? "feed" : undefined);
  const { client, incarnations } = await used(bound);
  await expect.poll(() => proxy.feeds.length).toBe(1);
  proxy.target = fresh.origins[0] ?? "";
  const later = await incarnation(fresh);
  const hello = { node: 1, feed: 9, clock: 77, heartbeat: 60_000, incarnation: later };
  proxy.feeds[0]?.write(Uint8Array.from([...PREAMBLE, ...encodeFrame({ number: 0, hello })]));
  await expect.poll(() => incarnations).toEqual([later]);
  expect(client.peek("lost/a", { maxStaleness: 60_000 })).toBeNull();
  expect(await client.get("lost/never")).toBeNull();
  client.close();
});
