import { type DataType, isFloat } from "../enums.js";
import type { LayerAttributes } from "../layers.js";
import { roundHalfEven } from "../symbolic.js";
import {
  allocate,
  broadcastDims,
  broadcastTo,
  type Data,
  LIMIT,
  NotFolded,
  numel,
  settle,
  transpose,
  type Value,
} from "./value.js";

/**
 * Floats are computed in double precision and rounded once, which for + - * / and sqrt is what float32 arithmetic gives
 * (a double has more than twice a float's bits), and otherwise the nearest that any library may give.
 */
export function elementwise(operation: LayerAttributes["kELEMENTWISE"]["operation"], x: Value, y: Value): Value {
  const dims = broadcastDims([x, y]);
  const [a, b] = [broadcastTo(x, dims), broadcastTo(y, dims)];
  const compares = operation === "kEQUAL" || operation === "kGREATER" || operation === "kLESS";
  const type: DataType = compares ? "kBOOL" : x.type;
  const integers = !isFloat(x.type);
  if (integers && (operation === "kDIV" || operation === "kFLOOR_DIV") && (b as Float64Array).includes(0)) {
    throw new NotFolded();
  }
  const out = allocate(type, numel(dims));
  compute(operation, a, b, out, integers);
  return settle(type, dims, out);
}

function compute(
  operation: LayerAttributes["kELEMENTWISE"]["operation"],
  a: Data,
  b: Data,
  out: Data,
  integers: boolean,
): void {
  const n = out.length;
  switch (operation) {
    case "kSUM":
      for (let i = 0; i < n; i++) out[i] = (a[i] as number) + (b[i] as number);
      return;
    case "kSUB":
      for (let i = 0; i < n; i++) out[i] = (a[i] as number) - (b[i] as number);
      return;
    case "kPROD":
      // The product of two int32 may not fit a double.
      if (a instanceof Int32Array) for (let i = 0; i < n; i++) out[i] = Math.imul(a[i] as number, b[i] as number);
      else for (let i = 0; i < n; i++) out[i] = (a[i] as number) * (b[i] as number);
      return;
    case "kDIV":
      if (integers) for (let i = 0; i < n; i++) out[i] = Math.trunc((a[i] as number) / (b[i] as number));
      else for (let i = 0; i < n; i++) out[i] = (a[i] as number) / (b[i] as number);
      return;
    case "kFLOOR_DIV":
      if (integers) for (let i = 0; i < n; i++) out[i] = Math.floor((a[i] as number) / (b[i] as number));
      else for (let i = 0; i < n; i++) out[i] = Math.floor(Math.fround((a[i] as number) / (b[i] as number)));
      return;
    case "kPOW":
      if (integers) for (let i = 0; i < n; i++) out[i] = Math.trunc((a[i] as number) ** (b[i] as number));
      else for (let i = 0; i < n; i++) out[i] = power(a[i] as number, b[i] as number);
      return;
    case "kMAX":
      for (let i = 0; i < n; i++) out[i] = Math.max(a[i] as number, b[i] as number);
      return;
    case "kMIN":
      for (let i = 0; i < n; i++) out[i] = Math.min(a[i] as number, b[i] as number);
      return;
    case "kAND":
      for (let i = 0; i < n; i++) out[i] = (a[i] as number) & (b[i] as number);
      return;
    case "kOR":
      for (let i = 0; i < n; i++) out[i] = (a[i] as number) | (b[i] as number);
      return;
    case "kXOR":
      for (let i = 0; i < n; i++) out[i] = (a[i] as number) ^ (b[i] as number);
      return;
    case "kEQUAL":
      for (let i = 0; i < n; i++) out[i] = a[i] === b[i] ? 1 : 0;
      return;
    case "kGREATER":
      for (let i = 0; i < n; i++) out[i] = (a[i] as number) > (b[i] as number) ? 1 : 0;
      return;
    case "kLESS":
      for (let i = 0; i < n; i++) out[i] = (a[i] as number) < (b[i] as number) ? 1 : 0;
      return;
  }
}

/** C's pow, where JavaScript's differs: 1 to any power is 1. */
function power(base: number, exponent: number): number {
  if (base === 1 || (base === -1 && Math.abs(exponent) === Infinity)) return 1;
  return base ** exponent;
}

