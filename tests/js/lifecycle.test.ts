import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { looksActive, watchLifecycle } from "../../js/lifecycle.js";

/** As much of a page as is listened to. */
class Page extends EventTarget {
  visibilityState = "visible";
}

let page: Page;
let network: { onLine: boolean; connection: EventTarget & { saveData?: boolean } };
let told: unknown[];
let unwatch = () => {};

beforeEach(() => {
  page = new Page();
  network = { onLine: true, connection: new EventTarget() };
  // Events of a document come by its window, which listens here.
  vi.stubGlobal("document", page);
  vi.stubGlobal("window", page);
  vi.stubGlobal("navigator", network);
  told = [];
  unwatch = watchLifecycle({
    caution: (level) => told.push(level),
    attention: (active) => told.push(active ? "looks" : "away"),
    hidden: () => told.push("hidden"),
    suspended: () => told.push("suspended"),
    resumed: () => told.push("resumed"),
  });
});
afterEach(() => {
  unwatch();
  vi.unstubAllGlobals();
});

const fire = (type: string, change: () => void = () => undefined) => {
  change();
  told.length = 0;
  page.dispatchEvent(new Event(type));
  return [...told];
};

test("says at once how things are", () => {
  expect(told).toEqual([0, "looks"]);
});

test("a page that is hidden or off line is not looked at", () => {
  expect(fire("visibilitychange", () => (page.visibilityState = "hidden"))).toEqual([1, "away", "hidden"]);
  expect(fire("visibilitychange", () => (page.visibilityState = "visible"))).toEqual([0, "looks"]);
  expect(fire("offline", () => (network.onLine = false))).toEqual([0, "away"]);
  expect(fire("online", () => (network.onLine = true))).toEqual([0, "looks"]);
});

test("saving data begins at once", () => {
  network.connection.saveData = true;
  told.length = 0;
  network.connection.dispatchEvent(new Event("change"));
  expect(told).toEqual([2, "away"]);
});

test("a frozen page wakes up hidden, and is looked at when it is shown", () => {
  fire("visibilitychange", () => (page.visibilityState = "hidden"));
  expect(fire("freeze")).toEqual(["away", "suspended"]);
  expect(fire("resume")).toEqual(["resumed", 1, "away", "hidden"]);
  expect(fire("visibilitychange", () => (page.visibilityState = "visible"))).toEqual([0, "looks"]);
});

test("a page from the cache of the back button resumes once, and the first showing is no return", () => {
  expect(fire("pageshow")).toEqual([]);
  expect(fire("pagehide")).toEqual(["away", "suspended"]);
  // Whatever happens meanwhile, nobody looks.
  expect(fire("online")).toEqual([0, "away"]);
  expect(fire("resume")).toEqual(["resumed", 0, "looks"]);
  expect(fire("pageshow")).toEqual([]);
});

test("the watch ends", () => {
  unwatch();
  expect(fire("pagehide")).toEqual([]);
});

test.each([
  [false, true, undefined, true],
  [true, true, undefined, false],
  [false, false, undefined, false],
  [false, undefined, { saveData: false }, true],
  [false, true, { saveData: true }, false],
])("hidden %s, on line %s, connection %o: active %s", (hidden, onLine, connection, active) => {
  expect(looksActive(hidden, onLine, connection)).toBe(active);
});
