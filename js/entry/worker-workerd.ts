/** The edge worker for workerd, which compiles wasm only from module imports. */
import { makeWorker } from "../worker/worker.js";
import type { EdgeWorker, WorkerOptions } from "../worker/options.js";
import module from "./core.wasm";
import { instances } from "./instantiate.js";

export * from "../worker/public.js";

/**
 * Makes a module worker that serves foremap's HTTP interface: `export default createWorker({...})`.
 *
 * @param options the options, or a function that makes them of the environment at the first request
 * @throws {ForemapError} `CONFIG` where options given as an object are wrong
 */
export function createWorker<Env = unknown>(options: WorkerOptions | ((env: Env) => WorkerOptions)): EdgeWorker<Env> {
  return makeWorker(options, async () => instances(module));
}
