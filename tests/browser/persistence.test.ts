import type { CDPSession, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient, type ForemapClient } from "foremap";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startSite, type Site } from "../support/site.js";
import { PATIENCE, User } from "../support/user.js";

let gateway: Gateway;
let site: Site;
let user: User;
let writer: ForemapClient;
let space = 0;

beforeAll(async () => {
  gateway = await startGateway(1, "--shifter", "off");
  site = await startSite(gateway.origins[0] ?? "");
  user = await User.start(site.origin);
  writer = createClient({ origins: gateway.origins, feed: false });
});
afterAll(async () => {
  writer?.close();
  await user?.stop();
  await site?.stop();
  await gateway?.stop();
});
beforeEach(async () => {
  space += 1;
  await writer.put(key("a"), { locator: "a1" });
  await writer.put(key("b"), { locator: "b1" });
});
afterEach(() => user.closePages());

const key = (name: string) => `kept${space}/${name}`;
const scope = (name = "ada") => ({ persist: { scope: `${name}${space}` } });

async function get(page: Page, name: string) {
  return page.evaluate((key) => window.client.get(key), key(name));
}
const persistence = (page: Page) => page.evaluate(() => window.client.stats().persistence);
const entries = (page: Page) =>
  page.evaluate(() => (window.client.stats().core as { cache: { entries: number } } | null)?.cache.entries);

/** A page that has read both keys and has what it read kept. */
async function keeping(options = scope()): Promise<Page> {
  const page = await user.open(options);
  await get(page, "a");
  await get(page, "b");
  await expect.poll(async () => (await persistence(page))?.state, PATIENCE).toBe("ready");
  await expect.poll(async () => (await persistence(page))?.bytes, PATIENCE).toBeGreaterThan(0);
  return page;
}

/** Waits until what is kept is there: the first `get` has it read, and waits for that, but not for long. */
async function loaded(page: Page): Promise<void> {
  await get(page, "another");
  await expect.poll(async () => (await persistence(page))?.state, PATIENCE).toBe("ready");
}

async function reload(page: Page, options = scope()): Promise<void> {
  await page.reload();
  await user.begin(page, options);
}

test("a reload starts warm: what was cached is there, and what changed meanwhile is not served", async () => {
  const page = await keeping();
  await page.reload();
  await writer.put(key("b"), { locator: "b2" });
  await user.begin(page, scope());
  await loaded(page);
  const first = await get(page, "a");
  expect(await entries(page)).toBeGreaterThanOrEqual(1);
  // Confirmed, not fetched anew.
  expect(first).toMatchObject({ keymap: { locator: "a1" }, stale: false });
  expect(["cache", "revalidated"]).toContain(first?.source);
  expect((await get(page, "b"))?.keymap.locator).toBe("b2");
});

test("a crash loses no more than the last ten seconds", async () => {
  const page = await keeping();
  void (await user.cdp(page)).send("Page.crash").catch(() => undefined);
  const next = await user.open(scope());
  await loaded(next);
  const found = await get(next, "a");
  expect(["cache", "revalidated"]).toContain(found?.source);
});

test("another user of the same machine sees nothing, nor does anybody after clear()", async () => {
  const page = await keeping();
  await reload(page, scope("grace"));
  expect((await get(page, "a"))?.source).toBe("network");
  await reload(page, scope("ada"));
  await loaded(page);
  expect((await get(page, "a"))?.source).not.toBe("network");
  await page.evaluate(() => window.client.clear());
  await expect.poll(async () => (await persistence(page))?.bytes, PATIENCE).toBe(0);
  await reload(page, scope("ada"));
  expect((await get(page, "a"))?.source).toBe("network");
});

test("a frozen page holds no connection: nobody waits for it", async () => {
  // A connection that is closed while a transaction is under way goes when that has ended, which a frozen page never hears;
  // here it has.
  const page = await keeping();
  await user.freeze(page);
  const other = await user.open(scope("other"));
  const deleted = await other.evaluate(
    () =>
      new Promise((done) => {
        const request = indexedDB.deleteDatabase("foremap");
        request.onblocked = () => done("blocked");
        request.onsuccess = () => done("deleted");
        request.onerror = () => done("failed");
      }),
  );
  expect(deleted).toBe("deleted");
  await user.freeze(page, "active");
  await page.bringToFront();
  expect((await get(page, "a"))?.keymap.locator).toBe("a1");
  await expect.poll(async () => (await persistence(page))?.state, PATIENCE).toBe("ready");
}, 60_000);

test("no room: the client goes on in memory", async () => {
  const page = await user.open(scope());
  const session: CDPSession = await user.cdp(page);
  // What others had kept would be evicted for it.
  await session.send("Storage.clearDataForOrigin", { origin: site.origin, storageTypes: "indexeddb" });
  await session.send("Storage.overrideQuotaForOrigin", { origin: site.origin, quotaSize: 1 });
  try {
    expect((await get(page, "a"))?.keymap.locator).toBe("a1");
    await expect.poll(async () => (await persistence(page))?.state, PATIENCE).toBe("memory");
    expect(await get(page, "a")).toMatchObject({ keymap: { locator: "a1" }, source: "cache" });
  } finally {
    await session.send("Storage.overrideQuotaForOrigin", { origin: site.origin });
  }
}, 60_000);

test("storage that is cleared under it: memory, and kept again later", async () => {
  const page = await keeping();
  const session = await user.cdp(page);
  await session.send("Storage.clearDataForOrigin", { origin: site.origin, storageTypes: "indexeddb" });
  await expect.poll(async () => (await persistence(page))?.state, PATIENCE).toBe("memory");
  expect((await get(page, "a"))?.keymap.locator).toBe("a1");
  await expect.poll(async () => (await persistence(page))?.state, PATIENCE).toBe("ready");
  await reload(page);
  await loaded(page);
  expect((await get(page, "a"))?.source).not.toBe("network");
}, 60_000);

test("two tabs of one scope: the last one to keep wins, and the next page begins with that", async () => {
  const [one, two] = [await keeping(), await keeping()];
  await one.close();
  await two.close();
  const page = await user.open(scope());
  await loaded(page);
  expect((await get(page, "a"))?.source).not.toBe("network");
  expect((await get(page, "b"))?.source).not.toBe("network");
}, 60_000);
