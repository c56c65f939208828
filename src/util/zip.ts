import { crc32, inflateRawSync } from "node:zlib";
import { TrtorchError } from "./errors.js";

/** A file within an archive that is read. */
export interface ZipMember {
  readonly name: string;
  readonly deflated: boolean;
  /** Bytes once inflated. */
  readonly size: number;
  /**
   * A view of the archive where the member is stored; inflated anew at each call where it is deflated.
   *
   * @throws TrtorchError `archive` where the compressed data is damaged, or longer than claimed
   */
  read(): Uint8Array;
}

/** A file of an archive to write, its content in pieces, so that large ones are never joined in memory. */
export interface ZipContent {
  readonly name: string;
  readonly content: readonly Uint8Array[];
}

/** What to do about a file that does not bear out what it claims. */
export const DOWNLOAD_AGAIN = "The file is damaged or was not written to its end: copy or download it again.";

const STORED = 0;
const DEFLATED = 8;

/** Deflate cannot compress better than this: a member that claims more is a lie. */
const DEFLATE_RATIO = 1032;

/** The archives' members start at multiples of this, so that their numbers can be used in place in a mapped file. */
const ALIGNMENT = 64;

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_RECORD = 0x06054b50;
const END_RECORD_64 = 0x06064b50;
const END_LOCATOR_64 = 0x07064b50;
/** Stands where a number is too large for its field, and found in the ZIP64 record instead. */
const WIDE = 0xffffffff;

/** Whether bytes begin as a ZIP archive does, an empty one included. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b;
}

/**
 * The files of a ZIP archive, in its directory's order. Nothing is inflated before it is asked for.
 *
 * @param file the archive's name in messages
 * @throws TrtorchError `archive` for what is no sound ZIP archive
 */
export function readZip(file: string, bytes: Uint8Array): ZipMember[] {
  return new Directory(file, bytes).members();
}

/**
 * A ZIP archive in pieces, as `torch.jit.save` writes it: members stored, aligned to 64 bytes by an extra field `FB`, without
 * times, so that equal members give equal archives. Sizes beyond 4 GiB are written as ZIP64.
 */
