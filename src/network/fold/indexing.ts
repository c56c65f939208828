import type { SampleMode } from "../enums.js";
import type { LayerAttributes } from "../layers.js";
import {
  allocate,
  type Data,
  LIMIT,
  NotFolded,
  numel,
  settle,
  similar,
  strided,
  stridesOf,
  transpose,
  type Value,
} from "./value.js";

export function shuffle(a: LayerAttributes["kSHUFFLE"], x: Value, dims: readonly number[] | null): Value {
  const first = a.firstTranspose === null ? x : transpose(x, a.firstTranspose);
  const reshaped: Value =
    dims === null ? first : { type: x.type, dims: inferDims(dims, first, a.zeroIsPlaceholder), data: first.data };
  return a.secondTranspose === null ? reshaped : transpose(reshaped, a.secondTranspose);
}

function inferDims(dims: readonly number[], x: Value, zeroIsPlaceholder: boolean): number[] {
  const copied = dims.map((size, axis) => (size === 0 && zeroIsPlaceholder ? (x.dims[axis] as number) : size));
  const known = numel(copied.filter((size) => size !== -1));
  return copied.map((size) => (size === -1 ? x.data.length / known : size));
}

export function concatenation(values: readonly Value[], axis: number): Value {
  const [head] = values as readonly [Value];
  const dims = [...head.dims];
  dims[axis] = values.reduce((sum, value) => sum + (value.dims[axis] as number), 0);
  const data = similar(head.data, numel(dims));
  const outer = numel(dims.slice(0, axis));
  let offset = 0;
  for (let i = 0; i < outer; i++) {
    for (const value of values) {
      const block = value.data.length / outer;
      data.set(value.data.subarray(i * block, (i + 1) * block), offset);
      offset += block;
    }
  }
  return { type: head.type, dims, data };
}

export function slice(
  mode: SampleMode,
  x: Value,
  start: readonly number[],
  size: readonly number[],
  stride: readonly number[],
  fill: number,
): Value {
  const ends = start.map((first, axis) => first + ((size[axis] as number) - 1) * (stride[axis] as number));
  const inside = x.dims.every((length, axis) => {
    const [first, last] = [start[axis] as number, ends[axis] as number];
    return size[axis] === 0 || (Math.min(first, last) >= 0 && Math.max(first, last) < length);
  });
  if (inside) {
    const strides = stridesOf(x.dims);
    const offset = start.reduce((sum, first, axis) => sum + first * (strides[axis] as number), 0);
    const steps = strides.map((step, axis) => step * (stride[axis] as number));
    return { type: x.type, dims: size, data: strided(x.data, size, steps, offset) };
  }
  if (mode === "kSTRICT_BOUNDS") throw new NotFolded();
  const positions = x.dims.map((length, axis) => {
    if (length === 0 && mode !== "kFILL") throw new NotFolded();
    return Int32Array.from({ length: size[axis] as number }, (_, i) =>
      inward(mode, (start[axis] as number) + i * (stride[axis] as number), length),
    );
  });
  return { type: x.type, dims: size, data: take(x, positions, fill) };
}

/** The element that a position outside the input stands for; -1: the fill value. */
function inward(mode: SampleMode, position: number, length: number): number {
  if (position >= 0 && position < length) return position;
  switch (mode) {
    case "kWRAP":
      return modulo(position, length);
    case "kCLAMP":
      return position < 0 ? 0 : length - 1;
    case "kREFLECT": {
      const last = length - 1;
      return last - Math.abs(last - modulo(position, Math.max(2 * last, 1)));
    }
    default:
      return -1;
  }
}

function modulo(a: number, b: number): number {
  return ((a % b) + b) % b;
}

/** The elements at the product of an axis's positions each. */
function take(x: Value, positions: readonly Int32Array[], fill: number): Data {
  const strides = stridesOf(x.dims);
  const out = similar(x.data, numel(positions.map((list) => list.length)));
  const last = positions.length - 1;
  let to = 0;
  const walk = (axis: number, offset: number, filled: boolean): void => {
    const list = positions[axis] as Int32Array;
    const stride = strides[axis] as number;
    for (let i = 0; i < list.length; i++) {
      const position = list[i] as number;
      const outside = filled || position < 0;
      if (axis < last) walk(axis + 1, offset + position * stride, outside);
      else out[to++] = outside ? fill : (x.data[offset + position * stride] as number);
    }
  };
  walk(0, 0, false);
  return out;
}

