import { FAILED_ABORTED, FAILED_NETWORK, FAILED_TIMEOUT, type CoreFence } from "./core.js";
import type { Scope } from "./scope.js";

/** An answer, read to its end. */
export interface RawAnswer {
  status: number;
  headers: Headers;
  body: Uint8Array<ArrayBuffer>;
  /** Of a call: when its first attempt was sent and the one that was answered, as the core of `generation` saw it. */
  sent?: { readonly first: CoreFence; readonly last: CoreFence; readonly generation: number };
}

/** One HTTP exchange; a number is a kind of failure. */
export async function exchange(
  scope: Scope,
  request: () => Request,
  controller: AbortController,
  timeoutMs: number,
): Promise<RawAnswer | number> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    controller.abort();
  }, timeoutMs);
  try {
    const response = await scope.host.fetch(request(), { signal: controller.signal });
    const body = new Uint8Array(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, body };
  } catch {
    if (late) return FAILED_TIMEOUT;
    return controller.signal.aborted ? FAILED_ABORTED : FAILED_NETWORK;
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds that an answer asks to wait (RFC 9110, 10.2.3), or -1. */
export function retryAfter(headers: Headers): number {
  const text = headers.get("retry-after");
  if (text === null) return -1;
  const seconds = Number(text);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, Math.round(ms)) : -1;
}
