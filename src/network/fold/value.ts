import type { DataType } from "../enums.js";
import { fromBf16, fromHalf, toBf16, toHalf } from "../half.js";
import type { Weights } from "../layers.js";
import { makeWeights, numbersOf } from "../weights.js";

/** Numbers being computed with: float32 for all floats, doubles for int64, which are exact up to 2^53. */
export type Data = Float32Array | Float64Array | Int32Array | Int8Array | Uint8Array;

/** A constant tensor in a form that can be computed with. Row-major; the numbers may be those of another value too. */
export interface Value {
  readonly type: DataType;
  readonly dims: readonly number[];
  readonly data: Data;
}

/** More elements than this are not computed at build time. */
export const LIMIT = 64 * 2 ** 20;

/** Thrown where a value cannot be computed here; the tensor is then no constant. */
export class NotFolded extends Error {}

export function numel(dims: readonly number[]): number {
  return dims.reduce((product, size) => product * size, 1);
}

/** Room for a tensor's numbers. */
export function allocate(type: DataType, length: number): Data {
  if (length > LIMIT) throw new NotFolded();
  switch (type) {
    case "kFLOAT":
    case "kHALF":
    case "kBF16":
      return new Float32Array(length);
    case "kINT64":
      return new Float64Array(length);
    case "kINT32":
      return new Int32Array(length);
    case "kINT8":
      return new Int8Array(length);
    case "kUINT8":
    case "kBOOL":
      return new Uint8Array(length);
    default:
      throw new NotFolded();
  }
}

/** An array of the same kind. */
export function similar<T extends Data>(data: T, length: number): T {
  if (length > LIMIT) throw new NotFolded();
  return new (data.constructor as new (length: number) => T)(length);
}

/** A result of arithmetic as its type holds it: halves are rounded; an int64 beyond 2^53 is not known exactly. */
export function settle(type: DataType, dims: readonly number[], data: Data): Value {
  if (type === "kHALF") return { type, dims, data: fromHalf(toHalf(data as Float32Array)) };
  if (type === "kBF16") return { type, dims, data: fromBf16(toBf16(data as Float32Array)) };
  if (type === "kINT64") {
    for (let i = 0; i < data.length; i++) {
      if (!Number.isSafeInteger(data[i])) throw new NotFolded();
      // Integers have one zero.
      if (data[i] === 0) data[i] = 0;
    }
  }
  return { type, dims, data };
}

export function fromWeights(weights: Weights): Value {
  const { type, dims, values } = weights;
  if (numel(dims) > LIMIT || type === "kFP8" || type === "kINT4") throw new NotFolded();
  if (type === "kHALF" || type === "kBF16") {
    const aligned = values.byteOffset % 2 === 0 ? values : values.slice();
    const halves = new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2);
    return { type, dims, data: type === "kHALF" ? fromHalf(halves) : fromBf16(halves) };
  }
  return { type, dims, data: numbersOf(weights) as Data };
}

export function toWeights({ type, dims, data }: Value): Weights {
  if (type === "kINT64") return makeWeights(type, dims, data);
  const held = type === "kHALF" ? toHalf(data as Float32Array) : type === "kBF16" ? toBf16(data as Float32Array) : data;
  return { type, dims, values: new Uint8Array(held.buffer, held.byteOffset, held.byteLength) };
}

export function stridesOf(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length);
  let stride = 1;
  for (let i = dims.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= dims[i] as number;
  }
  return strides;
}

/** Elements read with strides, which may be negative or zero, in row-major order; not copied where they stand so. */
export function strided<T extends Data>(data: T, dims: readonly number[], strides: readonly number[], offset = 0): T {
  if (isRowMajor(dims, strides)) return data.subarray(offset, offset + numel(dims)) as T;
  const out = similar(data, numel(dims));
  if (out.length === 0) return out;
  const rank = dims.length;
  const inner = dims[rank - 1] as number;
  const step = strides[rank - 1] as number;
  const index = new Array<number>(rank).fill(0);
  let from = offset;
  for (let to = 0; to < out.length; to += inner) {
    if (step === 1) out.set(data.subarray(from, from + inner), to);
    else if (step === 0) out.fill(data[from] as number, to, to + inner);
    else for (let i = 0, at = from; i < inner; i++, at += step) out[to + i] = data[at] as number;
    // The next row, as an odometer counts.
    for (let axis = rank - 2; axis >= 0; axis--) {
      from += strides[axis] as number;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (dims[axis] as number)) break;
      from -= (strides[axis] as number) * (dims[axis] as number);
      index[axis] = 0;
    }
  }
  return out;
}

function isRowMajor(dims: readonly number[], strides: readonly number[]): boolean {
  const own = stridesOf(dims);
  return dims.every((size, axis) => size === 1 || strides[axis] === own[axis]);
}

export function transpose(value: Value, perm: readonly number[]): Value {
  const strides = stridesOf(value.dims);
  const dims = perm.map((axis) => value.dims[axis] as number);
  return {
    type: value.type,
    dims,
    data: strided(
      value.data,
      dims,
      perm.map((axis) => strides[axis] as number),
    ),
  };
}

/** The value's numbers stretched to `dims`; not copied where nothing is stretched. Ranks are equal. */
export function broadcastTo(value: Value, dims: readonly number[]): Data {
  if (value.dims.every((size, axis) => size === dims[axis])) return value.data;
  const strides = stridesOf(value.dims).map((stride, axis) => (value.dims[axis] === 1 ? 0 : stride));
  return strided(value.data, dims, strides);
}

export function broadcastDims(values: readonly Value[]): number[] {
  const [first] = values as readonly [Value];
  return first.dims.map((_, axis) => {
    const sizes = values.map(({ dims }) => dims[axis] as number);
    return sizes.find((size) => size !== 1) ?? 1;
  });
}
