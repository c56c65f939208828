import { readFileSync } from "node:fs";
import { inflateRawSync } from "node:zlib";
import { type ScalarType, scalarTypeSize } from "../../src/ir/scalar-type.js";
import { Tensor } from "../../src/ir/tensor.js";

const DTYPES: Readonly<Record<string, ScalarType>> = {
  "<f2": "float16",
  "<f4": "float32",
  "<f8": "float64",
  "|i1": "int8",
  "<i2": "int16",
  "<i4": "int32",
  "<i8": "int64",
  "|u1": "uint8",
  "|b1": "bool",
};

/** The arrays of a file that `numpy.savez_compressed` wrote, by name. */
export function readNpz(path: string | URL): Map<string, Tensor> {
  const file = readFileSync(path);
  const end = file.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  const count = file.readUInt16LE(end + 10);
  const arrays = new Map<string, Tensor>();
  for (let i = 0, at = file.readUInt32LE(end + 16); i < count; i++) {
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => file.readUInt16LE(at + offset)) as [
      number,
      number,
      number,
    ];
    const name = file.toString("utf8", at + 46, at + 46 + nameLength);
    const local = file.readUInt32LE(at + 42);
    const start = local + 30 + file.readUInt16LE(local + 26) + file.readUInt16LE(local + 28);
    const content = file.subarray(start, start + file.readUInt32LE(at + 20));
    arrays.set(
      name.replace(/\.npy$/, ""),
      readNpy(file.readUInt16LE(at + 10) === 0 ? content : inflateRawSync(content)),
    );
    at += 46 + nameLength + extra + comment;
  }
  return arrays;
}

function readNpy(file: Buffer): Tensor {
  const start = 10 + file.readUInt16LE(8);
  const header = file.toString("latin1", 10, start);
  const code = /'descr': '([^']+)'/.exec(header)?.[1] ?? "";
  const dtype = DTYPES[code];
  if (dtype === undefined) throw new Error(`a numpy array of ${code}`);
  const sizes = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? "").split(",").filter((size) => size.trim() !== "");
  const dims = sizes.map(Number);
  const bytes = dims.reduce((product, dim) => product * dim, 1) * scalarTypeSize(dtype);
  return Tensor.from(dtype, dims, file.subarray(start, start + bytes));
}
