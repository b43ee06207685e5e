/** Browsers, bundlers, Node, Deno and Bun. */
import { Client } from "../client.js";
import { loadInlined } from "./inline.js";
import type { ClientOptions, ForemapClient } from "../types.js";

export * from "./public.js";

/**
 * Makes a client. Does no I/O and compiles nothing; the first call that needs the core loads it.
 *
 * @throws {ForemapError} `CONFIG`, naming the option that is wrong
 */
export function createClient(options: ClientOptions): ForemapClient {
  return new Client(options, loadInlined, { loadStore: () => import("../persistence/store.js") });
}