export function unary(operation: LayerAttributes["kUNARY"]["operation"], x: Value): Value {
  const type = operation === "kISINF" || operation === "kISNAN" ? "kBOOL" : x.type;
  const out = allocate(type, x.data.length);
  computeUnary(operation, x.data, out);
  return settle(type, x.dims, out);
}

/** A loop for each operation, as in {@link compute}: a function called for each element would box every number. */
function computeUnary(operation: LayerAttributes["kUNARY"]["operation"], x: Data, out: Data): void {
  const n = out.length;
  switch (operation) {
    case "kEXP":
      for (let i = 0; i < n; i++) out[i] = Math.exp(x[i] as number);
      return;
    case "kLOG":
      for (let i = 0; i < n; i++) out[i] = Math.log(x[i] as number);
      return;
    case "kSQRT":
      for (let i = 0; i < n; i++) out[i] = Math.sqrt(x[i] as number);
      return;
    case "kRECIP":
      for (let i = 0; i < n; i++) out[i] = 1 / (x[i] as number);
      return;
    case "kABS":
      for (let i = 0; i < n; i++) out[i] = Math.abs(x[i] as number);
      return;
    case "kNEG":
      for (let i = 0; i < n; i++) out[i] = -(x[i] as number);
      return;
    case "kSIN":
      for (let i = 0; i < n; i++) out[i] = Math.sin(x[i] as number);
      return;
    case "kCOS":
      for (let i = 0; i < n; i++) out[i] = Math.cos(x[i] as number);
      return;
    case "kTAN":
      for (let i = 0; i < n; i++) out[i] = Math.tan(x[i] as number);
      return;
    case "kSINH":
      for (let i = 0; i < n; i++) out[i] = Math.sinh(x[i] as number);
      return;
    case "kCOSH":
      for (let i = 0; i < n; i++) out[i] = Math.cosh(x[i] as number);
      return;
    case "kASIN":
      for (let i = 0; i < n; i++) out[i] = Math.asin(x[i] as number);
      return;
    case "kACOS":
      for (let i = 0; i < n; i++) out[i] = Math.acos(x[i] as number);
      return;
    case "kATAN":
      for (let i = 0; i < n; i++) out[i] = Math.atan(x[i] as number);
      return;
    case "kASINH":
      for (let i = 0; i < n; i++) out[i] = Math.asinh(x[i] as number);
      return;
    case "kACOSH":
      for (let i = 0; i < n; i++) out[i] = Math.acosh(x[i] as number);
      return;
    case "kATANH":
      for (let i = 0; i < n; i++) out[i] = Math.atanh(x[i] as number);
      return;
    case "kCEIL":
      for (let i = 0; i < n; i++) out[i] = Math.ceil(x[i] as number);
      return;
    case "kFLOOR":
      for (let i = 0; i < n; i++) out[i] = Math.floor(x[i] as number);
      return;
    case "kERF":
      for (let i = 0; i < n; i++) out[i] = erf(x[i] as number);
      return;
    case "kNOT":
      for (let i = 0; i < n; i++) out[i] = x[i] === 0 ? 1 : 0;
      return;
    case "kSIGN":
      for (let i = 0; i < n; i++) out[i] = Math.sign(x[i] as number);
      return;
    case "kROUND":
      for (let i = 0; i < n; i++) out[i] = roundHalfEven(x[i] as number);
      return;
    case "kISINF":
      for (let i = 0; i < n; i++) out[i] = Math.abs(x[i] as number) === Infinity ? 1 : 0;
      return;
    case "kISNAN":
      for (let i = 0; i < n; i++) out[i] = Number.isNaN(x[i]) ? 1 : 0;
      return;
  }
}

export function activation({ activationType, alpha, beta }: LayerAttributes["kACTIVATION"], x: Value): Value {
  const out = allocate(x.type, x.data.length);
  computeActivation(activationType, alpha, beta, x.data, out);
  return settle(x.type, x.dims, out);
}

