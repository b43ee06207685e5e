import { expect, test, vi } from "vitest";
import { createClient, type ClientOptions } from "foremap";

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
  expect(client.stats()).toEqual({ state: "idle", panics: 0, waiting: 0, open: 0, core: null });
  expect(client.peek("a")).toBeNull();
  expect(client.predictions("a")).toEqual([]);
  expect(client.invalidate({ all: true })).toBe(0);
  client.close();
  for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});

test("a wildcard origin is accepted beside a plain one", () => {
  createClient({ origins: [...origins, "https://*.gateway.example"] }).close();
});
