import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Client } from "../../js/client.js";
import { errorOfAnswer } from "../../js/calls.js";
import { loadInlined } from "../../js/entry/inline.js";
import { ForemapError, RETRYABLE, codeOfStatus, type ErrorCode } from "../../js/errors.js";
import * as limits from "../../js/limits.js";
import { STATUS, TITLE } from "../../js/worker/answers.js";
import { METHODS } from "../../js/worker/router.js";
import { LIMITS, golden } from "../support/cases.js";

let warn: ReturnType<typeof vi.spyOn>;
beforeEach(() => {
  warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
});
afterEach(() => warn.mockRestore());

/** What the core writes of itself is held against the tables that TypeScript has. */
const named = Object.fromEntries(golden.codes.map((code) => [code.code, code]));

test("codes, and which of them may pass, are those of the core", () => {
  expect(Object.keys(STATUS).sort()).toEqual(Object.keys(named).sort());
  for (const { code, retryable } of golden.codes) {
    expect(RETRYABLE.has(code), code).toBe(retryable);
    expect(new ForemapError(code as ErrorCode, "").retryable, code).toBe(retryable);
  }
});

test("statuses and their titles are those of the core", () => {
  for (const { code, status } of golden.codes) {
    // What only arises in a client has none there, and one where a worker is the client.
    if (status !== 0) expect(STATUS[code as ErrorCode], code).toBe(status);
    expect(TITLE[STATUS[code as ErrorCode]], code).toBeTruthy();
  }
  expect(Object.entries(TITLE)).toEqual(golden.titles.map(({ status, title }) => [String(status), title]));
});

test("limits are those of the core", () => {
  for (const [name, limit] of Object.entries(limits)) {
    expect(LIMITS[name.replace(/^MAX_/, "").toLowerCase()], name).toBe(limit);
  }
});

test("a worker has no method of a gateway's path that the gateway has not", () => {
  const own = ["/v1/stats", "/v1/explain"];
  for (const [path, methods] of Object.entries(METHODS)) {
    const known = golden.routes.filter((route) => route.path === path).map(({ method }) => method);
    expect([...methods].sort(), path).toEqual(own.includes(path) ? ["GET"] : known.sort());
  }
});

test.each(golden.without_a_body)("a bare $status is $code", ({ status, code }) => {
  const answer = { status, headers: new Headers(), body: new Uint8Array(0) };
  expect(codeOfStatus(status)).toBe(code);
  expect(errorOfAnswer(answer).code).toBe(code);
  const page = new TextEncoder().encode("<html>");
  expect(errorOfAnswer({ ...answer, body: page })).toMatchObject({ code, retryable: named[code]?.retryable });
});

// Others are asked again for as long as a call may take.
const FINAL = golden.without_a_body.filter(({ status }) => status >= 400 && status < 500 && ![408, 429].includes(status));

describe.each([
  ["with", loadInlined],
  ["without", () => Promise.reject(new WebAssembly.CompileError("blocked by CSP"))],
] as const)("a client %s its core", (_, load) => {
  test("tells a bare status alike", async () => {
    for (const { status, code } of FINAL) {
      const fetch = async () => new Response(null, { status });
      const client = new Client({ origins: ["http://gateway.example"], feed: false, fetch }, load);
      await expect(client.get("a"), String(status)).rejects.toMatchObject({ code });
      await expect(client.put("a", { locator: "l" }), String(status)).rejects.toMatchObject({ code });
      client.close();
    }
  });
});
