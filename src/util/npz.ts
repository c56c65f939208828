import { deflateRawSync, inflateRawSync } from "node:zlib";
import { type ScalarType, scalarTypeSize } from "../ir/scalar-type.js";
import { numelOf, Tensor } from "../ir/tensor.js";
import { writeFileAtomic } from "./atomic-write.js";
import { crc32 } from "./crc32.js";
import { TrtorchError } from "./errors.js";
import { mapFile } from "./mapped-file.js";

/** NumPy's type codes, without the byte order. It has no bfloat16: two bytes of no type stand for it, as ml_dtypes writes it. */
const CODES: readonly (readonly [code: string, dtype: ScalarType])[] = [
  ["f4", "float32"],
  ["f8", "float64"],
  ["f2", "float16"],
  ["V2", "bfloat16"],
  ["i8", "int64"],
  ["i4", "int32"],
  ["i2", "int16"],
  ["i1", "int8"],
  ["u1", "uint8"],
  ["u2", "uint16"],
  ["u4", "uint32"],
  ["u8", "uint64"],
  ["b1", "bool"],
];
const DTYPES = new Map(CODES);
const NAMES = new Map(CODES.map(([code, dtype]) => [dtype, code]));

/**
 * The arrays of a NumPy `.npz` file by their names. Stored arrays are views of the mapped file.
 *
 * @throws TrtorchError `archive` for what is no such file.
 */
export function readNpz(path: string): Map<string, Tensor> {
  let bytes: Uint8Array;
  try {
    bytes = mapFile(path);
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw fail(path, missing ? "there is no such file" : (cause as Error).message, cause);
  }
  const arrays = new Map<string, Tensor>();
  for (const { name, content } of members(path, bytes)) {
    if (name.endsWith(".npy")) arrays.set(name.slice(0, -4), readNpy(`${path}(${name})`, content));
  }
  return arrays;
}

/** Writes arrays as NumPy's `savez` does, or with `compress` as `savez_compressed`. */
export async function writeNpz(
  path: string,
  arrays: Iterable<readonly [name: string, tensor: Tensor]>,
  options: { readonly compress?: boolean } = {},
): Promise<void> {
  const pieces: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  const put = (list: Uint8Array[], ...parts: Uint8Array[]): number =>
    parts.reduce((sum, part) => {
      list.push(part);
      return sum + part.byteLength;
    }, 0);
  for (const [name, tensor] of arrays) {
    const file = Buffer.from(`${name}.npy`);
    const content = [npyHeader(tensor), tensor.contiguousBytes()];
    const size = content.reduce((sum, part) => sum + part.byteLength, 0);
    const packed = options.compress ? [deflateRawSync(Buffer.concat(content))] : content;
    const packedSize = packed.reduce((sum, part) => sum + part.byteLength, 0);
    if (offset + packedSize >= 2 ** 32) {
      throw new TrtorchError("artifact", `cannot write ${path}: its arrays take more than 4 GiB`, {
        hint: "Write fewer arrays into one file.",
      });
    }
    const fields = zipFields(options.compress ? DEFLATED : STORED, crc32(content), packedSize, size, file.length);
    const local = Buffer.concat([u32(LOCAL_HEADER), u16(20), fields, file]);
    directory.push(
      // Version made by and needed; after the shared fields: comment, disk, attributes, and where the member starts.
      Buffer.concat([u32(CENTRAL_HEADER), u16(20), u16(20), fields, u16(0), u16(0), u16(0), u32(0), u32(offset), file]),
    );
    offset += put(pieces, local, ...packed);
  }
  const start = offset;
  const size = put(pieces, ...directory);
  const count = u16(directory.length);
  pieces.push(Buffer.concat([u32(END_RECORD), u32(0), count, count, u32(size), u32(start), u16(0)]));
  await writeFileAtomic(path, pieces);
}

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_RECORD = 0x06054b50;
const STORED = 0;
const DEFLATED = 8;

