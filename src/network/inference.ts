import { TrtorchError } from "../util/errors.js";
import type { DataType } from "./enums.js";
import type { ITensor, LayerAttributes, LayerType, Weights } from "./layers.js";
import { add, ceildiv, type Dim, floordiv, max, mul, sameDim, sub, toDims, volume } from "./symbolic.js";

/** What a layer's output is, before it is a tensor. */
export interface OutputInfo {
  readonly type: DataType;
  readonly dims: readonly Dim[];
}

type Inputs = readonly (ITensor | null)[];

/**
 * The types and dims of a layer's outputs, as TensorRT infers them for a strongly typed network. Throws a `conversion`
 * error for what TensorRT would refuse: it is met here, with the operator in sight, rather than in the library's log.
 */
export function inferOutputs<T extends LayerType>(
  type: T,
  inputs: Inputs,
  attributes: LayerAttributes[T],
): OutputInfo[] {
  return RULES[type](inputs, attributes);
}

type Rules = { [T in LayerType]: (inputs: Inputs, attributes: LayerAttributes[T]) => OutputInfo[] };

const RULES: Rules = {
  kCONVOLUTION: (inputs, a) => {
    const data = input(inputs, 0);
    const spatial = spatialDims(data, a.kernelSizeNd.length, "a convolution");
    channels(data, mul(kernelDim(inputs, a.kernel, 1), a.nbGroups), a.nbGroups, "convolution");
    const out = spatial.map((size, i) => {
      const padded = add(size, at(a.prePadding, i) + at(a.postPadding, i));
      const window = at(a.dilationNd, i) * (at(a.kernelSizeNd, i) - 1) + 1;
      return add(floordiv(sub(padded, window), at(a.strideNd, i)), 1);
    });
    positive(out, "convolution");
    return [{ type: data.type, dims: [first(data), a.nbOutputMaps, ...out] }];
  },
  kDECONVOLUTION: (inputs, a) => {
    const data = input(inputs, 0);
    const spatial = spatialDims(data, a.kernelSizeNd.length, "a deconvolution");
    channels(data, kernelDim(inputs, a.kernel, 0), a.nbGroups, "deconvolution");
    const out = spatial.map((size, i) => {
      const window = at(a.dilationNd, i) * (at(a.kernelSizeNd, i) - 1) + 1;
      return add(mul(sub(size, 1), at(a.strideNd, i)), window - at(a.prePadding, i) - at(a.postPadding, i));
    });
    return [{ type: data.type, dims: [first(data), a.nbOutputMaps, ...out] }];
  },
  kCAST: (inputs, a) => [{ type: a.toType, dims: input(inputs, 0).dims }],
  kIDENTITY: (inputs) => [like(inputs)],
  kACTIVATION: (inputs) => [like(inputs)],
  kPOOLING: (inputs, a) => {
    const data = input(inputs, 0);
    const n = a.windowSizeNd.length;
    const out = spatialDims(data, n, "pooling").map((size, i) => {
      const room = sub(add(size, at(a.prePadding, i) + at(a.postPadding, i)), at(a.windowSizeNd, i));
      return add((a.roundUp ? ceildiv : floordiv)(room, at(a.strideNd, i)), 1);
    });
    positive(out, "pooling");
    return [{ type: data.type, dims: [...data.dims.slice(0, data.dims.length - n), ...out] }];
  },
  kSOFTMAX: (inputs) => [like(inputs)],
  kCONCATENATION: (inputs, a) => {
    const tensors = inputs.filter((tensor) => tensor !== null);
    const head = input(inputs, 0);
    for (const tensor of tensors) {
      if (tensor.dims.length !== head.dims.length || tensor.type !== head.type) {
        fail(`concatenation takes tensors of one rank and type, not ${tensors.map(describe).join(" and ")}`);
      }
    }
    const dims = head.dims.map((dim, axis) =>
      axis === a.axis
        ? add(...tensors.map((tensor) => at(tensor.dims, axis)))
        : tensors.map((t) => at(t.dims, axis)).reduce(agree, dim),
    );
    return [{ type: head.type, dims }];
  },
  kELEMENTWISE: (inputs, a) => {
    const [x, y] = [input(inputs, 0), input(inputs, 1)];
    if (x.type !== y.type) fail(`${a.operation} takes two tensors of one type, not ${describe(x)} and ${describe(y)}`);
    const compares = a.operation === "kEQUAL" || a.operation === "kGREATER" || a.operation === "kLESS";
    return [{ type: compares ? "kBOOL" : x.type, dims: broadcast(x, y, a.operation) }];
  },
  kUNARY: (inputs, a) => {
    const data = input(inputs, 0);
    return [{ type: a.operation === "kISINF" || a.operation === "kISNAN" ? "kBOOL" : data.type, dims: data.dims }];
  },
  kSHUFFLE: (inputs, a) => {
    const dims = a.secondTranspose === null ? a.dims : a.secondTranspose.map((axis) => at(a.dims, axis));
    return [{ type: input(inputs, 0).type, dims }];
  },
  kREDUCE: (inputs, a) => {
    const data = input(inputs, 0);
    const dims = data.dims.flatMap((dim, axis) => (!a.axes.includes(axis) ? [dim] : a.keepDimensions ? [1] : []));
    return [{ type: data.type, dims }];
  },
  kTOPK: (inputs, a) => {
    const data = input(inputs, 0);
    const dims = data.dims.map((dim, axis) => (axis === a.axis ? a.k : dim));
    return [
      { type: data.type, dims },
      { type: "kINT64", dims },
    ];
  },
  kGATHER: (inputs, a) => {
    const [data, indices] = [input(inputs, 0), input(inputs, 1)];
    if (a.mode === "kELEMENT") return [{ type: data.type, dims: indices.dims }];
    const batch = a.nbElementWiseDims;
    if (a.mode === "kND") {
      const last = indices.dims.at(-1);
      if (typeof last !== "number") return fail("gather-nd needs a known number of index columns");
      return [{ type: data.type, dims: [...indices.dims.slice(0, -1), ...data.dims.slice(batch + last)] }];
    }
    return [
      {
        type: data.type,
        dims: [...data.dims.slice(0, a.axis), ...indices.dims.slice(batch), ...data.dims.slice(a.axis + 1)],
      },
    ];
  },
  kMATRIX_MULTIPLY: (inputs, a) => {
    const [x, y] = [input(inputs, 0), input(inputs, 1)];
    if (x.type !== y.type)
      fail(`a matrix product takes two tensors of one type, not ${describe(x)} and ${describe(y)}`);
    const left = matrixDims(x, a.op0);
    const right = matrixDims(y, a.op1);
    if (left.batch.length !== right.batch.length)
      fail(`a matrix product takes equal ranks, not ${describe(x)} and ${describe(y)}`);
    const batch = left.batch.map((dim, i) =>
      broadcastDim(dim, at(right.batch, i), () => `${describe(x)} and ${describe(y)}`),
    );
    const [k, l] = [at(a.op0 === "kVECTOR" ? left.rows : left.columns, 0), at(right.rows, 0)];
    if (typeof k === "number" && typeof l === "number" && k !== l) {
      fail(`the inner sizes of a matrix product differ: ${describe(x)} and ${describe(y)}`);
    }
    if (a.op0 === "kVECTOR") left.rows = [];
    if (a.op1 === "kVECTOR") right.columns = [];
    return [{ type: x.type, dims: [...batch, ...left.rows, ...right.columns] }];
  },
  kCONSTANT: (_, a) => [{ type: a.weights.type, dims: a.weights.dims }],
  kSLICE: (inputs, a) => [{ type: input(inputs, 0).type, dims: a.size }],
  kSHAPE: (inputs) => [{ type: "kINT64", dims: [input(inputs, 0).dims.length] }],
  kPARAMETRIC_RELU: (inputs) => [like(inputs)],
  kRESIZE: (inputs, a) => [{ type: input(inputs, 0).type, dims: a.outputDimensions }],
  kSELECT: (inputs) => {
    const [condition, x, y] = [input(inputs, 0), input(inputs, 1), input(inputs, 2)];
    if (condition.type !== "kBOOL") fail(`select takes a bool condition, not ${describe(condition)}`);
    if (x.type !== y.type) fail(`select takes two tensors of one type, not ${describe(x)} and ${describe(y)}`);
    const dims = broadcast(x, y, "select");
    return [{ type: x.type, dims: broadcast(condition, { ...x, dims }, "select") }];
  },
  kFILL: (_, a) => [{ type: a.toType, dims: a.dimensions }],
  kQUANTIZE: (inputs, a) => [{ type: a.toType, dims: input(inputs, 0).dims }],
  kDEQUANTIZE: (inputs, a) => [{ type: a.toType, dims: input(inputs, 0).dims }],
  kSCATTER: (inputs) => [like(inputs)],
  kEINSUM: (inputs, a) => {
    const [left = "", right = ""] = a.equation.replaceAll(" ", "").split("->");
    const sizes = new Map<string, Dim>();
    left.split(",").forEach((subscripts, i) => {
      [...subscripts].forEach((label, axis) => {
        const dim = at(input(inputs, i).dims, axis);
        const known = sizes.get(label);
        sizes.set(label, known === undefined ? dim : broadcastDim(known, dim, () => `einsum ${a.equation}`));
      });
    });
    return [{ type: input(inputs, 0).type, dims: [...right].map((label) => sizes.get(label) as Dim) }];
  },
  kONE_HOT: (inputs, a) => {
    const indices = input(inputs, 0);
    const dims = [...indices.dims];
    dims.splice(a.axis, 0, a.depth);
    return [{ type: input(inputs, 1).type, dims }];
  },
  // The number of elements found is a symbol of its own, which Network.addNonZero makes.
  kNON_ZERO: (inputs) => [{ type: "kINT64", dims: [input(inputs, 0).dims.length, -1] }],
  kGRID_SAMPLE: (inputs) => {
    const [data, grid] = [input(inputs, 0), input(inputs, 1)];
    return [{ type: data.type, dims: [first(data), at(data.dims, 1), ...grid.dims.slice(1, -1)] }];
  },
  kNMS: () => [
    { type: "kINT64", dims: [-1, 3] },
    { type: "kINT32", dims: [] },
  ],
  kNORMALIZATION: (inputs) => [like(inputs)],
  kCUMULATIVE: (inputs) => [like(inputs)],
  kATTENTION: (inputs) => {
    const [query, value] = [input(inputs, 0), input(inputs, 2)];
    return [{ type: query.type, dims: [...query.dims.slice(0, -1), at(value.dims, value.dims.length - 1)] }];
  },
  kCONDITION: () => [],
  kCONDITIONAL_INPUT: (inputs) => [like(inputs)],
  kCONDITIONAL_OUTPUT: (inputs) => {
    const [x, y] = [input(inputs, 0), input(inputs, 1)];
    if (x.type !== y.type || x.dims.length !== y.dims.length) {
      fail(`both branches must give one type and rank, not ${describe(x)} and ${describe(y)}`);
    }
    return [like(inputs)];
  },
  kTRIP_LIMIT: () => [],
  kRECURRENCE: (inputs) => [like(inputs)],
  kITERATOR: (inputs, a) => {
    const data = input(inputs, 0);
    return [{ type: data.type, dims: data.dims.filter((_, axis) => axis !== a.axis) }];
  },
  kLOOP_OUTPUT: (inputs, a) => {
    const value = input(inputs, 0);
    if (a.loopOutput === "kLAST_VALUE") return [like(inputs)];
    const dims = [...value.dims];
    dims.splice(a.axis, 0, a.length);
    return [{ type: value.type, dims }];
  },
};

