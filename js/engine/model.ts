import { joined } from "../bytes.js";

/** Where in an answer's body the model begins that clients share; gzipped, and only where a batch wished for it. */
const HEADER = "foremap-model";
/** Most bytes of a model, uncompressed: several times what was wished for. */
const MAX_BYTES = 1 << 21;
/** Longest time that its bytes may take, in milliseconds. */
const PATIENCE_MS = 60_000;

/** A body, and the model behind it, which is not waited for; it resolves to null where it cannot be had. */
export interface Parted {
  body: Uint8Array<ArrayBuffer>;
  model?: Promise<Uint8Array | null>;
}

/** Reads an answer up to the model, if one follows. */
export async function readAnswer(response: Response): Promise<Parted> {
  const length = Number(response.headers.get(HEADER) ?? NaN);
  if (!Number.isSafeInteger(length) || length < 0 || response.body === null) {
    return { body: new Uint8Array(await response.arrayBuffer()) };
  }
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let rest = new Uint8Array(0);
  for (let left = length; left > 0; ) {
    const { done, value } = await reader.read();
    if (done) throw new TypeError("the answer is cut off");
    chunks.push(value.subarray(0, left));
    rest = new Uint8Array(value.subarray(Math.min(left, value.length)));
    left -= Math.min(left, value.length);
  }
  return { body: joined(chunks), model: inflated(rest, reader).catch(() => null) };
}

async function inflated(first: Uint8Array<ArrayBuffer>, reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | null> {
  if (typeof DecompressionStream === "undefined") {
    await reader.cancel();
    return null;
  }
  const timer = setTimeout(() => void reader.cancel().catch(() => undefined), PATIENCE_MS);
  const compressed = new ReadableStream<BufferSource>({
    start: (to) => to.enqueue(first),
    async pull(to) {
      const { done, value } = await reader.read();
      if (done) to.close();
      else to.enqueue(new Uint8Array(value));
    },
    cancel: (reason) => reader.cancel(reason),
  });
  const chunks: Uint8Array[] = [];
  let left = MAX_BYTES;
  try {
    for (const from = compressed.pipeThrough(new DecompressionStream("gzip")).getReader(); ; ) {
      const { done, value } = await from.read();
      if (done) return joined(chunks);
      left -= value.length;
      if (left < 0) {
        await from.cancel();
        return null;
      }
      chunks.push(value);
    }
  } finally {
    clearTimeout(timer);
  }
}
