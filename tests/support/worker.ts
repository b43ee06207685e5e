import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { Miniflare } from "miniflare";

const ROOT = resolve(import.meta.dirname, "../..");

/** An edge worker in the real workerd. */
export interface Worker {
  origin: string;
  fetch(path: string, init?: RequestInit): Promise<Response>;
  stop(): Promise<void>;
}

/**
 * Starts a worker whose options are `options`, as source text that may use `env`.
 *
 * It is bundled as a user's tool would bundle it: from the package's exports map under the condition `workerd`.
 */
export async function startWorker(options: string, bindings: Record<string, unknown> = {}): Promise<Worker> {
  const source = `
    import { createWorker } from "foremap/worker";
    export default createWorker(${options});
  `;
  const bundle = await build({
    stdin: { contents: source, resolveDir: ROOT, loader: "ts" },
    bundle: true,
    format: "esm",
    target: "es2022",
    conditions: ["workerd"],
    external: ["*.wasm"],
    write: false,
  });
  const miniflare = new Miniflare({
    port: 0,
    cf: false,
    compatibilityDate: "2026-04-26",
    modules: [
      { type: "ESModule", path: "worker.js", contents: bundle.outputFiles[0]?.text ?? "" },
      { type: "CompiledWasm", path: "core.wasm", contents: await readFile(join(ROOT, "pkg/dist/core.wasm")) },
    ],
    bindings: bindings as Record<string, string>,
  });
  try {
    const { origin } = await miniflare.ready;
    return {
      origin,
      fetch: (path, init) => fetch(origin + path, init),
      stop: () => miniflare.dispose(),
    };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}
