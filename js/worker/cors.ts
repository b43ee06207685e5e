import { ForemapError } from "../errors.js";

const EXPOSED =
  "etag, foremap-model, foremap-source, foremap-age, foremap-version, foremap-position, foremap-epoch, foremap-node, " +
  "foremap-partition, retry-after, server-timing";
const REQUEST_HEADERS =
  "authorization, content-type, accept, if-match, if-none-match, last-event-id, foremap-stream, foremap-write-id";
/** Two hours, the longest that Chromium keeps it. */
const MAX_AGE_S = "7200";

/** Cross-origin rules: an explicit list, where `http://localhost:*` stands for any port, and for none. */
export class Cors {
  readonly #exact: ReadonlySet<string>;
  readonly #anyPort: readonly string[];

  /** @throws {ForemapError} `CONFIG` */
  constructor(origins: readonly string[]) {
    for (const origin of origins) {
      if (!/^https?:\/\/[^/*]+(:\*)?$/.test(origin)) {
        throw new ForemapError("CONFIG", `\`cors\` must list origins, not \`${origin}\``);
      }
    }
    this.#exact = new Set(origins.filter((origin) => !origin.endsWith(":*")));
    this.#anyPort = origins.filter((origin) => origin.endsWith(":*")).map((origin) => origin.slice(0, -2));
  }

  /** Whether this request asks for permission only. */
  isPreflight(request: Request): boolean {
    return request.method === "OPTIONS" && request.headers.has("access-control-request-method");
  }

  preflight(request: Request): Response {
    const headers = new Headers();
    this.apply(request, headers);
    if (headers.has("access-control-allow-origin")) {
      headers.set("access-control-allow-methods", "GET, PUT, DELETE, POST");
      headers.set("access-control-allow-headers", REQUEST_HEADERS);
      headers.set("access-control-max-age", MAX_AGE_S);
    }
    return new Response(null, { status: 204, headers });
  }

  apply(request: Request, headers: Headers): void {
    headers.append("vary", "origin");
    const origin = request.headers.get("origin");
    if (origin === null || !this.#allows(origin)) return;
    headers.set("access-control-allow-origin", origin);
    headers.set("access-control-expose-headers", EXPOSED);
  }

  #allows(origin: string): boolean {
    if (this.#exact.has(origin)) return true;
    return this.#anyPort.some((host) => origin.startsWith(host) && /^(:\d+)?$/.test(origin.slice(host.length)));
  }
}
