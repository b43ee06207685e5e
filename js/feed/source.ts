import { retryAfter } from "../retry-after.js";
import { releaseProcess } from "./release.js";

/** Takes in what a feed brings, in order; nothing after its end. Never throws. */
export interface FeedSink {
  bytes(chunk: Uint8Array): void;
  /**
   * @param status 0 where it broke or never came about, 200 where the gateway ended it, else what it was refused with
   * @param retryAfterMs what a refusal asks to wait, or -1
   */
  end(status: number, retryAfterMs: number): void;
}

/** Where the bytes of a change feed come from. */
export interface FeedSource {
  /**
   * Asks for a feed. The sink may be called before this returns.
   *
   * @returns closes it at once, at the other end too; the sink hears nothing more of it
   */
  open(request: Request, sink: FeedSink): () => void;
  /** Gives up what the source holds beside open feeds. */
  dispose?(): void;
}

/** Performs one request. */
export type Fetch = (request: Request, init: { signal: AbortSignal }) => Promise<Response>;

/** A feed of this client alone: the body of an answer, read as it arrives. */
export class DirectFeed implements FeedSource {
  constructor(private readonly fetch: Fetch) {}

  open(request: Request, sink: FeedSink): () => void {
    const controller = new AbortController();
    const { signal } = controller;
    const release = releaseProcess(request.url);
    void this.#read(request, sink, signal).finally(release);
    return () => controller.abort();
  }

  async #read(request: Request, sink: FeedSink, signal: AbortSignal): Promise<void> {
    const end = (status: number, retryAfterMs = -1) => {
      if (!signal.aborted) sink.end(status, retryAfterMs);
    };
    try {
      const response = await this.fetch(request, { signal });
      if (response.status !== 200 || response.body === null) {
        await response.body?.cancel();
        // An answer without a body is none, whatever its status.
        return end(response.status === 200 ? 0 : response.status, retryAfter(response.headers));
      }
      await pump(response.body, sink, signal);
      end(200);
    } catch {
      end(0);
    }
  }
}

/** Hands on chunks until the end. */
async function pump(body: ReadableStream<Uint8Array>, sink: FeedSink, signal: AbortSignal): Promise<void> {
  const reader = body.getReader();
  // A fetch of the application's may know no signal; cancelling reaches the other end in any case.
  const cancel = () => void reader.cancel().catch(() => undefined);
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) return cancel();
  for (let next = await reader.read(); !next.done && !signal.aborted; next = await reader.read()) sink.bytes(next.value);
}

/** Whether this runtime reads an answer while it arrives. */
export function canStream(): boolean {
  return typeof ReadableStream === "function" && typeof Response === "function" && "body" in Response.prototype;
}
