/**
 * What clients did and were told, on one clock, and whether every promise of freshness was kept.
 *
 * A version was certainly there once somebody was told so: its writer, or a reader that found it. It was certainly not there
 * before its write was called. Everything is judged by these two moments alone.
 */

/** Milliseconds on the one clock. */
export type Time = number;

/** A call of `put`, or of `delete` where `locator` is null. */
export interface Write {
  client: string;
  key: string;
  /** A text of its own for each write. */
  locator: string | null;
  invoked: Time;
  /** When it was acknowledged, and as which version; absent where nobody knows what became of it. */
  done?: { at: Time; version: number };
}

/** An answer to a client. */
export interface Read {
  client: string;
  key: string;
  level: "strong" | "bounded" | "any";
  /** Greatest age asked for. */
  bound: number;
  /** By how much more an answer may be older that is marked as stale, or is an absence, which cannot be. */
  leniency?: number;
  invoked: Time;
  returned: Time;
  found: { version: number; locator: string } | null;
  /** What the answer says of itself; an absence says nothing. */
  age?: number;
  stale?: boolean;
  source?: string;
}

/** A call of `invalidate` or `clear`. */
export interface Forgetting {
  client: string;
  at: Time;
  covers: (key: string) => boolean;
  /** By tag: an absence has none, so one that is cached stays. */
  sparesAbsences?: boolean;
}

/** A version that the store has kept. */
export interface Kept {
  version: number;
  /** Null for a delete marker. */
  locator: string | null;
}

/** Everything that happened. */
export interface History {
  writes: Write[];
  reads: Read[];
  forgettings: Forgetting[];
  /** Every version of every key, read from the store in the end. */
  kept: Map<string, Kept[]>;
}

/** Which promise was broken. */
export type Rule = "invented" | "lost" | "bound" | "age" | "stale" | "strong" | "session" | "own" | "forgotten";

/** A broken promise. */
export interface Violation {
  rule: Rule;
  text: string;
}

/** What the checker saw, so that a test can tell that it tested something. */
export interface Summary {
  reads: number;
  absences: number;
  /** Answers that missed a version that was certainly there. */
  outdated: number;
  /** The greatest certain staleness of a bounded answer, in milliseconds. */
  stalest: number;
  /** By source. */
  sources: { [source: string]: number };
}

/** One tick of the clocks in each tier, and what lies between an answer and the moment at which its caller goes on. */
const SLACK = 10;

interface Version extends Kept {
  born: Time;
  /** When it was certainly there. */
  proof: Time;
}

/** Checks a history. */
export function check(history: History): { violations: Violation[]; summary: Summary } {
  const violations: Violation[] = [];
  const summary: Summary = { reads: 0, absences: 0, outdated: 0, stalest: 0, sources: {} };
  for (const key of new Set([...history.writes, ...history.reads].map((one) => one.key))) {
    const of = <T extends { key: string }>(all: T[]) => all.filter((one) => one.key === key);
    const [writes, reads] = [of(history.writes), of(history.reads)];
    const kept = history.kept.get(key) ?? [];
    const versions = versionsOf(key, writes, reads, kept, violations);
    const judge = new Judge(key, versions, history.forgettings, violations, summary);
    judge.sessions(writes, reads);
  }
  return { violations, summary };
}

/** The versions of a key, oldest first, with when each was certainly not there yet and when it certainly was. */
function versionsOf(key: string, writes: Write[], reads: Read[], kept: Kept[], violations: Violation[]): Version[] {
  const acknowledged = new Map(writes.flatMap((write) => (write.done ? [[write.done.version, write]] : [])));
  const unknown = writes.filter((write) => !write.done);
  const versions = kept.map(({ version, locator }): Version => {
    const write = acknowledged.get(version);
    if (write) return { version, locator, born: write.invoked, proof: write.done?.at ?? Infinity };
    const born = unknown.filter((write) => write.locator === locator).map((write) => write.invoked);
    if (born.length === 0) violations.push({ rule: "invented", text: `the store has ${name(key, { version, locator })}` });
    return { version, locator, born: Math.min(...born, Infinity), proof: Infinity };
  });
  versions.sort((a, b) => a.version - b.version);
  const known = new Map(versions.map((version) => [version.version, version]));
  for (const write of acknowledged.values()) {
    if (known.get(write.done?.version ?? 0)?.locator !== write.locator) {
      violations.push({ rule: "lost", text: `the store has not kept ${JSON.stringify(write)}` });
    }
  }
  for (const read of reads) {
    if (!read.found) continue;
    const version = known.get(read.found.version);
    if (version?.locator !== read.found.locator || version.born > read.returned) {
      violations.push({ rule: "invented", text: `nobody had written ${JSON.stringify(read)}` });
    } else {
      version.proof = Math.min(version.proof, read.returned);
    }
  }
  return versions;
}

function name(key: string, { version, locator }: Kept): string {
  return `version ${version} of ${key}, ${locator === null ? "a delete marker" : locator}`;
}

/** What a client has seen of a key, and from when on. */
interface Floor {
  at: Time;
  version: number;
  own: boolean;
}

