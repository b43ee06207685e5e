import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createWorker, type WorkerOptions } from "foremap/worker";
import { startEdge, type Edge, type EdgeSpec } from "../support/edge.js";
import { summary } from "../support/summary.js";
import type { Worker } from "../support/worker.js";

const BINARY = "application/vnd.foremap.v1";
const SECRET = "0123456789abcdef0123456789abcdef";
/** Nobody answers there: what these tests are about needs no gateway. */
const ORIGINS = ["http://127.0.0.1:9"];
const PUBLIC = "(env) => ({ origins: env.ORIGINS, public: true, debug: true, hub: env.HUB })";
const TOKENS = "(env) => ({ origins: env.ORIGINS, tokenKey: env.KEY, hub: env.HUB })";
/** A hub that makes a model soon, of what two clients did. */
const QUICK = "class Hub extends AnalyzerHub { options() { return { clients: 2, every: 400, shared: ['open'] }; } }";
/** A hub that merges nothing as long as a test lasts. */
const SLOW = "class Hub extends AnalyzerHub { options() { return { clients: 2, every: 3_600_000 }; } }";

let edge: Edge | undefined;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "foremap-hub-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(async () => {
  await edge?.stop();
  edge = undefined;
});

async function start(spec: Partial<EdgeSpec> = {}): Promise<[Edge, ...Worker[]]> {
  edge = await startEdge({ workers: [PUBLIC], bindings: { ORIGINS, KEY: SECRET }, hub: QUICK, ...spec });
  return [edge, ...edge.workers];
}

const token = (sub: string | null, verbs: string[], prefixes: string[]) => {
  const jwt = new SignJWT({ verbs, prefixes, ...(sub === null ? {} : { sub }) }).setProtectedHeader({ alg: "HS256" });
  return jwt.setExpirationTime("1h").sign(new TextEncoder().encode(SECRET));
};

/** Tells as a client with an address of its own. */
const tell = (worker: Worker, client: number, keys: string[], headers: Record<string, string> = {}) =>
  worker.fetch("/v1/summaries", {
    method: "POST",
    headers: { "content-type": BINARY, "cf-connecting-ip": `192.0.2.${client}`, ...headers },
    body: summary(client, keys),
  });

/** The text of the model; "" where there is none. */
async function model(worker: Worker, headers: Record<string, string> = {}, query = ""): Promise<string> {
  const answer = await worker.fetch(`/v1/model${query}`, { headers });
  if (answer.status === 204) return "";
  expect(answer.status).toBe(200);
  return new TextDecoder("latin1").decode(await answer.arrayBuffer());
}

const hubStats = async (of: Edge, shard = "") =>
  (await (await of.hub("/v1/stats", {}, shard)).json()) as {
    [name: string]: number;
  } & { pending: { rows: number }; merger: { merged: number } | null };

/** The varint behind the head of a model. */
function madeOf(model: Uint8Array): number {
  let [made, scale] = [0, 1];
  for (const byte of model.subarray(5)) {
    made += (byte & 127) * scale;
    scale *= 128;
    if (byte < 128) break;
  }
  return made;
}

