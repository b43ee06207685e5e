import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { build } from "esbuild";

const ROOT = resolve(import.meta.dirname, "../..");
/** Newer dates are refused by the pinned workerd. */
export const COMPATIBILITY_DATE = "2026-04-26";

/** The bundle of a module, as a user's tool makes it. */
export async function bundle(source: string): Promise<string> {
  const result = await build({
    stdin: { contents: source, resolveDir: ROOT, loader: "ts" },
    bundle: true,
    format: "esm",
    target: "es2022",
    conditions: ["workerd"],
    external: ["*.wasm"],
    write: false,
  });
  return result.outputFiles[0]?.text ?? "";
}

/** Modules of a worker: its bundle, and the core. */
export async function modules(source: string) {
  const wasm = await readFile(join(ROOT, "pkg/dist/worker.wasm"));
  return [
    { type: "ESModule" as const, path: "worker.js", contents: await bundle(source) },
    { type: "CompiledWasm" as const, path: "worker.wasm", contents: wasm },
  ];
}
