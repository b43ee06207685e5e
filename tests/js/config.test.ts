import { expect, test, vi } from "vitest";
import { createClient, type ClientOptions } from "foremap";
import { MAX_STALENESS_MS, PERSON_STALENESS_MS, settings } from "../../js/config.js";
import { holdsFeed, isBrowser } from "../../js/surroundings.js";

const origins = ["https://gateway.example"];

test.each<[string, unknown]>([
  ["no origins", { origins: [] }],
  ["origins missing", {}],
  ["origin with a path", { origins: ["https://gateway.example/api"] }],
  ["origin of another scheme", { origins: ["ftp://gateway.example"] }],
  ["origin with a password", { origins: ["https://a:b@gateway.example"] }],
  ["token with a line break", { origins, token: "a\nb" }],
  ["negative timeout", { origins, timeout: -1 }],
  ["timeout beyond what timers take", { origins, timeout: 2 ** 31 }],
  ["fractional staleness", { origins, maxStaleness: 0.5 }],
  ["threshold above one", { origins, prefetch: { threshold: 1.5 } }],
  ["waste budget that is no number", { origins, prefetch: { wasteBudget: NaN } }],
  ["negative stale-while-revalidate", { origins, staleWhileRevalidate: -1 }],
  ["fractional stale-if-error", { origins, staleIfError: 0.5 }],
  ["feed that is idle before it began", { origins, feed: { idle: -1 } }],
  ["feed that is shared with somebody", { origins, feed: { shared: "ada" } }],
  ["bookmark of another kind", { origins, bookmark: "eyJhIjoxfQ" }],
  ["unsafe seed", { origins, seed: 2 ** 60 }],
])("%s is CONFIG at once", (_, options) => {
  expect(() => createClient(options as ClientOptions)).toThrow(expect.objectContaining({ code: "CONFIG" }));
});

test("making a client does no I/O, compiles nothing and sets no timer", () => {
  const spies = [
    vi.spyOn(globalThis, "fetch"),
    vi.spyOn(globalThis, "setTimeout"),
    vi.spyOn(WebAssembly, "compile"),
    vi.spyOn(WebAssembly, "instantiate"),
  ];
  const client = createClient({ origins });
  expect(client.stats()).toEqual({ state: "idle", panics: 0, waiting: 0, open: 0, core: null, feed: null, persistence: null });
  expect(client.peek("a")).toBeNull();
  expect(client.predictions("a")).toEqual([]);
  expect(client.invalidate({ all: true })).toBe(0);
  client.close();
  for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});

test("what the surroundings decide: a person in front of it, and whether a feed can be held", () => {
  const decided = () => {
    const { core, maxStaleness } = settings(
      { origins },
      { maxOrigins: 4, maxStaleness: isBrowser() ? PERSON_STALENESS_MS : MAX_STALENESS_MS, feed: holdsFeed() },
    );
    return [maxStaleness, core.feed?.enabled];
  };
  expect(decided()).toEqual([2_000, true]);
  for (const [name, expected] of [
    ["DedicatedWorkerGlobalScope", [10_000, true]],
    ["SharedWorkerGlobalScope", [10_000, true]],
    ["ServiceWorkerGlobalScope", [2_000, false]],
    ["Deno", [2_000, false]],
    ["Bun", [2_000, false]],
  ] as const) {
    vi.stubGlobal(name, class {});
    expect(decided()).toEqual(expected);
    vi.unstubAllGlobals();
  }
  vi.stubGlobal("window", {});
  vi.stubGlobal("document", {});
  expect(decided()).toEqual([10_000, true]);
  vi.unstubAllGlobals();
});

test.each<[ClientOptions["feed"], boolean | null, unknown]>([
  [undefined, true, { enabled: true }],
  [undefined, false, { enabled: false }],
  [true, false, { enabled: true }],
  [{ idle: 5_000 }, false, { enabled: true, idleMs: 5_000 }],
  [false, true, { enabled: false }],
  [true, null, { enabled: false }],
])("feed %j where usual is %s", (feed, usual, expected) => {
  const options = feed === undefined ? { origins } : { origins, feed };
  expect(settings(options, { maxOrigins: 4, maxStaleness: 1, feed: usual }).core.feed).toEqual(expected);
});

test.each([{}, { scope: "" }, { scope: 7 }, { scope: "ada", maxBytes: -1 }, { scope: "ada", maxBytes: 1.5 }])(
  "persist %j is refused: what is kept has to belong to somebody",
  (persist) => {
    const options = { origins, persist } as unknown as ClientOptions;
    expect(() => createClient(options)).toThrow(expect.objectContaining({ code: "CONFIG" }));
  },
);

test("nothing is kept outside browsers, and the client says so", async () => {
  using client = createClient({ origins, persist: { scope: "ada" } });
  expect(client.stats().persistence).toEqual({ state: "off", bytes: 0, max: 1 << 20 });
  expect(client.stats().feed).toBeNull();
  client.clear();
});

test("a wildcard origin is accepted beside a plain one", () => {
  createClient({ origins: [...origins, "https://*.gateway.example"] }).close();
});
