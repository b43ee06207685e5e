import { ForemapError } from "./errors.js";

/** Magic number and format version of the core's bookmarks. */
const HEADER = [0x46, 0x4d, 0x42, 0x4d, 1];

/** A bookmark as text that fits into a cookie, a URL or HTML. */
export function bookmarkText(bytes: Uint8Array): string {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Bytes of a bookmark's text; the empty one has seen nothing. @throws {ForemapError} `CONFIG` */
export function bookmarkBytes(text: string): Uint8Array {
  const refused = () => new ForemapError("CONFIG", "`bookmark` is not what `bookmark()` gave");
  if (typeof text !== "string" || !/^[\w-]*$/.test(text)) throw refused();
  if (text === "") return new Uint8Array(0);
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    readBookmark(bytes);
    return bytes;
  } catch {
    throw refused();
  }
}

/** What a session has seen. */
export interface Seen {
  /** Of the store, 0 where it is not known. */
  incarnation: number;
  floors: [shard: number, position: number][];
}

/** Reads a bookmark as the core does. @throws {Error} where it is none */
export function readBookmark(bytes: Uint8Array): Seen {
  if (!HEADER.every((byte, at) => bytes[at] === byte)) throw new Error("not a bookmark");
  let at = HEADER.length;
  const varint = () => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      if (byte === undefined || scale > 2 ** 49) throw new Error("not a bookmark");
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  };
  const incarnation = varint();
  const floors = Array.from({ length: Math.min(varint(), 0x1_0000) }, (): [number, number] => [varint(), varint()]);
  if (at !== bytes.length) throw new Error("not a bookmark");
  return { incarnation, floors };
}

/** The reverse of {@link readBookmark}. */
export function writeBookmark({ incarnation, floors }: Seen): Uint8Array {
  const bytes = [...HEADER];
  const varint = (value: number) => {
    for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
    bytes.push(value);
  };
  varint(incarnation);
  varint(floors.length);
  for (const [shard, position] of floors) {
    varint(shard);
    varint(position);
  }
  return Uint8Array.from(bytes);
}
