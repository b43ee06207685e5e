import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient, type ForemapClient, type GetResult, type Stats } from "foremap";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startSite, type Site } from "../support/site.js";
import { PATIENCE, User, type Options } from "../support/user.js";

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
  site.down = false;
  site.opened = 0;
  await writer.put(key("a"), { locator: "a1" });
  await writer.put(key("b"), { locator: "b1" });
});
afterEach(() => user.closePages());

const key = (name: string) => `tabs${space}/${name}`;

/** A page that has asked for `names`. */
async function openTab(options: Options = {}, names: string[] = ["a"]): Promise<Page> {
  const page = await user.open(options);
  for (const name of names) await get(page, name);
  return page;
}

const get = (page: Page, name: string): Promise<GetResult | null> =>
  page.evaluate((key) => window.client.get(key), key(name));
const locator = async (page: Page, name: string) => (await get(page, name))?.keymap.locator;
/** What is cached, however old. */
const peeked = (page: Page, name: string) =>
  page.evaluate((key) => window.client.peek(key, { maxStaleness: 0x7fff_ffff })?.keymap.locator, key(name));
const stats = (page: Page): Promise<Stats> => page.evaluate(() => window.client.stats());
const role = async (page: Page) => (await stats(page)).feed?.role;
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

/** Tabs of which one leads and the others follow, while all are used. */
async function settled(pages: Page[]): Promise<{ leader: Page; followers: Page[] }> {
  const wanted = [...pages.slice(1).map(() => "following true"), "leading true"].sort();
  const state = async (page: Page) => {
    await get(page, "a");
    return `${await role(page)} ${(await isFed(page)).open}`;
  };
  await expect.poll(async () => (await Promise.all(pages.map(state))).sort(), PATIENCE).toEqual(wanted);
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

test("three tabs and a writer: one feed at the gateway, and every tab hears of every write", async () => {
  const tabs = [await openTab(), await openTab({}, ["a", "b"]), await openTab({}, ["b"])];
  await settled(tabs);
  await hearsWrite([tabs[0]!, tabs[1]!], "a");
  await hearsWrite([tabs[1]!, tabs[2]!], "b");
  expect(await feeds()).toBe(1);
  expect(site.feeds()).toBe(1);
  // What is cached stays fresh in all of them without a request.
  const before = await Promise.all(tabs.map(requests));
  // A frame comes each third of the bound: after so many, what no frame had kept fresh would be far too old.
  const frames = async (page: Page) => ((await isFed(page)) as unknown as { frames: number }).frames;
  const enough = (await frames(tabs[0]!)) + 9;
  await expect.poll(() => frames(tabs[0]!), { ...PATIENCE, timeout: 60_000 }).toBeGreaterThanOrEqual(enough);
  for (const page of tabs) expect((await get(page, page === tabs[2] ? "b" : "a"))?.source).toBe("cache");
  expect(await Promise.all(tabs.map(requests))).toEqual(before);
}, 120_000);

test("a feed that is cut is opened anew, once for all", async () => {
  const tabs = [await openTab(), await openTab(), await openTab()];
  await settled(tabs);
  site.down = true;
  site.cut();
  for (const page of tabs) await expect.poll(async () => (await isFed(page)).open, PATIENCE).toBe(false);
  expect(await feeds()).toBe(0);
  site.down = false;
  await settled(tabs);
  await hearsWrite(tabs, "a");
  expect(await feeds()).toBe(1);
}, 120_000);

test("the leading tab is frozen: another one leads, and when it wakes it follows", async () => {
  const tabs = [await openTab(), await openTab(), await openTab()];
  const { leader, followers } = await settled(tabs);
  await user.freeze(leader);
  await settled(followers);
  await expect.poll(feeds, PATIENCE).toBe(1);
  await hearsWrite(followers, "a");
  await user.freeze(leader, "active");
  await leader.bringToFront();
  expect(await leader.evaluate(() => window.events)).toContain("freeze");
  // What it missed it does not serve.
  expect(await locator(leader, "a")).toBe(await locator(followers[0]!, "a"));
}, 120_000);

test("a leading tab that nobody looks at any more leaves the feed to one that is seen", async () => {
  const tabs = [await openTab(), await openTab()];
  const { leader, followers } = await settled(tabs);
  await user.cover(leader);
  await settled(followers);
  expect(await role(leader)).toBe("none");
  expect(await feeds()).toBe(1);
  await hearsWrite(followers, "a");
  await leader.bringToFront();
  const written = await locator(followers[0]!, "a");
  // It may serve what it had for as long as the bound allows.
  await expect.poll(() => locator(leader, "a"), PATIENCE).toBe(written);
}, 120_000);

test("tabs that are not to share have a feed each", async () => {
  const tabs = [await openTab({ feed: { shared: false } }), await openTab({ feed: { shared: false } })];
  for (const page of tabs) await expect.poll(async () => (await isFed(page)).open, PATIENCE).toBe(true);
  expect(await feeds()).toBe(2);
  expect((await stats(tabs[0]!)).feed).toBeNull();
}, 120_000);

test("the leading tab is closed, and the next one crashes", async () => {
  const tabs = [await openTab(), await openTab(), await openTab()];
  const { leader, followers } = await settled(tabs);
  await leader.close();
  const next = await settled(followers);
  void (await user.cdp(next.leader)).send("Page.crash").catch(() => undefined);
  await settled(next.followers);
  await hearsWrite(next.followers, "b");
  await expect.poll(feeds, PATIENCE).toBe(1);
}, 120_000);

test("a page kept for the back button holds nothing, and finds everything changed when it comes back", async () => {
  const tabs = [await openTab(), await openTab()];
  const { leader, followers } = await settled(tabs);
  const other = followers[0]!;
  await leader.goto(`${site.origin}/away`);
  await settled(followers);
  await hearsWrite(followers, "a");
  await other.evaluate((key) => window.client.invalidate({ key }), key("b"));
  await leader.evaluate(() => void history.back());
  await leader.waitForFunction(() => window.events?.includes("pageshow persisted"));
  expect(await locator(leader, "a")).toBe(await locator(other, "a"));
  await settled([leader, other]);
}, 120_000);

test("what one tab writes or invalidates the others do not serve any more, even without a feed", async () => {
  const tabs = [await openTab({ feed: false }), await openTab({ feed: false })];
  const [one, two] = [tabs[0]!, tabs[1]!];
  expect(await peeked(two, "a")).toBe("a1");
  await one.evaluate((key) => window.client.put(key, { locator: "own" }), key("a"));
  await expect.poll(() => peeked(two, "a"), PATIENCE).toBeUndefined();
  expect(await locator(two, "a")).toBe("own");
  await two.evaluate((key) => window.client.invalidate({ key }), key("a"));
  await expect.poll(() => peeked(one, "a"), PATIENCE).toBeUndefined();
  expect((await stats(one)).feed).toBeNull();
}, 120_000);

test("another user on the same machine follows another feed and hears nothing", async () => {
  const ada = await openTab({ persist: { scope: "ada" } });
  const grace = await openTab({ persist: { scope: "grace" } });
  await expect.poll(() => role(ada), PATIENCE).toBe("leading");
  await expect.poll(() => role(grace), PATIENCE).toBe("leading");
  expect(await feeds()).toBe(2);
  await ada.evaluate((key) => window.client.invalidate({ key }), key("a"));
  expect(await peeked(grace, "a")).toBe("a1");
  await ada.evaluate(() => window.client.close());
  await expect.poll(feeds, PATIENCE).toBe(1);
}, 120_000);
