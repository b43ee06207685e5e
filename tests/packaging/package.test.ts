import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { build as esbuild } from "esbuild";
import { Miniflare } from "miniflare";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { build as vite } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startGateway, type Gateway } from "../support/gateway.js";

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "../..");
let project: string;
let tarball: string;
let files: string[];
let gateway: Gateway;

// A fresh project with nothing but the packed package in it.
beforeAll(async () => {
  gateway = await startGateway(1);
  project = await mkdtemp(join(tmpdir(), "foremap-package-"));
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", project, join(ROOT, "pkg")], { cwd: ROOT });
  const [packed] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }];
  tarball = join(project, packed.filename);
  files = packed.files.map(({ path }) => path).sort();
  const installed = join(project, "node_modules", "foremap");
  await mkdir(installed, { recursive: true });
  await run("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed]);
  await writeFile(join(project, "package.json"), '{"name":"user","private":true,"type":"module"}');
});
afterAll(async () => {
  await gateway?.stop();
  if (project) await rm(project, { recursive: true, force: true });
});

/** Puts and gets one keymap; prints what a working package prints. */
const program = (origin: string) => `
  const client = createClient({ origins: [${JSON.stringify(origin)}] });
  client.put("pkg/a", { locator: "it works" })
    .then(() => client.get("pkg/a"))
    .then((found) => console.log(found.keymap.locator, client.stats().state))
    .finally(() => client.close());
`;
const EXPECTED = "it works ready\n";

async function node(file: string): Promise<string> {
  return (await run(process.execPath, [file], { cwd: project })).stdout;
}

test("publint has nothing to say", async () => {
  const { messages, pkg } = await publint({ pkgDir: join(ROOT, "pkg"), strict: true });
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
});

test("the tarball holds the package, a binary for clients and one for workers, and nothing else", async () => {
  expect(files.filter((file) => file.endsWith(".wasm"))).toEqual(["dist/core.wasm", "dist/worker.wasm"]);
  const others = files.filter((file) => !file.startsWith("dist/"));
  expect(others).toEqual(["LICENSE-APACHE", "LICENSE-MIT", "README.md", "package.json"]);
  expect(files.filter((file) => /core\/|tmp|test/.test(file))).toEqual([]);
  const manifest = JSON.parse(await readFile(join(ROOT, "pkg/package.json"), "utf8")) as Record<string, unknown>;
  expect(manifest).not.toHaveProperty("dependencies");
  expect(manifest).not.toHaveProperty("scripts");
});

