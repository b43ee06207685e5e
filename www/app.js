/** The live console: everything on it comes from the worker that serves this page. */
import { createClient } from "./foremap/index.js";

/** Milliseconds between two readings of the worker's figures. */
const REFRESH_MS = 1_000;
/** Requests that the log keeps. */
const LOG_ROWS = 12;
/** Keys that are offered. */
const SAMPLES = 6;

const $ = (id) => document.getElementById(id);
const client = createClient({ origins: [location.origin] });

/** An element with text; text never becomes markup. */
function element(name, text, className = "") {
  const node = document.createElement(name);
  node.textContent = text;
  node.className = className;
  return node;
}

const count = (value) => (value ?? 0).toLocaleString("en");
const ms = (value) => (value === undefined || value === null ? "–" : `${count(Math.round(value * 10) / 10)} ms`);
const share = (part, whole) => (whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : "–");

function keyButton(key) {
  const button = element("button", key, "key");
  button.type = "button";
  button.addEventListener("click", () => {
    $("key").value = key;
    $("lookup").requestSubmit();
  });
  return button;
}

/** Asks the worker over HTTP: what it knows about its answer is in the headers. */
async function askWorker(key) {
  const began = performance.now();
  const response = await fetch(`/v1/keymap?key=${encodeURIComponent(key)}`, { headers: { "foremap-stream": "console" } });
  const body = await response.json();
  const latency = performance.now() - began;
  const header = (name) => response.headers.get(`foremap-${name}`) ?? undefined;
  if (!response.ok && body.code !== "NOT_FOUND") throw body;
  return {
    keymap: response.ok ? body : null,
    source: header("source"),
    age: Number(header("age")),
    latency,
    node: header("node"),
    partition: header("partition"),
    epoch: header("epoch"),
    position: header("position"),
  };
}

/** Asks through the SDK, which has a cache and a predictor of its own in this tab. */
async function askTab(key) {
  const began = performance.now();
  const result = await client.get(key);
  const latency = performance.now() - began;
  const place = client.explain(key) ?? {};
  return {
    keymap: result?.keymap ?? null,
    source: result?.source,
    age: result?.age,
    latency,
    node: place.node,
    partition: place.partition,
    epoch: place.epoch && `${place.epoch.incarnation}.${place.epoch.number}`,
  };
}

const WORDS = {
  cache: "from the cache",
  negative: "from the cache, which knows that there is none",
  joined: "from a fetch that was already on its way",
  revalidated: "from the cache, confirmed by a gateway",
  network: "from a gateway",
  stale: "from the cache, beyond the staleness bound",
};

/** Names and values; what is not known is left out. */
function showFacts(list, facts) {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined && value !== null);
  list.replaceChildren(
    ...known.map(([name, value]) => {
      const fact = element("div", "");
      fact.append(element("dt", name), element("dd", String(value)));
      return fact;
    }),
  );
}

function show(key, via, answer) {
  const verdict = $("verdict");
  verdict.className = "";
  verdict.textContent = answer.keymap
    ? `Found in ${ms(answer.latency)}, ${WORDS[answer.source] ?? answer.source}.`
    : `There is no such keymap (${ms(answer.latency)}).`;
  const facts = {
    Node: answer.node,
    Partition: answer.partition,
    Epoch: answer.epoch,
    Source: answer.source,
    Age: ms(answer.age),
    Latency: ms(answer.latency),
    Version: answer.keymap?.version,
    "Log position": answer.position,
  };
  showFacts($("facts"), facts);
  $("keymap").textContent = JSON.stringify(answer.keymap, null, 2);
  $("answer").hidden = false;

  const row = document.createElement("tr");
  const cell = element("td", "");
  cell.append(keyButton(key));
  row.append(cell, element("td", via === "tab" ? "SDK in this tab" : "worker"), element("td", answer.source ?? "–"));
  for (const value of [ms(answer.age), ms(answer.latency), answer.node ?? "–", answer.partition ?? "–"]) {
    row.append(element("td", String(value), "number"));
  }
  const rows = $("log").tBodies[0];
  rows.prepend(row);
  while (rows.rows.length > LOG_ROWS) rows.deleteRow(-1);
}

