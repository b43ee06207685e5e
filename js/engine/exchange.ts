import { FAILED_ABORTED, FAILED_NETWORK, FAILED_TIMEOUT, type CoreFence } from "./core.js";
import { readAnswer } from "./model.js";
import type { ScopeHost } from "./scope-host.js";

/** An answer, read to its end. */
export interface RawAnswer {
  status: number;
  headers: Headers;
  body: Uint8Array<ArrayBuffer>;
  /** The body of a success that is passed on as it arrives; `body` is empty then. */
  stream?: ReadableStream<Uint8Array> | null;
  /** The model behind the body; see {@link readAnswer}. */
  model?: Promise<Uint8Array | null>;
  /** Of a call: when its first attempt was sent and the one that was answered, as the core of `generation` saw it. */
  sent?: { readonly first: CoreFence; readonly last: CoreFence; readonly generation: number };
}

/** One HTTP exchange; a number is a kind of failure. @param unread whether a success is returned before its body arrives */
export async function exchange(
  host: ScopeHost,
  request: () => Request,
  controller: AbortController,
  timeoutMs: number,
  unread = false,
): Promise<RawAnswer | number> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    controller.abort();
  }, timeoutMs);
  try {
    const response = await host.fetch(request(), { signal: controller.signal });
    const { status, headers } = response;
    if (unread && response.ok) return { status, headers, body: new Uint8Array(0), stream: response.body };
    return { status, headers, ...(await readAnswer(response)) };
  } catch {
    if (late) return FAILED_TIMEOUT;
    return controller.signal.aborted ? FAILED_ABORTED : FAILED_NETWORK;
  } finally {
    clearTimeout(timer);
  }
}
