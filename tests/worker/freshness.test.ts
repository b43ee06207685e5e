import { expect, test } from "vitest";
import { runFreshness, type Outcome } from "../support/freshness.js";
import { startGateway } from "../support/gateway.js";
import { startWeather, type Climate, type Weather } from "../support/weather.js";
import { startWorker, type Worker } from "../support/worker.js";

/** `cargo xtask test --full` makes it 75. */
const SECONDS = Number(process.env.FOREMAP_FRESHNESS_SECONDS ?? 6);
const SEED = Number(process.env.FOREMAP_FRESHNESS_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** Between a gateway and whoever asks it. */
const BAD: Climate = { delay: 8, lostRequests: 0.02, lostAnswers: 0.03, outages: { every: 5_000, most: 1_500 } };
/** Between the worker and its clients, who have no other. */
const FAIR: Climate = { delay: 4, lostRequests: 0.005, lostAnswers: 0.005, outages: { every: 10_000, most: 500 } };
/** It loses nothing, and lies. */
const LYING: Climate = { delay: 2, lostRequests: 0, lostAnswers: 0, outages: { every: 1e9, most: 0 }, replay: 4_000 };

/** Bad lines in front of every gateway, and whatever stands between them and the clients. */
async function run(through: "gateways" | "worker", seconds: number, climate: Climate): Promise<Outcome & { weather: Weather["counts"][] }> {
  const cleanup: (() => Promise<unknown>)[] = [];
  try {
    const gateway = await startGateway(3);
    cleanup.push(() => gateway.stop());
    const lines: Weather[] = [];
    const line = async (target: string, its: Climate) => {
      const started = await startWeather(target, SEED + lines.length, its);
      cleanup.unshift(() => started.stop());
      lines.push(started);
      return started.origin;
    };
    const gateways = await Promise.all(gateway.origins.map((origin) => line(origin, climate)));
    let origins = gateways;
    if (through === "worker") {
      const options = "(env) => ({ origins: env.ORIGINS, public: true, cacheApi: true, timeout: 3000 })";
      const worker: Worker = await startWorker(options, { ORIGINS: gateways });
      cleanup.unshift(() => worker.stop());
      origins = [await line(worker.origin, climate === LYING ? LYING : FAIR)];
    }
    const outcome = await runFreshness({ seed: SEED, seconds, origins, gateways: gateway.origins });
    return { ...outcome, weather: lines.map((one) => one.counts) };
  } finally {
    for (const stop of cleanup) await stop();
  }
}

test.each(["gateways", "worker"] as const)(
  "through bad lines to %s every promise of freshness is kept",
  async (through) => {
    const { violations, summary, counts, weather } = await run(through, SECONDS, BAD);
    console.log(`seed ${SEED}, ${SECONDS} s through the ${through}:`, JSON.stringify({ ...summary, ...counts, weather }));
    const found = violations.slice(0, 5).map(({ rule, text }) => `${rule}: ${text}`);
    expect(violations.length, `FOREMAP_FRESHNESS_SEED=${SEED}, through the ${through}:\n${found.join("\n")}`).toBe(0);
    // It has tested something.
    expect(summary.reads).toBeGreaterThan(50 * SECONDS);
    expect(summary.absences).toBeGreaterThan(0);
    expect(summary.outdated).toBeGreaterThan(0);
    expect(summary.sources.cache).toBeGreaterThan(summary.reads / 20);
    expect(counts.deletes).toBeGreaterThan(0);
    expect(counts.forgettings).toBeGreaterThan(SECONDS);
    expect(weather.reduce((sum, { lostAnswers }) => sum + lostAnswers, 0)).toBeGreaterThan(0);
    // A feed may take a while to be opened over such a line.
    if (SECONDS >= 30) expect(weather.reduce((sum, { feeds }) => sum + feeds, 0)).toBeGreaterThan(0);
  },
  SECONDS * 1_000 + 60_000,
);

test.each(["gateways", "worker"] as const)(
  "answers that are replayed on the way to %s are caught",
  async (through) => {
    const { violations, weather } = await run(through, 6, LYING);
    expect(weather.reduce((sum, { replayed }) => sum + replayed, 0), `seed ${SEED}`).toBeGreaterThan(0);
    console.log(`seed ${SEED}, a lying way to the ${through}: ${violations.length} broken promises`);
    expect([...new Set(violations.map(({ rule }) => rule))], `seed ${SEED}`).toContain("age");
  },
  60_000,
);
