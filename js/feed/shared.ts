import type { SharedFeedStats } from "../types.js";
import { MAX_WAITING, Member, type Group, type RelayingCore } from "./member.js";
import type { FeedSink, FeedSource } from "./source.js";

/** One feed for all tabs of a browser: one of them holds it, and passes it on to the others. */
export class SharedFeed implements FeedSource {
  readonly #seen = { term: 0 };
  #member: Member | null = null;

  /** @param direct opens the feed where this client is the one to hold it */
  constructor(
    private readonly group: Group,
    private readonly direct: FeedSource,
    private readonly core: RelayingCore,
  ) {}

  open(request: Request, sink: FeedSink): () => void {
    this.#member?.close();
    const member = new Member(this.group, this.direct, this.core, this.#seen, request, sink);
    this.#member = member;
    return () => member.close();
  }

  /** Takes each frame that the core has taken in. */
  relay(frame: Uint8Array<ArrayBuffer>): void {
    this.#member?.relay(frame);
  }

  stats(): SharedFeedStats {
    const role = this.#member?.role ?? "closed";
    return { role: role === "closed" ? "none" : role, waiting: this.#member?.waiting ?? 0, maxWaiting: MAX_WAITING };
  }

  dispose(): void {
    this.#member?.close();
  }
}