export function* writeZip(members: Iterable<ZipContent>): Generator<Uint8Array> {
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const member of members) {
    const name = Buffer.from(member.name);
    const size = totalSize(member.content);
    const wideSize = size >= WIDE;
    const sizes = wideSize ? zip64Extra([size, size]) : Buffer.alloc(0);
    const unpadded = offset + 30 + name.length + sizes.length + 4;
    const padding = Buffer.alloc((ALIGNMENT - (unpadded % ALIGNMENT)) % ALIGNMENT, "Z");
    const extra = Buffer.concat([sizes, u16(0x4246), u16(padding.length), padding]);
    const common = Buffer.concat([
      u16(wideSize ? 45 : 20),
      u16(0x800), // Names are UTF-8.
      u16(STORED),
      u32(0x00210000), // 1980-01-01
      u32(checksum(member.content)),
      u32(Math.min(size, WIDE)),
      u32(Math.min(size, WIDE)),
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
  yield endOfArchive(directory.length, totalSize(directory), offset);
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

function totalSize(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
}

/** An empty piece is left out: zlib takes its null pointer for "start anew". */
function checksum(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => (piece.byteLength === 0 ? sum : crc32(piece, sum)), 0);
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

/** A member, with where its header starts and where its data does and ends. */
interface Placed extends ZipMember {
  readonly headerOffset: number;
  readonly dataEnd: number;
}

/** Reads a ZIP file's directory, and believes nothing in it that the file itself does not bear out. */
class Directory {
  readonly #file: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(file: string, bytes: Uint8Array) {
    this.#file = file;
    // Without Node's Buffer around it, whose `slice` is a view where Uint8Array's is a copy.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  members(): ZipMember[] {
    const end = this.#endRecord();
    const { count, offset, size } = this.#extent(end);
    if (offset + size > end) this.#fail("the ZIP directory lies outside the file", DOWNLOAD_AGAIN);
    if (count > size / 46) this.#fail(`the ZIP directory claims ${count} members, more than it has room for`);
    const members: Placed[] = [];
    const names = new Set<string>();
    let at = offset;
    for (let i = 0; i < count; i++) {
      if (at + 46 > offset + size || this.#u32(at) !== CENTRAL_HEADER) {
        this.#fail(`the ZIP directory breaks off after ${i} of ${count} members`, DOWNLOAD_AGAIN);
      }
      const next = at + 46 + this.#u16(at + 28) + this.#u16(at + 30) + this.#u16(at + 32);
      if (next > offset + size) this.#fail(`the ZIP directory breaks off in member ${i}`, DOWNLOAD_AGAIN);
      const member = this.#member(at, offset);
      at = next;
      if (names.has(member.name)) this.#fail(`the archive has two members named ${member.name}`);
      names.add(member.name);
      if (!member.name.endsWith("/")) members.push(member);
    }
    this.#refuseOverlaps(members);
    return members;
  }

  /** Where the record at the end of every ZIP file starts. */
  #endRecord(): number {
    const length = this.#bytes.byteLength;
    if (!isZip(this.#bytes)) this.#fail("this is no ZIP archive");
    for (let at = length - 22; at >= Math.max(0, length - 22 - 0xffff); at--) {
      if (this.#u32(at) === END_RECORD && at + 22 + this.#u16(at + 20) <= length) return at;
    }
    return this.#fail(
      `the archive is truncated: the directory that stands at the end of a ZIP file is missing (the file has ${length} bytes)`,
      "The likely cause is a download or copy that broke off: fetch the file again.",
    );
  }

  #extent(end: number): { count: number; offset: number; size: number } {
    if (this.#u16(end + 4) !== 0 && this.#u16(end + 4) !== 0xffff)
      this.#fail("the ZIP archive is split over several files");
    const locator = end - 20;
    if (locator >= 0 && this.#u32(locator) === END_LOCATOR_64) {
      const at = this.#u64(locator + 8);
      if (at + 56 > locator || this.#u32(at) !== END_RECORD_64) {
        this.#fail("the ZIP64 end record is missing", DOWNLOAD_AGAIN);
      }
      return { count: this.#u64(at + 32), size: this.#u64(at + 40), offset: this.#u64(at + 48) };
    }
    return { count: this.#u16(end + 10), size: this.#u32(end + 12), offset: this.#u32(end + 16) };
  }

  #member(at: number, directory: number): Placed {
    const name = this.#string(at + 46, this.#u16(at + 28));
    const shown = JSON.stringify(name);
    if (name === "" || /^[/\\]|^[A-Za-z]:|\\|\0|(^|\/)\.\.?(\/|$)/.test(name)) {
      this.#fail(`the archive has a member with the unsafe name ${shown}`);
    }
    if ((this.#u16(at + 8) & 1) !== 0) this.#fail(`the member ${name} is encrypted`);
    const method = this.#u16(at + 10);
    if (method !== STORED && method !== DEFLATED)
      this.#fail(`the member ${name} is compressed with method ${method}, not deflate`);
    let compressedSize = this.#u32(at + 20);
    let size = this.#u32(at + 24);
    let headerOffset = this.#u32(at + 42);
    // The ZIP64 extra field holds, in this order, those numbers that the header has no room for.
    let extra = at + 46 + this.#u16(at + 28);
    const extraEnd = extra + this.#u16(at + 30);
    for (; extra + 4 <= extraEnd; extra += 4 + this.#u16(extra + 2)) {
      if (this.#u16(extra) !== 1) continue;
      let field = extra + 4;
      const wide = (value: number): number => {
        if (value !== 0xffffffff || field + 8 > extraEnd) return value;
        field += 8;
        return this.#u64(field - 8);
      };
      size = wide(size);
      compressedSize = wide(compressedSize);
      headerOffset = wide(headerOffset);
      break;
    }
    if (headerOffset + 30 > directory || this.#u32(headerOffset) !== LOCAL_HEADER) {
      this.#fail(`the header of member ${name} is missing`, DOWNLOAD_AGAIN);
    }
    const nameLength = this.#u16(headerOffset + 26);
    const dataOffset = headerOffset + 30 + nameLength + this.#u16(headerOffset + 28);
    if (this.#string(headerOffset + 30, nameLength) !== name) {
      this.#fail(`the member ${name} has another name in the directory than in its header`, DOWNLOAD_AGAIN);
    }
    const dataEnd = dataOffset + compressedSize;
    if (dataEnd > directory) {
      this.#fail(`the member ${name} claims ${compressedSize} bytes, more than the file has left`, DOWNLOAD_AGAIN);
    }
    const deflated = method === DEFLATED;
    if (!deflated && size !== compressedSize)
      this.#fail(`the member ${name} claims two different sizes`, DOWNLOAD_AGAIN);
    if (deflated && size > compressedSize * DEFLATE_RATIO + 64) {
      this.#fail(
        `the member ${name} claims to inflate from ${compressedSize} to ${size} bytes`,
        "Nothing compresses that well: the file is damaged or made to do harm.",
      );
    }
    const raw = this.#bytes.subarray(dataOffset, dataEnd);
    const read = (): Uint8Array => (deflated ? this.#inflate(name, raw, size) : raw);
    return { name, deflated, size, read, headerOffset, dataEnd };
  }

  #inflate(name: string, raw: Uint8Array, size: number): Uint8Array {
    try {
      const { buffer, byteOffset, byteLength } = inflateRawSync(raw, { maxOutputLength: Math.max(size, 1) });
      if (byteLength === size) return new Uint8Array(buffer, byteOffset, byteLength);
    } catch {
      // Broken data and data longer than claimed are the same mistake to the reader.
    }
    return this.#fail(`the compressed member ${name} is damaged`, DOWNLOAD_AGAIN);
  }

  #refuseOverlaps(members: readonly Placed[]): void {
    const ordered = [...members].sort((a, b) => a.headerOffset - b.headerOffset);
    for (let i = 1; i < ordered.length; i++) {
      const [before, after] = [ordered[i - 1] as Placed, ordered[i] as Placed];
      if (before.dataEnd > after.headerOffset) {
        this.#fail(`the members ${before.name} and ${after.name} overlap`);
      }
    }
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, true);
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  /** Beyond 2^53 it is rounded, and then too big in any case. */
  #u64(at: number): number {
    return Number(this.#view.getBigUint64(at, true));
  }

  #string(at: number, length: number): string {
    return new TextDecoder().decode(this.#bytes.subarray(at, at + length));
  }

  #fail(message: string, hint?: string): never {
    throw new TrtorchError("archive", message, { location: { file: this.#file }, hint });
  }
}
