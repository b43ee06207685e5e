import { createClient, ForemapError, type ForemapClient, type GetOptions, type GetResult } from "foremap";
import { check, type Forgetting, type History, type Read, type Summary, type Violation } from "./history.js";
import { randomOf } from "./weather.js";

/** Clients of the published package, with what they do. */
export interface Load {
  seed: number;
  seconds: number;
  /** Where the clients go. */
  origins: readonly string[];
  /** Where one more writes of whom they know nothing, and where the end is read. */
  gateways: readonly string[];
}

/** What came of it. */
export interface Outcome {
  violations: Violation[];
  summary: Summary;
  counts: { writes: number; unknownWrites: number; deletes: number; forgettings: number; failures: { [code: string]: number } };
}

const CLIENTS = 6;
const READERS = 6;
/** So few that they are written often, so many that the store keeps every version. */
const GROUPS = 8;
const KEYS_OF_GROUP = 8;
const BOUNDS = [0, 100, 300, 1_000, 2_000];
const MOST_VERSIONS = 100;

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));
const key = (group: number, n: number) => `fresh/${group}/k${n}`;

/** Runs six clients and a writer for so many seconds, then holds what they were told against what was written. */
export async function runFreshness(load: Load): Promise<Outcome> {
  const random = randomOf(load.seed);
  const history: History = { writes: [], reads: [], forgettings: [], kept: new Map() };
  const failures: { [code: string]: number } = {};
  const parties = Array.from({ length: CLIENTS }, (_, n) => {
    const options = {
      origins: load.origins,
      maxStaleness: 2_000,
      timeout: 2_000,
      // Some live without a feed, and one with a cache that has little room.
      feed: n > 1,
      ...(n === 3 && { cache: { maxEntries: 8 } }),
      seed: Math.floor(random() * 2 ** 32),
    };
    return new Party(`c${n}`, createClient(options), history, failures, randomOf(random() * 2 ** 32));
  });
  const outsider = createClient({ origins: load.gateways, feed: false, prefetch: false, timeout: 4_000 });
  const writer = new Party("outsider", outsider, history, failures, randomOf(random() * 2 ** 32));
  await writer.seed();
  const until = performance.now() + load.seconds * 1_000;
  for (const party of [writer, ...parties]) party.until = until;
  await Promise.all([writer.writeOn(40), ...parties.flatMap((party) => party.live())]);
  for (const { client } of parties) client.close();
  try {
    for (const name of new Set(history.writes.map((write) => write.key))) {
      const versions = await insist(() => outsider.versions(name));
      if (versions.length >= MOST_VERSIONS) throw new Error(`${name} was written too often to know every version of it`);
      history.kept.set(
        name,
        versions.map(({ version, keymap }) => ({ version, locator: keymap?.locator ?? null })),
      );
    }
  } finally {
    outsider.close();
  }
  const { writes, forgettings } = history;
  const counts = {
    writes: writes.length,
    unknownWrites: writes.filter((write) => !write.done).length,
    deletes: writes.filter((write) => write.locator === null && write.done).length,
    forgettings: forgettings.length,
    failures,
  };
  return { ...check(history), counts };
}

/** The end is read over lines that may still be bad, of keys that may never have come to be. */
async function insist<T>(call: () => Promise<T[]>): Promise<T[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (error instanceof ForemapError && error.code === "NOT_FOUND") return [];
      if (attempt === 10) throw error;
      await sleep(200 * attempt);
    }
  }
}

/** One client, its readers and its writer: one session. */
class Party {
  #written = 0;
  until = 0;

  constructor(
    private readonly name: string,
    readonly client: ForemapClient,
    private readonly history: History,
    private readonly failures: { [code: string]: number },
    private readonly random: () => number,
  ) {}

  live(): Promise<void>[] {
    const readers = Array.from({ length: READERS }, () => this.readOn());
    return [...readers, this.writeOn(500), this.forgetOn()];
  }

