import { ForemapError } from "../errors.js";
import type { Grant } from "./access.js";
import { json, problem } from "./answers.js";
import { answerBatch } from "./batch.js";
import type { Exchange } from "./exchange.js";
import { answerForget, answerModel, answerSummaries, hubStats } from "./model.js";
import { Query } from "./query.js";

/** A test holds these against the routes of gateways. */
export const METHODS: { readonly [path: string]: readonly string[] } = {
  "/healthz": ["GET"],
  "/v1/batch": ["POST"],
  "/v1/keymap": ["GET", "PUT", "DELETE"],
  "/v1/versions": ["GET"],
  "/v1/list": ["GET"],
  "/v1/changes": ["GET", "POST"],
  "/v1/map": ["GET"],
  "/v1/summaries": ["POST"],
  "/v1/model": ["GET"],
  "/v1/model/forget": ["POST"],
  "/v1/stats": ["GET"],
  "/v1/explain": ["GET"],
};

/** Answers a request. @throws {ForemapError} what becomes problem details */
export async function route(exchange: Exchange): Promise<Response> {
  const { isolate, method, request, url } = exchange;
  const { pathname } = url;
  const methods = METHODS[pathname];
  if (methods === undefined) throw new ForemapError("NO_ROUTE", `there is no \`${pathname}\` here`);
  if (!methods.includes(method)) {
    const error = new ForemapError("METHOD_NOT_ALLOWED", `\`${pathname}\` takes ${methods.join(", ")}`);
    return problem(error, { allow: methods.flatMap((name) => (name === "GET" ? ["GET", "HEAD"] : [name])).join(",") });
  }
  if (pathname === "/healthz") return json({ status: "ok", panics: isolate.panics });
  // What takes parameters looks at them itself.
  if (method === "POST") new Query(url.search, []);
  const grant = await isolate.rules.access.grant(request, (key) => exchange.canonical(key));
  switch (pathname) {
    case "/v1/batch":
      return answerBatch(exchange, grant);
    case "/v1/keymap":
      return exchange.keymap(grant);
    case "/v1/versions":
      return exchange.versions(grant);
    case "/v1/list":
      return exchange.list(grant);
    case "/v1/changes":
      return exchange.changes(grant);
    case "/v1/map":
      return exchange.map(grant);
    case "/v1/summaries":
      return answerSummaries(exchange, grant);
    case "/v1/model":
      return answerModel(exchange, grant);
    case "/v1/model/forget":
      return answerForget(exchange, grant);
    default:
      return inspect(exchange, grant);
  }
}

/** Figures and explanations, for operators: what is public is what the keymaps say, not who asks for them when. */
async function inspect(exchange: Exchange, grant: Grant): Promise<Response> {
  const { isolate, url } = exchange;
  const { guard } = isolate.engine;
  const { debug } = isolate.rules.options;
  const may = async (key: string) =>
    debug === true ? grant.allows("get", key) : grant.decided && (await grant.allows("admin", key));
  const refused = () => new ForemapError("FORBIDDEN", "`admin` is not allowed here");
  if (url.pathname === "/v1/stats") {
    new Query(url.search, []);
    if (debug === true ? !grant.may("get") : !(await may(""))) throw refused();
    const { maxStaleness } = isolate.rules.settings;
    const shared = { sharing: isolate.sharing?.stats() ?? null, hub: await hubStats(exchange) };
    return json({ panics: isolate.panics, maxStaleness, ...shared, ...guard.run((core, now) => core.stats(now)) });
  }
  const key = exchange.canonical(new Query(url.search, ["key"]).get("key") ?? "");
  if (!(await may(key))) throw refused();
  const next = guard.run((core) => core.predictions(key));
  // What is predicted tells of other keys, and of those only what the caller may know.
  const known = await Promise.all(next.map((one) => may(one.key)));
  return json({ ...guard.run((core, now) => core.explain(now, key)), next: next.filter((_, at) => known[at]) });
}
