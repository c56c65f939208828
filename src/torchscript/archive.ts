import { inflateRawSync } from "node:zlib";
import { TrtorchError } from "../util/errors.js";
import { mapFile } from "../util/mapped-file.js";

/** What an archive of PyTorch holds. A checkpoint is what `torch.save` writes: tensors, but no program. */
export type ArchiveKind = "torchscript" | "exported" | "checkpoint";

interface Member {
  readonly name: string;
  readonly deflated: boolean;
  readonly compressedSize: number;
  readonly size: number;
  /** Where the member's local header starts, and where its data does. */
  readonly headerOffset: number;
  readonly dataOffset: number;
}

/** The file format version that PyTorch 2.11 writes and reads at most (caffe2/serialize/versions.h). */
const NEWEST_VERSION = 10;

/** Deflate cannot compress better than this: a member that claims more is a lie. */
const DEFLATE_RATIO = 1032;

/** The largest inflated member; PyTorch deflates only source code, and stores tensors as they are. */
const INFLATED_LIMIT = 256 * 2 ** 20;

const END_RECORD = 0x06054b50;
const END_RECORD_64 = 0x06064b50;
const END_LOCATOR_64 = 0x07064b50;
const CENTRAL_HEADER = 0x02014b50;
const LOCAL_HEADER = 0x04034b50;

/**
 * A ZIP archive as PyTorch writes it: TorchScript (`torch.jit.save`), torch.export programs (`torch.export.save`), and
 * the `torch.save` files inside those. Members are named without the archive's top folder. Stored members are views
 * of the mapped file; nothing is inflated before it is asked for.
 */
export class Archive {
  /** The file's path, or for an archive within an archive `path(member)`. */
  readonly file: string;
  /** The folder that all members stand in: `resnet18`, `archive`; empty when there is none. */
  readonly topFolder: string;
  readonly kind: ArchiveKind;
  readonly #bytes: Uint8Array;
  readonly #members: ReadonlyMap<string, Member>;

