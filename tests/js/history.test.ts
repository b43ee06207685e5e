import { expect, test } from "vitest";
import { check, type Forgetting, type History, type Read, type Write } from "../support/history.js";

const put = (version: number, invoked: number, at: number, client = "w"): Write => ({
  client,
  key: "k",
  locator: `v${version}`,
  invoked,
  done: { at, version },
});
const gone = (version: number, invoked: number, at: number): Write => ({ ...put(version, invoked, at), locator: null });
const unknown = (write: Write): Write => {
  const { done: _, ...rest } = write;
  return rest;
};
const read = (version: number, invoked: number, returned: number, rest: Partial<Read> = {}): Read => ({
  client: "r",
  key: "k",
  level: "bounded",
  bound: 100,
  invoked,
  returned,
  found: version === 0 ? null : { version, locator: `v${version}` },
  ...(version !== 0 && { age: 100 }),
  ...rest,
});
const WRITES = [put(10, 100, 110), put(20, 1_000, 1_010)];

function rules(reads: Read[], writes = WRITES, more: Partial<History> = {}): string[] {
  const kept = writes.map((write) => ({ version: write.done?.version ?? 0, locator: write.locator }));
  const history = { writes, reads, forgettings: [], kept: new Map([["k", kept]]), ...more };
  return check(history).violations.map((one) => one.rule);
}

test("a bounded answer keeps its bound", () => {
  expect(rules([read(10, 1_110, 1_120)])).toEqual([]);
  expect(rules([read(10, 1_110, 1_121)])).toEqual(["bound", "age"]);
  expect(rules([read(10, 1_110, 1_121, { age: 110 })])).toEqual(["bound"]);
  expect(rules([read(10, 1_110, 1_121, { level: "any", age: 111 })])).toEqual([]);
  expect(rules([read(10, 1_009, 2_000, { age: 991 })]), "asked for before").toEqual([]);
});

test("an answer is as old as it states, and marked if that is too old", () => {
  expect(rules([read(10, 1_050, 1_060, { age: 40 })])).toEqual([]);
  expect(rules([read(10, 1_050, 1_060, { age: 39 })])).toEqual(["age"]);
  expect(rules([read(20, 2_000, 2_010, { age: 101, stale: false })])).toEqual(["stale"]);
  expect(rules([read(20, 2_000, 2_010, { age: 101, stale: true })])).toEqual([]);
  expect(rules([read(10, 1_200, 1_210, { age: 250, stale: true })])).toEqual(["bound"]);
  expect(rules([read(10, 1_200, 1_210, { age: 250, stale: true, leniency: 100 })])).toEqual([]);
  expect(rules([read(10, 1_200, 1_210, { age: 250, stale: false, leniency: 100 })])).toEqual(["bound", "stale"]);
  expect(rules([read(0, 220, 230, { leniency: 9 })])).toEqual(["bound"]);
  expect(rules([read(0, 220, 230, { leniency: 20 })])).toEqual([]);
});

test("a strong answer is the newest", () => {
  expect(rules([read(10, 1_010, 1_020, { level: "strong" })])).toEqual([]);
  expect(rules([read(10, 1_011, 1_020, { level: "strong" })])).toEqual(["strong"]);
});

test("deletes are seen, and absences are of a delete", () => {
  const writes = [...WRITES, gone(30, 2_000, 2_010)];
  expect(rules([read(20, 2_130, 2_140)], writes)).toEqual(["bound", "age"]);
  expect(rules([read(0, 2_130, 2_140)], writes)).toEqual([]);
  expect(rules([read(0, 1_500, 1_510)], writes), "before it").toEqual(["bound"]);
  expect(rules([read(0, 1_999, 2_001)], writes)).toEqual([]);
  expect(rules([read(0, 50, 60)], writes)).toEqual([]);
});

test("a client does not go back, nor behind its own writes", () => {
  expect(rules([read(20, 1_011, 1_020), read(10, 1_020, 1_030)])).toEqual([]);
  expect(rules([read(20, 1_011, 1_020), read(10, 1_021, 1_030)])).toEqual(["session"]);
  expect(rules([read(20, 1_011, 1_020), read(10, 1_021, 1_030, { client: "other" })])).toEqual([]);
  expect(rules([read(10, 1_011, 1_030, { client: "w" })])).toEqual(["own"]);
  // What was deleted does not come back, and an absence is not that of an earlier delete.
  const writes = [put(10, 100, 110), gone(20, 200, 210), put(30, 300, 310), gone(40, 400, 410)];
  const any = { level: "any", age: 9_000 } as const;
  expect(rules([read(10, 150, 160), read(0, 211, 220, any), read(10, 221, 230, any)], writes)).toEqual(["session"]);
  expect(rules([read(0, 221, 225), read(10, 226, 230, any)], writes), "too late for that of the beginning").toEqual(["session"]);
  expect(rules([read(0, 205, 209), read(10, 221, 230)], writes), "of the beginning, within its bound").toEqual([]);
  expect(rules([read(30, 311, 320, any), read(0, 321, 330, any)], writes)).toEqual(["session"]);
  expect(rules([read(30, 311, 320, any), read(0, 421, 430, any)], writes)).toEqual([]);
});

test("what is read after an invalidation is as new as that", () => {
  const forgettings: Forgetting[] = [{ client: "r", at: 1_020, covers: (key) => key === "k" }];
  expect(rules([read(10, 1_020, 1_030)], WRITES, { forgettings })).toEqual(["forgotten"]);
  expect(rules([read(10, 1_019, 1_030)], WRITES, { forgettings })).toEqual([]);
  expect(rules([read(10, 1_020, 1_030, { client: "other" })], WRITES, { forgettings })).toEqual([]);
  expect(rules([read(10, 1_020, 1_030)], WRITES, { forgettings: [{ ...forgettings[0]!, covers: () => false }] })).toEqual([]);
  const sparing = [{ ...forgettings[0]!, sparesAbsences: true }];
  expect(rules([read(10, 1_020, 1_030)], WRITES, { forgettings: sparing })).toEqual(["forgotten"]);
  const gaps = [gone(10, 100, 110), put(20, 1_000, 1_010)];
  expect(rules([read(0, 1_020, 1_030)], gaps, { forgettings })).toEqual(["forgotten"]);
  expect(rules([read(0, 1_020, 1_030)], gaps, { forgettings: sparing })).toEqual([]);
});

test("writes of unknown outcome are there once somebody saw them", () => {
  const writes = [WRITES[0]!, unknown(put(20, 1_000, 0))];
  const kept = new Map([["k", [{ version: 10, locator: "v10" }, { version: 20, locator: "v20" }]]]);
  expect(rules([read(10, 5_000, 5_010)], writes, { kept })).toEqual([]);
  const seen = read(20, 4_000, 4_010, { client: "other" });
  expect(rules([read(10, 5_000, 5_010), seen], writes, { kept })).toEqual(["bound", "age"]);
});

test("nothing is invented or lost", () => {
  expect(rules([read(25, 2_000, 2_010)])).toEqual(["invented"]);
  expect(rules([read(20, 900, 950)])).toEqual(["invented"]);
  expect(rules([read(20, 2_000, 2_010, { found: { version: 20, locator: "other" } })])).toEqual(["invented"]);
  const kept = new Map([["k", [{ version: 10, locator: "v10" }]]]);
  expect(rules([], WRITES, { kept })).toEqual(["lost"]);
  kept.set("k", [...kept.get("k")!, { version: 20, locator: "v20" }, { version: 30, locator: "v30" }]);
  expect(rules([], WRITES, { kept })).toEqual(["invented"]);
});