class Judge {
  constructor(
    private readonly key: string,
    private readonly versions: Version[],
    private readonly forgettings: Forgetting[],
    private readonly violations: Violation[],
    private readonly summary: Summary,
  ) {}

  sessions(writes: Write[], reads: Read[]): void {
    const clients = new Map<string, (Read | Write)[]>();
    for (const event of [...writes, ...reads]) {
      const events = clients.get(event.client) ?? [];
      events.push(event);
      clients.set(event.client, events);
    }
    for (const [client, events] of clients) {
      const forgotten = this.forgettings.filter((one) => one.client === client && one.covers(this.key));
      this.session(events, forgotten.sort((a, b) => a.at - b.at));
    }
  }

  private session(events: (Read | Write)[], forgotten: Forgetting[]): void {
    const ofAbsences = forgotten.filter((one) => one.sparesAbsences !== true);
    // Highest so far, by when it was seen.
    const floors: Floor[] = [{ at: -Infinity, version: 0, own: false }];
    const end = (event: Read | Write) => ("returned" in event ? event.returned : (event.done?.at ?? Infinity));
    events.sort((a, b) => end(a) - end(b));
    for (const event of events) {
      let seen = 0;
      if ("returned" in event) {
        const floor = last(floors, (one) => one.at < event.invoked) ?? floors[0];
        const known = event.found === null ? ofAbsences : forgotten;
        seen = this.read(event, floor as Floor, last(known, ({ at }) => at <= event.invoked)?.at);
      } else {
        seen = event.done?.version ?? 0;
      }
      const highest = floors.at(-1)?.version ?? 0;
      if (seen > highest) floors.push({ at: end(event), version: seen, own: !("returned" in event) });
    }
  }

  /** Judges one answer; returns the oldest version that its reader must have seen by it. */
  private read(read: Read, floor: Floor, forgotten: Time | undefined): number {
    const { summary } = this;
    summary.reads += 1;
    summary.absences += Number(read.found === null);
    const source = read.source ?? "absence";
    summary.sources[source] = (summary.sources[source] ?? 0) + 1;
    const states = this.states(read);
    // An absence is judged as that of the newest state that it may be of.
    const newest = states.at(-1) ?? 0;
    const since = this.since(newest);
    if (since < read.returned) {
      summary.outdated += 1;
      if (read.level === "bounded") summary.stalest = Math.max(summary.stalest, read.returned - since);
    }
    const broken = this.broken(read, newest, floor, forgotten);
    for (const { rule, text } of broken) {
      const missed = this.versions.filter((one) => one.version > newest).slice(0, 3);
      const context = missed.map((one) => `${name(this.key, one)}: ${one.born.toFixed(1)} to ${one.proof.toFixed(1)}`);
      this.violations.push({ rule, text: `${text}: ${JSON.stringify(read)}; it misses ${context.join(", ") || "nothing"}` });
    }
    // It may have been of any older state as well that keeps every promise.
    return states.find((at) => this.broken(read, at, floor, forgotten).length === 0) ?? newest;
  }

  /** What an answer may be of, oldest first: an absence is that of the beginning, or of a delete marker. */
  private states({ found, returned }: Read): number[] {
    if (found !== null) return [found.version];
    const markers = this.versions.filter((one) => one.locator === null && one.born < returned);
    return [0, ...markers.map((one) => one.version)];
  }

  /** From when on something newer than version `at` was certainly there. */
  private since(at: number): Time {
    return Math.min(...this.versions.filter((one) => one.version > at).map((one) => one.proof));
  }

  /** The promises that an answer breaks if it is of version `at`. */
  private broken(read: Read, at: number, floor: Floor, forgotten: Time | undefined): Violation[] {
    const violations: Violation[] = [];
    const broken = (rule: Rule, text: string) => violations.push({ rule, text });
    const since = this.since(at);
    const { invoked, returned, age, bound } = read;
    if (read.level === "bounded") {
      const most = bound + (read.stale === true || read.found === null ? (read.leniency ?? 0) : 0);
      // Where the way alone takes longer than the bound, an answer from after the question will do.
      if (since < invoked && since + most + SLACK < returned) broken("bound", `older than ${most} ms`);
    }
    if (read.level !== "strong" && read.stale === false && age !== undefined && age > bound) {
      broken("stale", `claims more than ${bound} ms, and is not marked`);
    }
    if (age !== undefined && since + age + SLACK < returned) broken("age", `older than the ${age} ms that it states`);
    if (read.level === "strong" && since < invoked) broken("strong", "not the newest");
    if (at < floor.version) {
      const what = `${floor.own ? "its own" : "seen"} version ${floor.version} at ${floor.at.toFixed(1)}`;
      broken(floor.own ? "own" : "session", `the client goes back behind ${what}`);
    }
    if (forgotten !== undefined && since < forgotten) broken("forgotten", `older than the invalidation at ${forgotten.toFixed(1)}`);
    return violations;
  }
}

/** The last of an ascending list that fits. */
function last<T>(all: T[], fits: (one: T) => boolean): T | undefined {
  let [low, high] = [0, all.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fits(all[middle] as T)) low = middle + 1;
    else high = middle;
  }
  return all[low - 1];
}
