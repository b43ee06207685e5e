import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createClient, type ClientOptions, type ForemapClient } from "foremap";
import { readAnswer } from "../../js/engine/model.js";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startProxy, type Proxy } from "../support/proxy.js";

/** An answer in chunks of so many bytes, of which the first `length` are the body. */
function answer(bytes: Uint8Array, chunk: number, length?: number): Response {
  let at = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull: (to) => {
      if (at >= bytes.length) return to.close();
      to.enqueue(bytes.slice(at, (at += chunk)));
    },
  });
  return new Response(stream, length === undefined ? {} : { headers: { "foremap-model": String(length) } });
}

const bytes = (text: string) => new TextEncoder().encode(text);
const behind = (body: Uint8Array, model: Uint8Array) => Uint8Array.from([...body, ...gzipSync(model)]);

test("a body ends where the model begins, however they arrive", async () => {
  const [body, model] = [bytes("an answer"), bytes("a model ".repeat(40))];
  const both = behind(body, model);
  for (const chunk of [1, 2, body.length - 1, body.length, body.length + 1, both.length]) {
    const read = await readAnswer(answer(both, chunk, body.length));
    expect([...read.body]).toEqual([...body]);
    expect(new TextDecoder().decode((await read.model) ?? undefined)).toBe("a model ".repeat(40));
  }
  expect(await readAnswer(answer(body, 3))).toEqual({ body });
});

test("the answer is there before the model, which may never come", async () => {
  const body = bytes("an answer");
  let more: ReadableStreamDefaultController<Uint8Array> | undefined;
  const stream = new ReadableStream<Uint8Array>({ start: (to) => (to.enqueue(body), void (more = to)) });
  const read = await readAnswer(new Response(stream, { headers: { "foremap-model": "9" } }));
  expect([...read.body]).toEqual([...body]);
  more?.error(new Error("gone"));
  expect(await read.model).toBeNull();
});

test("what is no model, or one without end, is left alone", async () => {
  const body = bytes("an answer");
  const huge = behind(body, new Uint8Array(3 << 20));
  for (const both of [Uint8Array.from([...body, 1, 2, 3]), body, huge, huge.slice(0, -9)]) {
    const read = await readAnswer(answer(both, 1 << 16, body.length));
    expect([...read.body]).toEqual([...body]);
    expect(await read.model).toBeNull();
  }
  await expect(readAnswer(answer(body, 4, body.length + 1))).rejects.toThrow("cut off");
});

let gateway: Gateway;
let proxy: Proxy;
let clients: ForemapClient[] = [];
beforeAll(async () => {
  // All clients here come from one address, and are one.
  gateway = await startGateway(1, "--share-clients", "1", "--shifter", "off");
  proxy = await startProxy(gateway.origins[0] ?? "");
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});
afterAll(async () => {
  await proxy?.stop();
  await gateway?.stop();
});

function make(options: Partial<ClientOptions> = {}): ForemapClient {
  const client = createClient({ origins: [proxy.origin], feed: false, ...options });
  clients.push(client);
  return client;
}

const model = (client: ForemapClient) => client.stats().core?.model as { [name: string]: number } | undefined;
const told = async () => {
  const metrics = await (await fetch(`${gateway.origins[0]}/metrics`)).text();
  return Number(/^foremap_batches_followed_total\{.*\} (\d+)$/m.exec(metrics)?.[1]);
};

test("a new client begins with what others did", async () => {
  const writer = make({ share: "off" });
  for (const name of ["home", "news", "today"]) await writer.put(`visit/${name}`, { locator: name });
  for (let visit = 0; visit < 6; visit += 1) {
    const client = make({ share: "both" });
    for (const name of ["home", "news", "today"]) await client.get(`visit/${name}`);
    expect(model(client)?.told).toBe(3);
    client.close();
  }
  const fresh = async () => {
    const client = make();
    await client.get("visit/home");
    await expect.poll(() => model(client)?.imported, { timeout: 2_000 }).toBe(1);
    return client;
  };
  let client: ForemapClient | undefined;
  await expect.poll(async () => (client = await fresh().catch(() => undefined)), { timeout: 60_000 }).toBeDefined();
  expect(client?.predictions("visit/home")[0]).toMatchObject({ key: "visit/news" });
});

test("who does not share neither tells nor reads", async () => {
  const before = await told();
  const [off, read] = [make({ share: "off" }), make()];
  for (const client of [off, read]) for (const name of ["home", "news"]) await client.get(`visit/${name}`);
  expect(await told()).toBe(before);
  expect([model(off)?.wishes, model(off)?.told, model(read)?.told]).toEqual([0, 0, 0]);
  expect(model(read)?.wishes).toBeGreaterThan(0);
});

test("a value that is none of the three is refused", () => {
  for (const share of ["yes", true, null, 1]) {
    expect(() => make({ share: share as never })).toThrow("`share` must be");
  }
});
