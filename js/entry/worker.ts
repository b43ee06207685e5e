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

/**
 * The hub of the model that clients share: a Durable Object with SQLite storage, which a worker exports and binds as `hub`.
 * A class that extends it and has `options` decides otherwise than by default. It needs the flag `nodejs_compat`.
 *
 * It checks nobody: only `createWorker` and the operator's own code may reach it. To that it answers `GET /v1/model`,
 * `GET /v1/stats` and `POST /v1/model/forget`.
 *
 * It runs in workerd, where `foremap/worker` is another entry; elsewhere it is a name that can be imported.
 */
export class AnalyzerHub extends HubObject {
  /** @throws {ForemapError} `CONFIG` */
  protected override instance(): WorkerCoreInstance {
    throw new ForemapError("CONFIG", "`AnalyzerHub` needs workerd, which has Durable Objects");
  }
}
