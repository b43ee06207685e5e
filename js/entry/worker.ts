/** The edge worker for runtimes that compile wasm from bytes. */
import { makeWorker } from "../worker/worker.js";
import type { EdgeWorker, WorkerOptions } from "../worker/options.js";
import { ForemapError } from "../errors.js";
import type { WorkerCoreInstance } from "../worker/core.js";
import { HubObject } from "../worker/hub.js";
import { loadInlined } from "./inline.js";

export * from "../worker/public.js";

/**
 * Makes a module worker that serves foremap's HTTP interface: `export default createWorker({...})`.
 *
 * @param options the options, or a function that makes them of the environment at the first request
 * @throws {ForemapError} `CONFIG` where options given as an object are wrong
 */
export function createWorker<Env = unknown>(options: WorkerOptions | ((env: Env) => WorkerOptions)): EdgeWorker<Env> {
  return makeWorker(options, { loadCore: loadInlined, hubs: false, encodes: false });
}

/** Runs in workerd only, where `foremap/worker` is another entry; here it is a name that can be imported. */
export class AnalyzerHub extends HubObject {
  /** @throws {ForemapError} `CONFIG` */
  protected override instance(): WorkerCoreInstance {
    throw new ForemapError("CONFIG", "`AnalyzerHub` needs workerd, which has Durable Objects");
  }
}
