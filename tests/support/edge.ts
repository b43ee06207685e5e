import { Miniflare } from "miniflare";
import { COMPATIBILITY_DATE, modules } from "./bundle.js";
import type { Worker } from "./worker.js";

/** Edge workers with isolates of their own, and one hub for all of them. */
export interface Edge {
  workers: Worker[];
  /** Asks the hub as the operator's own code does. */
  hub(path: string, init?: RequestInit, shard?: string): Promise<Response>;
  stop(): Promise<void>;
}

export interface EdgeSpec {
  /** Options of each worker, as source text that may use `env`. */
  workers: string[];
  bindings?: Record<string, unknown>;
  /** Source text of the class that is bound as the hub; it may extend `AnalyzerHub`. */
  hub?: string;
  /** Folder in which the hub's storage outlives it. */
  persist?: string;
  flags?: string[];
}

export async function startEdge(spec: EdgeSpec): Promise<Edge> {
  const { flags = ["nodejs_compat"], hub = "class Hub extends AnalyzerHub {}", bindings = {} } = spec;
  const common = { compatibilityDate: COMPATIBILITY_DATE, compatibilityFlags: flags };
  const hubSource = `
    import { AnalyzerHub } from "foremap/worker";
    ${hub}
    export { Hub };
    export default {
      fetch(request, env) {
        const url = new URL(request.url);
        const shard = url.searchParams.get("shard") ?? "";
        url.searchParams.delete("shard");
        return env.HUB.get(env.HUB.idFromName("foremap/" + shard)).fetch(new Request(url, request));
      },
    };`;
  const binding = { HUB: { className: "Hub", scriptName: "hub", useSQLite: true } };
  const workers = await Promise.all(
    spec.workers.map(async (options, at) => ({
      ...common,
      name: `edge${at}`,
      modules: await modules(`import { createWorker } from "foremap/worker"; export default createWorker(${options});`),
      bindings: bindings as Record<string, string>,
      durableObjects: binding,
      unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
    })),
  );
  const miniflare = new Miniflare({
    port: 0,
    cf: false,
    ...(spec.persist === undefined ? {} : { durableObjectsPersist: spec.persist }),
    workers: [{ ...common, name: "hub", modules: await modules(hubSource), durableObjects: binding }, ...workers],
  });
  try {
    const { origin } = await miniflare.ready;
    const direct = await Promise.all(workers.map(({ name }) => miniflare.unsafeGetDirectURL(name)));
    return {
      workers: direct.map((url) => ({
        origin: url.origin,
        fetch: (path, init) => fetch(url.origin + path, init),
        stop: () => miniflare.dispose(),
      })),
      hub: (path, init, shard = "") => fetch(`${origin}${path}${path.includes("?") ? "&" : "?"}shard=${shard}`, init),
      stop: () => miniflare.dispose(),
    };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}
