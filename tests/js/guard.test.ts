import { expect, test } from "vitest";
import { Engine } from "../../js/engine/engine.js";
import { Guard } from "../../js/engine/guard.js";
import type { Core, CoreConfig, CoreInstance } from "../../js/engine/core.js";

/** As much of a core as a guard touches; `trap` makes the next call fail as broken memory does. */
class FakeCore {
  static trap = false;
  bookmarkGiven: number[] = [];
  #last = 0;
  setCaution(): void {}
  startClock(): void {}
  tick(monotonic: number): number {
    return Math.floor(monotonic);
  }
  openBookmark(_now: number, bookmark: Uint8Array): void {
    this.bookmarkGiven = [...bookmark];
  }
  bookmark(): Uint8Array {
    return Uint8Array.of(3, 7);
  }
  cancelCall(): void {}
  closeScope(): void {}
  actions(): never[] {
    return [];
  }
  get(): number {
    if (FakeCore.trap) throw new WebAssembly.RuntimeError("unreachable");
    return (this.#last += 1);
  }
  poll(): void {
    if (FakeCore.trap) throw new WebAssembly.RuntimeError("unreachable");
  }
}

const config = {} as CoreConfig;
const instance = () => ({ Core: FakeCore }) as unknown as CoreInstance;
const poll = (core: Core) => core.poll(0, 0);

test("a trap without memory for a fresh instance never falls back to the broken one", () => {
  let memory = true;
  const panics: number[] = [];
  const guard = new Guard(
    () => {
      if (!memory) throw new RangeError("out of memory");
      return instance();
    },
    config,
    (_, count) => panics.push(count),
  );
  guard.keepSession();
  FakeCore.trap = true;
  memory = false;
  expect(() => guard.run(poll)).toThrow(expect.objectContaining({ code: "CORE_PANIC" }));
  FakeCore.trap = false;
  expect(() => guard.run(poll)).toThrow(expect.objectContaining({ code: "CORE_PANIC" }));
  memory = true;
  expect(guard.run((core) => (core as unknown as FakeCore).bookmarkGiven)).toEqual([3, 7]);
  expect(panics).toEqual([1]);
});

test("where the core traps for every caller, each of them hears of it", async () => {
  const engine = new Engine(instance, config);
  const scope = engine.openScope({ fetch: () => Promise.reject(new Error("not reached")) });
  const spec = (key: string) => ({ key, flags: 0, maxStaleness: 0, timeout: 1_000 });
  FakeCore.trap = false;
  const waiting = [engine.get(scope, spec("a")), engine.get(scope, spec("b"))];
  FakeCore.trap = true;
  waiting.push(engine.get(scope, spec("c")));
  const outcomes = await Promise.allSettled(waiting);
  FakeCore.trap = false;
  expect(outcomes.map((outcome) => outcome.status === "rejected" && outcome.reason.code)).toEqual(Array(3).fill("CORE_PANIC"));
  expect(engine.load).toEqual({ waiting: 0, open: 0 });
});
