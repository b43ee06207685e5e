import { problem, refusal } from "./answers.js";
import { Exchange } from "./exchange.js";
import { route } from "./router.js";
import { Isolate, Rules, type Platform } from "./isolate.js";
import type { EdgeWorker, WorkerContext, WorkerOptions } from "./options.js";
import { Subrequests } from "./subrequests.js";

/** The worker behind `createWorker`; entries differ only in how they load the core. */
export function makeWorker<Env>(
  options: WorkerOptions | ((env: Env) => WorkerOptions),
  platform: Platform,
): EdgeWorker<Env> {
  let rules = typeof options === "function" ? null : new Rules(options, platform);
  let isolate: Isolate | null = null;

  async function answer(request: Request, known: Rules, context: WorkerContext): Promise<Response> {
    // Each request awaits a load of its own: a promise must not be shared between requests.
    const started = isolate ?? (await Isolate.start(known, platform));
    const shared = (isolate ??= started);
    const subrequests = new Subrequests(known.subrequests);
    const scope = shared.enter(subrequests);
    try {
      return await route(new Exchange(shared, scope, subrequests, request, context));
    } finally {
      shared.leave(scope, subrequests, context);
    }
  }

  return {
    async fetch(request, env, context) {
      let response: Response;
      try {
        rules ??= new Rules((options as (env: Env) => WorkerOptions)(env), platform);
        if (rules.cors.isPreflight(request)) return rules.cors.preflight(request);
        response = await answer(request, rules, context);
      } catch (error) {
        response = problem(refusal(error));
      }
      if (request.method === "HEAD") response = await withoutBody(response);
      rules?.cors.apply(request, response.headers);
      return response;
    },
  };
}

/** The head alone, and the end of what would follow: of a change feed nobody else makes one. */
async function withoutBody(response: Response): Promise<Response> {
  await response.body?.cancel();
  return new Response(null, { status: response.status, headers: new Headers(response.headers) });
}
