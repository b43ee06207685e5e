import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { openDB } from "idb";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Keeper, type LoadStore } from "../../js/persistence/keeper.js";
import * as real from "../../js/persistence/store.js";

let keepers: Keeper[] = [];
beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});
afterEach(() => {
  for (const keeper of keepers) keeper.close();
  keepers = [];
});

/** As much of a core as can be kept. */
class Core {
  exports = 0;
  constructor(public state: number[] = []) {}
  imported: number[][] = [];
  exportState(maxBytes: number): Uint8Array {
    this.exports += 1;
    return Uint8Array.from(this.state.slice(0, maxBytes));
  }
  importState(bytes: Uint8Array): void {
    if (bytes[0] === 255) throw new Error("BAD_REQUEST");
    this.imported.push([...bytes]);
  }
  models: number[][] = [];
  importModel(bytes: Uint8Array): void {
    this.models.push([...bytes]);
  }
}

function keeper(scope = "ada", cluster = "https://a", loadStore: LoadStore = async () => real, maxBytes = 1000): Keeper {
  const made = new Keeper(loadStore, { scope, cluster, maxBytes });
  keepers.push(made);
  return made;
}

async function begun(core: Core, ...args: Parameters<typeof keeper>): Promise<Keeper> {
  const made = keeper(...args);
  made.start();
  await made.attach(core);
  await expect.poll(() => made.stats().state).not.toBe("opening");
  return made;
}

const until = (condition: () => unknown) => expect.poll(condition, { timeout: 10_000, interval: 5 }).toBe(true);

async function keep(made: Keeper, bytes: number): Promise<void> {
  made.changed();
  made.save();
  await until(() => made.stats().bytes === bytes);
}

test("what one page keeps the next one begins with; another scope and another cluster see nothing", async () => {
  await keep(await begun(new Core([1, 2, 3])), 3);
  const next = new Core();
  await begun(next);
  await until(() => next.imported.length === 1);
  expect(next.imported).toEqual([[1, 2, 3]]);
  for (const [scope, cluster] of [["grace", "https://a"], ["ada", "https://b"], ["ada ", "https://a"]] as const) {
    const other = new Core();
    expect((await begun(other, scope, cluster)).stats()).toMatchObject({ state: "ready", bytes: 0 });
    expect(other.imported).toEqual([]);
  }
});

test("nothing is kept that did not change, nor before it is known what was kept", async () => {
  const core = new Core([1]);
  const made = keeper();
  made.changed();
  made.save();
  expect(core.exports).toBe(0);
  made.start();
  await made.attach(core);
  await until(() => made.stats().state === "ready");
  made.save();
  await until(() => made.stats().bytes === 1);
  made.save();
  expect(core.exports).toBe(1);
});

test("what comes late is taken in when it comes", async () => {
  await keep(await begun(new Core([7])), 1);
  const core = new Core();
  let go = () => {};
  const gate = new Promise<void>((open) => (go = open));
  const slow = keeper("ada", "https://a", () => gate.then(() => real));
  slow.start();
  await slow.attach(core);
  expect(core.imported).toEqual([]);
  go();
  await until(() => core.imported.length === 1);
});

test("clear deletes what is kept, even what is being read, and what comes after it is kept again", async () => {
  const core = new Core([1, 2]);
  const first = await begun(core);
  await keep(first, 2);
  const second = keeper();
  second.start();
  second.clear();
  const heir = new Core([9]);
  await second.attach(heir);
  await until(() => second.stats().state === "ready");
  const third = new Core();
  await begun(third);
  expect([heir.imported, third.imported]).toEqual([[], []]);
  await keep(second, 1);
  const fourth = new Core();
  await begun(fourth);
  await until(() => fourth.imported.length === 1);
});

test("two tabs of one scope: the last one wins", async () => {
  const [one, two] = [await begun(new Core([1])), await begun(new Core([2, 2]))];
  await keep(one, 1);
  await keep(two, 2);
  const next = new Core();
  await begun(next);
  await until(() => next.imported.length === 1);
  expect(next.imported).toEqual([[2, 2]]);
});

test("what another version kept is dropped; what the core refuses is replaced", async () => {
  await begun(new Core());
  const db = await openDB("foremap", 1);
  await db.put("states", { bytes: Uint8Array.of(1), at: 1 }, ["ada", "https://a", "0"]);
  await db.put("states", { bytes: Uint8Array.of(255), at: 1 }, ["ada", "https://a", "1"]);
  const core = new Core([4, 4]);
  const made = await begun(core);
  expect(core.imported).toEqual([]);
  expect(await db.getAllKeys("states")).toEqual([["ada", "https://a", "1"]]);
  await keep(made, 2);
  db.close();
});

