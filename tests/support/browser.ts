import { existsSync } from "node:fs";
import { chromium, type Browser } from "playwright-core";

const CHROMIUM = process.env.FOREMAP_CHROMIUM ?? "/usr/bin/chromium";

/** What Playwright switches off beside what a test needs: with these pages age, and are kept for the back button, as a user's do. */
const UNREAL = [
  "--disable-back-forward-cache",
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
];

/** The distribution's Chromium, headless. @param real keeps what Playwright switches off: throttling, the back/forward cache */
export function startBrowser({ real = false } = {}): Promise<Browser> {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: apt-get install chromium, or set FOREMAP_CHROMIUM`);
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
  const ignoreDefaultArgs = real ? UNREAL : [];
  return chromium.launch({ executablePath: CHROMIUM, ignoreDefaultArgs, args: [...args, "--disable-component-update", "--disable-sync"] });
}