describe("one model from many clients", () => {
  test("what clients tell one isolate, another one starts from", async () => {
    const [, first, second] = await start({ workers: [PUBLIC, PUBLIC] });
    if (first === undefined || second === undefined) throw new Error("two workers");
    expect(await model(first)).toBe("");
    for (const client of [1, 2, 3]) expect((await tell(first, client, ["shop/a", "shop/b", "shop/c"])).status).toBe(204);
    expect((await tell(first, 4, ["shop/a", "user/4/secret"])).status).toBe(204);
    await expect.poll(() => model(first), { timeout: 5_000 }).toContain("shop/");
    const read = await second.fetch("/v1/model");
    expect(read.headers.get("cache-control")).toBe("public, max-age=60, stale-while-revalidate=600");
    expect(read.headers.get("content-type")).toBe(BINARY);
    expect(read.headers.get("vary")).toContain("authorization");
    // Two did not do that.
    expect(new TextDecoder("latin1").decode(await read.arrayBuffer())).not.toContain("secret");
    const tag = read.headers.get("etag") ?? "";
    const again = await second.fetch("/v1/model", { headers: { "if-none-match": tag } });
    expect([again.status, again.headers.get("etag")]).toEqual([304, tag]);
    // What leads on from that model, of which nobody knows when it was made but whoever reads it: from any other time it is whole.
    const whole = new Uint8Array(await (await second.fetch("/v1/model")).arrayBuffer());
    const other = new Uint8Array(await (await second.fetch("/v1/model?from=1")).arrayBuffer());
    expect(other).toEqual(whole);
    const delta = new Uint8Array(await (await second.fetch(`/v1/model?from=${madeOf(whole)}`)).arrayBuffer());
    expect([new TextDecoder().decode(delta.slice(0, 4)), delta.byteLength < 40]).toEqual(["FMLD", true]);
    const stats = (await (await first.fetch("/v1/stats")).json()) as object;
    expect(stats).toMatchObject({ hub: { received: 4, pendingMax: { rows: 16_384 } } });
    // The isolate that nobody told anything has taken it over, behind its first answers.
    await expect
      .poll(async () => (await (await second.fetch("/v1/stats")).json()) as object, { timeout: 5_000 })
      .toMatchObject({ sharing: { imports: 1 } });
    const next = (await (await second.fetch("/v1/explain?key=shop/b")).json()) as { next: { key: string }[] };
    expect(next.next.map(({ key }) => key)).toContain("shop/c");
  });

  test("every encoding is the same model, and has a tag of its own", async () => {
    const [, worker] = await start();
    if (worker === undefined) throw new Error("a worker");
    for (const client of [1, 2]) await tell(worker, client, Array.from({ length: 50 }, (_, i) => `shop/item/${i}`));
    await expect.poll(() => model(worker), { timeout: 5_000 }).not.toBe("");
    const bodies: string[] = [];
    const tags = new Set<string | null>();
    const lengths: number[] = [];
    for (const encoding of ["br", "gzip", "identity"]) {
      const answer = await worker.fetch("/v1/model?bytes=262144", { headers: { "accept-encoding": encoding } });
      expect(answer.headers.get("content-encoding")).toBe(encoding === "identity" ? null : encoding);
      lengths.push(Number(answer.headers.get("content-length")));
      tags.add(answer.headers.get("etag"));
      bodies.push(Buffer.from(await answer.arrayBuffer()).toString("base64"));
    }
    expect(new Set(bodies).size).toBe(1);
    expect(tags.size).toBe(3);
    expect(lengths[0]).toBeLessThan(lengths[2] ?? 0);
  });
});

