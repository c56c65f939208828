import { TrtorchError } from "../util/errors.js";
import { mapFile } from "../util/mapped-file.js";
import { DOWNLOAD_AGAIN, isZip, readZip, type ZipMember } from "../util/zip.js";

/** What an archive of PyTorch holds. A checkpoint is what `torch.save` writes: tensors, but no program. */
export type ArchiveKind = "torchscript" | "exported" | "checkpoint";

/** The file format version that PyTorch 2.11 writes and reads at most (caffe2/serialize/versions.h). */
const NEWEST_VERSION = 10;

/** The largest inflated member; PyTorch deflates only source code, and stores tensors as they are. */
const INFLATED_LIMIT = 256 * 2 ** 20;

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
  readonly #members: ReadonlyMap<string, ZipMember>;

  private constructor(file: string, bytes: Uint8Array) {
    this.file = file;
    if (!isZip(bytes)) throw otherFormat(file, bytes);
    const members = readZip(file, bytes);
    for (const { name, size, deflated } of members) {
      if (!deflated || size <= INFLATED_LIMIT) continue;
      throw archiveError(
        file,
        `the member ${name} claims to inflate to ${size} bytes`,
        "PyTorch stores tensors uncompressed: save the model again rather than compressing the archive.",
      );
    }
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
    const archive = Archive.parse(mapFile(path), path);
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
    return this.#member(name).read();
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

  #member(name: string): ZipMember {
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

function archiveError(file: string, message: string, hint?: string): TrtorchError {
  return new TrtorchError("archive", message, { location: { file }, hint });
}

/** The folder that every member stands in, as PyTorch requires; empty when there is none. */
function commonFolder(members: readonly ZipMember[]): string {
  const first = members[0]?.name ?? "";
  const slash = first.indexOf("/");
  if (slash <= 0) return "";
  const folder = first.slice(0, slash + 1);
  return members.every((member) => member.name.startsWith(folder)) ? folder.slice(0, -1) : "";
}

/** Says what the file is, when it is no ZIP archive. */
function otherFormat(file: string, bytes: Uint8Array): TrtorchError {
  const told = (message: string, hint?: string): TrtorchError => archiveError(file, message, hint);
  const start = String.fromCharCode(...bytes.subarray(0, 64));
  const resave = "Save the model with torch.jit.save or torch.export.save, and give that file.";
  if (bytes.byteLength === 0) return told("the file is empty", DOWNLOAD_AGAIN);
  if (start.startsWith("version https://git-lfs")) {
    return told("this is a Git LFS pointer, not the model itself", "Run git lfs pull.");
  }
  if (/^\s*<(!doctype|html|\?xml)/i.test(start)) {
    return told("this is a web page, not a model", "Look at it: a download may have saved an error message.");
  }
  if (start.startsWith("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")) {
    return told("this is a torch.save checkpoint of PyTorch before 1.6: it holds no program", resave);
  }
  if (start[0] === "\x80" && bytes.byteLength > 1 && (bytes[1] as number) <= 5) {
    return told("this is a Python pickle: it holds no program", resave);
  }
  if (
    bytes.byteLength > 9 &&
    bytes[8] === 0x7b &&
    Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)) < bytes.byteLength
  ) {
    return told("this is a safetensors file: it holds weights, but no program", resave);
  }
  if (/^[pf]trt/.test(start)) return told("this is a TensorRT engine, built already");
  // An ONNX model starts with its ir_version, a small number, and its producer's name.
  if (bytes[0] === 0x08 && (bytes[1] as number) < 32 && (bytes[2] === 0x12 || bytes[2] === 0x3a)) {
    return told("this is an ONNX model", `trtorch-build reads PyTorch's own programs. ${resave}`);
  }
  return told("this is no ZIP archive, as every TorchScript and torch.export file is", resave);
}
