import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { serveFeed, type ServedFeed } from "./feed.js";

/** What a proxy does with a request instead of passing it on, or before it does. */
export type Fault =
  | { status: number; headers?: Record<string, string>; body?: string | Uint8Array }
  | "reset"
  | "hang"
  | "feed"
  | { delay: number }
  | { late: Promise<unknown> };

/** A proxy in front of a real gateway, on which faults can be injected. */
export interface Proxy {
  origin: string;
  /** The gateway behind it. */
  target: string;
  /** Path of every request so far. */
  seen: string[];
  /** Its method, headers and body. */
  requests: { method: string; headers: IncomingMessage["headers"]; body: Uint8Array }[];
  /** Requests whose caller went away. */
  aborted: number;
  /** Change feeds that `"feed"` has begun. */
  feeds: ServedFeed[];
  /** Decides about each request; undefined passes it on. */
  fault: (request: IncomingMessage) => Fault | undefined;
  stop(): Promise<void>;
}

export async function startProxy(target: string): Promise<Proxy> {
  const server = createServer((request, response) => void handle(request, response));
  const proxy: Proxy = {
    origin: "",
    target,
    seen: [],
    requests: [],
    aborted: 0,
    feeds: [],
    fault: () => undefined,
    stop: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? "/";
    proxy.seen.push(url);
    response.once("close", () => {
      if (!response.writableFinished) proxy.aborted += 1;
    });
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    proxy.requests.push({ method: request.method ?? "GET", headers: request.headers, body: Buffer.concat(chunks) });
    const fault = proxy.fault(request);
    if (fault === "hang") return;
    if (fault === "feed") return void proxy.feeds.push(serveFeed(response, request.headers, Buffer.concat(chunks)));
    if (fault === "reset") return void request.socket.destroy();
    if (fault !== undefined && "status" in fault) {
      response.writeHead(fault.status, fault.headers).end(fault.body ?? "");
      return;
    }
    if (fault !== undefined && "delay" in fault) await new Promise((done) => setTimeout(done, fault.delay));
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers)) {
      if (typeof value === "string" && !["host", "connection", "content-length", "transfer-encoding"].includes(name)) {
        headers.set(name, value);
      }
    }
    const method = request.method ?? "GET";
    const body = method === "GET" ? undefined : Buffer.concat(chunks);
    const answer = await fetch(proxy.target + url, { method, headers, ...(body && { body }) });
    const bytes = new Uint8Array(await answer.arrayBuffer());
    // The gateway has answered; its answer is under way for long.
    if (fault !== undefined && "late" in fault) await fault.late;
    // The body has been decoded.
    const dropped = ["transfer-encoding", "connection", "content-encoding", "content-length"];
    const passed = [...answer.headers].filter(([name]) => !dropped.includes(name));
    response.writeHead(answer.status, Object.fromEntries(passed)).end(bytes);
  }

  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  proxy.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return proxy;
}