describe("a hub that ends", () => {
  test("keeps what was acknowledged, merged or not", async () => {
    const persist = join(folder, "pending");
    let [of, worker] = await start({ hub: SLOW, persist });
    for (const client of [1, 2, 3]) await tell(worker as Worker, client, ["shop/a", "shop/b"]);
    expect((await hubStats(of)).pending).toMatchObject({ rows: 3 });
    await of.stop();
    // Nothing had been merged. Another one goes on with it, whoever wakes it.
    [of, worker] = await start({ hub: QUICK, persist });
    expect((await hubStats(of)).pending.rows).toBe(3);
    await expect.poll(() => model(worker as Worker), { timeout: 5_000 }).toContain("shop/");
    await expect.poll(async () => (await hubStats(of)).pending.rows, { timeout: 5_000 }).toBe(0);
    expect((await hubStats(of)).merger?.merged).toBe(3);
    const before = await (worker as Worker).fetch("/v1/model");
    await of.stop();
    [of, worker] = await start({ hub: QUICK, persist });
    const after = await (worker as Worker).fetch("/v1/model");
    expect(after.headers.get("etag")).toBe(before.headers.get("etag"));
    // The counts go on where they were, and who told before is known.
    for (const client of [3, 4, 5]) await tell(worker as Worker, client, ["shop/a", "shop/b"]);
    await expect.poll(async () => (await hubStats(of)).merger?.merged, { timeout: 5_000 }).toBe(5);
    // It is woken while there is something to do, and then no more.
    await expect
      .poll(async () => {
        const { rounds } = await hubStats(of);
        await new Promise((done) => setTimeout(done, 600));
        return ((await hubStats(of)).rounds ?? 0) - (rounds ?? 0);
      })
      .toBe(0);
  });

  test("an alarm that fails is not its last", async () => {
    const failing = `class Hub extends AnalyzerHub {
      constructor(state, env) {
        let left = 9;
        const storage = new Proxy(state.storage, {
          get(target, name) {
            const value = target[name];
            if (typeof value !== "function") return value;
            if (name !== "transactionSync") return value.bind(target);
            return (work) => { if (left-- > 0) throw new Error("the disk is full"); return target.transactionSync(work); };
          },
        });
        super({ storage }, env);
      }
      options() { return { clients: 2, every: 200 }; }
    }`;
    const [of, worker] = await start({ hub: failing });
    for (const client of [1, 2]) await tell(worker as Worker, client, ["shop/a", "shop/b"]);
    await expect.poll(() => model(worker as Worker), { timeout: 15_000 }).toContain("shop/");
    const stats = await hubStats(of);
    // The runtime gives an alarm that throws up after seven tries.
    expect(stats.failures).toBe(9);
    expect(stats.pending.rows).toBe(0);
  }, 30_000);

  test("memory that is gone, as after some idle seconds, is nothing that counts", async () => {
    const leaving = `class Hub extends AnalyzerHub {
      constructor(state, env) {
        super(state, env);
        this.leave = () => state.abort("as if idle");
      }
      options() { return { clients: 2, every: 3_600_000 }; }
      fetch(request) {
        return new URL(request.url).pathname === "/leave" ? this.leave() : super.fetch(request);
      }
    }`;
    const [of, worker] = await start({ hub: leaving });
    for (const client of [1, 2, 3]) await tell(worker as Worker, client, ["shop/a", "shop/b"]);
    expect(await hubStats(of)).toMatchObject({ received: 3, pending: { rows: 3 } });
    expect((await of.hub("/leave")).ok).toBe(false);
    // Another object answers, which was told nothing so far, and finds the rows.
    expect(await hubStats(of)).toMatchObject({ received: 0, pending: { rows: 3 } });
  }, 30_000);

  test("a row that makes the core trap is given up, and those around it are not", async () => {
    const trapping = `class Hub extends AnalyzerHub {
      instance() {
        const Real = super.instance().Hub;
        return {
          Hub: class extends Real {
            merge(now, row) {
              if (new TextDecoder("latin1").decode(row).includes("poison")) throw new WebAssembly.RuntimeError("unreachable");
              super.merge(now, row);
            }
          },
        };
      }
      options() { return { clients: 2, every: 400 }; }
    }`;
    const [of, worker] = await start({ hub: trapping });
    await tell(worker as Worker, 1, ["shop/a", "shop/b"]);
    await tell(worker as Worker, 2, ["poison/a", "poison/b"]);
    await tell(worker as Worker, 3, ["shop/a", "shop/b"]);
    await expect.poll(() => model(worker as Worker), { timeout: 5_000 }).toContain("shop/");
    expect(await hubStats(of)).toMatchObject({ dropped: 1, failures: 1 });
  });

  test("what it has stored and cannot read is not its end", async () => {
    const persist = join(folder, "unreadable");
    const broken = `class Hub extends AnalyzerHub {
      constructor(state, env) {
        super(state, env);
        for (const name of ["counts", "shares", "model"]) {
          state.storage.sql.exec("INSERT OR REPLACE INTO kept (name, part, bytes) VALUES (?, 0, ?)", name, new Uint8Array([1, 2, 3]));
        }
      }
      options() { return { clients: 2, every: 400 }; }
    }`;
    const [of, worker] = await start({ hub: broken, persist });
    expect(await model(worker as Worker)).toBe("");
    for (const client of [1, 2]) await tell(worker as Worker, client, ["shop/a", "shop/b"]);
    await expect.poll(() => model(worker as Worker), { timeout: 5_000 }).toContain("shop/");
    expect((await hubStats(of)).unreadable).toBe(3);
  });

  test("without node:zlib it says what is missing", async () => {
    const [, worker] = await start({ flags: [] });
    const answer = await tell(worker as Worker, 1, ["a", "b"]);
    expect(answer.status).toBe(500);
    expect(await answer.json()).toMatchObject({ code: "CONFIG", detail: expect.stringContaining("nodejs_compat") as string });
  });
});

