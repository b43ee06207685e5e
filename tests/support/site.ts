import { readFile } from "node:fs/promises";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";

const DIST = resolve(import.meta.dirname, "../../pkg/dist");
const PAGE = `<!doctype html><title>foremap</title><script type="module">
  import { createClient } from "/foremap/index.js";
  window.createClient = createClient;
  window.events = [];
  for (const type of ["visibilitychange", "freeze", "resume", "pagehide", "pageshow"]) {
    window.addEventListener(type, (event) => window.events.push(type + (event.persisted ? " persisted" : "")), true);
  }
</script>`;

/** Pages with the built package, and in front of a gateway on the same origin, over which streams pass as they come. */
export interface Site {
  origin: string;
  /** Change feeds that are open. */
  feeds(): number;
  /** Change feeds that were ever opened. */
  opened: number;
  /** Cuts the feeds that are open and, while `down`, every further request. */
  cut(): void;
  down: boolean;
  stop(): Promise<void>;
}

export async function startSite(gateway: string): Promise<Site> {
  const open = new Set<IncomingMessage>();
  const server = createServer((request, response) => void answer(request, response));
  const site: Site = {
    origin: "",
    opened: 0,
    down: false,
    feeds: () => open.size,
    cut: () => {
      for (const request of open) request.socket.destroy();
    },
    stop: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    if (site.down) return void request.socket.destroy();
    if (path.startsWith("/v1/")) return pass(path, request, response);
    if (path.startsWith("/foremap/")) {
      const script = await readFile(join(DIST, path.slice("/foremap/".length))).catch(() => null);
      response.writeHead(script === null ? 404 : 200, { "content-type": "text/javascript" }).end(script ?? "");
      return;
    }
    response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
  }

  function pass(path: string, request: IncomingMessage, response: ServerResponse): void {
    const feed = path.startsWith("/v1/changes");
    if (feed) {
      site.opened += 1;
      open.add(request);
    }
    const { host: _host, connection: _connection, ...headers } = request.headers;
    const upstream = httpRequest(gateway + path, { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    response.on("close", () => {
      open.delete(request);
      upstream.destroy();
    });
    request.pipe(upstream);
  }

  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  site.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return site;
}
