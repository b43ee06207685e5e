/**
 * Runs the demonstration's worker in workerd, with the page of `www/` at `/`.
 *
 *     node js/demo/serve.mjs --port 8787 --origins http://127.0.0.1:7400,http://127.0.0.1:7401 \
 *         [--mode none|cache|predict] [--cache-entries N] [--max-staleness MS] [--host ADDRESS]
 *
 * Prints one line when it answers. Ends on SIGTERM and SIGINT.
 */
import { readFile } from "node:fs/promises";
import { dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { Miniflare, Response } from "miniflare";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const dist = join(root, "pkg", "dist");

const MODES = ["none", "cache", "predict"];
/** Newer dates are refused by the pinned workerd. */
const COMPATIBILITY_DATE = "2026-04-26";
const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

const options = readOptions();
const miniflare = new Miniflare({
  host: options.host,
  port: options.port,
  cf: false,
  compatibilityDate: COMPATIBILITY_DATE,
  modules: [
    { type: "ESModule", path: "worker.js", contents: await bundleWorker() },
    { type: "CompiledWasm", path: "worker.wasm", contents: await readFile(join(dist, "worker.wasm")) },
  ],
  bindings: {
    ORIGINS: options.origins,
    MODE: options.mode,
    CACHE_ENTRIES: options.cacheEntries,
    MAX_STALENESS: options.maxStaleness,
  },
  serviceBindings: { ASSETS: asset },
});

for (const signal of ["SIGTERM", "SIGINT"]) {
  process.once(signal, () => void miniflare.dispose().finally(() => process.exit(0)));
}
try {
  console.log(`ready: ${(await miniflare.ready).origin} (${options.mode})`);
} catch (error) {
  await miniflare.dispose();
  fail(error instanceof Error ? error.message : String(error));
}

function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        host: { type: "string", default: "127.0.0.1" },
        port: { type: "string", default: "8787" },
        origins: { type: "string" },
        mode: { type: "string", default: "predict" },
        "cache-entries": { type: "string", default: "100000" },
        "max-staleness": { type: "string", default: "2000" },
      },
    }));
  } catch (error) {
    fail(error.message);
  }
  if (!values.origins) fail("--origins names the gateways, separated by commas");
  if (!MODES.includes(values.mode)) fail(`--mode is one of ${MODES.join(", ")}`);
  return {
    host: values.host,
    port: whole("--port", values.port),
    origins: values.origins.split(","),
    mode: values.mode,
    cacheEntries: whole("--cache-entries", values["cache-entries"]),
    maxStaleness: whole("--max-staleness", values["max-staleness"]),
  };
}

function whole(name, text) {
  if (!/^\d+$/.test(text)) fail(`${name} must be a whole number, not ${text}`);
  return Number(text);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

/** The worker as a user's bundler would make it of the published package. */
async function bundleWorker() {
  const result = await build({
    entryPoints: [join(root, "js", "demo", "worker.ts")],
    bundle: true,
    format: "esm",
    target: "es2022",
    conditions: ["workerd"],
    external: ["*.wasm"],
    write: false,
  });
  return result.outputFiles[0].text;
}

/** Files of `www/`, and the package for browsers below `/foremap/`. */
async function asset(request) {
  const { pathname } = new URL(request.url);
  const name = pathname === "/" ? "index.html" : pathname.slice(1);
  const file = name.startsWith("foremap/") ? join(dist, name.slice(8)) : join(root, "www", name);
  const type = TYPES[extname(file)];
  const inside = [join(root, "www"), dist].some((folder) => file.startsWith(`${folder}/`));
  if (type === undefined || !inside) return new Response("not found", { status: 404 });
  try {
    return new Response(await readFile(file), { headers: { "content-type": type, "cache-control": "no-cache" } });
  } catch {
    return new Response("not found", { status: 404 });
  }
}