describe("who may do what", () => {
  test("a token tells and reads what it covers", async () => {
    const [, worker] = await start({ workers: [TOKENS] });
    const edgeWorker = worker as Worker;
    const as = async (sub: string | null, prefixes: string[], verbs = ["get"]) => ({
      authorization: `Bearer ${await token(sub, verbs, prefixes)}`,
    });
    expect((await tell(edgeWorker, 1, ["a/1", "a/2"])).status).toBe(401);
    const outside = await tell(edgeWorker, 1, ["a/1", "b/2"], await as("ann", ["a"]));
    expect([outside.status, ((await outside.json()) as { code: string }).code]).toEqual([403, "FORBIDDEN"]);
    expect((await tell(edgeWorker, 1, ["a/1", "a/2"], await as("ann", ["a"], ["put"]))).status).toBe(403);
    // Two subjects at one address are two clients.
    for (const sub of ["ann", "bob"]) {
      const headers = await as(sub, ["a", "b"]);
      expect((await tell(edgeWorker, sub.charCodeAt(0), ["a/1", "a/2"], headers)).status).toBe(204);
      expect((await tell(edgeWorker, sub.charCodeAt(1), ["b/1", "b/2"], headers)).status).toBe(204);
    }
    const all = await as(null, [""]);
    await expect.poll(() => model(edgeWorker, all), { timeout: 5_000 }).toContain("b/");
    const some = await as("ann", ["a"]);
    const restricted = await model(edgeWorker, { ...some, "accept-encoding": "identity" });
    expect(restricted).toContain("a/");
    expect(restricted).not.toContain("b/");
    const answer = await edgeWorker.fetch("/v1/model", { headers: some });
    expect(answer.headers.get("cache-control")).toMatch(/^private, /);
    expect((await edgeWorker.fetch("/v1/model", { headers: await as("ann", ["a"], ["list"]) })).status).toBe(403);
  });

  test("one subject is one client, whatever its addresses", async () => {
    const [of, worker] = await start({ workers: [TOKENS] });
    const headers = { authorization: `Bearer ${await token("ann", ["get"], [""])}` };
    for (const address of [1, 2, 3]) await tell(worker as Worker, address, ["a/1", "a/2"], headers);
    await expect.poll(async () => (await hubStats(of)).models, { timeout: 5_000 }).toBeGreaterThan(0);
    expect(await model(worker as Worker, { ...headers, "accept-encoding": "identity" })).not.toContain("a/1");
  });

  test("an address may tell so much a minute, and another one goes on", async () => {
    const [, worker] = await start();
    const keys = Array.from({ length: 800 }, (_, i) => `a/rather/long/name/of/a/key/${i}`);
    const statuses: number[] = [];
    let refused: Response | null = null;
    for (let i = 0; i < 4; i += 1) {
      const answer = await tell(worker as Worker, 7, keys);
      statuses.push(answer.status);
      if (answer.status === 429) refused ??= answer;
    }
    expect(statuses).toEqual([204, 204, 429, 429]);
    expect(Number(refused?.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await refused?.json()).toMatchObject({ code: "TOO_MANY_REQUESTS", limit: 65_536 });
    expect((await tell(worker as Worker, 8, keys)).status).toBe(204);
  });

  test("who may administer forgets a prefix, at once and for good", async () => {
    const persist = join(folder, "forgotten");
    let [of, worker] = await start({ workers: [TOKENS], persist });
    const everything = { authorization: `Bearer ${await token(null, ["get"], [""])}` };
    for (const sub of ["ann", "bob", "cid"]) {
      const headers = { authorization: `Bearer ${await token(sub, ["get"], [""])}` };
      await tell(worker as Worker, sub.charCodeAt(0), ["open/1", "open/2", "user/17/a"], headers);
    }
    await expect.poll(() => model(worker as Worker, everything), { timeout: 5_000 }).toContain("user/17");
    const forget = (headers: Record<string, string>, body: string) =>
      (worker as Worker).fetch("/v1/model/forget", {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body,
      });
    const admin = { authorization: `Bearer ${await token(null, ["admin"], [""])}` };
    expect((await forget(everything, '{"prefix":"user/17"}')).status).toBe(403);
    for (const [body, code] of [["{", "BAD_REQUEST"], ["{}", "BAD_REQUEST"], ['{"prefix":"a//b"}', "BAD_KEY"]] as const) {
      const answer = await forget(admin, body);
      expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([400, code]);
    }
    const done = await forget(admin, '{"prefix":"user/17"}');
    expect([done.status, await done.json()]).toEqual([200, { forgotten: "user/17" }]);
    const left = await model(worker as Worker, { ...everything, "accept-encoding": "identity" });
    expect(left).toContain("open/");
    expect(left).not.toContain("user/17");
    await of.stop();
    [of, worker] = await start({ workers: [TOKENS], persist });
    expect(await model(worker as Worker, { ...everything, "accept-encoding": "identity" })).not.toContain("user/17");
  });

  test("a public worker lets nobody forget, and the operator's own code may", async () => {
    const [of, worker] = await start();
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: '{"prefix":"a"}' };
    expect((await (worker as Worker).fetch("/v1/model/forget", init)).status).toBe(403);
    expect(await (await of.hub("/v1/model/forget", init)).json()).toEqual({ forgotten: "a" });
  });

  test("what a function decides about named keys opens no model of all", async () => {
    const decided = `(env) => ({ origins: env.ORIGINS, hub: env.HUB,
      authorize: (request, key) => request.headers.get("x-all") === "1" || key.startsWith("open") })`;
    const [, worker] = await start({ workers: [decided] });
    expect((await (worker as Worker).fetch("/v1/model")).status).toBe(403);
    expect((await (worker as Worker).fetch("/v1/model", { headers: { "x-all": "1" } })).status).toBe(204);
    expect((await tell(worker as Worker, 1, ["open/1", "open/2"])).status).toBe(403);
    expect((await tell(worker as Worker, 1, ["open/1", "open/2"], { "x-all": "1" })).status).toBe(204);
  });
});

