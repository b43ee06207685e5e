// Times the takeover of a model as a tab does it: `node import.mjs CORE MODEL ROUNDS`, the folder of the built core and a
// snapshot in binary form. Prints milliseconds: those of the first core, whose code the engine has not seen before, and the
// median of as many more cores as there are rounds.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, file, rounds] = process.argv.slice(2);
const { Core, initSync } = await import(pathToFileURL(resolve(folder, "core.js")));
initSync({ module: readFileSync(join(folder, "core_bg.wasm")) });
const model = readFileSync(file);

function imported() {
  const core = new Core({ origins: ["http://localhost"], share: "read" });
  const begun = performance.now();
  core.importModel(0, model);
  const took = performance.now() - begun;
  const { model: shared } = core.stats(0);
  if (shared?.imported !== 1) throw new Error(`the model was not taken over: ${JSON.stringify(shared)}`);
  core.free();
  return took;
}

const first = imported();
const later = Array.from({ length: Number(rounds) }, imported).sort((a, b) => a - b);
console.log(first.toFixed(3), later[later.length >> 1].toFixed(3));
