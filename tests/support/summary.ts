/** A summary as a client of this protocol writes it: one path over keys, of which none is repeated. */
export function summary(instance: number, keys: readonly string[], epoch = 1): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [0x46, 0x4d, 0x53, 0x4d, 1];
  const varint = (value: number) => {
    for (let left = value; ; left = Math.floor(left / 128)) {
      bytes.push(left < 128 ? left : (left % 128) + 128);
      if (left < 128) return;
    }
  };
  for (let at = 0; at < 8; at += 1) bytes.push(Math.floor(instance / 256 ** at) % 256);
  varint(epoch);
  varint(keys.length);
  for (const key of keys) {
    const text = new TextEncoder().encode(key);
    varint(0);
    varint(text.byteLength);
    bytes.push(...text);
  }
  varint(1);
  bytes.push(0);
  varint(keys.length);
  keys.forEach((_, at) => varint(2 * at));
  return Uint8Array.from(bytes);
}