/** The fields that a member's two headers share: flags (UTF-8 names), method, time, checksum, sizes, length of the name. */
function zipFields(method: number, checksum: number, packedSize: number, size: number, nameLength: number): Buffer {
  const day = u32(0x00210000); // 1980-01-01: the same arrays give the same file.
  return Buffer.concat([
    u16(0x800),
    u16(method),
    day,
    u32(checksum),
    u32(packedSize),
    u32(size),
    u16(nameLength),
    u16(0),
  ]);
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

function* members(path: string, bytes: Uint8Array): Generator<{ name: string; content: Uint8Array }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length - 22;
  while (end >= Math.max(0, bytes.length - 22 - 0xffff) && view.getUint32(end, true) !== END_RECORD) end--;
  if (end < 0 || view.getUint32(end, true) !== END_RECORD) throw fail(path, "this is no .npz file, or it is cut off");
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  try {
    for (let i = 0; i < count; i++) {
      if (view.getUint32(at, true) !== CENTRAL_HEADER) throw new RangeError();
      const method = view.getUint16(at + 10, true);
      const [nameLength, extraLength] = [view.getUint16(at + 28, true), view.getUint16(at + 30, true)];
      const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength));
      const wide = zip64Sizes(view, at + 46 + nameLength, extraLength);
      const number = (offset: number): number => {
        const value = view.getUint32(at + offset, true);
        return value === 0xffffffff ? (wide.shift() ?? value) : value;
      };
      const [size, packed, header] = [number(24), number(20), number(42)];
      const start = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
      if (start + packed > bytes.length) throw new RangeError();
      const raw = bytes.subarray(start, start + packed);
      if (method !== STORED && method !== DEFLATED) throw fail(path, `${name} is compressed with method ${method}`);
      yield { name, content: method === STORED ? raw : inflateRawSync(raw, { maxOutputLength: Math.max(size, 1) }) };
      at += 46 + nameLength + extraLength + view.getUint16(at + 32, true);
    }
  } catch (error) {
    if (error instanceof TrtorchError) throw error;
    throw fail(path, "the .npz file is damaged", error);
  }
}

/** The numbers of the ZIP64 extra field: those sizes and offsets that 32 bits have no room for, in the headers' order. */
function zip64Sizes(view: DataView, at: number, length: number): number[] {
  for (let field = at; field + 4 <= at + length; field += 4 + view.getUint16(field + 2, true)) {
    if (view.getUint16(field, true) !== 1) continue;
    const count = view.getUint16(field + 2, true) / 8;
    return Array.from({ length: Math.floor(count) }, (_, i) => Number(view.getBigUint64(field + 4 + 8 * i, true)));
  }
  return [];
}

const MAGIC = "\x93NUMPY";

function readNpy(file: string, bytes: Uint8Array): Tensor {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || String.fromCharCode(...bytes.subarray(0, 6)) !== MAGIC)
    throw fail(file, "this is no NumPy array");
  // Version 1 counts the header in two bytes, 2 and 3 in four.
  const [start, length] = bytes[6] === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const descr = /'descr':\s*'([<>|=]?)(\w+)'/.exec(header);
  const shape = /'shape':\s*\(([\d, ]*)\)/.exec(header);
  const order = /'fortran_order':\s*(True|False)/.exec(header);
  if (shape === null || order === null) throw fail(file, "the array's header cannot be read");
  const dtype = DTYPES.get(descr?.[2] ?? "");
  if (dtype === undefined) {
    throw fail(file, `arrays of type ${descr?.[2] ?? "object"} cannot be read`, undefined, "Save numbers or bools.");
  }
  const sizes = (shape[1] as string).split(",").flatMap((size) => (size.trim() === "" ? [] : [Number(size)]));
  const width = scalarTypeSize(dtype);
  const content = bytes.subarray(start + length, start + length + numelOf(sizes) * width);
  if (content.byteLength !== numelOf(sizes) * width) throw fail(file, "the array is cut off");
  const storage = { bytes: descr?.[1] === ">" ? swapped(content, width) : content };
  if (order[1] === "False") return new Tensor(dtype, sizes, storage);
  // Fortran's order: the first index runs fastest.
  let stride = 1;
  const strides = sizes.map((size) => {
    const step = stride;
    stride *= Math.max(size, 1);
    return step;
  });
  return new Tensor(dtype, sizes, storage, { strides });
}

function swapped(bytes: Uint8Array, width: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) out[i] = bytes[i - (i % width) + width - 1 - (i % width)] as number;
  return out;
}

function npyHeader(tensor: Tensor): Uint8Array {
  const code = NAMES.get(tensor.dtype);
  if (code === undefined) throw new TrtorchError("unsupported", `NumPy has no type for ${tensor.dtype} tensors`);
  const order = scalarTypeSize(tensor.dtype) === 1 ? "|" : "<";
  const shape = tensor.sizes.length === 1 ? `${tensor.sizes[0]},` : tensor.sizes.join(", ");
  const text = `{'descr': '${order}${code}', 'fortran_order': False, 'shape': (${shape}), }`;
  // The numbers start at a multiple of 64, so that a mapped file's can be used in place.
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  return Buffer.concat([
    Buffer.from(MAGIC, "latin1"),
    Buffer.from([1, 0]),
    u16(length),
    Buffer.from(`${text.padEnd(length - 1)}\n`),
  ]);
}

function fail(file: string, message: string, cause?: unknown, hint?: string): TrtorchError {
  return new TrtorchError("archive", `${file}: ${message}`, {
    location: { file },
    hint: hint ?? "Write it with numpy.savez(path, in0=..., out0=...).",
    cause,
  });
}