function computeActivation(
  type: LayerAttributes["kACTIVATION"]["activationType"],
  alpha: number,
  beta: number,
  data: Data,
  out: Data,
): void {
  const n = out.length;
  switch (type) {
    case "kRELU":
      for (let i = 0; i < n; i++) out[i] = Math.max(data[i] as number, 0);
      return;
    case "kSIGMOID":
      for (let i = 0; i < n; i++) out[i] = 1 / (1 + Math.exp(-(data[i] as number)));
      return;
    case "kTANH":
      for (let i = 0; i < n; i++) out[i] = Math.tanh(data[i] as number);
      return;
    case "kLEAKY_RELU":
      for (let i = 0; i < n; i++) {
        const x = data[i] as number;
        out[i] = x < 0 ? alpha * x : x;
      }
      return;
    case "kELU":
      for (let i = 0; i < n; i++) {
        const x = data[i] as number;
        out[i] = x < 0 ? alpha * Math.expm1(x) : x;
      }
      return;
    case "kSELU":
      for (let i = 0; i < n; i++) {
        const x = data[i] as number;
        out[i] = beta * (x < 0 ? alpha * Math.expm1(x) : x);
      }
      return;
    case "kSOFTSIGN":
      for (let i = 0; i < n; i++) {
        const x = data[i] as number;
        out[i] = x / (1 + Math.abs(x));
      }
      return;
    case "kSOFTPLUS":
      for (let i = 0; i < n; i++) {
        const x = data[i] as number;
        out[i] = alpha * (Math.max(beta * x, 0) + Math.log1p(Math.exp(-Math.abs(beta * x))));
      }
      return;
    case "kCLIP":
      for (let i = 0; i < n; i++) out[i] = Math.max(alpha, Math.min(beta, data[i] as number));
      return;
    case "kHARD_SIGMOID":
      for (let i = 0; i < n; i++) out[i] = Math.max(0, Math.min(1, alpha * (data[i] as number) + beta));
      return;
    case "kSCALED_TANH":
      for (let i = 0; i < n; i++) out[i] = alpha * Math.tanh(beta * (data[i] as number));
      return;
    case "kTHRESHOLDED_RELU":
      for (let i = 0; i < n; i++) {
        const x = data[i] as number;
        out[i] = x > alpha ? x : 0;
      }
      return;
    case "kGELU_ERF":
      for (let i = 0; i < n; i++) {
        const x = data[i] as number;
        out[i] = 0.5 * x * (1 + erf(x * Math.SQRT1_2));
      }
      return;
    case "kGELU_TANH":
      for (let i = 0; i < n; i++) {
        const x = data[i] as number;
        out[i] = 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
      }
      return;
  }
}

/** The error function to double precision: its Taylor series near zero, the continued fraction of erfc beyond. */
function erf(x: number): number {
  const z = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (z > 6) return Math.sign(x);
  if (z < 3) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= -(x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / ((z + fraction) * Math.sqrt(Math.PI)));
}

/** As PyTorch casts: towards zero to integers, which wrap; anything but zero is true. */
export function cast(x: Value, type: DataType): Value {
  const out = allocate(type, x.data.length);
  if (type === "kBOOL") for (let i = 0; i < out.length; i++) out[i] = x.data[i] === 0 ? 0 : 1;
  else if (type === "kINT64") for (let i = 0; i < out.length; i++) out[i] = Math.trunc(x.data[i] as number);
  else out.set(x.data);
  return settle(type, x.dims, out);
}

export function select(condition: Value, x: Value, y: Value): Value {
  const dims = broadcastDims([condition, x, y]);
  const [c, a, b] = [broadcastTo(condition, dims), broadcastTo(x, dims), broadcastTo(y, dims)];
  const data = allocate(x.type, numel(dims));
  for (let i = 0; i < data.length; i++) data[i] = (c[i] === 0 ? b[i] : a[i]) as number;
  return { type: x.type, dims, data };
}

export function parametricRelu(x: Value, slope: Value): Value {
  const factors = broadcastTo(slope, x.dims);
  const out = allocate(x.type, x.data.length);
  for (let i = 0; i < out.length; i++) {
    const value = x.data[i] as number;
    out[i] = value < 0 ? value * (factors[i] as number) : value;
  }
  return settle(x.type, x.dims, out);
}