test("what is malformed is a coded error", async () => {
  const [, worker] = await start();
  const post = (body: Uint8Array<ArrayBuffer>, type = BINARY) =>
    (worker as Worker).fetch("/v1/summaries", { method: "POST", headers: { "content-type": type }, body });
  const cases: [Promise<Response>, number, string][] = [
    [post(new Uint8Array(0)), 400, "BAD_REQUEST"],
    [post(new TextEncoder().encode("FMSM nonsense")), 400, "BAD_REQUEST"],
    [post(summary(1, ["a", "b"]).slice(0, -1)), 400, "BAD_REQUEST"],
    [post(summary(1, ["a//b", "b"])), 400, "BAD_REQUEST"],
    [post(summary(1, ["a", "b"]), "application/json"), 415, "UNSUPPORTED_MEDIA_TYPE"],
    [post(new Uint8Array(70_000)), 413, "BODY_TOO_LARGE"],
    [(worker as Worker).fetch("/v1/summaries"), 405, "METHOD_NOT_ALLOWED"],
    [(worker as Worker).fetch("/v1/model?bytes=1"), 400, "BAD_REQUEST"],
    [(worker as Worker).fetch("/v1/model?bytes=x"), 400, "BAD_REQUEST"],
    [(worker as Worker).fetch("/v1/summaries/observed", { method: "POST", body: "x" }), 404, "NO_ROUTE"],
  ];
  for (const [answer, status, code] of cases) {
    const { status: got, headers } = await answer;
    expect(headers.get("content-type")).toBe("application/problem+json");
    expect([got, ((await (await answer).json()) as { code: string }).code]).toEqual([status, code]);
  }
  expect((await tell(worker as Worker, 1, ["a", "b"])).status).toBe(204);
});

