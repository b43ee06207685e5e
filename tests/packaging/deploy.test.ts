import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unstable_readConfig } from "wrangler";
import { summary } from "../support/summary.js";

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "../..");
const WRANGLER = join(ROOT, "node_modules/wrangler/bin/wrangler.js");
/** What the free plan takes of a worker, compressed. */
const MAX_GZIP = 3 << 20;

/** Of the configuration, what is held against what it deploys. */
interface Config {
  compatibility_date: string;
  compatibility_flags: string[];
  vars: { [name: string]: string[] };
  durable_objects: { bindings: { name: string; class_name: string }[] };
  migrations: { new_sqlite_classes?: string[] }[];
}

interface Namespace {
  idFromName(name: string): unknown;
  get(id: unknown): { fetch(url: string, init?: RequestInit): Promise<Response> };
}

let project: string;
/** What wrangler would send. */
let upload: string;
let printed: string;

// The example as a user would take it, in a project with the package in it. Without network: nothing here needs any.
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "foremap-deploy-"));
  upload = join(project, "upload");
  await cp(join(ROOT, "edge"), project, { recursive: true });
  await mkdir(join(project, "node_modules"));
  await symlink(join(ROOT, "pkg"), join(project, "node_modules/foremap"));
  await writeFile(join(project, "package.json"), '{"name":"user","private":true,"type":"module"}');
  const env = { ...process.env, CI: "true", WRANGLER_SEND_METRICS: "false", XDG_CONFIG_HOME: join(project, "config") };
  const { stdout } = await run(process.execPath, [WRANGLER, "deploy", "--dry-run", "--outdir", upload], { cwd: project, env });
  printed = stdout;
});
afterAll(() => rm(project, { recursive: true, force: true }));

test("wrangler takes the example as it stands", async () => {
  expect(printed).toContain("env.HUB (Hub)");
  expect(printed).toContain("Durable Object");
  const files = await Promise.all(
    (await readdir(upload)).filter((name) => /\.(js|wasm)$/.test(name)).map((name) => readFile(join(upload, name))),
  );
  expect(files.length).toBe(2);
  const bytes = files.reduce((sum, file) => sum + gzipSync(file).byteLength, 0);
  expect(bytes).toBeLessThan(MAX_GZIP / 8);
});

test("what wrangler would deploy runs, with the storage and flags that the configuration names", async () => {
  const config = unstable_readConfig({ config: join(project, "wrangler.jsonc") }) as unknown as Config;
  const classes = config.migrations.flatMap((migration) => migration.new_sqlite_classes ?? []);
  const bound = config.durable_objects.bindings.map(({ class_name }) => class_name);
  expect(classes).toEqual(bound);
  const modules = await Promise.all(
    (await readdir(upload))
      .filter((name) => /\.(js|wasm)$/.test(name))
      .sort((a, b) => Number(a.endsWith(".wasm")) - Number(b.endsWith(".wasm")))
      .map(async (name) => ({
        type: name.endsWith(".wasm") ? ("CompiledWasm" as const) : ("ESModule" as const),
        path: name,
        contents: await readFile(join(upload, name)),
      })),
  );
  const miniflare = new Miniflare({
    port: 0,
    cf: false,
    compatibilityDate: config.compatibility_date,
    compatibilityFlags: config.compatibility_flags,
    modules,
    durableObjects: Object.fromEntries(
      config.durable_objects.bindings.map(({ name, class_name }) => [
        name,
        { className: class_name, useSQLite: classes.includes(class_name) },
      ]),
    ),
    bindings: { ...config.vars, TOKEN_KEY: "0123456789abcdef0123456789abcdef" },
  });
  try {
    const { origin } = await miniflare.ready;
    expect(await (await fetch(`${origin}/healthz`)).json()).toMatchObject({ status: "ok" });
    const headers = { "content-type": "application/vnd.foremap.v1" };
    const told = await fetch(`${origin}/v1/summaries`, { method: "POST", headers, body: summary(1, ["a", "b"]) });
    expect(told.status).toBe(401);
    // Past the worker, as the operator's own code.
    const hub = (await miniflare.getDurableObjectNamespace("HUB")) as unknown as Namespace;
    const ask = (path: string, init?: RequestInit) => hub.get(hub.idFromName("foremap/")).fetch(`https://hub${path}`, init);
    expect((await ask("/v1/summaries", { method: "POST", headers, body: summary(1, ["a", "b"]) })).status).toBe(204);
    expect(await (await ask("/v1/stats")).json()).toMatchObject({ received: 1, pending: { rows: 1 } });
  } finally {
    await miniflare.dispose();
  }
});
