/** Milliseconds that an answer asks to wait (RFC 9110, 10.2.3), or -1. */
export function retryAfter(headers: Headers): number {
  const text = headers.get("retry-after");
  if (text === null) return -1;
  const seconds = Number(text);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, Math.round(ms)) : -1;
}
