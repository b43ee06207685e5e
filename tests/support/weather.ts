import { createServer, request as open, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a line does to what goes over it. */
export interface Climate {
  /** Mean delay of each way, in milliseconds; a few take up to fifty times as long. */
  delay: number;
  /** Share of requests that never arrive. */
  lostRequests: number;
  /** Share of answers that never arrive. */
  lostAnswers: number;
  /** Mean time between two times at which the line is down, and how long at most, in milliseconds. */
  outages: { every: number; most: number };
  /** Milliseconds for which a read is answered with what the same keys were answered before: a lie. */
  replay?: number;
}

/** A line to a gateway or worker, with delays, losses and outages. Bodies pass as they arrive, feeds too. */
export interface Weather {
  readonly origin: string;
  /** What became of what went over it. */
  readonly counts: { requests: number; lostRequests: number; lostAnswers: number; outages: number; feeds: number; replayed: number };
  /** From now on nothing is delayed or lost. */
  clear(): void;
  stop(): Promise<void>;
}

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

export async function startWeather(target: string, seed: number, climate: Climate): Promise<Weather> {
  const random = randomOf(seed);
  const counts = { requests: 0, lostRequests: 0, lostAnswers: 0, outages: 0, feeds: 0, replayed: 0 };
  const sockets = new Set<ServerResponse>();
  const kept = new Map<string, { at: number; status: number; headers: IncomingMessage["headers"]; body: Buffer }>();
  let isClear = false;
  let isDown = false;
  const server = createServer((request, response) => void handle(request, response).catch(() => response.destroy()));

  const delay = () => (isClear ? 0 : -Math.log(1 - random()) * climate.delay * (random() < 0.01 ? 50 * random() : 1));
  const happens = (share: number) => !isClear && random() < share;
  const fall = () => {
    if (isClear) return;
    isDown = true;
    counts.outages += 1;
    // Those that are under way too, or only new ones.
    if (random() < 0.5) for (const response of sockets) response.destroy();
    outage = setTimeout(() => {
      isDown = false;
      outage = setTimeout(fall, -Math.log(1 - random()) * climate.outages.every);
    }, random() * climate.outages.most);
  };
  let outage = setTimeout(fall, -Math.log(1 - random()) * climate.outages.every);

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    counts.requests += 1;
    sockets.add(response);
    response.once("close", () => sockets.delete(response));
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    await sleep(delay());
    if (isDown || happens(climate.lostRequests)) {
      counts.lostRequests += 1;
      return lose(response);
    }
    // Who has given up does not write any more.
    if (response.destroyed) return;
    const isFeed = request.url === "/v1/changes";
    const keys = climate.replay !== undefined && !isFeed && request.method !== "PUT" ? keysOf(request, body) : null;
    const old = keys === null ? undefined : kept.get(keys);
    if (old && performance.now() - old.at < (climate.replay ?? 0)) {
      counts.replayed += 1;
      response.writeHead(old.status, old.headers).end(old.body);
      return;
    }
    const answer = await ask(target, request, body, response);
    if (isFeed && answer.statusCode === 200) {
      counts.feeds += 1;
      return feed(answer, response);
    }
    const parts: Buffer[] = [];
    for await (const part of answer) parts.push(part as Buffer);
    await sleep(delay());
    if (isDown || happens(climate.lostAnswers)) {
      counts.lostAnswers += 1;
      return lose(response);
    }
    const { "transfer-encoding": _, connection: __, ...headers } = answer.headers;
    const [status, whole] = [answer.statusCode ?? 502, Buffer.concat(parts)];
    if (keys !== null && status === 200) kept.set(keys, { at: performance.now(), status, headers, body: whole });
    response.writeHead(status, headers).end(whole);
  }

  /** Now and then the caller is told at once, else it has to find out. */
  function lose(response: ServerResponse): void {
    if (random() < 0.85) response.destroy();
  }

  /** Pieces arrive late, and in order. */
  async function feed(answer: IncomingMessage, response: ServerResponse): Promise<void> {
    response.once("close", () => answer.destroy());
    const { "transfer-encoding": _, connection: __, ...headers } = answer.headers;
    response.writeHead(200, headers);
    response.flushHeaders();
    for await (const chunk of answer) {
      await sleep(delay());
      if (isDown || happens(climate.lostAnswers / 10)) return void response.destroy();
      response.write(chunk as Buffer);
    }
    response.end();
  }

  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    clear: () => {
      [isClear, isDown] = [true, false];
      clearTimeout(outage);
    },
    stop: () =>
      new Promise((done) => {
        clearTimeout(outage);
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

function ask(target: string, request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<IncomingMessage> {
  return new Promise((done, reject) => {
    const { host: _, connection: __, "transfer-encoding": ___, ...headers } = request.headers;
    const sent = open(target + (request.url ?? "/"), { method: request.method ?? "GET", headers }, done);
    sent.once("error", reject);
    response.once("close", () => sent.destroy());
    sent.end(body);
  });
}

/** The keys that a read asks for, in whatever form. */
function keysOf(request: IncomingMessage, body: Buffer): string | null {
  const keys = `${request.url} ${body.toString("latin1")}`.match(/fresh\/[\w/-]+/g);
  return keys === null ? null : keys.join();
}