test("states are few: those of the users longest away go", async () => {
  for (let user = 0; user < 20; user += 1) await keep(await begun(new Core([1]), `user${user}`), 1);
  await begun(new Core());
  const db = await openDB("foremap", 1);
  const scopes = (await db.getAllKeys("states")).map((key) => (key as string[])[0]);
  expect(scopes).toHaveLength(16);
  expect(scopes).toContain("user19");
  expect(scopes).not.toContain("user0");
  db.close();
});

/** A store that does as it is told. */
function fakeStore(save: () => Promise<void>, opens: (() => Promise<void>)[] = []) {
  const seen = { opened: 0, closed: 0, lost: () => {}, saved: [] as [number, boolean][] };
  const load: LoadStore = async () => ({
    openStore: async (lost) => {
      await opens[seen.opened++]?.();
      seen.lost = lost;
      return {
        load: async () => [],
        save: (_key, bytes, alone) => (seen.saved.push([bytes.byteLength, alone]), save()),
        delete: async () => undefined,
        close: () => void (seen.closed += 1),
      };
    },
  });
  return { load, seen };
}

test("no room: half as much in place of everything else, and then memory alone", async () => {
  const full = () => Promise.reject(new DOMException("full", "QuotaExceededError"));
  let room = 0;
  const { load, seen } = fakeStore(() => (room-- > 0 ? Promise.resolve() : full()));
  const core = new Core(new Array<number>(1000).fill(1));
  const made = await begun(core, "ada", "https://a", load);
  made.changed();
  made.save();
  await until(() => made.stats().state === "memory");
  expect(seen.saved).toEqual([[1000, false], [500, true]]);
  expect(made.stats()).toMatchObject({ state: "memory", max: 500 });
  made.changed();
  made.save();
  await new Promise((done) => setTimeout(done, 20));
  expect(seen).toMatchObject({ opened: 1, saved: { length: 2 } });
});

test("a database that does not open, as in private mode: memory, and one more try", async () => {
  const no = () => Promise.reject(new DOMException("denied", "SecurityError"));
  const { load, seen } = fakeStore(async () => undefined, [no]);
  const made = await begun(new Core([1]), "ada", "https://a", load);
  expect(made.stats().state).toBe("memory");
  await keep(made, 1);
  expect(made.stats().state).toBe("ready");
  expect(seen.opened).toBe(2);

  const never = fakeStore(async () => undefined, [no, no, no]);
  const other = await begun(new Core([1]), "ada", "https://a", never.load);
  for (let turn = 0; turn < 4; turn += 1) {
    other.changed();
    other.save();
    await new Promise((done) => setTimeout(done, 5));
  }
  expect(other.stats().state).toBe("memory");
  expect(never.seen.opened).toBe(2);
});

test("a database that vanishes while it is used: memory, and one new connection later", async () => {
  let broken = true;
  const gone = () => Promise.reject(new DOMException("closing", "InvalidStateError"));
  const { load, seen } = fakeStore(() => (broken ? gone() : Promise.resolve()));
  const made = await begun(new Core([1]), "ada", "https://a", load);
  made.changed();
  made.save();
  await until(() => made.stats().state === "memory");
  broken = false;
  await keep(made, 1);
  expect(made.stats().state).toBe("ready");
  seen.lost();
  expect(made.stats().state).toBe("memory");
  expect(seen).toMatchObject({ opened: 2, closed: 2 });
});

test("a suspended page holds no connection, keeps what it has as it goes, and opens anew when it wakes", async () => {
  const { load, seen } = fakeStore(async () => undefined);
  const made = await begun(new Core([1]), "ada", "https://a", load);
  made.changed();
  made.suspend();
  expect(seen.saved).toEqual([[1, false]]);
  expect(seen.closed).toBe(1);
  made.changed();
  made.save();
  expect(seen.saved).toHaveLength(1);
  made.resume();
  await until(() => seen.opened === 2);
  made.save();
  await until(() => seen.saved.length === 2);
});

test("a model is kept beside the state, and taken over before it; nobody else sees it, nor anybody after clear()", async () => {
  const first = await begun(new Core([1]));
  first.keepModel(Uint8Array.of(7, 8));
  await keep(first, 1);
  first.close();
  const next = new Core();
  const made = await begun(next);
  await until(() => next.imported.length === 1);
  expect(next.models).toEqual([[7, 8]]);
  const other = new Core();
  await begun(other, "grace");
  expect(other.models).toEqual([]);
  made.clear();
  made.close();
  const last = new Core();
  await begun(last);
  expect([last.models, last.imported]).toEqual([[], []]);
});

test("a model that comes while the page is suspended is kept when it wakes", async () => {
  const first = await begun(new Core([1]));
  first.suspend();
  first.keepModel(Uint8Array.of(9));
  first.resume();
  await keep(first, 1);
  first.close();
  const next = new Core();
  await begun(next);
  await until(() => next.models.length === 1);
});
