import * as zlib from "node:zlib";

/** The checksum of ZIP archives over several pieces; Node's own where it has one (20.15 and later). */
export function crc32(parts: Iterable<Uint8Array>): number {
  const native: typeof zlib.crc32 | undefined = zlib.crc32;
  let sum = 0;
  for (const part of parts) {
    // Node's forgets the sum so far where a piece is empty: zlib takes a null pointer for "start anew".
    if (part.byteLength > 0) sum = native === undefined ? update(sum, part) : native(part, sum);
  }
  return sum >>> 0;
}

let table: Uint32Array | undefined;

function update(start: number, bytes: Uint8Array): number {
  table ??= Uint32Array.from({ length: 256 }, (_, n) => {
    let word = n;
    for (let bit = 0; bit < 8; bit++) word = word & 1 ? (word >>> 1) ^ 0xedb88320 : word >>> 1;
    return word;
  });
  let sum = ~start;
  for (let i = 0; i < bytes.length; i++) {
    sum = (sum >>> 8) ^ (table[(sum ^ (bytes[i] as number)) & 0xff] as number);
  }
  return ~sum;
}
