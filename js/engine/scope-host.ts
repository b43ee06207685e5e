import type { FeedSource } from "../feed/source.js";

/** What a scope needs from its surroundings. */
export interface ScopeHost {
  /** Performs a request. */
  fetch(request: Request, init: { signal?: AbortSignal }): Promise<Response>;
  /** Most requests open at once; further ones wait, demand before prefetch. Default: no bound. */
  maxOpen?: number;
  /** Whether something may be fetched ahead now; without this it always may. */
  mayPrefetch?(): boolean;
  /** Where change feeds come from; none where an answer cannot be read while it arrives, or the scope does not last. */
  feed?: FeedSource | undefined;
  /** Takes each frame of the feed, behind its length, while frames are passed on ({@link Engine.setRelaying}). */
  relay?(frame: Uint8Array<ArrayBuffer>): void;
}
