/** Requests that an invocation may make on Cloudflare's free plan; fifty times as many and more on others. */
export const FREE_PLAN = 50;
/** Of these, kept for what is demanded and for its outcome. */
const RESERVE = 10;

/** Counts the requests of one invocation: to gateways, the Cache API and hubs. Demand is never held back. */
export class Subrequests {
  constructor(public left: number) {}

  take(): void {
    this.left -= 1;
  }

  /** Whether something that nobody waits for may have `count` of them. */
  spare(count = 1): boolean {
    return this.left - count >= RESERVE;
  }
}