/** An index as data has it: negative ones count from the back. */
function checked(index: number, length: number): number {
  const found = index < 0 ? index + length : index;
  if (found < 0 || found >= length) throw new NotFolded();
  return found;
}

export function gather(
  { mode, axis, nbElementWiseDims: batch }: LayerAttributes["kGATHER"],
  data: Value,
  indices: Value,
): Value {
  if (mode === "kELEMENT") return gatherElements(data, indices, axis);
  if (mode === "kND") return gatherND(data, indices, batch);
  const dims = [...data.dims.slice(0, axis), ...indices.dims.slice(batch), ...data.dims.slice(axis + 1)];
  const length = data.dims[axis] as number;
  const shared = numel(data.dims.slice(0, batch));
  const between = numel(data.dims.slice(batch, axis));
  const inner = numel(data.dims.slice(axis + 1));
  const count = numel(indices.dims.slice(batch));
  const out = similar(data.data, numel(dims));
  let to = 0;
  for (let b = 0; b < shared; b++) {
    for (let m = 0; m < between; m++) {
      const base = (b * between + m) * length;
      for (let i = 0; i < count; i++, to += inner) {
        const from = (base + checked(indices.data[b * count + i] as number, length)) * inner;
        if (inner === 1) out[to] = data.data[from] as number;
        else out.set(data.data.subarray(from, from + inner), to);
      }
    }
  }
  return { type: data.type, dims, data: out };
}

/** For each element of a tensor of `dims`: the offset in `data` when its index along `axis` is replaced. */
function elementOffsets(data: Value, indices: Value, axis: number): Float64Array {
  const strides = stridesOf(data.dims);
  const along = strides[axis] as number;
  const length = data.dims[axis] as number;
  const offsets = new Float64Array(indices.data.length);
  const index = indices.dims.map(() => 0);
  for (let i = 0; i < offsets.length; i++) {
    let offset = checked(indices.data[i] as number, length) * along;
    for (let d = 0; d < index.length; d++) if (d !== axis) offset += (index[d] as number) * (strides[d] as number);
    offsets[i] = offset;
    for (let d = index.length - 1; d >= 0; d--) {
      index[d] = (index[d] as number) + 1;
      if ((index[d] as number) < (indices.dims[d] as number)) break;
      index[d] = 0;
    }
  }
  return offsets;
}

function gatherElements(data: Value, indices: Value, axis: number): Value {
  const offsets = elementOffsets(data, indices, axis);
  const out = similar(data.data, offsets.length);
  for (let i = 0; i < out.length; i++) out[i] = data.data[offsets[i] as number] as number;
  return { type: data.type, dims: indices.dims, data: out };
}

/** The offset in `data` of each row of indices, after `batch` dims that both share. */
function rowOffsets(
  data: Value,
  indices: Value,
  batch: number,
): { offsets: Float64Array; inner: number; columns: number } {
  const columns = indices.dims.at(-1) as number;
  const strides = stridesOf(data.dims);
  const count = columns === 0 ? numel(indices.dims.slice(0, -1)) : indices.data.length / columns;
  const each = count / Math.max(numel(data.dims.slice(0, batch)), 1);
  const step = numel(data.dims.slice(batch));
  const offsets = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let offset = Math.floor(i / each) * step;
    for (let c = 0; c < columns; c++) {
      const axis = batch + c;
      offset += checked(indices.data[i * columns + c] as number, data.dims[axis] as number) * (strides[axis] as number);
    }
    offsets[i] = offset;
  }
  return { offsets, inner: numel(data.dims.slice(batch + columns)), columns };
}

