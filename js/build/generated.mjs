import { readFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { build } from "esbuild";

/**
 * The modules that the sources import but that come from wasm-bindgen's output in `core`.
 *
 * @param {string} core folder with `core.js` and `core_bg.wasm`
 * @param {string} [workerCore] folder with the edge worker's core
 * @returns {Promise<{[name: string]: string}>} JavaScript by module name
 */
export async function generatedModules(core, workerCore = core) {
  return {
    "foremap:glue": await glueFactory(join(core, "core.js")),
    "foremap:worker-glue": await glueFactory(join(workerCore, "core.js")),
    "foremap:bytes": `export default "${deflated(join(core, "core_bg.wasm"))}";\n`,
  };
}

/** The zlib form, which names neither time nor platform: the same core is the same package everywhere. */
function deflated(file) {
  return deflateSync(readFileSync(file), { level: 9 }).toString("base64");
}

/**
 * The glue keeps its instance in module scope. As a function each call makes a copy with its own scope, so that a
 * client, or a core rebuilt after a trap, never shares memory with another.
 */
async function glueFactory(file) {
  const result = await build({
    entryPoints: [file],
    bundle: true,
    format: "iife",
    globalName: "glue",
    target: "es2022",
    minify: true,
    write: false,
  });
  return `export function createGlue() {\n${result.outputFiles[0].text}\nreturn glue;\n}\n`;
}