  #pick<T>(all: readonly T[]): T {
    return all[Math.floor(this.random() * all.length)] as T;
  }

  #key(): string {
    return key(Math.floor(this.random() * GROUPS), Math.floor(this.random() * KEYS_OF_GROUP));
  }

  /** Until the end, with pauses of `mean` milliseconds. */
  async #repeat(mean: number, act: () => Promise<void> | void): Promise<void> {
    while (performance.now() < this.until) {
      try {
        await act();
      } catch (error) {
        if (!(error instanceof ForemapError)) throw error;
        this.#failed(error);
      }
      await sleep(-Math.log(1 - this.random()) * mean);
    }
  }

  #failed({ code }: ForemapError): void {
    this.failures[code] = (this.failures[code] ?? 0) + 1;
  }

  readOn(): Promise<void> {
    return this.#repeat(10, async () => {
      const kind = this.random();
      if (kind < 0.02) for await (const _ of this.client.list(`fresh/${Math.floor(this.random() * GROUPS)}`)) continue;
      else if (kind < 0.1) this.#peek();
      else if (kind < 0.25) await this.#many();
      // As pages do: one after the other, so that there is something to predict.
      else if (kind < 0.4) for (let n = 0; n < KEYS_OF_GROUP; n += 1) await this.#get(key(Math.floor(kind * 40) % GROUPS, n));
      else await this.#get(this.#key());
    });
  }

  #options(): GetOptions & { level: Read["level"]; bound: number; leniency: number } {
    const level = this.#pick(["bounded", "bounded", "bounded", "bounded", "bounded", "bounded", "strong", "any"] as const);
    const bound = this.random() < 0.7 ? 2_000 : this.#pick(BOUNDS);
    const leniency = this.random() < 0.1 ? 3_000 : 0;
    const lenient = { staleWhileRevalidate: leniency, staleIfError: leniency };
    const stream = this.#pick(["a", "b"]);
    return { level, bound, leniency, consistency: level, maxStaleness: bound, stream, ...lenient };
  }

  async #get(name: string): Promise<void> {
    const { level, bound, leniency, ...options } = this.#options();
    const invoked = performance.now();
    const result = await this.client.get(name, options);
    this.#told({ key: name, level, bound, leniency, invoked, returned: performance.now() }, result);
  }

  async #many(): Promise<void> {
    const { level, bound, leniency, ...options } = this.#options();
    const keys = Array.from({ length: 2 + Math.floor(this.random() * 8) }, () => this.#key());
    const invoked = performance.now();
    const results = await this.client.getMany(keys, options);
    const returned = performance.now();
    results.forEach((result, at) => {
      if (result instanceof ForemapError) this.#failed(result);
      else this.#told({ key: keys[at] ?? "", level, bound, leniency, invoked, returned }, result);
    });
  }

  #peek(): void {
    const [name, bound] = [this.#key(), this.#pick(BOUNDS)];
    const invoked = performance.now();
    const result = this.client.peek(name, { maxStaleness: bound });
    // Nothing means that nothing is known.
    if (result !== null) this.#told({ key: name, level: "bounded", bound, invoked, returned: performance.now() }, result);
  }

  #told(read: Pick<Read, "key" | "level" | "bound" | "leniency" | "invoked" | "returned">, result: GetResult | null): void {
    const { version = 0, locator = "" } = result?.keymap ?? {};
    const about = result && { age: result.age, stale: result.stale, source: result.source };
    this.history.reads.push({ client: this.name, ...read, found: result && { version, locator }, ...about });
  }

  writeOn(mean: number): Promise<void> {
    return this.#repeat(mean, () => this.#write(this.#key(), this.random() < 0.2));
  }

  /** Most keys are there from the beginning. */
  async seed(): Promise<void> {
    const keys = Array.from({ length: GROUPS * KEYS_OF_GROUP }, (_, n) => key(n % GROUPS, Math.floor(n / GROUPS)));
    await Promise.all(keys.filter(() => this.random() < 0.8).map((name) => this.#write(name, false)));
  }

  async #write(name: string, isDelete: boolean): Promise<void> {
    const locator = isDelete ? null : `${this.name}-${(this.#written += 1)}`;
    const tags = name.split("/").slice(1, 2);
    const write: History["writes"][number] = { client: this.name, key: name, locator, invoked: performance.now() };
    this.history.writes.push(write);
    const written = locator === null ? this.client.delete(name) : this.client.put(name, { locator, tags });
    const { version } = await written;
    write.done = { at: performance.now(), version };
  }

  forgetOn(): Promise<void> {
    return this.#repeat(150, async () => {
      const group = Math.floor(this.random() * GROUPS);
      const prefix = `fresh/${group}`;
      const below = (name: string) => name.startsWith(`${prefix}/`);
      const name = this.#key();
      const kind = this.random();
      if (kind < 0.5) this.#forget(() => this.client.invalidate({ key: name }), (one) => one === name);
      else if (kind < 0.7) this.#forget(() => this.client.invalidate({ prefix }), below);
      else if (kind < 0.9) this.#forget(() => this.client.invalidate({ tag: String(group) }), below, true);
      else if (kind < 0.95) this.#forget(() => this.client.invalidate({ all: true }), () => true);
      else this.#forget(() => this.client.clear(), () => true);
      await this.#get(name);
    });
  }

  #forget(forget: () => unknown, covers: Forgetting["covers"], sparesAbsences = false): void {
    this.history.forgettings.push({ client: this.name, at: performance.now(), covers, sparesAbsences });
    forget();
  }
}
