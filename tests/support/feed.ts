import type { ServerResponse } from "node:http";

/** A change feed that a test serves by hand. */
export interface ServedFeed {
  /** The request's headers and body. */
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Uint8Array;
  readonly isClosed: boolean;
  write(bytes: Uint8Array): void;
  end(): void;
}

/** Begins the answer to a feed's request. */
export function serveFeed(response: ServerResponse, headers: Readonly<Record<string, unknown>>, body: Uint8Array): ServedFeed {
  let isClosed = false;
  response.once("close", () => (isClosed = true));
  response.writeHead(200, { "content-type": "application/vnd.foremap.v1", "cache-control": "no-store" });
  response.flushHeaders();
  return {
    headers,
    body,
    get isClosed() {
      return isClosed;
    },
    write: (bytes) => void response.write(bytes),
    end: () => void response.end(),
  };
}

/** One message of a feed, as PROTOCOL.md lays it out. */
export interface Frame {
  number: number;
  hello?: { node: number; feed: number; clock: number; heartbeat: number; incarnation?: number };
  clock?: number;
  age?: number;
  steps?: [shard: number, from: number, to: number][];
  changes?: { shard: number; version: number; key: string; deleted?: boolean }[];
}

/** What a feed begins with. */
export const PREAMBLE = new TextEncoder().encode("FMCF\x01");

/** A frame behind its length. */
export function encodeFrame({ number, hello, clock = 0, age = 0xffff_ffff, steps = [], changes = [] }: Frame): Uint8Array {
  const body: number[] = [hello === undefined ? 0 : 1];
  const put = (...values: number[]) => values.forEach((value) => varint(body, value));
  if (hello !== undefined) put(hello.node, hello.feed, hello.clock, hello.heartbeat, hello.incarnation ?? 0);
  put(number, clock, age, steps.length);
  for (const [shard, from, to] of steps) put(shard, from, to - from);
  put(0, changes.length);
  for (const { shard, version, key, deleted = false } of changes) {
    const text = new TextEncoder().encode(key);
    put(shard, version, text.byteLength);
    body.push(...text, Number(deleted));
  }
  const framed: number[] = [];
  varint(framed, body.length);
  return Uint8Array.from([...framed, ...body]);
}

/** The beginning of a feed that says nothing yet. */
export function opening(heartbeat = 60_000): Uint8Array {
  const hello = { node: 1, feed: 9, clock: 77, heartbeat };
  return Uint8Array.from([...PREAMBLE, ...encodeFrame({ number: 0, hello })]);
}

function varint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
}
