/** The cases of `tests/protocol`, and the servers that they are about. */
import { createHmac } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { startGateway, type Gateway } from "./gateway.js";

/** A request, and what both servers say to it. */
export interface Case {
  name: string;
  method: string;
  path: string;
  headers?: { [name: string]: string };
  body?: string;
  body_base64?: string;
  body_repeat?: { part: string; times: number; end: string };
  /** Whether the body comes without its length. */
  chunked?: boolean;
  token?: { claims: Claims; fixed?: object; secret?: "second" | "other"; alg?: string };
  status: number;
  code?: string;
  /** Name of the limit that the problem states. */
  limit?: string;
  answer_headers?: { [name: string]: string | null };
}
type Claims = { [name: string]: unknown };

const read = async (name: string) => JSON.parse(await readFile(resolve(import.meta.dirname, "..", name), "utf8")) as unknown;
export const { cases } = (await read("protocol/cases.json")) as { cases: Case[] };
/** What the core says of itself. */
export const golden = (await read("golden/protocol.json")) as {
  codes: { code: string; status: number; retryable: boolean }[];
  titles: { status: number; title: string }[];
  without_a_body: { status: number; code: string }[];
  limits: { name: string; limit: number }[];
  routes: { path: string; method: string; query: string[] }[];
};
export const LIMITS: { readonly [name: string]: number } = Object.fromEntries(golden.limits.map(({ name, limit }) => [name, limit]));
const SECRETS = {
  first: "0123456789abcdef0123456789abcdef",
  second: "fedcba9876543210fedcba9876543210",
  other: "neither of the two, and long enough",
};
export const ALL = { exp: 3_600, verbs: ["get", "put", "delete", "list", "admin"], prefixes: [""] };

/** By hand, as no library signs what is refused. */
export function signed({ claims, fixed = {}, secret, alg = "HS256" }: NonNullable<Case["token"]>): string {
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

/** What is sent. */
export function request(one: Case): RequestInit {
  const token = signed(one.token ?? { claims: ALL });
  const headers = { authorization: `Bearer ${token}`, ...one.headers };
  const { part = "", times = 0, end = "" } = one.body_repeat ?? {};
  // The batch of too many keys has commas between them.
  const repeated = Array.from({ length: times }, () => part).join(part.startsWith("{") ? "," : "");
  const text = one.body === undefined ? undefined : `${one.body}${repeated}${end}`;
  const whole = one.body_base64 === undefined ? text : Buffer.from(one.body_base64, "base64");
  const body = one.chunked === true && whole !== undefined ? new Blob([whole]).stream() : whole;
  return { method: one.method, headers, ...(body !== undefined && { body, duplex: "half" }) } as RequestInit;
}

/** The key file of both servers. */
export const KEY = `${SECRETS.first}\n${SECRETS.second}\n`;

/** A gateway as the cases want it. */
export async function startCases(): Promise<Gateway> {
  const folder = await mkdtemp(join(tmpdir(), "foremap-"));
  const file = join(folder, "key");
  await writeFile(file, KEY, { mode: 0o600 });
  const gateway = await startGateway(1, "--token-key", file, "--audience", "cases", "--cors-origin", "http://localhost:*");
  const stop = async () => {
    await gateway.stop();
    await rm(folder, { recursive: true, force: true });
  };
  const headers = { authorization: `Bearer ${signed({ claims: ALL })}`, "content-type": "application/json" };
  const put = await fetch(`${gateway.origins[0]}/v1/keymap?key=case/a`, { method: "PUT", headers, body: '{"locator":"a"}' });
  if (put.status !== 201) throw new Error(`case/a was not written: ${put.status}`);
  return { ...gateway, stop };
}
