import { ForemapError } from "../errors.js";
import { isRecord } from "../keymap.js";

/**
 * The JSON object of a body, read as gateways read it: in UTF-8 without a mark in front, no field twice, every number in
 * digits alone.
 *
 * @throws {ForemapError} `BAD_REQUEST`
 */
export function strictJson(body: Uint8Array): { readonly [name: string]: unknown } {
  let value: unknown;
  let text: string;
  try {
    // What is not UTF-8 would be read as something else, and a mark left in place is no JSON.
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
    value = JSON.parse(text);
  } catch (cause) {
    throw new ForemapError("BAD_REQUEST", "the body is not JSON in UTF-8", { cause });
  }
  if (!isRecord(value)) throw new ForemapError("BAD_REQUEST", "the body is not a JSON object");
  const number = text.match(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g)?.find((token) => /^-|^\d.*[^\d]/.test(token));
  if (number !== undefined) throw new ForemapError("BAD_REQUEST", `${number} is not a whole number`);
  const twice = repeated(text);
  if (twice !== null) throw new ForemapError("BAD_REQUEST", `\`${twice}\` is given twice`);
  return value;
}

/** A name that some object of a JSON text has twice: `JSON.parse` takes the last one, others the first. Linear. */
function repeated(json: string): string | null {
  // One set of names for each object that is open, null for each array.
  const open: (Set<string> | null)[] = [];
  let last = "";
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:]/g)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(null);
    else if (token === "}" || token === "]") open.pop();
    else if (token !== ":") last = token;
    else {
      const name = JSON.parse(last) as string;
      const names = open.at(-1);
      if (names?.has(name) === true) return name;
      names?.add(name);
    }
  }
  return null;
}
