import type { Backend, Listed } from "./backend.js";
import type { CoreWrite } from "./engine/core.js";
import type { RawAnswer } from "./engine/exchange.js";
import type { CallSpec } from "./engine/pending.js";
import { ForemapError, codeOfStatus, type ErrorCode } from "./errors.js";
import { isRecord, jsonOf, keymapOfJson } from "./keymap.js";
import type { DeleteOptions, KeymapFields, ListPage, PutOptions, VersionEntry, WriteResult } from "./types.js";

/** Content type of binary bodies. */
export const BINARY = "application/vnd.foremap.v1";

/** Writes, lists and versions: one HTTP exchange each. */
export class Calls {
  constructor(
    private readonly backend: Backend,
    private readonly token: string | undefined,
  ) {}

  /** @param body the fields as {@link jsonText} */
  async put(key: string, body: string, options: PutOptions, spec: CallSpec): Promise<WriteResult> {
    const headers = writeHeaders(options.ifVersion);
    headers.set("content-type", "application/json");
    return this.#write(key, { method: "PUT", headers, body }, { key }, spec, () => ({ fields: fieldsOfJson(body) }));
  }

  async delete(key: string, options: DeleteOptions, spec: CallSpec): Promise<WriteResult> {
    const { version, ifVersion } = options;
    const query = version === undefined ? { key } : { key, version: String(version) };
    const init = { method: "DELETE", headers: writeHeaders(ifVersion) };
    return this.#write(key, init, query, spec, () => ({ deleted: version === undefined }));
  }

  async #write(key: string, init: RequestInit, query: Query, spec: CallSpec, left: () => LeftBehind): Promise<WriteResult> {
    const answer = await this.#exchange("/v1/keymap", query, init, { ...spec, key });
    const body = jsonOf(answer.body);
    if (!isRecord(body) || typeof body.version !== "number") {
      throw new ForemapError("BAD_ANSWER", "the gateway did not say which version it wrote");
    }
    noteWrite(this.backend, key, answer, left());
    return { version: body.version };
  }

  async listPage(listed: Listed, limit: number | undefined, cursor: string | undefined, spec: CallSpec): Promise<ListPage> {
    const query: Query = { prefix: listed.prefix };
    if (limit !== undefined) query.limit = String(limit);
    if (cursor !== undefined) query.cursor = cursor;
    const headers = new Headers(this.backend.listed === null ? {} : { accept: `${BINARY}, application/json;q=0.5` });
    const answer = await this.#exchange("/v1/list", query, { method: "GET", headers }, spec);
    if (this.backend.listed !== null && answer.headers.get("content-type")?.startsWith(BINARY) === true) {
      return this.backend.listed(answer, listed);
    }
    const body = jsonOf(answer.body);
    if (!isRecord(body) || !Array.isArray(body.items)) {
      throw new ForemapError("BAD_ANSWER", "the gateway sent something that is not a page");
    }
    const keymaps = body.items.map(keymapOfJson);
    return typeof body.next === "string" ? { keymaps, cursor: body.next } : { keymaps };
  }

  async versions(key: string, spec: CallSpec): Promise<VersionEntry[]> {
    const answer = await this.#exchange("/v1/versions", { key }, { method: "GET" }, { ...spec, key });
    const body = jsonOf(answer.body);
    if (!isRecord(body) || !Array.isArray(body.items)) {
      throw new ForemapError("BAD_ANSWER", "the gateway sent something that is not a list of versions");
    }
    return body.items.map(versionEntry);
  }

  async #exchange(path: string, query: Query, init: RequestInit, spec: CallSpec): Promise<RawAnswer> {
    const headers = new Headers(init.headers);
    if (!headers.has("accept")) headers.set("accept", "application/json");
    if (this.token !== undefined) headers.set("authorization", `Bearer ${this.token}`);
    const target = `${path}?${new URLSearchParams(query).toString()}`;
    const answer = await this.backend.call(spec, (origin) => new Request(origin + target, { ...init, headers }));
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw errorOfAnswer(answer);
  }
}

type Query = Record<string, string>;

/** What a write left behind, as far as it is known here. */
export type LeftBehind = Pick<CoreWrite, "fields" | "deleted">;

/** Tells the core of a write that a gateway acknowledged, so that this session never reads an older state. */
export function noteWrite(backend: Pick<Backend, "wrote">, key: string, answer: RawAnswer, left: LeftBehind): void {
  const body = jsonOf(answer.body);
  if (!isRecord(body) || typeof body.version !== "number" || typeof body.shard !== "number") return;
  const position = typeof body.position === "number" ? body.position : body.version;
  backend.wrote(answer, { key, version: body.version, shard: body.shard, position, ...left });
}

/** The fields that a gateway made of the JSON that it was sent. */
export function fieldsOfJson(text: string): NonNullable<CoreWrite["fields"]> {
  const { locator, size, etag, tags, meta } = JSON.parse(text) as KeymapFields;
  return {
    locator,
    ...(size === undefined || size === null ? {} : { size }),
    ...(etag === undefined || etag === null ? {} : { etag }),
    ...(tags === undefined ? {} : { tags: [...tags] }),
    ...(meta === undefined || meta === null ? {} : { meta: JSON.stringify(meta) }),
  };
}

/** The error that an answer with a failing status stands for. */
export function errorOfAnswer(answer: RawAnswer): ForemapError {
  let code = codeOfStatus(answer.status);
  let message = `the gateway answered ${answer.status}`;
  try {
    const problem = jsonOf(answer.body);
    if (isRecord(problem) && typeof problem.code === "string") code = problem.code as ErrorCode;
    if (isRecord(problem) && typeof problem.detail === "string") message = problem.detail;
  } catch {
    // Not problem details: the status says enough.
  }
  return new ForemapError(code, message);
}

function writeHeaders(ifVersion: number | undefined): Headers {
  // One id for all attempts, so that a retried write is applied once.
  const headers = new Headers({ "foremap-write-id": crypto.randomUUID() });
  if (ifVersion === 0) headers.set("if-none-match", "*");
  else if (ifVersion !== undefined) headers.set("if-match", `"${ifVersion}"`);
  return headers;
}

/** Fields as they are sent. @throws {ForemapError} `BAD_REQUEST` */
export function jsonText(fields: KeymapFields): string {
  try {
    return JSON.stringify(fields);
  } catch (cause) {
    throw new ForemapError("BAD_REQUEST", "the fields of a keymap must be JSON", { cause });
  }
}

function versionEntry(value: unknown): VersionEntry {
  if (!isRecord(value) || typeof value.version !== "number") {
    throw new ForemapError("BAD_ANSWER", "the gateway sent something that is not a version");
  }
  const deleted = value.deleted === true;
  return { version: value.version, deleted, ...(isRecord(value.keymap) ? { keymap: keymapOfJson(value.keymap) } : {}) };
}