function gatherND(data: Value, indices: Value, batch: number): Value {
  const { offsets, inner, columns } = rowOffsets(data, indices, batch);
  const out = similar(data.data, offsets.length * inner);
  offsets.forEach((offset, i) => {
    out.set(data.data.subarray(offset, offset + inner), i * inner);
  });
  return { type: data.type, dims: [...indices.dims.slice(0, -1), ...data.dims.slice(batch + columns)], data: out };
}

/** Of updates to one place the last one stays. */
export function scatter(
  { mode, axis }: LayerAttributes["kSCATTER"],
  data: Value,
  indices: Value,
  updates: Value,
): Value {
  const out = similar(data.data, data.data.length);
  out.set(data.data);
  if (mode === "kELEMENT") {
    const offsets = elementOffsets(data, indices, axis);
    for (let i = 0; i < offsets.length; i++) out[offsets[i] as number] = updates.data[i] as number;
  } else {
    const { offsets, inner } = rowOffsets(data, indices, 0);
    offsets.forEach((offset, i) => {
      out.set(updates.data.subarray(i * inner, (i + 1) * inner), offset);
    });
  }
  return { type: data.type, dims: data.dims, data: out };
}

/** Of equal values the one that stands first. */
export function topK({ operation, axis }: LayerAttributes["kTOPK"], x: Value, k: number): [Value, Value] {
  const length = x.dims[axis] as number;
  if (k > length) throw new NotFolded();
  const inner = numel(x.dims.slice(axis + 1));
  const outer = numel(x.dims.slice(0, axis));
  const dims = x.dims.map((size, i) => (i === axis ? k : size));
  const values = similar(x.data, numel(dims));
  const indices = new Float64Array(values.length);
  const sign = operation === "kMAX" ? -1 : 1;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const at = (n: number): number => x.data[(o * length + n) * inner + i] as number;
      const order = Array.from({ length }, (_, n) => n).sort((a, b) => sign * (at(a) - at(b)) || a - b);
      for (let n = 0; n < k; n++) {
        const to = (o * k + n) * inner + i;
        indices[to] = order[n] as number;
        values[to] = at(order[n] as number);
      }
    }
  }
  return [
    { type: x.type, dims, data: values },
    { type: "kINT64", dims, data: indices },
  ];
}

/** `alpha + sum(beta[axis] * index[axis])`. */
export function linspace(
  { toType }: LayerAttributes["kFILL"],
  dims: readonly number[],
  alpha: Value,
  beta: Value | null,
): Value {
  const out = allocate(toType, numel(dims));
  // In double precision until the sum is complete; with each axis every number so far becomes a row.
  let sums = Float64Array.of(alpha.data[0] as number);
  dims.forEach((size, axis) => {
    const step = beta?.data[axis] ?? 0;
    const wider = new Float64Array(sums.length * size);
    for (let i = 0, to = 0; i < sums.length; i++) {
      for (let j = 0; j < size; j++) wider[to++] = (sums[i] as number) + step * j;
    }
    sums = wider;
  });
  out.set(sums);
  return settle(toType, dims, out);
}

export function oneHot({ axis }: LayerAttributes["kONE_HOT"], indices: Value, values: Value, depth: number): Value {
  const dims = [...indices.dims];
  dims.splice(axis, 0, depth);
  if (numel(dims) > LIMIT) throw new NotFolded();
  const [off, on] = [values.data[0] as number, values.data[1] as number];
  const data = similar(values.data, numel(dims)).fill(off);
  const inner = numel(indices.dims.slice(axis));
  for (let i = 0; i < indices.data.length; i++) {
    const index = indices.data[i] as number;
    if (index >= 0 && index < depth) data[(Math.floor(i / inner) * depth + index) * inner + (i % inner)] = on;
  }
  return { type: values.type, dims, data };
}

export function nonZero(x: Value): Value {
  const found: number[] = [];
  x.data.forEach((value, i) => {
    if (value !== 0) found.push(i);
  });
  const strides = stridesOf(x.dims);
  const data = new Float64Array(x.dims.length * found.length);
  x.dims.forEach((size, axis) => {
    found.forEach((offset, i) => {
      data[axis * found.length + i] = Math.floor(offset / (strides[axis] as number)) % size;
    });
  });
  return { type: "kINT64", dims: [x.dims.length, found.length], data };
}
