/**
 * Builds the npm package's `dist` from `js/` and the wasm core.
 *
 *     node js/build.mjs
 *
 * Expects wasm-bindgen's `--target web --omit-default-module-path` output (`core.js`, `core_bg.wasm`) in `pkg/dist/core/`,
 * and that of the edge worker's core in `pkg/dist/worker-core/`. `cargo xtask build` makes both.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { generatedModules } from "./build/generated.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(root, "pkg", "dist");
const core = join(dist, "core");
const workerCore = join(dist, "worker-core");
const entry = (name) => join(root, "js", "entry", `${name}.ts`);

for (const folder of [core, workerCore]) {
  if (existsSync(join(folder, "core.js"))) continue;
  console.error(`${relative(root, folder)} is missing: run \`cargo xtask build\`, which makes it and then calls this script`);
  process.exit(1);
}

for (const name of readdirSync(dist)) {
  if (name !== "core" && name !== "worker-core") rmSync(join(dist, name), { recursive: true });
}
copyFileSync(join(core, "core_bg.wasm"), join(dist, "core.wasm"));
copyFileSync(join(workerCore, "core_bg.wasm"), join(dist, "worker.wasm"));
for (const name of ["LICENSE-MIT", "LICENSE-APACHE"]) copyFileSync(join(root, name), join(root, "pkg", name));

const generated = await generatedModules(core, workerCore);

/** @type {import("esbuild").Plugin} */
const virtualModules = {
  name: "virtual-modules",
  setup(plugin) {
    plugin.onResolve({ filter: /^foremap:/ }, ({ path }) => ({ path, namespace: "foremap", sideEffects: false }));
    plugin.onLoad({ filter: /.*/, namespace: "foremap" }, ({ path }) => ({ contents: generated[path], loader: "js" }));
    plugin.onResolve({ filter: /\.wasm(\?module)?$/ }, ({ path }) => ({ path, external: true }));
  },
};

const shared = {
  bundle: true,
  target: "es2022",
  outdir: dist,
  plugins: [virtualModules],
  logLevel: "warning",
  legalComments: "eof",
  // Names stay in modules, for readable stacks; what only costs bytes goes.
  minifyWhitespace: true,
  minifySyntax: true,
};
const esm = ["index", "worker", "workerd", "worker-workerd", "edge-light"];
await Promise.all([
  // Split, so that the inlined bytes exist once for both entries that need them.
  build({ ...shared, format: "esm", splitting: true, chunkNames: "shared-[hash]", entryPoints: esm.map(entry) }),
  build({ ...shared, format: "cjs", platform: "node", minify: true, outExtension: { ".js": ".cjs" }, entryPoints: [entry("index")] }),
]);

emitTypes(["index", "worker"]);

/** Declarations of the entries and of what they reach, as a pair for `import` and `require`. */
function emitTypes(entries) {
  const out = join(dist, "types.tmp");
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const flags = ["--noEmit", "false", "--emitDeclarationOnly", "--outDir", out];
  execFileSync(process.execPath, [tsc, "-p", join(root, "js"), ...flags], { stdio: "inherit" });
  const seen = new Set();
  const visit = (file) => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(`${file}.d.ts`, "utf8");
    for (const [, path] of text.matchAll(/from "(\.[^"]+)\.js"/g)) visit(resolve(dirname(file), path));
  };
  for (const name of entries) visit(join(out, "entry", name));
  for (const file of seen) {
    const text = readFileSync(`${file}.d.ts`, "utf8");
    const target = join(dist, "types", relative(out, file));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(`${target}.d.ts`, text);
    writeFileSync(`${target}.d.cts`, text.replaceAll(/(from "\.[^"]+)\.js"/g, '$1.cjs"'));
  }
  rmSync(out, { recursive: true });
}
