import { Miniflare } from "miniflare";
import { COMPATIBILITY_DATE, modules } from "./bundle.js";

/** An edge worker in the real workerd. */
export interface Worker {
  origin: string;
  fetch(path: string, init?: RequestInit): Promise<Response>;
  stop(): Promise<void>;
}

/**
 * Starts a worker whose options are `options`, as source text that may use `env`.
 *
 * It is bundled as a user's tool would bundle it: from the package's exports map under the condition `workerd`.
 */
export async function startWorker(options: string, bindings: Record<string, unknown> = {}): Promise<Worker> {
  const source = `
    import { createWorker } from "foremap/worker";
    export default createWorker(${options});
  `;
  const miniflare = new Miniflare({
    port: 0,
    cf: false,
    compatibilityDate: COMPATIBILITY_DATE,
    modules: await modules(source),
    bindings: bindings as Record<string, string>,
  });
  try {
    const { origin } = await miniflare.ready;
    return {
      origin,
      fetch: (path, init) => fetch(origin + path, init),
      stop: () => miniflare.dispose(),
    };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}