function showError(error) {
  const verdict = $("verdict");
  verdict.className = "bad";
  verdict.textContent = `${error.code ?? "ERROR"}: ${error.detail ?? error.message ?? error}`;
  $("facts").replaceChildren();
  $("keymap").textContent = "";
  $("answer").hidden = false;
}

async function explain(key) {
  const response = await fetch(`/v1/explain?key=${encodeURIComponent(key)}`);
  if (!response.ok) return;
  const { next = [], ...why } = await response.json();
  showFacts($("why-facts"), {
    "In the worker's cache": why.cached,
    "Hashed portion": why.portion && `${why.portion.depth} components, spread ${why.portion.spread}`,
    "Owner answers at": why.origin,
    "Storage shard": why.shard,
    "On its way": why.inFlight ? "yes" : "no",
    "Predicted with confidence": why.prediction?.confidence?.toFixed(2),
  });
  $("why").hidden = false;
  $("after").textContent = key;
  $("next-none").hidden = next.length > 0;
  $("next").hidden = next.length === 0;
  $("next").tBodies[0].replaceChildren(
    ...next.slice(0, 8).map(({ key: expected, confidence, expert }) => {
      const row = document.createElement("tr");
      const name = element("td", "");
      name.append(keyButton(expected));
      const meter = document.createElement("meter");
      meter.value = confidence;
      const level = element("td", "");
      level.append(meter, ` ${confidence.toFixed(2)}`);
      row.append(name, level, element("td", String(expert)));
      return row;
    }),
  );
}

function showStats(stats) {
  const { prefetch = {}, cache = {} } = stats;
  const served = stats.hits + stats.negative + stats.joined + stats.revalidated + stats.network + stats.stale;
  const tiles = [
    ["requests", count(stats.requests)],
    ["answered from the cache", share(stats.hits + stats.negative, served)],
    ["joined a fetch on its way", count(stats.joined)],
    ["revalidated", count(stats.revalidated)],
    ["fetched from a gateway", count(stats.network)],
    ["batches to gateways", count(stats.batches)],
    ["prefetches issued", count(prefetch.issued)],
    ["prefetches used", count(prefetch.used)],
    ["prefetches late", count(prefetch.late)],
    ["prefetches wasted", count((prefetch.wasted ?? 0) + (prefetch.harmful ?? 0))],
    ["prefetch budget left", (prefetch.budgetLeft ?? 0).toFixed(1)],
    ["confidence needed now", (prefetch.threshold ?? 0).toFixed(2)],
    ["entries cached", count(cache.entries)],
    ["bytes cached", count(cache.bytes)],
  ];
  $("stats").replaceChildren(
    ...tiles.map(([name, value]) => {
      const tile = element("div", "", "tile");
      tile.append(element("b", value), element("span", name));
      return tile;
    }),
  );
  const epoch = stats.epoch ? `map epoch ${stats.epoch.incarnation}.${stats.epoch.number}` : "no map yet";
  $("status").textContent = `worker connected · ${epoch} · staleness bound ${ms(stats.maxStaleness)}`;
}

async function refresh() {
  try {
    const response = await fetch("/v1/stats");
    if (!response.ok) throw new Error(`the worker answered ${response.status}`);
    showStats(await response.json());
  } catch (error) {
    $("status").textContent = `the worker does not answer (${error.message})`;
  }
  setTimeout(refresh, REFRESH_MS);
}

async function offerKeys() {
  const response = await fetch("/v1/list?limit=200");
  if (!response.ok) return;
  const { items } = await response.json();
  // Spread over the page, as neighbours look alike.
  const step = Math.max(1, Math.floor(items.length / SAMPLES));
  const keys = items.filter((_, at) => at % step === 0).slice(0, SAMPLES).map((keymap) => keymap.key);
  if (keys.length > 0) $("samples").replaceChildren(...keys.flatMap((key) => [keyButton(key), " · "]).slice(0, -1));
  $("keys").replaceChildren(
    ...items.map((keymap) => {
      const option = document.createElement("option");
      option.value = keymap.key;
      return option;
    }),
  );
}

$("lookup").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = $("key").value.trim();
  const via = new FormData($("lookup")).get("via");
  try {
    show(key, via, await (via === "tab" ? askTab(key) : askWorker(key)));
    await explain(key);
  } catch (error) {
    showError(error);
  }
});

$("next").hidden = true;
void refresh();
void offerKeys();
