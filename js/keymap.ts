import type { CoreAnswer, CoreKeymap } from "./engine/core.js";
import { ForemapError } from "./errors.js";
import type { GetResult, Json, Keymap } from "./types.js";

/** A keymap of the core, whose `meta` is text, for the application. */
export function keymapOfCore(keymap: CoreKeymap): Keymap {
  const { meta, ...rest } = keymap;
  return meta === undefined || meta === null ? rest : { ...rest, meta: JSON.parse(meta) as Json };
}

/** An answer of the core for the application. */
export function resultOfCore(answer: CoreAnswer): GetResult | null {
  if (!answer.keymap) return null;
  return { keymap: keymapOfCore(answer.keymap), source: answer.source, age: answer.age, stale: answer.stale };
}

/** Checks a keymap that came as JSON. @throws {ForemapError} `BAD_ANSWER` */
export function keymapOfJson(value: unknown): Keymap {
  if (isRecord(value) && typeof value.key === "string" && typeof value.version === "number") {
    if (typeof value.locator === "string") return value as object as Keymap;
  }
  throw new ForemapError("BAD_ANSWER", "the gateway sent something that is not a keymap");
}

/** Whether a value has named fields. */
export function isRecord(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads a JSON body. @throws {ForemapError} `BAD_ANSWER` */
export function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body)) as unknown;
  } catch (cause) {
    throw new ForemapError("BAD_ANSWER", "the gateway sent something that is not JSON", { cause });
  }
}
