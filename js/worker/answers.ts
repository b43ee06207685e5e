import { joined } from "../bytes.js";
import { ForemapError, type ErrorCode } from "../errors.js";
import { MAX_BODY_BYTES } from "../limits.js";

export { BINARY } from "../calls.js";

/** As gateways answer; what only arises in a client has statuses too, as a worker is one of a gateway. */
export const STATUS: { readonly [code in ErrorCode]: number } = {
  BAD_KEY: 400,
  BAD_REQUEST: 400,
  BODY_TOO_LARGE: 413,
  TOO_MANY_KEYS: 400,
  UNSUPPORTED_MEDIA_TYPE: 415,
  NO_ROUTE: 404,
  METHOD_NOT_ALLOWED: 405,
  NOT_FOUND: 404,
  VERSION_CONFLICT: 412,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  UNAVAILABLE: 503,
  UNKNOWN: 503,
  TOO_MANY_REQUESTS: 429,
  INTERNAL: 500,
  TIMEOUT: 504,
  ABORTED: 503,
  CLOSED: 503,
  CONFIG: 500,
  CORE_PANIC: 500,
  NETWORK: 502,
  BAD_ANSWER: 502,
  OVERLOADED: 503,
  REQUEST_TIMEOUT: 408,
};

export const TITLE: { readonly [status: number]: string } = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** A {@link ForemapError} that names the limit that was exceeded. */
export class LimitError extends ForemapError {
  constructor(
    code: ErrorCode,
    message: string,
    readonly limit: number | undefined,
  ) {
    super(code, message);
  }
}

/** Problem details (RFC 9457). */
export function problem(error: ForemapError, headers: HeadersInit = {}): Response {
  const status = STATUS[error.code] ?? 500;
  const body = {
    type: "about:blank",
    title: TITLE[status],
    status,
    code: error.code,
    detail: error.message,
    ...(error instanceof LimitError ? { limit: error.limit } : {}),
  };
  const all = new Headers(headers);
  all.set("content-type", "application/problem+json");
  all.set("cache-control", "no-store");
  if (status === 401) all.set("www-authenticate", "Bearer");
  return new Response(JSON.stringify(body), { status, headers: all });
}

/** What callers are told of `error`; a defect, also of the operator's own functions, is for the log alone. */
export function refusal(error: unknown): ForemapError {
  if (error instanceof ForemapError) return error;
  console.error("foremap: the worker failed", error);
  return new ForemapError("INTERNAL", "the worker failed; its log says why");
}

/** A JSON answer. */
export function json(body: unknown, headers: HeadersInit = {}): Response {
  const all = new Headers(headers);
  all.set("content-type", "application/json");
  return new Response(JSON.stringify(body), { headers: all });
}

/** The whole body, of at most so many bytes. @throws {ForemapError} `BODY_TOO_LARGE` */
export async function readBody(request: Request, maxBytes = MAX_BODY_BYTES): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = () => new LimitError("BODY_TOO_LARGE", `the body is over its limit of ${maxBytes} bytes`, maxBytes);
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (request.body !== null) {
    const reader = request.body.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      length += next.value.byteLength;
      // The declared length may be absent or wrong: what counts is what arrives.
      if (length > maxBytes) {
        await reader.cancel();
        throw tooLarge();
      }
      chunks.push(next.value);
    }
  }
  return joined(chunks);
}

/** The media type of a body, without parameters. */
export function mediaType(headers: Headers): string {
  return (headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}
