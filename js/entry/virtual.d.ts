/** Made by `build.mjs` from the output of wasm-bindgen. */
declare module "foremap:glue" {
  import type { CoreInstance } from "../engine/core.js";

  /** The generated glue with state of its own: every call is a new, independent copy. */
  export function createGlue(): CoreInstance & { initSync(init: { module: WebAssembly.Module }): unknown };
}

/** The glue of the edge worker's core. */
declare module "foremap:worker-glue" {
  import type { WorkerCoreInstance } from "../worker/core.js";

  /** As that of `foremap:glue`. */
  export function createGlue(): WorkerCoreInstance & { initSync(init: { module: WebAssembly.Module }): unknown };
}

/** The wasm binary, deflated (RFC 1950), in base64. */
declare module "foremap:bytes" {
  const base64: string;
  export default base64;
}

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

declare module "*.wasm?module" {
  const module: WebAssembly.Module;
  export default module;
}
