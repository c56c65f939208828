import { isFloat } from "./enums.js";
import * as arithmetic from "./fold/arithmetic.js";
import * as indexing from "./fold/indexing.js";
import { fromWeights, NotFolded, toWeights, type Value } from "./fold/value.js";
import type { ITensor, Layer, LayerAttributes, LayerType, Weights } from "./layers.js";
import { add, type Dim, floordiv, isStatic, max, min, mul, neg, sub } from "./symbolic.js";
import { makeWeights } from "./weights.js";

/**
 * The value of a tensor that depends on constants only, and on sizes that are known; null for any other, for one that
 * is part of a loop or leaves a conditional, and for work too large for build time. Computed once a tensor, without
 * touching the network: floats round as float32 arithmetic does.
 *
 * int64 numbers are exact up to 2^53; a tensor that needs larger ones, beyond being a plain constant, is null.
 */
export function constantOf(tensor: ITensor): Weights | null {
  const known = weightsMemo.get(tensor);
  if (known !== undefined) return known;
  const layer = tensor.producer;
  let weights: Weights | null;
  if (layer?.type === "kCONSTANT") weights = layer.attributes.weights;
  else {
    const value = isKnown(tensor) ? evaluate(tensor) : null;
    weights = value === null ? null : toWeights(value);
  }
  weightsMemo.set(tensor, weights);
  return weights;
}

/**
 * The elements of a 0-d or 1-d integer tensor as numbers and expressions over sizes, in so far as it is computed from
 * shapes and constants: `[2 * batch, 12, 64]`. Null where it is not.
 */
export function dimsOf(tensor: ITensor): readonly Dim[] | null {
  let dims = dimsMemo.get(tensor);
  if (dims === undefined) {
    dims = computeDims(tensor);
    dimsMemo.set(tensor, dims);
  }
  return dims;
}

const weightsMemo = new WeakMap<ITensor, Weights | null>();
const valueMemo = new WeakMap<ITensor, Value | null>();
const knownMemo = new WeakMap<ITensor, boolean>();
const dimsMemo = new WeakMap<ITensor, readonly Dim[] | null>();

/** Shapes are short; longer integer tensors are data. */
const LONGEST_SHAPE = 64;

type Evaluate<T extends LayerType> = (
  inputs: readonly Value[],
  attributes: LayerAttributes[T],
  layer: Layer,
) => Value | Value[];

/** The layers whose outputs can be computed here. Absent inputs are left out of `inputs`. */
const EVALUATORS: { readonly [T in LayerType]?: Evaluate<T> } = {
  kCONSTANT: (_, a) => fromWeights(a.weights),
  kIDENTITY: ([x]) => x as Value,
  kCONDITIONAL_INPUT: ([x]) => x as Value,
  kCAST: ([x], a) => arithmetic.cast(x as Value, a.toType),
  kELEMENTWISE: ([x, y], a) => arithmetic.elementwise(a.operation, x as Value, y as Value),
  kUNARY: ([x], a) => arithmetic.unary(a.operation, x as Value),
  kACTIVATION: ([x], a) => arithmetic.activation(a, x as Value),
  kPARAMETRIC_RELU: ([x, slope]) => arithmetic.parametricRelu(x as Value, slope as Value),
  kSELECT: ([condition, x, y]) => arithmetic.select(condition as Value, x as Value, y as Value),
  kREDUCE: ([x], a) => arithmetic.reduce(a, x as Value),
  kSOFTMAX: ([x], a) => arithmetic.softmax(x as Value, a.axis),
  kCUMULATIVE: ([x], a) => arithmetic.cumulative(a, x as Value),
  kNORMALIZATION: ([x, scale, bias], a) => arithmetic.normalization(a, x as Value, scale as Value, bias as Value),
  kMATRIX_MULTIPLY: ([x, y], a) => arithmetic.matrixMultiply(a, x as Value, y as Value),
  kSHUFFLE: ([x, shape], a) => {
    const dims = isStatic(a.dims) ? a.dims : (numbers(shape) ?? a.reshapeDimensions);
    return indexing.shuffle(a, x as Value, a.reshapeDimensions === null && shape === undefined ? null : dims);
  },
  kCONCATENATION: (values, a) => indexing.concatenation(values, a.axis),
  kSLICE: ([x], a, layer) => {
    const [start, size, stride] = [a.start, a.size, a.stride].map((dims, i) => resolve(dims, layer.inputs[i + 1]));
    const fill = layer.inputs[4] == null ? 0 : ((evaluate(layer.inputs[4]) as Value).data[0] as number);
    return indexing.slice(a.mode, x as Value, start as number[], size as number[], stride as number[], fill);
  },
  kSHAPE: ([x]) => ({ type: "kINT64", dims: [(x as Value).dims.length], data: Float64Array.from((x as Value).dims) }),
  kGATHER: ([data, indices], a) => indexing.gather(a, data as Value, indices as Value),
  kSCATTER: ([data, indices, updates], a) => indexing.scatter(a, data as Value, indices as Value, updates as Value),
  kTOPK: ([x, k], a) => indexing.topK(a, x as Value, typeof a.k === "number" ? a.k : ((k as Value).data[0] as number)),
  kFILL: (_, a, layer) => {
    if (a.operation !== "kLINSPACE") throw new NotFolded();
    const [shape, alpha, beta] = layer.inputs;
    return indexing.linspace(
      a,
      resolve(a.dimensions, shape),
      evaluate(alpha as ITensor) as Value,
      beta == null ? null : evaluate(beta),
    );
  },
  kONE_HOT: ([indices, values, depth], a) =>
    indexing.oneHot(a, indices as Value, values as Value, (depth as Value).data[0] as number),
  kNON_ZERO: ([x]) => indexing.nonZero(x as Value),
};

