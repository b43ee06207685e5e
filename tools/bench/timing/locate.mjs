// Times look-ups of placement as WebAssembly: `node locate.mjs GLUE MAP KEYS ROUNDS`, a map in binary form and keys, one
// a line. Prints nanoseconds per key, medians over the rounds: in the core, and from JavaScript in batches of 64; then
// the bytes of the map compressed with brotli.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { brotliCompressSync } from "node:zlib";

const [glue, mapFile, keyFile, rounds] = process.argv.slice(2);
const { LocateBench } = await import(pathToFileURL(glue));
const map = readFileSync(mapFile);
const text = readFileSync(keyFile, "utf8").trimEnd();
const keys = text.split("\n");
const bench = new LocateBench(map, text);

const batches = [];
for (let at = 0; at + 64 <= keys.length; at += 64) batches.push(keys.slice(at, at + 64));

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

const encoder = new TextEncoder();
const bytes = new Uint8Array(1 << 18);
const core = [];
const fromJs = [];
let sum = 0;
for (let round = 0; round < Number(rounds); round++) {
  let begun = performance.now();
  sum += bench.core();
  core.push(((performance.now() - begun) * 1e6) / keys.length);
  begun = performance.now();
  for (const batch of batches) {
    const { written } = encoder.encodeInto(batch.join("\n"), bytes);
    sum += bench.batch(bytes.subarray(0, written)).length;
  }
  fromJs.push(((performance.now() - begun) * 1e6) / (batches.length * 64));
}
if (!Number.isFinite(sum)) throw new Error("nothing was looked up");
console.log(median(core).toFixed(1), median(fromJs).toFixed(1), brotliCompressSync(map).length);
