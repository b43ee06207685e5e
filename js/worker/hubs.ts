import { ForemapError } from "../errors.js";
import { isRecord } from "../keymap.js";
import type { HubCaller } from "./core.js";

/** The binding of a Durable Object class, as far as it is used here. */
export interface HubNamespace {
  idFromName(name: string): unknown;
  get(id: never): { fetch(request: Request): Promise<Response> };
}

/** Where isolates tell what they observed. Only from within: the hub checks nobody. */
export const OBSERVED = "/v1/summaries/observed";
/** Who tells or reads, as the worker that checked it says. */
export const CALLER = "foremap-caller";
/** Never resolved: a request to a Durable Object needs some address. */
const ORIGIN = "https://hub.invalid";

/** The hubs of a worker: one, or one for each shard of the keys. */
export class Hubs {
  constructor(
    private readonly namespace: HubNamespace,
    /** Components of a key that choose the hub. */
    readonly depth: number,
  ) {}

  /** The shard of a key or prefix in canonical text; null where a prefix is of several. */
  shardOf(text: string): string | null {
    const components = text === "" ? [] : text.split("/");
    if (this.depth > 0 && components.length < this.depth) return null;
    return components.slice(0, this.depth).join("/");
  }

  /** Asks a hub. @throws {ForemapError} `UNAVAILABLE` */
  async ask(shard: string, target: string, init?: RequestInit): Promise<Response> {
    try {
      // Anew each time: a stub is of no use after its object failed.
      const stub = this.namespace.get(this.namespace.idFromName(`foremap/${shard}`) as never);
      return await stub.fetch(new Request(ORIGIN + target, init));
    } catch (cause) {
      throw new ForemapError("UNAVAILABLE", "the hub did not answer", { cause, retryable: true });
    }
  }
}

/** In a header, where only ASCII goes. */
export function writeCaller(caller: HubCaller): string {
  return encodeURIComponent(JSON.stringify(caller));
}

/** Whoever asks without naming anybody is the operator's own code. */
export function readCaller(header: string | null): HubCaller {
  if (header === null) return { client: "", prefixes: null, verified: true };
  const caller: unknown = JSON.parse(decodeURIComponent(header));
  if (!isRecord(caller)) throw new ForemapError("BAD_REQUEST", `\`${CALLER}\` is not what a worker writes`);
  return caller as unknown as HubCaller;
}
