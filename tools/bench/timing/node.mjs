// Times the loop as WebAssembly: `node node.mjs GLUE FILE MEMORY ENTRIES ROUNDS`. Prints what `main.rs` prints.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [glue, file, memory, entries, rounds] = process.argv.slice(2);
const { Bench } = await import(pathToFileURL(glue));
const bench = new Bench(readFileSync(file, "utf8"), Number(memory), Number(entries));

function timed(play) {
  bench.start();
  const begun = performance.now();
  return [play(), (performance.now() - begun) * 1e6];
}

let [hits, withEngine, without] = [0, Infinity, Infinity];
for (let round = 0; round < Number(rounds); round++) {
  const [counted, nanos] = timed(() => bench.with_engine());
  [hits, withEngine] = [counted, Math.min(withEngine, nanos)];
  without = Math.min(without, timed(() => bench.without_engine())[1]);
}
console.log(hits, Math.round(withEngine), Math.round(without));