function input(inputs: Inputs, index: number): ITensor {
  return inputs[index] ?? fail(`input ${index} is missing`);
}

function like(inputs: Inputs): OutputInfo {
  const { type, dims } = input(inputs, 0);
  return { type, dims };
}

function at<T>(list: readonly T[], index: number): T {
  return list[index] as T;
}

function first(tensor: ITensor): Dim {
  return at(tensor.dims, 0);
}

function spatialDims(data: ITensor, count: number, what: string): readonly Dim[] {
  if (count !== 2 && count !== 3) fail(`${what} has 2 or 3 spatial dims in TensorRT, not ${count}`);
  if (data.dims.length < count + 2) fail(`${what} over ${count} dims needs rank ${count + 2}, not ${describe(data)}`);
  return data.dims.slice(data.dims.length - count);
}

/** A dim of a convolution's kernel, which is an attribute or the second input. */
function kernelDim(inputs: Inputs, kernel: Weights | null, index: number): Dim {
  return at(kernel?.dims ?? input(inputs, 1).dims, index);
}

function channels(data: ITensor, taken: Dim, groups: number, what: string): void {
  const given = at(data.dims, 1);
  if (typeof given !== "number" || typeof taken !== "number" || given === taken) return;
  const each = groups === 1 ? "" : ` in ${groups} groups`;
  fail(
    `the ${what} takes ${taken} ${taken === 1 ? "channel" : "channels"}${each}, its input ${describe(data)} has ${given}`,
  );
}

