import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "foremap";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startSite, type Site } from "../support/site.js";
import { PATIENCE, User, type Options } from "../support/user.js";

const KEYS = ["shop", "shop/shoes", "shop/shoes/7", "cart"];
const SECRET = "0123456789abcdef0123456789abcdef";
let gateway: Gateway;
let site: Site;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "foremap-"));
  const keyFile = join(folder, "key");
  await writeFile(keyFile, SECRET, { mode: 0o600 });
  gateway = await startGateway(1, "--token-key", keyFile, "--shifter", "off", "--share-every", "5s");
  site = await startSite(gateway.origins[0] ?? "");
  const writer = createClient({ origins: gateway.origins, token: await token("writer", "put"), feed: false });
  for (const key of KEYS) await writer.put(key, { locator: key });
  writer.close();
});
afterAll(async () => {
  await site?.stop();
  await gateway?.stop();
  await rm(folder, { recursive: true, force: true });
});

const token = (sub: string, verb = "get") =>
  new SignJWT({ verbs: [verb], prefixes: [""] })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(sub)
    .setExpirationTime("10m")
    .sign(new TextEncoder().encode(SECRET));

/** Twenty people go the same way. */
async function othersVisit(): Promise<void> {
  for (let person = 0; person < 20; person += 1) {
    const options = { origins: gateway.origins, token: await token(`person ${person}`), share: "both", feed: false } as const;
    const client = createClient(options);
    for (const key of KEYS) await client.get(key);
    client.close();
  }
}

const click = (page: Page, key: string) => page.evaluate((key) => window.client.get(key), key);
const model = (page: Page) =>
  page.evaluate(() => window.client.stats().core?.model as { imported: number; told: number; untold: number; wishes: number });

/** Somebody whose browser knows nothing yet. */
async function newcomer(options: Options): Promise<{ user: User; page: Page }> {
  const user = await User.start(site.origin);
  return { user, page: await user.open(options) };
}

async function metric(name: string): Promise<number> {
  const headers = { authorization: `Bearer ${await token("operator", "admin")}` };
  const text = await (await fetch(`${gateway.origins[0]}/metrics`, { headers })).text();
  return Number(new RegExp(`^foremap_${name}\\{.*\\} (\\d+)$`, "m").exec(text)?.[1]);
}

test("the third click of a fresh profile is a hit, and its next page knows the model", async () => {
  await othersVisit();
  await expect.poll(() => metric("shared_observations_total"), PATIENCE).toBe(20 * (KEYS.length - 1));
  await expect.poll(() => metric("snapshots_total"), PATIENCE).toBeGreaterThan(0);
  const { user, page } = await newcomer({ token: await token("ada"), persist: { scope: "ada" } });
  expect((await click(page, KEYS[0] ?? ""))?.source).toBe("network");
  await expect.poll(async () => (await model(page)).imported, PATIENCE).toBe(1);
  await click(page, KEYS[1] ?? "");
  const known = (key: string | undefined) => page.evaluate((key) => window.client.peek(key ?? "") !== undefined, key);
  await expect.poll(() => known(KEYS[2]), PATIENCE).toBe(true);
  expect((await click(page, KEYS[2] ?? ""))?.source).toBe("cache");
  // What is kept is taken over before anything is asked for.
  await page.waitForTimeout(500);
  await page.reload();
  await user.begin(page, { token: await token("ada"), persist: { scope: "ada" } });
  await click(page, KEYS[3] ?? "");
  expect((await model(page)).imported).toBe(1);
  expect(await page.evaluate((key) => window.client.predictions(key)[0]?.key, KEYS[1])).toBe(KEYS[2]);
  await user.stop();
});

test("a page that goes tells what its last answers from the cache were", async () => {
  const { user, page } = await newcomer({ token: await token("grace"), share: "both" });
  for (let round = 0; round < 12; round += 1) for (const key of KEYS) await click(page, `${key}`);
  const before = await metric("summaries_total");
  await page.evaluate(() => {
    for (let at = 0; at < 60; at += 1) void window.client.get(`elsewhere/${at}`);
  });
  await page.waitForTimeout(200);
  for (const key of KEYS) await click(page, key);
  expect((await model(page)).untold).toBeGreaterThan(0);
  await page.goto("about:blank");
  await expect.poll(() => metric("summaries_total"), PATIENCE).toBeGreaterThan(before);
  await user.stop();
});