test("no top-level await, no file look-up, no dynamic code", async () => {
  const dist = join(project, "node_modules/foremap/dist");
  for (const name of await readdir(dist)) {
    if (!/\.c?js$/.test(name)) continue;
    const text = await readFile(join(dist, name), "utf8");
    expect(text, name).not.toMatch(/import\.meta\.url|\beval\(|new Function\(|^await /m);
  }
});

test("Node, import", async () => {
  await writeFile(join(project, "esm.mjs"), `import { createClient } from "foremap";${program(gateway.origins[0] ?? "")}`);
  expect(await node("esm.mjs")).toBe(EXPECTED);
});

test("Node, require", async () => {
  const code = `const { createClient } = require("foremap");${program(gateway.origins[0] ?? "")}`;
  await writeFile(join(project, "cjs.cjs"), code);
  expect(await node("cjs.cjs")).toBe(EXPECTED);
});

test("Vite without configuration", async () => {
  await writeFile(join(project, "index.html"), '<script type="module" src="./app.js"></script>');
  await writeFile(join(project, "app.js"), `import { createClient } from "foremap";${program(gateway.origins[0] ?? "")}`);
  await vite({ root: project, logLevel: "error", build: { outDir: "vite", modulePreload: { polyfill: false } } });
  const assets = await readdir(join(project, "vite/assets"));
  // One file, and beside it what only those load who have something kept.
  expect(assets.map((name) => name.split("-")[0]).sort()).toEqual(["index", "shared"]);
  const page = await readFile(join(project, "vite/index.html"), "utf8");
  expect(page).not.toContain("shared-");
  for (const name of assets) await cp(join(project, "vite/assets", name), join(project, name.replace(/^index-.*/, "vite.mjs")));
  expect(await node("vite.mjs")).toBe(EXPECTED);
});

test("esbuild without configuration", async () => {
  await writeFile(join(project, "app.js"), `import { createClient } from "foremap";${program(gateway.origins[0] ?? "")}`);
  const options = { bundle: true, minify: true, absWorkingDir: project, logLevel: "error" } as const;
  await esbuild({ ...options, entryPoints: ["app.js"], format: "esm", outfile: "bundle.mjs" });
  expect(await node("bundle.mjs")).toBe(EXPECTED);
  expect((await readdir(project)).filter((name) => name.endsWith(".wasm"))).toEqual([]);
});

test("what is not used is not bundled", async () => {
  const contents = 'import { ForemapError } from "foremap"; console.log(new ForemapError("CLOSED", "x").code);';
  const stdin = { contents, resolveDir: project };
  const result = await esbuild({ stdin, bundle: true, format: "esm", minify: true, write: false, logLevel: "error" });
  expect(result.outputFiles[0]?.contents.byteLength).toBeLessThan(3_000);
});

test("workerd: client and worker from the module import", async () => {
  const contents = `
    import { createClient } from "foremap";
    import { createWorker } from "foremap/worker";
    const worker = createWorker((env) => ({ origins: env.ORIGINS, public: true }));
    export default {
      async fetch(request, env, context) {
        if (new URL(request.url).pathname !== "/sdk") return worker.fetch(request, env, context);
        using client = createClient({ origins: env.ORIGINS });
        await client.put("pkg/w", { locator: "in workerd" });
        return new Response((await client.get("pkg/w")).keymap.locator + " " + client.stats().state);
      },
    };`;
  const stdin = { contents, resolveDir: project };
  const bundle = await esbuild({
    stdin,
    bundle: true,
    format: "esm",
    target: "es2022",
    conditions: ["workerd"],
    external: ["*.wasm"],
    write: false,
    logLevel: "error",
  });
  const wasm = (name: string) => readFile(join(project, "node_modules/foremap/dist", name));
  const miniflare = new Miniflare({
    port: 0,
    cf: false,
    compatibilityDate: "2026-04-26",
    modules: [
      { type: "ESModule", path: "worker.js", contents: bundle.outputFiles[0]?.text ?? "" },
      { type: "CompiledWasm", path: "core.wasm", contents: await wasm("core.wasm") },
      { type: "CompiledWasm", path: "worker.wasm", contents: await wasm("worker.wasm") },
    ],
    bindings: { ORIGINS: gateway.origins },
  });
  try {
    const { origin } = await miniflare.ready;
    expect(await (await fetch(`${origin}/sdk`)).text()).toBe("in workerd ready");
    expect(await (await fetch(`${origin}/v1/keymap?key=pkg/w`)).json()).toMatchObject({ locator: "in workerd" });
  } finally {
    await miniflare.dispose();
  }
});

test.each([
  ["import", "mts"],
  ["require", "cts"],
])("types for %s", async (_, extension) => {
  const code = `
    import { createClient, ForemapError, type Keymap, type ClientOptions } from "foremap";
    const options: ClientOptions = { origins: ["https://gateway.example"], cache: false, prefetch: { wasteBudget: 0.1 } };
    export async function locator(key: string): Promise<string | undefined> {
      const client = createClient(options);
      const found = await client.get(key, { consistency: "strong", timeout: 100 });
      const keymap: Keymap | undefined = found?.keymap;
      const many = await client.getMany([["a", 1]]);
      for (const one of many) if (one instanceof ForemapError) console.log(one.code satisfies string);
      client.on("answer", ({ age }) => age.toFixed());
      // @ts-expect-error there is no such consistency
      await client.get(key, { consistency: "exact" });
      // @ts-expect-error a keymap needs a locator
      await client.put(key, { size: 1 });
      // @ts-expect-error one thing at a time
      client.invalidate({});
      return keymap?.locator;
    }
  `;
  await writeFile(join(project, `types.${extension}`), code);
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const flags = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,esnext.disposable"];
  const { stdout } = await run(process.execPath, [tsc, ...flags, `types.${extension}`], { cwd: project }).catch(
    (error: { stdout: string }) => error,
  );
  expect(stdout).toBe("");
});
