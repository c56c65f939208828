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
  stridesOf,
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

const UNARY: Readonly<Record<LayerAttributes["kUNARY"]["operation"], (x: number) => number>> = {
  kEXP: Math.exp,
  kLOG: Math.log,
  kSQRT: Math.sqrt,
  kRECIP: (x) => 1 / x,
  kABS: Math.abs,
  kNEG: (x) => -x,
  kSIN: Math.sin,
  kCOS: Math.cos,
  kTAN: Math.tan,
  kSINH: Math.sinh,
  kCOSH: Math.cosh,
  kASIN: Math.asin,
  kACOS: Math.acos,
  kATAN: Math.atan,
  kASINH: Math.asinh,
  kACOSH: Math.acosh,
  kATANH: Math.atanh,
  kCEIL: Math.ceil,
  kFLOOR: Math.floor,
  kERF: erf,
  kNOT: (x) => (x === 0 ? 1 : 0),
  kSIGN: Math.sign,
  kROUND: roundHalfEven,
  kISINF: (x) => (Math.abs(x) === Infinity ? 1 : 0),
  kISNAN: (x) => (Number.isNaN(x) ? 1 : 0),
};

export function unary(operation: LayerAttributes["kUNARY"]["operation"], x: Value): Value {
  return map(x, UNARY[operation], operation === "kISINF" || operation === "kISNAN" ? "kBOOL" : x.type);
}

function map(x: Value, f: (x: number) => number, type: DataType = x.type): Value {
  const out = allocate(type, x.data.length);
  for (let i = 0; i < out.length; i++) out[i] = f(x.data[i] as number);
  return settle(type, x.dims, out);
}

export function activation({ activationType, alpha, beta }: LayerAttributes["kACTIVATION"], x: Value): Value {
  return map(x, activationFunction(activationType, alpha, beta));
}

function activationFunction(
  type: LayerAttributes["kACTIVATION"]["activationType"],
  alpha: number,
  beta: number,
): (x: number) => number {
  switch (type) {
    case "kRELU":
      return (x) => Math.max(x, 0);
    case "kSIGMOID":
      return (x) => 1 / (1 + Math.exp(-x));
    case "kTANH":
      return Math.tanh;
    case "kLEAKY_RELU":
      return (x) => (x < 0 ? alpha * x : x);
    case "kELU":
      return (x) => (x < 0 ? alpha * Math.expm1(x) : x);
    case "kSELU":
      return (x) => beta * (x < 0 ? alpha * Math.expm1(x) : x);
    case "kSOFTSIGN":
      return (x) => x / (1 + Math.abs(x));
    case "kSOFTPLUS":
      return (x) => alpha * (Math.max(beta * x, 0) + Math.log1p(Math.exp(-Math.abs(beta * x))));
    case "kCLIP":
      return (x) => Math.max(alpha, Math.min(beta, x));
    case "kHARD_SIGMOID":
      return (x) => Math.max(0, Math.min(1, alpha * x + beta));
    case "kSCALED_TANH":
      return (x) => alpha * Math.tanh(beta * x);
    case "kTHRESHOLDED_RELU":
      return (x) => (x > alpha ? x : 0);
    case "kGELU_ERF":
      return (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2));
    case "kGELU_TANH":
      return (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
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
  if (length === 0 && operation !== "kSUM" && operation !== "kPROD") throw new NotFolded();
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
        for (result = -Infinity; at < end; at++) result = Math.max(result, data[at] as number);
        break;
      case "kMIN":
        for (result = Infinity; at < end; at++) result = Math.min(result, data[at] as number);
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
  const left = asMatrix(x, op0, "row");
  const right = asMatrix(y, op1, "column");
  const rank = left.dims.length;
  const [m, k, n] = [left.dims[rank - 2] as number, left.dims[rank - 1] as number, right.dims[rank - 1] as number];
  const batch = left.dims.slice(0, -2).map((size, axis) => (size === 1 ? (right.dims[axis] as number) : size));
  if (numel(batch) * m * k * n > LIMIT * 8) throw new NotFolded();
  const a = broadcastTo(left, [...batch, m, k]);
  const perm = [...batch.keys(), rank - 1, rank - 2];
  // Columns one after the other, so that both factors are read in order.
  const b = broadcastTo(transpose(right, perm), [...batch, n, k]);
  const out = allocate(x.type, numel(batch) * m * n);
  for (let matrix = 0; matrix < numel(batch); matrix++) {
    for (let i = 0; i < m; i++) {
      const row = (matrix * m + i) * k;
      for (let j = 0; j < n; j++) {
        const column = (matrix * n + j) * k;
        let sum = 0;
        for (let p = 0; p < k; p++) sum += (a[row + p] as number) * (b[column + p] as number);
        out[(matrix * m + i) * n + j] = sum;
      }
    }
  }
  const dims = [...batch, ...(op0 === "kVECTOR" ? [] : [m]), ...(op1 === "kVECTOR" ? [] : [n])];
  return settle(x.type, dims, out);
}

function asMatrix(x: Value, op: LayerAttributes["kMATRIX_MULTIPLY"]["op0"], vector: "row" | "column"): Value {
  if (op === "kNONE") return x;
  if (op === "kVECTOR") {
    const length = x.dims.at(-1) as number;
    return { ...x, dims: [...x.dims.slice(0, -1), ...(vector === "row" ? [1, length] : [length, 1])] };
  }
  const perm = stridesOf(x.dims).map((_, axis) => axis);
  const rank = perm.length;
  perm.splice(rank - 2, 2, rank - 1, rank - 2);
  return transpose(x, perm);
}
