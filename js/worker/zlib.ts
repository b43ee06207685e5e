import { ForemapError } from "../errors.js";

/** Compression as gateways do it: what a model measures decides what is in it. */
export interface Zlib {
  /** @param encoding `br` or `gzip` */
  compress(bytes: Uint8Array, encoding: string): Uint8Array;
}

/** The part of `node:zlib` that is used. */
interface NodeZlib {
  brotliCompressSync(bytes: Uint8Array, options: { params: { [id: number]: number } }): Uint8Array;
  gzipSync(bytes: Uint8Array, options: { level: number }): Uint8Array;
  constants: { BROTLI_PARAM_QUALITY: number; BROTLI_PARAM_LGWIN: number };
}

/** Brotli's quality and window as gateways have them. */
const QUALITY = 9;
const WINDOW = 20;
// A bundler that met the name in the call would look for the module at build time, also for workers without a hub.
const MODULE = "node:zlib";

let loaded: Zlib | null = null;

/** @throws {ForemapError} `CONFIG` where the runtime has no `node:zlib` */
export async function loadZlib(): Promise<Zlib> {
  if (loaded !== null) return loaded;
  let zlib: NodeZlib;
  try {
    zlib = (await import(/* @vite-ignore */ MODULE)) as NodeZlib;
  } catch (cause) {
    throw new ForemapError("CONFIG", "a hub needs `node:zlib`: add the compatibility flag `nodejs_compat`", { cause });
  }
  const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN } = zlib.constants;
  const params = { [BROTLI_PARAM_QUALITY]: QUALITY, [BROTLI_PARAM_LGWIN]: WINDOW };
  loaded = {
    compress: (bytes, encoding) =>
      encoding === "br" ? zlib.brotliCompressSync(bytes, { params }) : zlib.gzipSync(bytes, { level: 9 }),
  };
  return loaded;
}