  private constructor(file: string, bytes: Uint8Array) {
    this.file = file;
    this.#bytes = plain(bytes);
    const members = new Directory(file, this.#bytes).members();
    this.topFolder = commonFolder(members);
    const skip = this.topFolder === "" ? 0 : this.topFolder.length + 1;
    this.#members = new Map(members.map((member) => [member.name.slice(skip), member]));
    this.kind = this.#recognise();
    const order = this.has("byteorder") ? this.text("byteorder").trim() : "little";
    if (order !== "little") {
      throw archiveError(file, `its tensors are ${order}-endian`, "Save the model again on a little-endian machine.");
    }
  }

  /**
   * Opens a model file: TorchScript or torch.export. Throws a TrtorchError of code `archive` that says what the file
   * is when it is something else (a checkpoint, an ONNX model, half a download, ...).
   */
  static open(path: string): Archive {
    let bytes: Uint8Array;
    try {
      bytes = mapFile(path);
    } catch (error) {
      throw new TrtorchError("archive", `cannot read ${path}: ${reason(error)}`, { location: { file: path } });
    }
    const archive = Archive.parse(bytes, path);
    if (archive.kind === "checkpoint") {
      throw archiveError(
        path,
        "this is a torch.save checkpoint (a state_dict or a pickled module): it holds weights, but no program",
        "Load it in Python and save the module with torch.jit.save(torch.jit.script(model), ...) or torch.export.save(...).",
      );
    }
    return archive;
  }

  /** An archive in memory, checkpoints included; `file` is its name in messages. */
  static parse(bytes: Uint8Array, file: string): Archive {
    return new Archive(file, bytes);
  }

  names(): readonly string[] {
    return [...this.#members.keys()];
  }

  has(name: string): boolean {
    return this.#members.has(name);
  }

  /** Bytes of a member once inflated. */
  size(name: string): number {
    return this.#member(name).size;
  }

  /** A member's bytes: a view of the file where it is stored, inflated where it is deflated. Not to be written to. */
  read(name: string): Uint8Array {
    const member = this.#member(name);
    const raw = this.#bytes.subarray(member.dataOffset, member.dataOffset + member.compressedSize);
    if (!member.deflated) return raw;
    try {
      const data = inflateRawSync(raw, { maxOutputLength: Math.max(member.size, 1) });
      if (data.byteLength === member.size) return plain(data);
    } catch {
      // Broken data and data longer than claimed are the same mistake to the reader.
    }
    throw archiveError(this.file, `the compressed member ${name} is damaged`, DOWNLOAD_AGAIN);
  }

  /** A member of UTF-8 text. */
  text(name: string): string {
    return new TextDecoder().decode(this.read(name));
  }

  /** The file format version of PyTorch's archives: 1 to 10. */
  get version(): number {
    const name = [".data/version", "version"].find((candidate) => this.has(candidate));
    const version = name === undefined ? Number.NaN : Number.parseInt(this.text(name), 10);
    if (Number.isInteger(version) && version > 0) return version;
    throw archiveError(this.file, "the archive has no version record", DOWNLOAD_AGAIN);
  }

  #member(name: string): Member {
    const member = this.#members.get(name);
    if (member !== undefined) return member;
    throw archiveError(this.file, `the archive has no member ${name}`, DOWNLOAD_AGAIN);
  }

  #recognise(): ArchiveKind {
    const names = this.names();
    const some = (test: (name: string) => boolean): boolean => names.some(test);
    if (
      this.has("archive_format") ||
      this.has("serialized_exported_program.json") ||
      some((name) => /^models\/[^/]+\.json$/.test(name))
    ) {
      return "exported";
    }
    if (this.has("model.json") && some((name) => name.startsWith("code/") || name.startsWith("tensors/"))) {
      throw archiveError(
        this.file,
        "this TorchScript archive is of PyTorch 1.3 or older (it has a model.json)",
        "Load it with a PyTorch of 1.4 to 2.x and save it again with torch.jit.save.",
      );
    }
    if (this.has("constants.pkl") || some((name) => name.startsWith("code/"))) {
      if (!this.has("data.pkl")) throw archiveError(this.file, "the archive has no member data.pkl", DOWNLOAD_AGAIN);
      const version = this.version;
      if (version > NEWEST_VERSION) {
        throw archiveError(
          this.file,
          `its file format version is ${version}, and ${NEWEST_VERSION} is the newest known`,
          "Update trtorch-build, or save the model with an older PyTorch.",
        );
      }
      return "torchscript";
    }
    if (this.has("data.pkl")) return "checkpoint";
    throw archiveError(
      this.file,
      "this ZIP archive holds neither a TorchScript nor a torch.export program",
      some((name) => name.startsWith("data/aotinductor/"))
        ? "It holds compiled AOTInductor code: save the ExportedProgram itself with torch.export.save."
        : "Give a file written by torch.jit.save or torch.export.save.",
    );
  }
}

/** Without Node's Buffer around it, whose `slice` is a view where Uint8Array's is a copy. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const DOWNLOAD_AGAIN = "The file is damaged or was not written to its end: copy or download it again.";

function archiveError(file: string, message: string, hint?: string): TrtorchError {
  return new TrtorchError("archive", message, { location: { file }, hint });
}

function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES") return "permission denied";
  if (code === "EISDIR") return "it is a folder";
  return error instanceof Error ? error.message : String(error);
}

/** The folder that every member stands in, as PyTorch requires; empty when there is none. */
function commonFolder(members: readonly Member[]): string {
  const first = members[0]?.name ?? "";
  const slash = first.indexOf("/");
  if (slash <= 0) return "";
  const folder = first.slice(0, slash + 1);
  return members.every((member) => member.name.startsWith(folder)) ? folder.slice(0, -1) : "";
}

