import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ALL, KEY, LIMITS, cases, request, signed, startCases } from "../support/cases.js";
import type { Gateway } from "../support/gateway.js";
import { startWorker, type Worker } from "../support/worker.js";

let gateway: Gateway;
let worker: Worker;

beforeAll(async () => {
  gateway = await startCases();
  const bindings = { ORIGINS: gateway.origins, TOKEN: signed({ claims: ALL }), KEY };
  const options =
    "(env) => ({ origins: env.ORIGINS, token: env.TOKEN, tokenKey: env.KEY, audience: 'cases', cors: ['http://localhost:*'] })";
  worker = await startWorker(options, bindings);
});
afterAll(async () => {
  await worker?.stop();
  await gateway?.stop();
});

describe.each(["gateway", "worker"] as const)("a %s answers as the protocol says", (server) => {
  const base = () => (server === "gateway" ? gateway.origins[0] : worker.origin) ?? "";

  test.each(cases.map((one) => [one.name, one] as const))("%s", async (_, one) => {
    const response = await fetch(base() + one.path, request(one));
    const text = await response.text();
    const problem = (one.code === undefined ? {} : JSON.parse(text)) as { code?: unknown; limit?: unknown };
    const answered = { status: response.status, code: problem.code, limit: one.limit && problem.limit };
    expect(answered, text.slice(0, 300)).toEqual({ status: one.status, code: one.code, limit: one.limit && LIMITS[one.limit] });
    if (one.status >= 400) expect(response.headers.get("content-type")).toBe("application/problem+json");
    if (one.method === "HEAD") expect(text).toBe("");
    for (const [name, value] of Object.entries(one.answer_headers ?? {})) expect(response.headers.get(name), name).toBe(value);
  });
});
