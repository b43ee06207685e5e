/**
 * What went wrong. The texts are stable and the same as in the `code` of problem details.
 *
 * | code | meaning |
 * |---|---|
 * | `BAD_KEY` | the key or prefix cannot be made canonical; raised before any I/O |
 * | `BAD_REQUEST`, `BODY_TOO_LARGE`, `TOO_MANY_KEYS`, `UNSUPPORTED_MEDIA_TYPE` | the request is malformed or over a limit |
 * | `NO_ROUTE`, `METHOD_NOT_ALLOWED` | the other side does not know this interface |
 * | `NOT_FOUND` | there is no such keymap (only for writes; a read answers `null`) |
 * | `VERSION_CONFLICT` | the stored version is not the expected one |
 * | `UNAUTHENTICATED`, `FORBIDDEN` | the token is missing or bad, or does not cover the verb or key |
 * | `UNAVAILABLE`, `TOO_MANY_REQUESTS`, `INTERNAL`, `TIMEOUT`, `NETWORK`, `BAD_ANSWER` | no usable answer |
 * | `OVERLOADED` | the gateway has more to do than it can; it says when to come back |
 * | `REQUEST_TIMEOUT` | the request did not arrive at the gateway in time |
 * | `UNKNOWN` | the outcome of a write is not known |
 * | `ABORTED`, `CLOSED` | the caller's signal fired, or the client was closed |
 * | `CONFIG` | the options are wrong |
 * | `CORE_PANIC` | the wasm core trapped; it has been rebuilt and the next call works |
 */
export type ErrorCode =
  | "BAD_KEY"
  | "BAD_REQUEST"
  | "BODY_TOO_LARGE"
  | "TOO_MANY_KEYS"
  | "UNSUPPORTED_MEDIA_TYPE"
  | "NO_ROUTE"
  | "METHOD_NOT_ALLOWED"
  | "NOT_FOUND"
  | "VERSION_CONFLICT"
  | "UNAUTHENTICATED"
  | "FORBIDDEN"
  | "UNAVAILABLE"
  | "UNKNOWN"
  | "TOO_MANY_REQUESTS"
  | "INTERNAL"
  | "TIMEOUT"
  | "ABORTED"
  | "CLOSED"
  | "CONFIG"
  | "CORE_PANIC"
  | "NETWORK"
  | "BAD_ANSWER"
  | "OVERLOADED"
  | "REQUEST_TIMEOUT";

/** A test holds these, and what follows of statuses, against what the core says. */
export const RETRYABLE: ReadonlySet<string> = new Set<ErrorCode>([
  "UNAVAILABLE",
  "UNKNOWN",
  "TOO_MANY_REQUESTS",
  "INTERNAL",
  "TIMEOUT",
  "CORE_PANIC",
  "NETWORK",
  "BAD_ANSWER",
  "OVERLOADED",
  "REQUEST_TIMEOUT",
]);

/**
 * Every error that foremap raises. Tell them apart by `code`, not by `instanceof`,
 * which fails across realms and between copies of the package.
 */
export class ForemapError extends Error {
  /** What went wrong; stable. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;

  /** @param cause what raised it, where something else did */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; retryable?: boolean }) {
    super(message, options !== undefined && "cause" in options ? { cause: options.cause } : undefined);
    this.name = "ForemapError";
    this.code = code;
    this.retryable = options?.retryable ?? RETRYABLE.has(code);
  }
}

/** The code that a failing HTTP status stands for where the body does not say: whoever answered was perhaps no gateway. */
export function codeOfStatus(status: number): ErrorCode {
  switch (status) {
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "FORBIDDEN";
    case 404:
      return "NO_ROUTE";
    case 405:
      return "METHOD_NOT_ALLOWED";
    case 408:
      return "REQUEST_TIMEOUT";
    case 412:
      return "VERSION_CONFLICT";
    case 413:
      return "BODY_TOO_LARGE";
    case 415:
      return "UNSUPPORTED_MEDIA_TYPE";
    case 429:
      return "TOO_MANY_REQUESTS";
    case 500:
      return "INTERNAL";
    case 504:
      return "TIMEOUT";
  }
  if (status >= 400 && status < 500) return "BAD_REQUEST";
  return status > 500 && status < 600 ? "UNAVAILABLE" : "BAD_ANSWER";
}

/** Makes a {@link ForemapError} of anything thrown. */
export function toForemapError(error: unknown, code: ErrorCode): ForemapError {
  if (error instanceof ForemapError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ForemapError(code, message, { cause: error });
}