/** The value with `axes` last, in rows of their elements. */
function rows(x: Value, axes: readonly number[]): { kept: number[]; data: Data; length: number } {
  const kept = x.dims.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const perm = [...kept, ...[...axes].sort((a, b) => a - b)];
  const inPlace = perm.every((axis, i) => axis === i);
  return {
    kept,
    data: inPlace ? x.data : transpose(x, perm).data,
    length: numel(axes.map((axis) => x.dims[axis] as number)),
  };
}

/** Sums are kept in double precision. */
export function reduce({ operation, axes, keepDimensions }: LayerAttributes["kREDUCE"], x: Value): Value {
  const dims = x.dims.flatMap((size, axis) => (!axes.includes(axis) ? [size] : keepDimensions ? [1] : []));
  const { data, length } = rows(x, axes);
  const out = allocate(x.type, numel(dims));
  if (length === 0 && (operation === "kAVG" || x.type === "kINT64")) throw new NotFolded();
  // What the extremes start from, which is what those of nothing are.
  const [least, most] = x.type === "kINT32" ? [-(2 ** 31), 2 ** 31 - 1] : [-Infinity, Infinity];
  for (let i = 0, at = 0; i < out.length; i++) {
    const end = at + length;
    let result: number;
    switch (operation) {
      case "kSUM":
      case "kAVG":
        for (result = 0; at < end; at++) result += data[at] as number;
        if (operation === "kAVG") result = isFloat(x.type) ? result / length : Math.trunc(result / length);
        break;
      case "kPROD":
        for (result = 1; at < end; at++) result *= data[at] as number;
        break;
      case "kMAX":
        for (result = least; at < end; at++) result = Math.max(result, data[at] as number);
        break;
      case "kMIN":
        for (result = most; at < end; at++) result = Math.min(result, data[at] as number);
        break;
    }
    out[i] = result;
  }
  return settle(x.type, dims, out);
}

/** Rows worked on in place, then put back where their axes were. */
function byRows(x: Value, axes: readonly number[], work: (data: Data, from: number, to: number) => void): Value {
  const { kept, data, length } = rows(x, axes);
  const out = allocate(x.type, x.data.length);
  out.set(data);
  if (length > 0) for (let at = 0; at < out.length; at += length) work(out, at, at + length);
  const perm = [...kept, ...[...axes].sort((a, b) => a - b)];
  const moved = { type: x.type, dims: perm.map((axis) => x.dims[axis] as number), data: out };
  const back = perm.every((axis, i) => axis === i)
    ? moved
    : transpose(
        moved,
        x.dims.map((_, axis) => perm.indexOf(axis)),
      );
  return settle(x.type, x.dims, back.data);
}

export function softmax(x: Value, axis: number): Value {
  return byRows(x, [axis], (data, from, to) => {
    let largest = -Infinity;
    for (let i = from; i < to; i++) largest = Math.max(largest, data[i] as number);
    let sum = 0;
    for (let i = from; i < to; i++) sum += Math.exp((data[i] as number) - largest);
    for (let i = from; i < to; i++) data[i] = Math.exp((data[i] as number) - largest) / sum;
  });
}

export function cumulative({ axis, exclusive, reverse }: LayerAttributes["kCUMULATIVE"], x: Value): Value {
  return byRows(x, [axis], (data, from, to) => {
    let sum = 0;
    for (let n = from; n < to; n++) {
      const i = reverse ? from + to - 1 - n : n;
      const value = data[i] as number;
      data[i] = exclusive ? sum : sum + value;
      sum += value;
    }
  });
}

