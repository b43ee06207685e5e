import { expect, test, vi } from "vitest";
import { createClient, type KeyInput } from "foremap";
import { keyText } from "../../js/keys.js";

test("the parts of an array are data", () => {
  expect(keyText(["a/b", "50%", "x\u0000y"])).toBe("a%2Fb/50%25/x%00y");
  expect(keyText(["sensor", 42, -1.5, 0])).toBe("sensor/42/-1.5/0");
  expect(keyText(["tags", "日本"])).toBe("tags/日本");
});

test("a string is taken as written", () => {
  expect(keyText("a%2Fb/c")).toBe("a%2Fb/c");
});

const bad: [string, unknown][] = [
  ["empty text", ""],
  ["empty array", []],
  ["empty component", "a//b"],
  ["empty part", ["a", ""]],
  ["dot component", "a/../b"],
  ["bad escape", "a/%zz"],
  ["escape that is no UTF-8", "a/%ff"],
  ["lone surrogate in text", "a/\ud800"],
  ["lone surrogate in a part", ["a", "\udfff"]],
  ["seventeen components", Array.from({ length: 17 }, (_, i) => i)],
  ["1,025 bytes", "k".repeat(1025)],
  ["NaN", ["a", NaN]],
  ["infinity", ["a", Infinity]],
  ["number without decimal text", ["a", 1e21]],
  ["boolean part", ["a", true]],
  ["no key at all", undefined],
  ["number", 7],
];

test.each(bad)("%s is BAD_KEY before any request", async (_, key) => {
  const fetch = vi.fn(() => Promise.reject(new Error("must not be called")));
  using client = createClient({ origins: ["http://gateway.invalid"], fetch });
  await expect(client.get(key as KeyInput)).rejects.toMatchObject({ code: "BAD_KEY", retryable: false });
  await expect(client.put(key as KeyInput, { locator: "x" })).rejects.toMatchObject({ code: "BAD_KEY" });
  await expect(client.delete(key as KeyInput)).rejects.toMatchObject({ code: "BAD_KEY" });
  await expect(client.versions(key as KeyInput)).rejects.toMatchObject({ code: "BAD_KEY" });
  await expect(client.prefetch([key as KeyInput])).rejects.toMatchObject({ code: "BAD_KEY" });
  expect(await client.getMany([key as KeyInput])).toMatchObject([{ code: "BAD_KEY" }]);
  expect(fetch).not.toHaveBeenCalled();
});
