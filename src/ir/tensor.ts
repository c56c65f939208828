import { Float16Array } from "@petamoriken/float16";
import { TrtorchError } from "../util/errors.js";
import { toInt64 } from "./int64.js";
import { type ScalarType, scalarTypeSize } from "./scalar-type.js";

/** Bytes that tensors view, as PyTorch's `Storage`: two tensors with the same storage share memory. */
export interface Storage {
  /** Little-endian. For a file's tensors a view of the mapped file: never written to. */
  readonly bytes: Uint8Array;
  /** Where it came from, for messages and for writing shared storages back as shared. */
  readonly key?: string;
}

/** How a quantized tensor's integers stand for numbers: `(value - zeroPoint) * scale`. */
export interface Quantization {
  readonly scale: number | readonly number[];
  readonly zeroPoint: number | readonly number[];
  /** For per-channel quantization. */
  readonly axis?: number;
}

/** A typed array with the numbers of a tensor; bool is bytes of 0 and 1, float16 and bfloat16 are widened to float32. */
export type NumberArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

/** A constant tensor: strided view of a storage, as PyTorch has it. Immutable. */
export class Tensor {
  readonly dtype: ScalarType;
  readonly sizes: readonly number[];
  readonly strides: readonly number[];
  /** In elements. */
  readonly storageOffset: number;
  readonly storage: Storage;
  readonly quantization: Quantization | undefined;
  readonly requiresGrad: boolean;

  constructor(
    dtype: ScalarType,
    sizes: readonly number[],
    storage: Storage,
    options: {
      strides?: readonly number[];
      storageOffset?: number;
      quantization?: Quantization | undefined;
      requiresGrad?: boolean;
    } = {},
  ) {
    this.dtype = dtype;
    this.sizes = sizes;
    this.storage = storage;
    this.strides = options.strides ?? contiguousStrides(sizes);
    this.storageOffset = options.storageOffset ?? 0;
    this.quantization = options.quantization;
    this.requiresGrad = options.requiresGrad ?? false;
  }

  /** A contiguous tensor over `data`'s memory. `bigint` arrays are int64. */
  static from(dtype: ScalarType, sizes: readonly number[], data: ArrayBufferView): Tensor {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const expected = numelOf(sizes) * scalarTypeSize(dtype);
    if (bytes.byteLength !== expected) {
      throw new TrtorchError(
        "internal",
        `a ${dtype} tensor of [${sizes}] takes ${expected} bytes, not ${bytes.byteLength}`,
      );
    }
    return new Tensor(dtype, sizes, { bytes });
  }

  /** A contiguous tensor of the given numbers, rounded to `dtype` as PyTorch rounds. */
  static of(dtype: ScalarType, sizes: readonly number[], values: ArrayLike<number>): Tensor {
    return Tensor.from(dtype, sizes, encodeNumbers(dtype, values));
  }

  static scalar(dtype: ScalarType, value: number): Tensor {
    return Tensor.of(dtype, [], [value]);
  }

  get numel(): number {
    return numelOf(this.sizes);
  }

  get dim(): number {
    return this.sizes.length;
  }

  get isContiguous(): boolean {
    let expected = 1;
    for (let i = this.sizes.length - 1; i >= 0; i--) {
      const size = this.sizes[i] as number;
      if (size === 0) return true;
      if (size !== 1 && this.strides[i] !== expected) return false;
      expected *= size;
    }
    return true;
  }

  /** The elements in row-major order: a view where the tensor is contiguous, else a copy. */
  contiguousBytes(): Uint8Array {
    const width = scalarTypeSize(this.dtype);
    if (this.isContiguous) {
      const start = this.storageOffset * width;
      return this.storage.bytes.subarray(start, start + this.numel * width);
    }
    const out = new Uint8Array(this.numel * width);
    const source = this.storage.bytes;
    let target = 0;
    const rank = this.sizes.length;
    const copy = (axis: number, offset: number): void => {
      const size = this.sizes[axis] as number;
      const stride = this.strides[axis] as number;
      for (let i = 0; i < size; i++) {
        const element = offset + i * stride;
        if (axis < rank - 1) copy(axis + 1, element);
        else {
          const from = element * width;
          for (let byte = 0; byte < width; byte++) out[target++] = source[from + byte] as number;
        }
      }
    };
    if (this.numel > 0) copy(0, this.storageOffset);
    return out;
  }

  contiguous(): Tensor {
    return this.isContiguous && this.storageOffset === 0 && this.storage.bytes.byteLength === this.byteLength
      ? this
      : new Tensor(this.dtype, this.sizes, { bytes: this.contiguousBytes() }, { quantization: this.quantization });
  }

  /** Bytes of the elements, without what else the storage holds. */
  get byteLength(): number {
    return this.numel * scalarTypeSize(this.dtype);
  }

  /** The elements in row-major order as numbers. int64 beyond 2^53 loses its low bits: use {@link toBigInts} there. */
  toNumbers(): NumberArray {
    return decodeNumbers(this.dtype, this.contiguousBytes());
  }

  toBigInts(): BigInt64Array {
    const bytes = this.contiguousBytes();
    if (this.dtype === "int64") return new BigInt64Array(aligned(bytes, 8));
    return BigInt64Array.from(decodeNumbers(this.dtype, bytes) as ArrayLike<number> as number[], (n) => BigInt(n));
  }

