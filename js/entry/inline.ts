import base64 from "foremap:bytes";
import type { LoadCore } from "../engine/core.js";
import { instances } from "./instantiate.js";

let compiled: Promise<WebAssembly.Module> | null = null;

/** The core from bytes that are part of this package's JavaScript: there is no file to find, serve or configure. */
export const loadInlined: LoadCore = async () => {
  // Compiled once for all clients, and off the main thread.
  compiled ??= inflate(base64).then((bytes) => WebAssembly.compile(bytes));
  try {
    return instances(await compiled);
  } catch (error) {
    // What failed may work at the next use.
    compiled = null;
    throw error;
  }
};

/** Base64 of compressed bytes is a quarter smaller to download than base64 of the bytes, however it is compressed. */
async function inflate(text: string): Promise<ArrayBuffer> {
  const deflated = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const inflated = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(inflated).arrayBuffer();
}