function numbers(value: Value | undefined): number[] | undefined {
  return value === undefined ? undefined : Array.from(value.data);
}

/** Dims that are numbers, or that a shape tensor tells. */
function resolve(dims: readonly Dim[], shape: ITensor | null | undefined): number[] {
  if (isStatic(dims)) return [...dims];
  const value = shape == null ? null : evaluate(shape);
  if (value === null) throw new NotFolded();
  return Array.from(value.data);
}

/**
 * Does the tensor depend on constants and known sizes only? Walks without recursion, because what hangs on an input
 * may be a whole network deep.
 */
function isKnown(tensor: ITensor): boolean {
  const pending = [tensor];
  while (pending.length > 0) {
    const next = pending[pending.length - 1] as ITensor;
    if (knownMemo.has(next)) {
      pending.pop();
      continue;
    }
    const layer = next.producer;
    if (isEmpty(next)) {
      knownMemo.set(next, true);
      continue;
    }
    if (layer === undefined || EVALUATORS[layer.type] === undefined) {
      knownMemo.set(next, false);
      continue;
    }
    const inputs = layer.inputs.filter((input) => input !== null);
    // One input that is not constant decides; the others need no look.
    if (inputs.some((input) => knownMemo.get(input) === false)) knownMemo.set(next, hasKnownDims(next));
    else {
      const unseen = inputs.find((input) => !knownMemo.has(input));
      if (unseen === undefined) knownMemo.set(next, true);
      else pending.push(unseen);
    }
  }
  return knownMemo.get(tensor) as boolean;
}

/** Nothing is all that there is to know of it, whatever made it. */
function isEmpty({ dims }: ITensor): boolean {
  return isStatic(dims) && dims.includes(0);
}

function hasKnownDims(tensor: ITensor): boolean {
  const dims = isShapeLike(tensor) ? dimsOf(tensor) : null;
  return dims !== null && isStatic(dims);
}

function isShapeLike({ type, dims }: ITensor): boolean {
  const [length = 1] = dims;
  return (
    (type === "kINT64" || type === "kINT32") && dims.length < 2 && typeof length === "number" && length <= LONGEST_SHAPE
  );
}

/** The value of a known tensor; null where it cannot be computed here after all. */
function evaluate(tensor: ITensor): Value | null {
  const known = valueMemo.get(tensor);
  if (known !== undefined) return known;
  let value: Value | null = null;
  if (isKnown(tensor)) {
    try {
      value = evaluateLayer(tensor);
    } catch (error) {
      if (!(error instanceof NotFolded)) throw error;
    }
  }
  valueMemo.set(tensor, value);
  return value;
}

