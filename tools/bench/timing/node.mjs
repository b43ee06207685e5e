// Times a replay as WebAssembly: `node node.mjs GLUE TRACE MEMORY ENTRIES ROUNDS`. Prints what `main.rs` prints.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [glue, file, memory, entries, rounds] = process.argv.slice(2);
const { Bench } = await import(pathToFileURL(glue));
const bench = new Bench(readFileSync(file), Number(memory), Number(entries));

let [hits, withEngine, without] = [0, Infinity, Infinity];
for (let round = 0; round < Number(rounds); round++) {
  const [counted, engine, none] = bench.round();
  [hits, withEngine, without] = [counted, Math.min(withEngine, engine), Math.min(without, none)];
}
console.log(hits, Math.round(withEngine), Math.round(without));