test("with hubs by prefix each part of the keys has its own, which hears of no other", async () => {
  const options = "(env) => ({ origins: env.ORIGINS, tokenKey: env.KEY, hub: env.HUB, hubDepth: 1 })";
  const [of, worker] = await start({ workers: [options] });
  const headers = (sub: string, prefixes: string[], verbs = ["get"]) =>
    token(sub, verbs, prefixes).then((value) => ({ authorization: `Bearer ${value}`, "accept-encoding": "identity" }));
  for (const sub of ["ann", "bob"]) {
    const told = await tell(worker as Worker, sub.charCodeAt(0), ["a/1", "a/2", "b/1", "b/2"], await headers(sub, ["a", "b"]));
    expect(told.status).toBe(204);
  }
  const all = await headers("ann", ["a", "b"]);
  await expect.poll(() => model(worker as Worker, all, "?prefix=a"), { timeout: 5_000 }).toContain("a/");
  expect(await model(worker as Worker, all, "?prefix=a")).not.toContain("b/");
  await expect.poll(() => model(worker as Worker, all, "?prefix=b/1"), { timeout: 5_000 }).toContain("b/");
  const refused = await (worker as Worker).fetch("/v1/model", { headers: all });
  expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([400, "BAD_REQUEST"]);
  // A token for one part need not name it.
  expect(await model(worker as Worker, await headers("ann", ["b"]))).toContain("b/");
  expect((await (worker as Worker).fetch("/v1/model?prefix=a", { headers: await headers("ann", ["b"]) })).status).toBe(403);
  expect((await hubStats(of, "a")).received).toBe(2);
  expect((await hubStats(of)).received).toBe(0);
  const forget = async (prefix: string) =>
    (worker as Worker).fetch("/v1/model/forget", {
      method: "POST",
      headers: { "content-type": "application/json", ...(await headers("root", [""], ["admin"])) },
      body: JSON.stringify({ prefix }),
    });
  expect((await forget("")).status).toBe(400);
  expect(await (await forget("a/1")).json()).toEqual({ forgotten: "a/1" });
  expect(await model(worker as Worker, all, "?prefix=a")).not.toContain("a/1");
});

test.each<[string, object]>([
  ["a hub where there are no Durable Objects", { hub: { idFromName: () => "", get: () => ({}) } }],
  ["parts of keys that anybody could make", { hubDepth: 17 }],
  ["share of another kind", { share: "yes" }],
  ["a negative number of subrequests", { subrequests: -1 }],
])("a worker refuses to start: %s", (_, options) => {
  const all = { origins: ORIGINS, public: true, debug: true, ...options };
  expect(() => createWorker(all as WorkerOptions)).toThrow(expect.objectContaining({ code: "CONFIG" }));
});
