import { ForemapError } from "./errors.js";
import type { KeyInput } from "./types.js";

const LONE_SURROGATE = /\p{Surrogate}/u;
const PLAIN_DECIMAL = /^-?\d+(\.\d+)?$/;
// The characters that canonical text escapes; the core does the same to decoded strings.
const ESCAPED = /[/%\u0000-\u001f\u007f]/g;

/**
 * The text of a key or prefix, still to be made canonical by the core.
 *
 * A string is taken as written: `/` separates components and `%XX` is an escape. The parts of an
 * array are data: `/` and `%` in them are escaped here.
 *
 * @throws {ForemapError} `BAD_KEY` for what text cannot carry into wasm unchanged: lone surrogates, and
 * numbers without a plain decimal text
 */
export function keyText(key: KeyInput): string {
  if (typeof key === "string") return wellFormed(key);
  if (!Array.isArray(key)) throw new ForemapError("BAD_KEY", "a key is a string or an array of strings and numbers");
  // An empty component would otherwise vanish when there is only one.
  if (key.length === 0) throw new ForemapError("BAD_KEY", "a key has one to sixteen components");
  return key.map(componentText).join("/");
}

function componentText(part: string | number): string {
  if (typeof part === "string") {
    if (part === "") throw new ForemapError("BAD_KEY", "a component of a key must not be empty");
    return wellFormed(part).replace(ESCAPED, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
  }
  const text = String(part);
  if (typeof part !== "number" || !PLAIN_DECIMAL.test(text)) {
    throw new ForemapError("BAD_KEY", `a component must be a string or a number with a plain decimal text, not ${text}`);
  }
  return text;
}

function wellFormed(text: string): string {
  // wasm strings are UTF-8, into which a lone surrogate would silently be changed.
  if (LONE_SURROGATE.test(text)) throw new ForemapError("BAD_KEY", "a key must not contain a lone surrogate");
  if (text === "") throw new ForemapError("BAD_KEY", "a key must not be empty");
  return text;
}
