import base64 from "foremap:bytes";
import type { LoadCore } from "../engine/core.js";
import { instances } from "./instantiate.js";

let compiled: Promise<WebAssembly.Module> | null = null;

/** The core from bytes that are part of this package's JavaScript: there is no file to find, serve or configure. */
export const loadInlined: LoadCore = async () => {
  // Compiled once for all clients, and off the main thread.
  compiled ??= WebAssembly.compile(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  return instances(await compiled);
};
