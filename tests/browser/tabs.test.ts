import type { Browser, BrowserContext, CDPSession, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient, type ClientOptions, type ForemapClient, type GetResult, type Stats } from "foremap";
import { startBrowser } from "../support/browser.js";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startSite, type Site } from "../support/site.js";

declare global {
  interface Window {
    createClient: typeof createClient;
    client: ForemapClient;
    events: string[];
  }
}

/** Generous: nothing here is about how long something takes. */
const PATIENCE = { timeout: 30_000, interval: 100 };

let gateway: Gateway;
let site: Site;
let browser: Browser;
let context: BrowserContext;
let writer: ForemapClient;
let space = 0;

beforeAll(async () => {
  gateway = await startGateway(1, "--shifter", "off");
  site = await startSite(gateway.origins[0] ?? "");
  browser = await startBrowser({ real: true });
  writer = createClient({ origins: gateway.origins, feed: false });
});
afterAll(async () => {
  writer?.close();
  await browser?.close();
  await site?.stop();
  await gateway?.stop();
});
beforeEach(async () => {
  space += 1;
  site.down = false;
  site.opened = 0;
  context = await browser.newContext();
  await writer.put(key("a"), { locator: "a1" });
  await writer.put(key("b"), { locator: "b1" });
});
afterEach(() => context.close());

const key = (name: string) => `tabs${space}/${name}`;

type Options = Partial<ClientOptions>;

/** A page with a client that has asked for `names`. */
async function openTab(options: Options = {}, names: string[] = ["a"]): Promise<Page> {
  const page = await context.newPage();
  await page.goto(site.origin);
  await begin(page, options);
  for (const name of names) await get(page, name);
  return page;
}

async function begin(page: Page, options: Options): Promise<void> {
  await page.waitForFunction(() => window.createClient !== undefined);
  await page.evaluate(
    ([origin, given]) => void (window.client = window.createClient({ origins: [origin], ...given })),
    [site.origin, options] as const,
  );
}

const get = (page: Page, name: string): Promise<GetResult | null> =>
  page.evaluate((key) => window.client.get(key), key(name));
const locator = async (page: Page, name: string) => (await get(page, name))?.keymap.locator;
const peeked = (page: Page, name: string) => page.evaluate((key) => window.client.peek(key)?.keymap.locator, key(name));
const stats = (page: Page): Promise<Stats> => page.evaluate(() => window.client.stats());
const role = async (page: Page) => (await stats(page)).feed?.role;
const roles = async (pages: Page[]) => (await Promise.all(pages.map(role))).sort();
const isFed = async (page: Page) => (await stats(page)).core?.feed as { open: boolean; lost: number };
const requests = async (page: Page) => ((await stats(page)).core as { batches: number }).batches;

/** Change feeds at the gateway. */
async function feeds(): Promise<number> {
  const metrics = await (await fetch(`${gateway.origins[0]}/metrics`)).text();
  return Number(/^foremap_feeds\{.*\} (\d+)$/m.exec(metrics)?.[1]);
}

async function find(pages: Page[], wanted: string): Promise<Page> {
  for (const page of pages) if ((await role(page)) === wanted) return page;
  throw new Error(`nobody is ${wanted}`);
}

/** Tabs of which one leads and the others follow. */
async function settled(pages: Page[]): Promise<{ leader: Page; followers: Page[] }> {
  const wanted = [...pages.slice(1).map(() => "following"), "leading"].sort();
  await expect.poll(() => roles(pages), PATIENCE).toEqual(wanted);
  for (const page of pages) await expect.poll(async () => (await isFed(page)).open, PATIENCE).toBe(true);
  const leader = await find(pages, "leading");
  return { leader, followers: pages.filter((page) => page !== leader) };
}

/** Every tab hears of a write that none of them made, without asking. */
async function hearsWrite(pages: Page[], name: string): Promise<void> {
  for (const page of pages) await get(page, name);
  for (const page of pages) await expect.poll(() => peeked(page, name), PATIENCE).toBeDefined();
  const value = `${name} ${Math.random()}`;
  await writer.put(key(name), { locator: value });
  for (const page of pages) {
    // Dropped by what the feed told; a read asks again.
    await expect.poll(async () => peeked(page, name), PATIENCE).toBeUndefined();
    expect(await locator(page, name)).toBe(value);
  }
}

async function cdp(page: Page): Promise<CDPSession> {
  const session = await context.newCDPSession(page);
  await session.send("Emulation.setFocusEmulationEnabled", { enabled: false });
  return session;
}

const freeze = async (page: Page, state: "frozen" | "active" = "frozen") =>
  (await cdp(page)).send("Page.setWebLifecycleState", { state });

test("three tabs and a writer: one feed at the gateway, and every tab hears of every write", async () => {
  const tabs = [await openTab(), await openTab({}, ["a", "b"]), await openTab({}, ["b"])];
  await settled(tabs);
  await hearsWrite([tabs[0]!, tabs[1]!], "a");
  await hearsWrite([tabs[1]!, tabs[2]!], "b");
  expect(await feeds()).toBe(1);
  expect(site.feeds()).toBe(1);
  // What is cached stays fresh in all of them without a request.
  const before = await Promise.all(tabs.map(requests));
  await new Promise((done) => setTimeout(done, 12_000));
  for (const page of tabs) expect((await get(page, page === tabs[2] ? "b" : "a"))?.source).toBe("cache");
  expect(await Promise.all(tabs.map(requests))).toEqual(before);
}, 120_000);
