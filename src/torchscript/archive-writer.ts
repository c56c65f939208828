import { crc32 } from "../util/crc32.js";

/** A file of an archive, its content in pieces, so that large ones are never joined in memory. */
export interface ArchiveMember {
  readonly name: string;
  readonly content: readonly Uint8Array[];
}

/** PyTorch maps tensors straight from the file, and so lets each member start at a multiple of this. */
const ALIGNMENT = 64;

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_RECORD = 0x06054b50;
const END_RECORD_64 = 0x06064b50;
const END_LOCATOR_64 = 0x07064b50;
/** Stands where a number is too large for its field, and found in the ZIP64 record instead. */
const WIDE = 0xffffffff;

/**
 * A ZIP archive as `torch.jit.save` writes it: members stored, aligned to 64 bytes by an extra field `FB`, without times, so
 * that equal members give equal archives. Sizes beyond 4 GiB are written as ZIP64.
 */
export function* writeArchive(topFolder: string, members: readonly ArchiveMember[]): Generator<Uint8Array> {
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const member of members) {
    const name = Buffer.from(`${topFolder}/${member.name}`);
    const size = member.content.reduce((sum, piece) => sum + piece.byteLength, 0);
    const checksum = crc32(member.content);
    const wideSize = size >= WIDE;
    const sizes = wideSize ? zip64Extra([size, size]) : Buffer.alloc(0);
    const unpadded = offset + 30 + name.length + sizes.length + 4;
    const padding = Buffer.alloc((ALIGNMENT - (unpadded % ALIGNMENT)) % ALIGNMENT, "Z");
    const extra = Buffer.concat([sizes, u16(0x4246), u16(padding.length), padding]);
    const stored = wideSize ? WIDE : size;
    const common = Buffer.concat([
      u16(wideSize ? 45 : 20),
      u16(0x800), // Names are UTF-8.
      u16(0),
      u32(0x00210000), // 1980-01-01
      u32(checksum),
      u32(stored),
      u32(stored),
      u16(name.length),
    ]);
    const header = Buffer.concat([u32(LOCAL_HEADER), common, u16(extra.length), name, extra]);
    const wide = [...(wideSize ? [size, size] : []), ...(offset >= WIDE ? [offset] : [])];
    const wideExtra = wide.length === 0 ? Buffer.alloc(0) : zip64Extra(wide);
    directory.push(
      Buffer.concat([
        u32(CENTRAL_HEADER),
        u16(45),
        common,
        u16(wideExtra.length),
        Buffer.alloc(10), // comment, disk, attributes
        u32(Math.min(offset, WIDE)),
        name,
        wideExtra,
      ]),
    );
    yield header;
    yield* member.content;
    offset += header.length + size;
  }
  yield* directory;
  yield endOfArchive(
    members.length,
    directory.reduce((sum, entry) => sum + entry.byteLength, 0),
    offset,
  );
}

function endOfArchive(count: number, size: number, start: number): Buffer {
  const parts: Buffer[] = [];
  if (count >= 0xffff || start + size >= WIDE) {
    parts.push(
      Buffer.concat([u32(END_RECORD_64), u64(44), u16(45), u16(45), u32(0), u32(0), u64(count), u64(count), u64(size)]),
      Buffer.concat([u64(start), u32(END_LOCATOR_64), u32(0), u64(start + size), u32(1)]),
    );
  }
  const entries = u16(Math.min(count, 0xffff));
  parts.push(
    Buffer.concat([
      u32(END_RECORD),
      u32(0),
      entries,
      entries,
      u32(Math.min(size, WIDE)),
      u32(Math.min(start, WIDE)),
      u16(0),
    ]),
  );
  return Buffer.concat(parts);
}

function zip64Extra(numbers: readonly number[]): Buffer {
  return Buffer.concat([u16(1), u16(8 * numbers.length), ...numbers.map(u64)]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