function matrixDims(tensor: ITensor, op: string): { batch: readonly Dim[]; rows: Dim[]; columns: Dim[] } {
  const { dims } = tensor;
  if (op === "kVECTOR") return { batch: dims.slice(0, -1), rows: [at(dims, dims.length - 1)], columns: [1] };
  if (dims.length < 2) fail(`a matrix needs two dims, not ${describe(tensor)}`);
  const [rows, columns] = [at(dims, dims.length - 2), at(dims, dims.length - 1)];
  const batch = dims.slice(0, -2);
  return op === "kTRANSPOSE"
    ? { batch, rows: [columns], columns: [rows] }
    : { batch, rows: [rows], columns: [columns] };
}

function broadcast(x: Pick<ITensor, "dims" | "type">, y: Pick<ITensor, "dims" | "type">, what: string): Dim[] {
  if (x.dims.length !== y.dims.length)
    fail(`${what} takes tensors of equal rank, not ${describe(x)} and ${describe(y)}`);
  return x.dims.map((dim, i) => broadcastDim(dim, at(y.dims, i), () => `${what} of ${describe(x)} and ${describe(y)}`));
}

/** Equal, or one of them 1. Two sizes that are unknown until run time are equal or one of them is 1 then: the larger. */
export function broadcastDim(a: Dim, b: Dim, what: () => string): Dim {
  if (sameDim(a, b) || b === 1) return a;
  if (a === 1) return b;
  if (typeof a === "number" && typeof b === "number") {
    return fail(`${what()}: sizes ${a} and ${b} do not broadcast`);
  }
  // A known size other than 1 is what the other one must be, or be stretched to.
  if (typeof a === "number") return a;
  if (typeof b === "number") return b;
  return max(a, b);
}

/** For tensors that must have one size: a number, where one of them is known. */
function agree(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number" && a !== b) fail(`sizes ${a} and ${b} differ`);
  return typeof a === "number" ? a : b;
}

function positive(dims: readonly Dim[], what: string): void {
  for (const dim of dims) {
    if (typeof dim === "number" && dim <= 0)
      fail(`the ${what}'s window is larger than its padded input (output dims ${toDims(dims)})`);
  }
}

/** For messages: `kFLOAT[8, 3, batch]`. */
export function describe(tensor: Pick<ITensor, "type" | "dims">): string {
  return `${tensor.type}[${tensor.dims.map(String).join(", ")}]`;
}

function fail(message: string): never {
  throw new TrtorchError("conversion", message);
}

/** `dims` with its one -1 replaced so that the volume is `total`. */
export function inferMinusOne(dims: readonly Dim[], total: Dim): Dim[] {
  const unknown = dims.indexOf(-1);
  if (unknown < 0) return [...dims];
  const known = volume(dims.filter((_, i) => i !== unknown));
  if (known === 0) fail(`cannot infer the -1 of [${dims.join(", ")}]: the other dims have no elements`);
  return dims.map((dim, i) => (i === unknown ? floordiv(total, known) : dim));
}
