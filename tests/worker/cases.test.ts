import { createHmac } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startGateway, type Gateway } from "../support/gateway.js";
import { startWorker, type Worker } from "../support/worker.js";

/** A request, and what both servers say to it. */
interface Case {
  name: string;
  method: string;
  path: string;
  headers?: { [name: string]: string };
  body?: string;
  body_base64?: string;
  body_repeat?: { part: string; times: number; end: string };
  token?: { claims: Claims; fixed?: object; secret?: "second" | "other"; alg?: string };
  status: number;
  code?: string;
}
type Claims = { [name: string]: unknown };

const { cases } = JSON.parse(await readFile(resolve(import.meta.dirname, "../protocol/cases.json"), "utf8")) as { cases: Case[] };
const SECRETS = {
  first: "0123456789abcdef0123456789abcdef",
  second: "fedcba9876543210fedcba9876543210",
  other: "neither of the two, and long enough",
};
let folder: string;
let gateway: Gateway;
let worker: Worker;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "foremap-"));
  const file = join(folder, "key");
  const key = `${SECRETS.first}\n${SECRETS.second}\n`;
  await writeFile(file, key, { mode: 0o600 });
  gateway = await startGateway(1, "--token-key", file, "--audience", "cases");
  const bindings = { ORIGINS: gateway.origins, TOKEN: signed({ claims: ALL }), KEY: key };
  const options = "(env) => ({ origins: env.ORIGINS, token: env.TOKEN, tokenKey: env.KEY, audience: 'cases' })";
  worker = await startWorker(options, bindings);
  const headers = { authorization: `Bearer ${signed({ claims: ALL })}`, "content-type": "application/json" };
  const put = await fetch(`${gateway.origins[0]}/v1/keymap?key=case/a`, { method: "PUT", headers, body: '{"locator":"a"}' });
  expect(put.status).toBe(201);
});
afterAll(async () => {
  await worker?.stop();
  await gateway?.stop();
  await rm(folder, { recursive: true, force: true });
});

const ALL = { exp: 3_600, verbs: ["get", "put", "delete", "list", "admin"], prefixes: [""] };

/** By hand, as no library signs what is refused. */
function signed({ claims, fixed = {}, secret, alg = "HS256" }: NonNullable<Case["token"]>): string {
  const now = Date.now() / 1_000;
  const times = Object.entries(claims).filter(([name]) => name === "exp" || name === "nbf");
  // A whole number stays one.
  const moved = times.map(([name, value]) => [name, (Number.isInteger(value) ? Math.floor(now) : now) + Number(value)]);
  const payload = { ...claims, ...Object.fromEntries(moved), ...fixed };
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const message = `${part({ alg, typ: "JWT" })}.${part(payload)}`;
  if (alg === "none") return `${message}.`;
  const hash = alg === "HS512" ? "sha512" : "sha256";
  return `${message}.${createHmac(hash, SECRETS[secret ?? "first"]).update(message).digest("base64url")}`;
}

function request(one: Case): RequestInit {
  const token = signed(one.token ?? { claims: ALL });
  const headers = { authorization: `Bearer ${token}`, ...one.headers };
  const { part = "", times = 0, end = "" } = one.body_repeat ?? {};
  // The batch of too many keys has commas between them.
  const repeated = Array.from({ length: times }, () => part).join(part.startsWith("{") ? "," : "");
  const text = one.body === undefined ? undefined : `${one.body}${repeated}${end}`;
  const body = one.body_base64 === undefined ? text : Buffer.from(one.body_base64, "base64");
  return { method: one.method, headers, ...(body !== undefined && { body }) };
}

describe.each(["gateway", "worker"] as const)("a %s answers as the protocol says", (server) => {
  const base = () => (server === "gateway" ? gateway.origins[0] : worker.origin) ?? "";

  test.each(cases.map((one) => [one.name, one] as const))("%s", async (_, one) => {
    const response = await fetch(base() + one.path, request(one));
    const text = await response.text();
    const answered = { status: response.status, ...(one.code && { code: (JSON.parse(text) as { code: unknown }).code }) };
    expect(answered, text.slice(0, 300)).toEqual({ status: one.status, ...(one.code && { code: one.code }) });
    if (one.status >= 400) expect(response.headers.get("content-type")).toBe("application/problem+json");
  });
});
