/**
 * Replays the sessions of a trace, each as a browser tab that is opened for it and closed at its end: with a client of its
 * own, and so with its own cache and its own prediction.
 *
 *     node js/demo/tabs.mjs INPUT OUTPUT
 *
 * INPUT and OUTPUT are JSON files; `cargo xtask demo` writes the one and reads the other. Says on its standard output how many
 * requests are answered, and `done` once OUTPUT is there; then waits for SIGTERM. Ends with 1 after a wrong answer.
 */
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "foremap";
import { SignJWT } from "jose";

/** Milliseconds between two lines about how many requests are answered. */
const NEWS_MS = 500;
/** Sources that an answer within the staleness bound may have. */
const SOURCES = ["cache", "revalidated", "network", "joined"];

const [inputFile, outputFile] = process.argv.slice(2);
if (outputFile === undefined) throw new Error("usage: node tabs.mjs INPUT OUTPUT");
const input = JSON.parse(await readFile(inputFile, "utf8"));
const secret = new TextEncoder().encode(input.secret);
const output = { answers: [], prefetch: { issued: 0, used: 0, late: 0, refunded: 0 }, models: 0 };

const news = setInterval(() => console.log(`answered ${output.answers.length}`), NEWS_MS);
let next = 0;
await Promise.all(Array.from({ length: input.tabs }, openTabs));
clearInterval(news);
await writeFile(outputFile, JSON.stringify(output));
console.log("done");
setInterval(() => undefined, 1 << 30);

/** Opens one tab after the other, as long as there are sessions. */
async function openTabs() {
  while (next < input.sessions.length) {
    const number = next++;
    await visit(input.sessions[number], input.origins[number % input.origins.length]);
  }
}

/** One session in a new tab, which talks to one gateway, as through a load balancer. */
async function visit({ name, steps }, origin) {
  const token = await tokenOf(name);
  const { share, maxStaleness } = input;
  const client = createClient({ origins: [origin], token, share, maxStaleness });
  try {
    let begun = -Infinity;
    for (const [gap, key] of steps) {
      const pause = begun + gap - performance.now();
      if (pause > 0) await sleep(pause);
      begun = performance.now();
      const source = await ask(client, input.keys[key]);
      output.answers.push([performance.now() - begun, source]);
    }
    const { prefetch, model } = client.stats().core;
    for (const count of Object.keys(output.prefetch)) output.prefetch[count] += prefetch[count];
    output.models += model.imported > 0 ? 1 : 0;
  } finally {
    client.close();
  }
}

/** Where the answer came from. @throws where it is another one than that of the key, or beyond the bound */
async function ask(client, key) {
  const answer = await client.get(key);
  if (answer?.keymap.key !== key) throw new Error(`${key}: the answer is about ${answer?.keymap.key ?? "no keymap"}`);
  if (answer.stale || !SOURCES.includes(answer.source)) throw new Error(`${key}: beyond the bound, from ${answer.source}`);
  return answer.source;
}

/** A token by whose subject gateways tell this session from the others, which all come from one address. */
function tokenOf(name) {
  const claims = { verbs: ["get"], prefixes: [""] };
  return new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).setSubject(name).setExpirationTime("1d").sign(secret);
}
