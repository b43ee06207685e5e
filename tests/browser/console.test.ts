import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createClient } from "foremap";
import { startBrowser } from "../support/browser.js";
import { startDemo, type Demo } from "../support/demo.js";
import { startGateway, type Gateway } from "../support/gateway.js";

const OUTPUT = resolve(import.meta.dirname, "../output");
let gateway: Gateway;
let demo: Demo;
let browser: Browser;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  await mkdir(OUTPUT, { recursive: true });
  gateway = await startGateway(3, "--shifter", "off");
  using writer = createClient({ origins: gateway.origins });
  for (const user of ["ada", "grace", "mary"]) {
    for (const name of ["profile", "avatar", "settings", "inbox/2026-04-26"]) {
      const locator = `s3://objects/${user}/${name}`;
      await writer.put(`user/${user}/${name}`, { locator, size: 2048, meta: { type: "application/json" } });
    }
  }
  demo = await startDemo(gateway.origins);
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
  await demo?.stop();
  await gateway?.stop();
});
beforeEach(async () => {
  page = await browser.newPage({ viewport: { width: 1180, height: 1150 } });
  complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    // The browser itself notes every answer above 399.
    const expected = message.text().startsWith("Failed to load resource");
    if (["error", "warning"].includes(message.type()) && !expected) complaints.push(message.text());
  });
  await page.goto(demo.origin);
});
afterEach(async () => {
  await page.close();
  expect(complaints).toEqual([]);
});

async function lookUp(key: string, via: "worker" | "tab" = "worker"): Promise<Record<string, string>> {
  await page.check(`input[value=${via}]`);
  await page.fill("#key", key);
  const rows = await page.locator("#log tbody tr").count();
  await page.click("button[type=submit]");
  await page.waitForFunction((before) => document.querySelectorAll("#log tbody tr").length > before, rows);
  const names = await page.locator("#facts dt").allTextContents();
  const values = await page.locator("#facts dd").allTextContents();
  return Object.fromEntries(names.map((name, i) => [name, values[i] ?? ""]));
}

test("a key looked up through the worker: node, partition, epoch, source, age, latency", async () => {
  const facts = await lookUp("user/ada/profile");
  expect(facts).toMatchObject({ Source: "network", Epoch: expect.stringMatching(/^\d+\.1$/) });
  expect(facts.Node).toMatch(/^[123]$/);
  expect(facts.Partition).toMatch(/^\d+$/);
  expect(facts.Age).toMatch(/ms$/);
  expect(facts.Latency).toMatch(/ms$/);
  expect(await page.textContent("#keymap")).toContain("s3://objects/ada/profile");
  expect(await lookUp("user/ada/profile")).toMatchObject({ Source: "cache" });
});

test("the SDK in the tab runs the same core, with its own cache", async () => {
  const first = await lookUp("user/grace/profile", "tab");
  expect(first).toMatchObject({ Source: "network", Epoch: expect.stringMatching(/^\d+\.1$/), Node: expect.stringMatching(/^[123]$/) });
  expect(await lookUp("user/grace/profile", "tab")).toMatchObject({ Source: "cache" });
});

test("a missing key and a bad one are told apart", async () => {
  await lookUp("user/nobody/profile");
  expect(await page.textContent("#verdict")).toContain("no such keymap");
  await page.fill("#key", "user//profile");
  await page.click("button[type=submit]");
  await expect.poll(() => page.textContent("#verdict")).toContain("BAD_KEY");
});

test("figures and predictions are the worker's own", async () => {
  for (let round = 0; round < 3; round += 1) {
    for (const name of ["profile", "avatar", "settings"]) await lookUp(`user/mary/${name}`);
  }
  await lookUp("user/mary/profile");
  await expect.poll(() => page.locator("#next tbody tr").first().textContent()).toContain("user/mary/avatar");
  const stats = (await (await fetch(`${demo.origin}/v1/stats`)).json()) as { requests: number };
  await expect
    .poll(() => page.locator(".tile", { hasText: /requests$/ }).locator("b").textContent())
    .toBe(stats.requests.toLocaleString("en"));
  await page.screenshot({ path: join(OUTPUT, "console-light.png"), fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: join(OUTPUT, "console-dark.png"), fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(overflow).toBe(0);
  await page.screenshot({ path: join(OUTPUT, "console-narrow.png"), fullPage: true });
});

test("a stored key is offered and can be clicked", async () => {
  await page.locator("#samples button").first().click();
  await expect.poll(() => page.textContent("#verdict")).toContain("Found");
});
