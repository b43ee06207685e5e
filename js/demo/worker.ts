/** The worker of the demonstration: foremap's interface, and the page of `www/` beside it. */
import { createWorker } from "foremap/worker";

interface Env {
  /** Serves the files of `www/`. */
  ASSETS: { fetch(request: Request): Promise<Response> };
  ORIGINS: readonly string[];
  MODE: "none" | "cache" | "predict";
  CACHE_ENTRIES: number;
  MAX_STALENESS: number;
}

const foremap = createWorker<Env>((env) => ({
  origins: env.ORIGINS,
  public: true,
  debug: true,
  cache: env.MODE !== "none" && { maxEntries: env.CACHE_ENTRIES },
  prefetch: env.MODE === "predict",
  // What is measured is what one isolate learns by itself.
  share: false,
  maxStaleness: env.MAX_STALENESS,
  cors: ["http://localhost:*", "http://127.0.0.1:*"],
}));

export default {
  fetch(request: Request, env: Env, context: { waitUntil(work: Promise<unknown>): void }): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname.startsWith("/v1/") || pathname === "/healthz") return foremap.fetch(request, env, context);
    return env.ASSETS.fetch(request);
  },
};
