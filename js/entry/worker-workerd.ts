/** The edge worker for workerd, which compiles wasm only from module imports. */
import { makeWorker } from "../worker/worker.js";
import type { EdgeWorker, WorkerOptions } from "../worker/options.js";
import module from "./worker.wasm";
import { createGlue } from "foremap:worker-glue";
import type { WorkerCoreInstance } from "../worker/core.js";
import { HubObject } from "../worker/hub.js";

export * from "../worker/public.js";

/**
 * Makes a module worker that serves foremap's HTTP interface: `export default createWorker({...})`.
 *
 * @param options the options, or a function that makes them of the environment at the first request
 * @throws {ForemapError} `CONFIG` where options given as an object are wrong
 */
export function createWorker<Env = unknown>(options: WorkerOptions | ((env: Env) => WorkerOptions)): EdgeWorker<Env> {
  return makeWorker(options, { loadCore: async () => instance, hubs: true, encodes: true });
}

/**
 * The hub of the model that clients share: a Durable Object with SQLite storage, which a worker exports and binds as `hub`.
 * A class that extends it and has `options` decides otherwise than by default. It needs the flag `nodejs_compat`.
 *
 * It checks nobody: only `createWorker` and the operator's own code may reach it. To that it answers `GET /v1/model`,
 * `GET /v1/stats` and `POST /v1/model/forget`.
 */
export class AnalyzerHub extends HubObject {
  protected override instance(): WorkerCoreInstance {
    return instance();
  }
}

function instance(): WorkerCoreInstance {
  const glue = createGlue();
  glue.initSync({ module });
  return glue;
}