/** Reads a ZIP file's directory, and believes nothing in it that the file itself does not bear out. */
class Directory {
  readonly #file: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(file: string, bytes: Uint8Array) {
    this.#file = file;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  members(): Member[] {
    const end = this.#endRecord();
    const { count, offset, size } = this.#extent(end);
    if (offset + size > end) this.#fail("the ZIP directory lies outside the file", DOWNLOAD_AGAIN);
    if (count > size / 46) this.#fail(`the ZIP directory claims ${count} members, more than it has room for`);
    const members: Member[] = [];
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
    if (length < 4 || this.#u16(0) !== 0x4b50) this.#failOtherFormat();
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

  #member(at: number, directory: number): Member {
    const name = this.#string(at + 46, this.#u16(at + 28));
    const shown = JSON.stringify(name);
    if (name === "" || /^[/\\]|^[A-Za-z]:|\\|\0|(^|\/)\.\.?(\/|$)/.test(name)) {
      this.#fail(`the archive has a member with the unsafe name ${shown}`);
    }
    if ((this.#u16(at + 8) & 1) !== 0) this.#fail(`the member ${name} is encrypted`);
    const method = this.#u16(at + 10);
    if (method !== 0 && method !== 8) this.#fail(`the member ${name} is compressed with method ${method}, not deflate`);
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
    if (dataOffset + compressedSize > directory) {
      this.#fail(`the member ${name} claims ${compressedSize} bytes, more than the file has left`, DOWNLOAD_AGAIN);
    }
    const deflated = method === 8;
    if (!deflated && size !== compressedSize)
      this.#fail(`the member ${name} claims two different sizes`, DOWNLOAD_AGAIN);
    if (deflated && (size > compressedSize * DEFLATE_RATIO + 64 || size > INFLATED_LIMIT)) {
      this.#fail(
        `the member ${name} claims to inflate from ${compressedSize} to ${size} bytes`,
        size > compressedSize * DEFLATE_RATIO
          ? "Nothing compresses that well: the file is damaged or made to do harm."
          : "PyTorch stores tensors uncompressed: save the model again rather than compressing the archive.",
      );
    }
    return { name, deflated, compressedSize, size, headerOffset, dataOffset };
  }

  #refuseOverlaps(members: readonly Member[]): void {
    const ordered = [...members].sort((a, b) => a.headerOffset - b.headerOffset);
    for (let i = 1; i < ordered.length; i++) {
      const [before, after] = [ordered[i - 1] as Member, ordered[i] as Member];
      if (before.dataOffset + before.compressedSize > after.headerOffset) {
        this.#fail(`the members ${before.name} and ${after.name} overlap`);
      }
    }
  }

  /** Says what the file is, when it is no ZIP archive. */
  #failOtherFormat(): never {
    const bytes = this.#bytes;
    const start = String.fromCharCode(...bytes.subarray(0, 64));
    const resave = "Save the model with torch.jit.save or torch.export.save, and give that file.";
    if (bytes.byteLength === 0) this.#fail("the file is empty", DOWNLOAD_AGAIN);
    if (start.startsWith("version https://git-lfs")) {
      this.#fail("this is a Git LFS pointer, not the model itself", "Run git lfs pull.");
    }
    if (/^\s*<(!doctype|html|\?xml)/i.test(start)) {
      this.#fail("this is a web page, not a model", "Look at it: a download may have saved an error message.");
    }
    if (start.startsWith("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")) {
      this.#fail("this is a torch.save checkpoint of PyTorch before 1.6: it holds no program", resave);
    }
    if (start[0] === "\x80" && bytes.byteLength > 1 && (bytes[1] as number) <= 5) {
      this.#fail("this is a Python pickle: it holds no program", resave);
    }
    if (bytes.byteLength > 9 && bytes[8] === 0x7b && this.#u64(0) < bytes.byteLength) {
      this.#fail("this is a safetensors file: it holds weights, but no program", resave);
    }
    if (/^[pf]trt/.test(start)) this.#fail("this is a TensorRT engine, built already");
    // An ONNX model starts with its ir_version, a small number, and its producer's name.
    if (bytes[0] === 0x08 && (bytes[1] as number) < 32 && (bytes[2] === 0x12 || bytes[2] === 0x3a)) {
      this.#fail("this is an ONNX model", `trtorch-build reads PyTorch's own programs. ${resave}`);
    }
    this.#fail("this is no ZIP archive, as every TorchScript and torch.export file is", resave);
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
    throw archiveError(this.#file, message, hint);
  }
}
