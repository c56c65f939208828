import { type ScalarType, scalarTypeSize } from "../ir/scalar-type.js";
import { numelOf, Tensor } from "../ir/tensor.js";
import { writeFileAtomic } from "./atomic-write.js";
import { TrtorchError } from "./errors.js";
import { mapFile } from "./mapped-file.js";
import { isZip, readZip, writeZip } from "./zip.js";

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
  const bytes = mapFile(path);
  if (!isZip(bytes)) throw fail(path, "this is no .npz file");
  const arrays = readZip(path, bytes).filter(({ name }) => name.endsWith(".npy"));
  return new Map(arrays.map(({ name, read }) => [name.slice(0, -4), readNpy(`${path}(${name})`, read())]));
}

/** Writes arrays as NumPy's `savez` does. */
export async function writeNpz(path: string, arrays: Iterable<readonly [name: string, tensor: Tensor]>): Promise<void> {
  const members = Array.from(arrays, ([name, tensor]) => ({
    name: `${name}.npy`,
    content: [npyHeader(tensor), tensor.contiguousBytes()],
  }));
  await writeFileAtomic(path, writeZip(members));
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
    throw fail(file, `arrays of type ${descr?.[2] ?? "object"} cannot be read`, "Save numbers or bools.");
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
  const magic = Buffer.from(`${MAGIC}\x01\x00`, "latin1");
  const size = Buffer.from([length & 0xff, length >> 8]);
  return Buffer.concat([magic, size, Buffer.from(`${text.padEnd(length - 1)}\n`)]);
}

function fail(
  file: string,
  message: string,
  hint = "Write it with numpy.savez(path, in0=..., out0=...).",
): TrtorchError {
  return new TrtorchError("archive", message, { location: { file }, hint });
}
