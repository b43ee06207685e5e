import { ForemapError } from "../errors.js";

/** The query of a URL, decoded strictly: a key must not change on the way, as it would through `URLSearchParams`. */
export class Query {
  readonly #params = new Map<string, string>();

  /**
   * @param known names of parameters: one that nobody looks at was meant to do something
   * @throws {ForemapError} `BAD_KEY` or `BAD_REQUEST` for what is not UTF-8, not known or given twice
   */
  constructor(search: string, known: readonly string[]) {
    for (const pair of search.replace(/^\?/, "").split("&")) {
      if (pair === "") continue;
      const at = pair.indexOf("=");
      const name = decode(at < 0 ? pair : pair.slice(0, at), "the query");
      const value = decode(at < 0 ? "" : pair.slice(at + 1), name);
      if (!known.includes(name)) throw new ForemapError("BAD_REQUEST", unknown(name, known));
      if (this.#params.has(name)) throw new ForemapError("BAD_REQUEST", `\`${name}\` is given twice`);
      this.#params.set(name, value);
    }
  }

  get(name: string): string | undefined {
    return this.#params.get(name);
  }

  /** A whole number. @throws {ForemapError} `BAD_REQUEST` */
  number(name: string): number | undefined {
    const text = this.get(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
      throw new ForemapError("BAD_REQUEST", `\`${name}\` is not a whole number below 2^53`);
    }
    return value;
  }
}

function decode(text: string, name: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch (cause) {
    throw new ForemapError(name === "key" || name === "prefix" ? "BAD_KEY" : "BAD_REQUEST", `\`${name}\` is not UTF-8`, {
      cause,
    });
  }
}

/** That nothing is called `name` here, and what is. */
export function unknown(name: string, known: readonly string[]): string {
  const names = known.map((one) => `\`${one}\``).join(", ");
  return `\`${name}\` is not known here, ${names === "" ? "nothing is" : `only ${names}`}`;
}