export function normalization(a: LayerAttributes["kNORMALIZATION"], x: Value, scale: Value, bias: Value): Value {
  const [batch = 1, channels = 1, ...spatial] = x.dims;
  const grouped = a.nbGroups === 1 ? x.dims : [batch, a.nbGroups, channels / a.nbGroups, ...spatial];
  const axes = a.nbGroups === 1 ? a.axes : [2, ...a.axes.filter((axis) => axis > 1).map((axis) => axis + 1)];
  const wide: Value = { type: "kFLOAT", dims: grouped, data: x.data };
  const normalized = byRows(wide, axes, (data, from, to) => {
    const length = to - from;
    let mean = 0;
    for (let i = from; i < to; i++) mean += data[i] as number;
    mean /= length;
    let variance = 0;
    for (let i = from; i < to; i++) variance += ((data[i] as number) - mean) ** 2;
    const deviation = Math.sqrt(variance / length + a.epsilon);
    for (let i = from; i < to; i++) data[i] = ((data[i] as number) - mean) / deviation;
  });
  const spread = (value: Value): Value => {
    if (a.nbGroups === 1 || value.dims[1] !== a.nbGroups || channels === a.nbGroups) return value;
    const each = { ...value, dims: [1, a.nbGroups, 1, ...spatial.map(() => 1)] };
    const data = broadcastTo(each, [1, a.nbGroups, channels / a.nbGroups, ...spatial.map(() => 1)]);
    return { type: value.type, dims: [1, channels, ...spatial.map(() => 1)], data };
  };
  const result = settle(x.type, x.dims, normalized.data);
  return elementwise("kSUM", elementwise("kPROD", result, spread(scale)), spread(bias));
}

export function matrixMultiply({ op0, op1 }: LayerAttributes["kMATRIX_MULTIPLY"], x: Value, y: Value): Value {
  // Columns stand one after the other like rows, so that both factors are read in order.
  const left = asRows(x, op0, op0 === "kTRANSPOSE");
  const right = asRows(y, op1, op1 === "kNONE");
  const [m, k, n] = [left.dims.at(-2) as number, left.dims.at(-1) as number, right.dims.at(-2) as number];
  const batch = left.dims.slice(0, -2).map((size, axis) => (size === 1 ? (right.dims[axis] as number) : size));
  if (numel(batch) * m * k * n > LIMIT * 8) throw new NotFolded();
  const dims = [...batch, ...(op0 === "kVECTOR" ? [] : [m]), ...(op1 === "kVECTOR" ? [] : [n])];
  const out = allocate(x.type, numel(dims));
  if (right.data.length === n * k) multiply(left.data, right.data, out, n, k);
  else {
    const a = broadcastTo(left, [...batch, m, k]);
    const b = broadcastTo(right, [...batch, n, k]);
    for (let matrix = 0; matrix < numel(batch); matrix++) {
      const part = (data: Data, length: number): Data => data.subarray(matrix * length, (matrix + 1) * length);
      multiply(part(a, m * k), part(b, n * k), part(out, m * n), n, k);
    }
  }
  return settle(x.type, dims, out);
}

/**
 * Rows of `a` times the `n` rows of `b`, all of length `k`. Four sums run at once: each addition waits for the one
 * before it in its own sum only, and a number of `b` is read once for four products.
 */
function multiply(a: Data, b: Data, out: Data, n: number, k: number): void {
  const m = n === 0 ? 0 : out.length / n;
  let i = 0;
  for (; i + 4 <= m; i += 4) {
    const first = i * k;
    const [second, third, fourth] = [first + k, first + 2 * k, first + 3 * k];
    for (let j = 0; j < n; j++) {
      let r = 0;
      let s = 0;
      let t = 0;
      let u = 0;
      for (let p = 0, at = j * k; p < k; p++, at++) {
        const y = b[at] as number;
        r += (a[first + p] as number) * y;
        s += (a[second + p] as number) * y;
        t += (a[third + p] as number) * y;
        u += (a[fourth + p] as number) * y;
      }
      const to = i * n + j;
      out[to] = r;
      out[to + n] = s;
      out[to + 2 * n] = t;
      out[to + 3 * n] = u;
    }
  }
  for (; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) sum += (a[i * k + p] as number) * (b[j * k + p] as number);
      out[i * n + j] = sum;
    }
  }
}

/** Matrices with what is summed over last; a vector is the one row or column. */
function asRows(x: Value, op: LayerAttributes["kMATRIX_MULTIPLY"]["op0"], turned: boolean): Value {
  if (op === "kVECTOR") return { ...x, dims: [...x.dims.slice(0, -1), 1, x.dims.at(-1) as number] };
  if (!turned) return x;
  const axes = x.dims.map((_, axis) => axis);
  return transpose(x, [...axes.slice(0, -2), axes.length - 1, axes.length - 2]);
}
