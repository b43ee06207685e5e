import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "foremap";
import { startBrowser } from "../support/browser.js";
import { startDemo, type Demo } from "../support/demo.js";
import { startGateway, type Gateway } from "../support/gateway.js";

let gateway: Gateway;
let demo: Demo;
let browser: Browser;
let server: Server;
let policy = "";

const PAGE = '<!doctype html><script type="module" src="/page.js"></script>';
const script = (origin: string) => `
  import { createClient } from "/foremap/index.js";
  const client = createClient({ origins: ["${origin}"] });
  const results = [await client.get("csp/a"), await client.get("csp/a"), await client.get("csp/none")];
  const locators = results.map((found) => found?.keymap.locator ?? null);
  document.title = JSON.stringify({ locators, state: client.stats().state });
`;

// A page of another origin than the worker, under a policy of its own.
beforeAll(async () => {
  gateway = await startGateway(1);
  using writer = createClient({ origins: gateway.origins });
  await writer.put("csp/a", { locator: "a" });
  demo = await startDemo(gateway.origins);
  browser = await startBrowser();
  server = createServer(async (request, response) => {
    const headers = { "content-security-policy": `default-src 'none'; connect-src *; script-src ${policy}` };
    if (request.url?.startsWith("/foremap/")) {
      const file = await fetch(demo.origin + request.url);
      response.writeHead(file.status, { "content-type": "text/javascript" }).end(await file.text());
    } else if (request.url === "/page.js") {
      response.writeHead(200, { "content-type": "text/javascript" }).end(script(demo.origin));
    } else {
      response.writeHead(200, { ...headers, "content-type": "text/html" }).end(PAGE);
    }
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
});
afterAll(async () => {
  server?.close();
  await browser?.close();
  await demo?.stop();
  await gateway?.stop();
});

async function use(scripts: string) {
  policy = scripts;
  const page = await browser.newPage();
  const warnings: string[] = [];
  page.on("console", (message) => message.type() === "warning" && warnings.push(message.text()));
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.waitForFunction(() => document.title !== "");
  const result = JSON.parse(await page.title()) as { locators: (string | null)[]; state: string };
  await page.close();
  return { ...result, warnings: warnings.filter((text) => text.startsWith("foremap:")) };
}

test("where the policy forbids wasm the client still answers, with one warning", async () => {
  const { locators, state, warnings } = await use("'self'");
  expect({ locators, state }).toEqual({ locators: ["a", "a", null], state: "fallback" });
  expect(warnings).toHaveLength(1);
});

test("'wasm-unsafe-eval' is all that it needs", async () => {
  expect(await use("'self' 'wasm-unsafe-eval'")).toEqual({ locators: ["a", "a", null], state: "ready", warnings: [] });
});
