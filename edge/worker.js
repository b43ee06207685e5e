import { AnalyzerHub, createWorker } from "foremap/worker";

/** One model out of many clients; see `HubOptions` for what can be decided. */
export class Hub extends AnalyzerHub {
  options() {
    return { clients: 5, every: 60_000 };
  }
}

export default createWorker((env) => ({
  origins: env.ORIGINS,
  token: env.TOKEN,
  tokenKey: env.TOKEN_KEY,
  hub: env.HUB,
  // Requests that one invocation may make: 50 on the free plan, which is the default, and 1,000 on the paid one.
  subrequests: 50,
}));