function evaluateLayer(tensor: ITensor): Value {
  if (isEmpty(tensor)) return fromWeights(makeWeights(tensor.type, tensor.dims as readonly number[], []));
  const layer = tensor.producer as Layer;
  const present = layer.inputs.filter((input) => input !== null);
  if (!present.every(isKnown)) {
    // A shape whose known sizes alone are asked for.
    const dims = dimsOf(tensor) as readonly number[];
    return fromWeights(makeWeights(tensor.type, tensor.dims as readonly number[], dims));
  }
  const inputs = present.map((input) => {
    const value = evaluate(input);
    if (value === null) throw new NotFolded();
    return value;
  });
  const results = (EVALUATORS[layer.type] as Evaluate<LayerType>)(inputs, layer.attributes, layer);
  return Array.isArray(results) ? (results[layer.outputs.indexOf(tensor)] as Value) : results;
}

function computeDims(tensor: ITensor): readonly Dim[] | null {
  const layer = tensor.producer;
  if (layer === undefined || !isShapeLike(tensor)) return null;
  const input = (index: number): readonly Dim[] | null => dimsOf(layer.inputs[index] as ITensor);
  switch (layer.type) {
    case "kCONSTANT":
      return Array.from(fromWeights(layer.attributes.weights).data);
    case "kSHAPE":
      return (layer.inputs[0] as ITensor).dims;
    case "kIDENTITY":
    case "kCONDITIONAL_INPUT":
      return input(0);
    case "kCAST":
      return isFloat((layer.inputs[0] as ITensor).type) ? null : input(0);
    case "kSHUFFLE":
      // Of a 0-d or 1-d tensor, a reshape to 0-d or 1-d only; there is nothing to transpose.
      return input(0);
    case "kCONCATENATION": {
      const parts = layer.inputs.map((_, i) => input(i));
      return parts.some((part) => part === null) ? null : (parts as Dim[][]).flat();
    }
    case "kSLICE": {
      const { start, size, stride, mode } = layer.attributes;
      const dims = input(0);
      const [first, count, step] = [start[0], size[0], stride[0]];
      if (dims === null || mode !== "kSTRICT_BOUNDS") return null;
      if (typeof first !== "number" || typeof count !== "number" || typeof step !== "number") return null;
      const picked = Array.from({ length: count }, (_, i) => dims[first + i * step]);
      return picked.every((dim) => dim !== undefined) ? picked : null;
    }
    case "kGATHER": {
      const dims = input(0);
      const indices = layer.attributes.mode === "kDEFAULT" ? input(1) : null;
      if (dims === null || indices === null || !isStatic(indices)) return null;
      const picked = indices.map((index) => dims.at(index));
      return picked.every((dim) => dim !== undefined) ? picked : null;
    }
    case "kELEMENTWISE": {
      const operation = DIM_OPERATIONS[layer.attributes.operation];
      const [x, y] = [input(0), input(1)];
      if (operation === undefined || x === null || y === null) return null;
      if (layer.attributes.operation === "kFLOOR_DIV" && y.includes(0)) return null;
      const length = Math.max(Math.min(x.length, 1) * y.length, Math.min(y.length, 1) * x.length);
      const pick = (dims: readonly Dim[], i: number): Dim => (dims.length === 1 ? dims[0] : dims[i]) as Dim;
      return Array.from({ length }, (_, i) => operation(pick(x, i), pick(y, i)));
    }
    case "kUNARY":
      return layer.attributes.operation === "kNEG" ? (input(0)?.map(neg) ?? null) : null;
    case "kREDUCE": {
      const operation =
        layer.attributes.operation === "kPROD" ? mul : layer.attributes.operation === "kSUM" ? add : null;
      const dims = layer.attributes.axes.length === 1 ? input(0) : null;
      return operation === null || dims === null ? null : [operation(...dims)];
    }
    default:
      return null;
  }
}

const DIM_OPERATIONS: Partial<Record<LayerAttributes["kELEMENTWISE"]["operation"], (a: Dim, b: Dim) => Dim>> = {
  kSUM: add,
  kSUB: sub,
  kPROD: mul,
  kFLOOR_DIV: floordiv,
  kMIN: min,
  kMAX: max,
};
