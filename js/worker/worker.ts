import type { LoadCore } from "../engine/core.js";
import { problem, refusal } from "./answers.js";
import { Exchange } from "./exchange.js";
import { Isolate, Rules } from "./isolate.js";
import type { EdgeWorker, WorkerContext, WorkerOptions } from "./options.js";

/** The worker behind `createWorker`; entries differ only in how they load the core. */
export function makeWorker<Env>(
  options: WorkerOptions | ((env: Env) => WorkerOptions),
  loadCore: LoadCore,
): EdgeWorker<Env> {
  let rules = typeof options === "function" ? null : new Rules(options);
  let isolate: Isolate | null = null;

  async function answer(request: Request, known: Rules, context: WorkerContext): Promise<Response> {
    // Each request awaits a load of its own: a promise must not be shared between requests.
    const started = isolate ?? (await Isolate.start(known, loadCore));
    const shared = (isolate ??= started);
    const scope = shared.enter();
    try {
      return await new Exchange(shared, scope, request, context).answer();
    } finally {
      shared.leave(scope, context);
    }
  }

  return {
    async fetch(request, env, context) {
      let response: Response;
      try {
        rules ??= new Rules((options as (env: Env) => WorkerOptions)(env));
        if (rules.cors.isPreflight(request)) return rules.cors.preflight(request);
        response = await answer(request, rules, context);
      } catch (error) {
        response = problem(refusal(error));
      }
      rules?.cors.apply(request, response.headers);
      return response;
    },
  };
}
