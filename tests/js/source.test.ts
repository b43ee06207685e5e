import { expect, test } from "vitest";
import { DirectFeed, canStream, type Fetch } from "../../js/feed/source.js";

const request = () => new Request("http://feed.invalid/v1/changes", { method: "POST", body: "x" });

function listen(fetch: Fetch) {
  const heard: (string | [number, number])[] = [];
  const close = new DirectFeed(fetch).open(request(), {
    bytes: (chunk) => heard.push(new TextDecoder().decode(chunk)),
    end: (status, retryAfterMs) => heard.push([status, retryAfterMs]),
  });
  return { heard, close };
}

/** A body that a test writes. */
function stream() {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start: (given) => void (controller = given),
    cancel: () => void (cancelled = true),
  });
  return {
    body,
    write: (text: string) => controller?.enqueue(new TextEncoder().encode(text)),
    end: () => controller?.close(),
    fail: () => controller?.error(new Error("broken")),
    isCancelled: () => cancelled,
  };
}

test("chunks in order, then the end", async () => {
  const { body, write, end } = stream();
  const { heard } = listen(async () => new Response(body));
  write("a");
  write("b");
  end();
  await expect.poll(() => heard).toEqual(["a", "b", [200, -1]]);
});

test.each([
  [new Response("no", { status: 404 }), [404, -1]],
  [new Response("later", { status: 503, headers: { "retry-after": "2" } }), [503, 2_000]],
  [new Response(null, { status: 200 }), [0, -1]],
])("an answer that is no feed", async (response, expected) => {
  const { heard } = listen(async () => response);
  await expect.poll(() => heard).toEqual([expected]);
});

test("what breaks, at once or later, is an end", async () => {
  const { heard } = listen(() => Promise.reject(new Error("unreachable")));
  await expect.poll(() => heard).toEqual([[0, -1]]);
  const { body, write, fail } = stream();
  const second = listen(async () => new Response(body));
  write("a");
  await expect.poll(() => second.heard).toEqual(["a"]);
  fail();
  await expect.poll(() => second.heard).toEqual(["a", [0, -1]]);
});

test("closing reaches the other end at once, even through a fetch that knows no signal, and nothing more is heard", async () => {
  const { body, write, isCancelled } = stream();
  const { heard, close } = listen(async () => new Response(body));
  write("a");
  await expect.poll(() => heard).toEqual(["a"]);
  close();
  expect(isCancelled()).toBe(true);
  await new Promise((done) => setTimeout(done));
  expect(heard).toEqual(["a"]);
});

test("closing while it is being asked for", async () => {
  const { body, isCancelled } = stream();
  let answer: (response: Response) => void = () => undefined;
  const { heard, close } = listen(() => new Promise((done) => (answer = done)));
  close();
  answer(new Response(body));
  await expect.poll(isCancelled).toBe(true);
  expect(heard).toEqual([]);
});

test("this runtime reads answers while they arrive", () => {
  expect(canStream()).toBe(true);
});
