import { errors, jwtVerify } from "jose";
import { ForemapError } from "../errors.js";
import type { WorkerOptions } from "./options.js";

/** What a request wants to do. */
export type Verb = "get" | "put" | "delete" | "list" | "admin";

/** What is said in a token that counts here. */
interface Claims {
  verbs: Set<string>;
  prefixes: string[];
  subject: string | null;
}

/** Shortest secret for HS256: as long as the hash (RFC 7518, 3.2). */
const MIN_KEY_BYTES = 32;
/** Most secrets at a time: the one in use, and the one before or after it. */
const MAX_SECRETS = 2;
/** Clock difference that is tolerated, in seconds. */
const LEEWAY_S = 5;

/** What one request may do. */
export interface Grant {
  /** Whether changes of keys that it did not name may be told to it. */
  readonly relayed: boolean;
  /** Whether there is somebody who decides what callers may do, or everybody may read. */
  readonly decided: boolean;
  /** Whether the caller showed a token of its own, which was checked here. */
  readonly verified: boolean;
  /** What that covers; null is everything. */
  readonly prefixes: readonly string[] | null;
  /** Whom that names. */
  readonly subject: string | null;
  /** Whether the caller may do this at all, with some keys; which ones, the gateway says. */
  readonly may: (verb: Verb) => boolean;
  /** Authorization for requests that are passed on. */
  readonly authorization: (verb: Verb) => string | null;
  /** @param key canonical text of a key or prefix; `""` is everything */
  allows(verb: Verb, key: string): Promise<boolean>;
}

/** Of callers without a token that was checked here. */
const UNKNOWN = { verified: false, prefixes: null, subject: null } as const;

/** Tells who may do what; before any cache is looked into. */
export class Access {
  /** The one that is in use first; none where tokens are not checked here. */
  readonly #secrets: readonly Uint8Array[];

  /** @throws {ForemapError} `CONFIG`: a worker that nobody decided about must not start */
  constructor(private readonly options: WorkerOptions) {
    const ways = [options.tokenKey, options.authorize, options.public].filter((way) => way !== undefined);
    if (ways.length !== 1) {
      throw new ForemapError("CONFIG", "say who may ask: exactly one of `tokenKey`, `authorize` and `public: true`");
    }
    if (options.public !== undefined && options.public !== true) {
      throw new ForemapError("CONFIG", "`public` is true or absent");
    }
    this.#secrets = options.tokenKey === undefined ? [] : secretsOf(options.tokenKey);
  }

  /**
   * @param canonical makes a prefix of a token canonical
   * @throws {ForemapError} `UNAUTHENTICATED`
   */
  async grant(request: Request, canonical: (key: string) => string): Promise<Grant> {
    const { authorize, token } = this.options;
    const caller = request.headers.get("authorization");
    const own = token === undefined ? null : `Bearer ${token}`;
    if (this.#secrets.length > 0) {
      const { verbs, prefixes, subject } = await this.#claims(caller, canonical);
      return {
        relayed: true,
        decided: true,
        verified: true,
        prefixes: prefixes.includes("") ? null : prefixes,
        subject,
        may: (verb) => verbs.has(verb),
        authorization: () => caller,
        allows: async (verb, key) => verbs.has(verb) && prefixes.some((prefix) => covers(prefix, key)),
      };
    }
    if (authorize !== undefined) {
      return {
        relayed: false,
        decided: true,
        ...UNKNOWN,
        may: () => true,
        authorization: () => own,
        allows: async (_, key) => authorize(request, key),
      };
    }
    return {
      relayed: true,
      decided: false,
      ...UNKNOWN,
      may: () => true,
      // The worker's own token is for what is public: it must not lend callers a right to write.
      authorization: (verb) => (verb === "get" || verb === "list" ? own : caller),
      allows: async () => true,
    };
  }

  async #claims(authorization: string | null, canonical: (key: string) => string): Promise<Claims> {
    const token = /^bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
    if (token === undefined) throw new ForemapError("UNAUTHENTICATED", "an `Authorization: Bearer` token is needed");
    let refused: unknown;
    for (const secret of this.#secrets) {
      try {
        return await this.#claimsOf(token, secret, canonical);
      } catch (cause) {
        refused ??= cause;
        // The other secret may have signed it.
        if (!(cause instanceof errors.JWSSignatureVerificationFailed)) break;
      }
    }
    throw new ForemapError("UNAUTHENTICATED", "the token is expired, for somebody else or not genuine", { cause: refused });
  }

  async #claimsOf(token: string, secret: Uint8Array, canonical: (key: string) => string): Promise<Claims> {
    const rules = { algorithms: ["HS256"], clockTolerance: LEEWAY_S, requiredClaims: ["exp", "verbs", "prefixes"] };
    const { payload } = await jwtVerify<{ verbs: unknown; prefixes: unknown }>(token, secret, rules);
    const { aud, sub, verbs, prefixes } = payload as { [claim: string]: unknown };
    if (sub !== undefined && typeof sub !== "string") throw new Error("`sub` is not text");
    const names = [this.options.audience ?? []].flat();
    if (aud !== undefined && !strings([aud].flat()).some((name) => names.includes(name))) throw new Error("it is for somebody else");
    return {
      verbs: new Set(strings(verbs)),
      subject: sub ?? null,
      // Only the empty text is everything: a lone `/` is an empty component, and refused as one.
      prefixes: strings(prefixes).map((prefix) => (prefix === "" ? "" : canonical(prefix.replace(/\/$/, "")))),
    };
  }
}

/** As the gateways read their key file: a secret on each line. @throws {ForemapError} `CONFIG` */
function secretsOf(text: string): Uint8Array[] {
  const lines = text.split("\n").map((line) => line.trim());
  const secrets = lines.filter((line) => line !== "").map((line) => new TextEncoder().encode(line));
  if (secrets.length === 0 || secrets.length > MAX_SECRETS || secrets.some((secret) => secret.byteLength < MIN_KEY_BYTES)) {
    throw new ForemapError("CONFIG", `\`tokenKey\` must have one line of at least ${MIN_KEY_BYTES} bytes, or two while it is replaced`);
  }
  return secrets;
}

/** Whether a prefix of whole components covers a key: `user/1` does not cover `user/10`. */
export function covers(prefix: string, key: string): boolean {
  return prefix === "" || key === prefix || key.startsWith(`${prefix}/`);
}

function strings(value: unknown): string[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) throw new Error("not an array of text");
  return value;
}
