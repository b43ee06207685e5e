import type { BrowserContext, CDPSession, Page } from "playwright-core";
import type { createClient, ClientOptions, ForemapClient } from "foremap";
import { startUserBrowser, type UserBrowser } from "./browser.js";

declare global {
  interface Window {
    createClient: typeof createClient;
    client: ForemapClient;
    events: string[];
  }
}

/** Generous: nothing here is about how long something takes. */
export const PATIENCE = { timeout: 30_000, interval: 100 };

export type Options = Pick<ClientOptions, "feed" | "persist" | "share" | "token">;

/** Somebody with a browser, who opens pages of one site in windows of their own, so that each is seen. */
export class User {
  #pages: Page[] = [];

  private constructor(
    private readonly origin: string,
    private readonly browser: UserBrowser,
    private readonly context: BrowserContext,
    private readonly control: CDPSession,
  ) {}

  static async start(origin: string): Promise<User> {
    const browser = await startUserBrowser();
    const context = browser.browser.contexts()[0];
    if (context === undefined) throw new Error("a browser without a user");
    return new User(origin, browser, context, await browser.browser.newBrowserCDPSession());
  }

  /** A page with a client. */
  async open(options: Options = {}): Promise<Page> {
    const made = this.context.waitForEvent("page");
    await this.control.send("Target.createTarget", { url: "about:blank", newWindow: true });
    const page = await made;
    this.#pages.push(page);
    await page.goto(this.origin);
    await this.begin(page, options);
    return page;
  }

  /** Makes the client of a page. */
  async begin(page: Page, options: Options): Promise<void> {
    await page.waitForFunction(() => window.createClient !== undefined);
    const given = { ...options, origins: [this.origin] };
    await page.evaluate((given) => void (window.client = window.createClient(given)), given);
  }

  /** Follows a link into a new tab, which is in front of the page then. */
  async cover(page: Page): Promise<void> {
    await page.bringToFront();
    await page.evaluate(() => {
      document.body.innerHTML = '<a href="about:blank" target="_blank">on</a>';
    });
    const made = this.context.waitForEvent("page");
    await page.click("a");
    this.#pages.push(await made);
    await page.waitForFunction(() => document.visibilityState === "hidden", undefined, { polling: 100 });
  }

  cdp(page: Page): Promise<CDPSession> {
    return this.context.newCDPSession(page);
  }

  /** Freezes a page as a browser does, or wakes it. */
  async freeze(page: Page, state: "frozen" | "active" = "frozen"): Promise<void> {
    await (await this.cdp(page)).send("Page.setWebLifecycleState", { state });
  }

  async closePages(): Promise<void> {
    for (const page of this.#pages.splice(0)) await page.close().catch(() => undefined);
  }

  async stop(): Promise<void> {
    await this.browser.stop();
  }
}