  /** The only element of a tensor with one. */
  item(): number {
    if (this.numel !== 1) throw new TrtorchError("internal", `item() of a tensor with ${this.numel} elements`);
    return this.toNumbers()[0] as number;
  }
}

export function numelOf(sizes: readonly number[]): number {
  return sizes.reduce((product, size) => product * size, 1);
}

export function contiguousStrides(sizes: readonly number[]): number[] {
  const strides = new Array<number>(sizes.length);
  let stride = 1;
  for (let i = sizes.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= Math.max(sizes[i] as number, 1);
  }
  return strides;
}

/** A copy in memory of its own. A Buffer's own `slice` would be a view. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes);
}

/** An ArrayBuffer with these bytes at an offset that typed arrays of `width` accept; copied only when needed. */
function aligned(bytes: Uint8Array, width: number): ArrayBuffer {
  if (bytes.byteOffset % width === 0 && bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength) {
    return bytes.buffer as ArrayBuffer;
  }
  return copyOf(bytes).buffer as ArrayBuffer;
}

/** A typed array over `bytes` where their alignment allows it, over a copy otherwise. */
function viewAs<T>(
  bytes: Uint8Array,
  make: { new (buffer: ArrayBuffer, offset: number, length: number): T; BYTES_PER_ELEMENT: number },
): T {
  const width = make.BYTES_PER_ELEMENT;
  const source = bytes.byteOffset % width === 0 ? bytes : copyOf(bytes);
  return new make(source.buffer as ArrayBuffer, source.byteOffset, source.byteLength / width);
}

export function decodeNumbers(dtype: ScalarType, bytes: Uint8Array): NumberArray {
  switch (dtype) {
    case "float32":
      return viewAs(bytes, Float32Array);
    case "float64":
      return viewAs(bytes, Float64Array);
    case "int64":
    case "uint64": {
      const wide = viewAs(bytes, BigInt64Array);
      return Float64Array.from(wide as unknown as ArrayLike<number>, Number);
    }
    case "int32":
    case "qint32":
      return viewAs(bytes, Int32Array);
    case "int16":
      return viewAs(bytes, Int16Array);
    case "uint16":
      return viewAs(bytes, Uint16Array);
    case "uint32":
      return viewAs(bytes, Uint32Array);
    case "int8":
    case "qint8":
      return viewAs(bytes, Int8Array);
    case "uint8":
    case "quint8":
    case "bool":
      return bytes;
    case "float16": {
      const source = bytes.byteOffset % 2 === 0 ? bytes : copyOf(bytes);
      return Float32Array.from(
        new Float16Array(source.buffer as ArrayBuffer, source.byteOffset, source.byteLength / 2),
      );
    }
    case "bfloat16": {
      const halves = viewAs(bytes, Uint16Array);
      const words = new Uint32Array(halves.length);
      for (let i = 0; i < halves.length; i++) words[i] = (halves[i] as number) << 16;
      return new Float32Array(words.buffer);
    }
    default:
      throw new TrtorchError("unsupported", `numbers of dtype ${dtype} cannot be read`);
  }
}

export function encodeNumbers(dtype: ScalarType, values: ArrayLike<number>): ArrayBufferView {
  switch (dtype) {
    case "float32":
      return Float32Array.from(values);
    case "float64":
      return Float64Array.from(values);
    case "int64":
      return BigInt64Array.from(values as number[], toInt64);
    case "int32":
      return Int32Array.from(values);
    case "int16":
      return Int16Array.from(values);
    case "int8":
      return Int8Array.from(values);
    case "uint8":
      return Uint8Array.from(values);
    case "bool":
      return Uint8Array.from(values, (value) => (value !== 0 ? 1 : 0));
    case "float16":
      return new Float16Array(values as ArrayLike<number> & Iterable<number>) as unknown as ArrayBufferView;
    case "bfloat16": {
      const words = new Uint32Array(Float32Array.from(values).buffer);
      const halves = new Uint16Array(words.length);
      for (let i = 0; i < words.length; i++) {
        const word = words[i] as number;
        const notANumber = (word & 0x7fffffff) > 0x7f800000;
        // Round to nearest even, as c10::BFloat16 does; NaN stays a NaN.
        halves[i] = notANumber ? 0x7fc0 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
      }
      return halves;
    }
    default:
      throw new TrtorchError("unsupported", `numbers of dtype ${dtype} cannot be written`);
  }
}

/** The real and the imaginary part of a complex tensor, contiguous. */
export function partsOf(tensor: Tensor): [real: Tensor, imag: Tensor] {
  const dtype = tensor.dtype === "complex128" ? "float64" : tensor.dtype === "complex64" ? "float32" : "float16";
  const width = scalarTypeSize(dtype);
  const Numbers = { 2: Uint16Array, 4: Float32Array, 8: Float64Array }[width] ?? Uint8Array;
  const pairs = new Numbers(aligned(tensor.contiguousBytes(), width));
  const [real, imag] = [new Numbers(tensor.numel), new Numbers(tensor.numel)];
  for (let i = 0; i < tensor.numel; i++) {
    real[i] = pairs[2 * i] as number;
    imag[i] = pairs[2 * i + 1] as number;
  }
  return [Tensor.from(dtype, tensor.sizes, real), Tensor.from(dtype, tensor.sizes, imag)];
}
