import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test, vi } from "vitest";
import { errorOfAnswer } from "../../js/calls.js";
import { Client } from "../../js/client.js";
import { loadInlined } from "../../js/entry/inline.js";
import { FallbackBackend } from "../../js/fallback.js";
import type { KeymapFields } from "../../js/types.js";
import { ALL, cases, golden, request, signed, startCases, type Case } from "../support/cases.js";
import type { Gateway } from "../support/gateway.js";

let gateway: Gateway;
let warn: ReturnType<typeof vi.spyOn>;
beforeAll(async () => {
  gateway = await startCases();
});
afterAll(() => gateway?.stop());
beforeEach(() => {
  warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
});
afterEach(() => warn.mockRestore());

const refused = () => Promise.reject(new WebAssembly.CompileError("blocked by CSP"));
const retryable = new Map(golden.codes.map((code) => [code.code, code.retryable]));

/** What the fallback makes of the answers of all cases, whatever its callers could ask for. */
describe("the client without wasm understands every answer", () => {
  // A stream cannot be sent twice, and nothing is said in the body behind a head.
  const whole = cases.filter((one) => one.chunked !== true && one.method !== "HEAD");

  test.each(whole.map((one) => [one.name, one] as const))("%s", async (_, one) => {
    const backend = new FallbackBackend(gateway.origins, undefined, (...sent) => fetch(...sent));
    const answer = await backend.call({ timeout: 10_000, key: undefined, signal: undefined }, (origin) => {
      return new Request(origin + one.path, request(one));
    });
    expect(answer.status).toBe(one.status);
    if (one.code === undefined) return;
    expect(errorOfAnswer(answer)).toMatchObject({ code: one.code, retryable: retryable.get(one.code) });
    backend.close();
  });
});

/** The cases that a caller of the client could bring about, and how. */
function asked(one: Case): ((client: Client) => Promise<unknown>) | null {
  const url = new URL(one.path, "http://gateway.example");
  const key = url.searchParams.get("key") ?? "";
  const plain = url.pathname === "/v1/keymap" && [...url.searchParams.keys()].join() === "key" && !one.path.includes("%");
  const { authorization, "content-type": type, ...others } = one.headers ?? {};
  if (!plain || Object.keys(others).length > 0) return null;
  if (one.method === "GET" && type === undefined && (authorization ?? "Bearer x").startsWith("Bearer ")) {
    return (client) => client.get(key);
  }
  if (one.method !== "PUT" || type !== "application/json" || one.body_base64 !== undefined) return null;
  const text = String(request(one).body);
  const fields = JSON.parse(text) as KeymapFields;
  // What a program cannot say, it cannot send.
  if (Array.isArray(fields) || text.split('"locator"').length > 2) return null;
  return (client) => client.put(key, fields);
}

describe.each([
  ["without", refused],
  ["with", loadInlined],
] as const)("a client %s wasm fails as the protocol says", (_, load) => {
  const possible = cases.flatMap((one) => {
    const ask = asked(one);
    return ask === null ? [] : [[one.name, one, ask] as const];
  });

  test("there are such cases", () => expect(possible.length).toBeGreaterThan(40));

  test.each(possible)("%s", async (_, one, ask) => {
    const token = (one.headers?.authorization ?? `Bearer ${signed(one.token ?? { claims: ALL })}`).slice("Bearer ".length);
    const client = new Client({ origins: gateway.origins, token, feed: false }, load);
    try {
      const code = await ask(client).then(() => undefined, (error: { code: string }) => error.code);
      // A read says null of what there is not.
      expect(code).toBe(one.code === "NOT_FOUND" ? undefined : one.code);
    } finally {
      client.close();
    }
  });
});
