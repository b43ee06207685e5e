import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser } from "playwright-core";
import { ended } from "./gateway.js";

const CHROMIUM = process.env.FOREMAP_CHROMIUM ?? "/usr/bin/chromium";

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The distribution's Chromium, headless. */
export function startBrowser(): Promise<Browser> {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: apt-get install chromium, or set FOREMAP_CHROMIUM`);
  return chromium.launch({ executablePath: CHROMIUM, args: ARGS });
}

/** A Chromium as a user has it. */
export interface UserBrowser {
  browser: Browser;
  stop(): Promise<void>;
}

/**
 * Chromium without what Playwright switches off and makes up: pages age and are kept for the back button, and only one that is in
 * front counts as seen. All pages belong to one user, with one storage.
 */
export async function startUserBrowser(): Promise<UserBrowser> {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: apt-get install chromium, or set FOREMAP_CHROMIUM`);
  const folder = await mkdtemp(join(tmpdir(), "foremap-browser-"));
  const own = ["--headless=new", "--remote-debugging-port=0", `--user-data-dir=${folder}`, "--no-default-browser-check"];
  const child = spawn(CHROMIUM, [...own, ...ARGS, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });
  const stop = async () => {
    await ended(child);
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    const endpoint = await new Promise<string>((done, reject) => {
      let output = "";
      child.stderr.on("data", (chunk: Buffer) => {
        output += chunk.toString();
        const found = /DevTools listening on (ws:\S+)/.exec(output)?.[1];
        if (found !== undefined) done(found);
      });
      child.once("exit", (code) => reject(new Error(`Chromium ended with ${code}:\n${output}`)));
    });
    return { browser: await chromium.connectOverCDP(endpoint, { noDefaults: true }), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
