import { isComplex, isFloatingPoint, isIntegral, type ScalarType } from "../ir/scalar-type.js";
import { type ElementWiseOperation, isFloat as isFloatType } from "../network/enums.js";
import { broadcastDim, describe } from "../network/inference.js";
import type { ITensor } from "../network/layers.js";
import { bounds, type Dim, isStatic, isSymbolic, min, sameDim, sub } from "../network/symbolic.js";
import { dataTypeOf, numbersOf } from "../network/weights.js";
import { TrtorchError } from "../util/errors.js";
import type { ConversionContext } from "./context.js";
import * as scalars from "./scalars.js";
import { Scalar, type TensorValue } from "./values.js";

/** What an operator computes with: a tensor, or a Python number, which never widens a tensor of its own category. */
export type Operand = TensorValue | Scalar;

// --- Types -----------------------------------------------------------------------------------------------------------

const INTEGER_WIDTHS: Partial<Record<ScalarType, number>> = { int8: 1, int16: 2, int32: 4, int64: 8 };
const FLOAT_WIDTHS: Partial<Record<ScalarType, number>> = { float16: 2, bfloat16: 2, float32: 4, float64: 8 };

/** PyTorch's `torch.promote_types`. */
export function promoteTypes(a: ScalarType, b: ScalarType): ScalarType {
  if (a === b || b === "bool") return a;
  if (a === "bool") return b;
  if (isComplex(a) || isComplex(b)) return a === "complex128" || b === "complex128" ? "complex128" : "complex64";
  if (isFloatingPoint(a) !== isFloatingPoint(b)) return isFloatingPoint(a) ? a : b;
  if (isFloatingPoint(a)) {
    const [x, y] = [FLOAT_WIDTHS[a] ?? 2, FLOAT_WIDTHS[b] ?? 2];
    return x === y ? "float32" : x > y ? a : b;
  }
  // uint8 fits in every signed type but int8.
  if (a === "uint8") return b === "int8" ? "int16" : b;
  if (b === "uint8") return a === "int8" ? "int16" : a;
  return (INTEGER_WIDTHS[a] ?? 8) >= (INTEGER_WIDTHS[b] ?? 8) ? a : b;
}

/**
 * PyTorch's `torch.result_type`: tensors with dims decide; 0-d tensors, and after them Python numbers, count only where
 * they are of a higher category (bool < int < float).
 */
export function resultType(...operands: readonly Operand[]): ScalarType {
  let dims: ScalarType | undefined;
  let zeroDim: ScalarType | undefined;
  let numbers: ScalarType | undefined;
  const join = (a: ScalarType | undefined, b: ScalarType): ScalarType => (a === undefined ? b : promoteTypes(a, b));
  for (const operand of operands) {
    if (operand instanceof Scalar) numbers = join(numbers, operand.dtype);
    else if (operand.dims.length === 0) zeroDim = join(zeroDim, operand.dtype);
    else dims = join(dims, operand.dtype);
  }
  return combine(dims, combine(zeroDim, numbers)) as ScalarType;
}

function combine(higher: ScalarType | undefined, lower: ScalarType | undefined): ScalarType | undefined {
  if (higher === undefined || lower === undefined) return higher ?? lower;
  if (isFloatingPoint(higher)) return higher;
  return higher === "bool" || isFloatingPoint(lower) ? promoteTypes(higher, lower) : higher;
}

/** The type that functions without an integer form, such as `exp` or `mean`, compute with. */
export function floatResult(dtype: ScalarType): ScalarType {
  return isFloatingPoint(dtype) ? dtype : "float32";
}

/** The type that sums and products of many compute with, unless they are given one: integers and bools as int64. */
export function sumResult(dtype: ScalarType): ScalarType {
  return isFloatingPoint(dtype) ? dtype : "int64";
}

// --- Values ----------------------------------------------------------------------------------------------------------

/** The operand as a number where it is one: a Python number, or a 0-d tensor made of numbers known or of sizes. */
export function asScalar(operand: Operand): Scalar | undefined {
  if (operand instanceof Scalar) return operand;
  if (operand.scalar === undefined) return undefined;
  const { dtype } = operand;
  return new Scalar(dtype === "bool" ? "bool" : isIntegral(dtype) ? "int" : "float", operand.scalar);
}

/** A 0-d tensor with the number. */
export function scalarTensorOf(ctx: ConversionContext, scalar: Scalar, dtype: ScalarType): TensorValue {
  return ctx.scalarValue(scalars.castScalar(scalar, dtype).value, dtype);
}

/** A network tensor of ones' dims, `[1, ..., 1]`, that holds the number. */
export function scalarOfRank(ctx: ConversionContext, scalar: Scalar, dtype: ScalarType, rank: number): ITensor {
  const { value } = scalars.castScalar(scalar, dtype);
  const dims = Array.from({ length: rank }, () => 1);
  if (!isSymbolic(value)) return ctx.constant(dataTypeOf(dtype), dims, [Number(value)]);
  return reshape(ctx, ctx.network.addCast(ctx.network.scalarTensor(value), dataTypeOf(dtype)), dims);
}

/** A constant with dims `[1, ..., 1]` in the tensor's type. */
export function constantLike(ctx: ConversionContext, tensor: ITensor, value: number): ITensor {
  return ctx.constant(
    tensor.type,
    tensor.dims.map(() => 1),
    [value],
  );
}

/** Where the tensor is another number than `value`. */
export function differsFrom(ctx: ConversionContext, tensor: ITensor, value: number): ITensor {
  const { network } = ctx;
  return network.addUnary(network.addElementWise(tensor, constantLike(ctx, tensor, value), "kEQUAL"), "kNOT");
}

/** The operand's values in `dtype`, as `Tensor.to(dtype)` gives them. Numbers become 0-d tensors. */
export function castTo(ctx: ConversionContext, operand: Operand, dtype: ScalarType): TensorValue {
  if (dtype === "float8_e4m3fn" && operand.dtype !== dtype) return roundToFloat8(ctx, castTo(ctx, operand, "float32"));
  const scalar = asScalar(operand);
  if (scalar !== undefined) return scalarTensorOf(ctx, scalar, dtype);
  const value = operand as TensorValue;
  if (value.dtype === dtype) return value;
  return ctx.tensorValue(castTensor(ctx, value.tensor, value.dtype, dtype), dtype);
}

/**
 * TensorRT has 8-bit floats only between Quantize and Dequantize layers: the numbers are rounded, and go on in float32.
 * They saturate at ±448, where PyTorch gives NaN from 480 on.
 */
function roundToFloat8(ctx: ConversionContext, value: TensorValue): TensorValue {
  const { network } = ctx;
  const { dims } = value;
  const vector = dims.length === 0 ? reshape(ctx, value.tensor, [1]) : value.tensor;
  const one = ctx.constant("kFLOAT", [], [1]);
  const rounded = network.addDequantize(network.addQuantize(vector, one, "kFP8"), one, "kFLOAT");
  return ctx.tensorValue(reshape(ctx, rounded, dims), "float8_e4m3fn");
}

/**
 * What `compute` gives, in `dtype`. It is told to compute halves in float32, as PyTorch's kernels do: what lies between, such
 * as squares, would overflow or vanish in a half where the result does not.
 */
export function inFloat32(
  ctx: ConversionContext,
  dtype: ScalarType,
  compute: (dtype: ScalarType) => TensorValue,
): TensorValue {
  return castTo(ctx, compute(widened(dtype)), dtype);
}

/** The float type that PyTorch's kernels compute with for tensors of `dtype`. */
export function widened(dtype: ScalarType): ScalarType {
  return dtype === "float16" || dtype === "bfloat16" ? "float32" : dtype;
}

function castTensor(ctx: ConversionContext, tensor: ITensor, from: ScalarType, to: ScalarType): ITensor {
  const { network } = ctx;
  // TensorRT 10.6 makes of an input's bytes, cast to ints and then to bools, bools that are no 0 or 1.
  if (from === "uint8" && to === "bool") {
    return differsFrom(ctx, tensor, 0);
  }
  const cast = network.addCast(tensor, dataTypeOf(to));
  return narrows(from, to) ? wrap(ctx, cast, to) : cast;
}

/** Would numbers of `from` overflow the 8 or 16 bits of `to`, which the network computes in 32? */
function narrows(from: ScalarType, to: ScalarType): boolean {
  if (!(to in BITS) || from === "bool") return false;
  return !(from === to || (from === "uint8" && to === "int16") || (from === "int8" && to === "int16"));
}

const BITS: Partial<Record<ScalarType, number>> = { uint8: 8, int8: 8, int16: 16 };

/** TensorRT has no 8- and 16-bit arithmetic: results computed in 32 bits are brought back into the dtype's range. */
export function wrap(ctx: ConversionContext, tensor: ITensor, dtype: ScalarType): ITensor {
  const bits = BITS[dtype];
  if (bits === undefined) return tensor;
  const { network } = ctx;
  const modulus = constantLike(ctx, tensor, 2 ** bits);
  const half = constantLike(ctx, tensor, dtype === "uint8" ? 0 : 2 ** (bits - 1));
  const shifted = network.addElementWise(tensor, half, "kSUM");
  const quotient = floorQuotient(ctx, shifted, modulus);
  return network.addElementWise(tensor, network.addElementWise(quotient, modulus, "kPROD"), "kSUB");
}

/**
 * a / b of integers, rounded down. The layer for it (kFLOOR_DIV) computes integers in float32, which holds 24 bits of them;
 * kDIV is exact and rounds towards 0: one too many where the rest is on the other side of 0 than b.
 */
export function floorQuotient(ctx: ConversionContext, a: ITensor, b: ITensor): ITensor {
  const { network } = ctx;
  const below = (x: ITensor): ITensor => network.addElementWise(x, constantLike(ctx, x, 0), "kLESS");
  const quotient = network.addElementWise(a, b, "kDIV");
  const rest = network.addElementWise(a, network.addElementWise(quotient, b, "kPROD"), "kSUB");
  const { weights } = ctx.tensorValue(b);
  let across = below(rest);
  if (weights === null || numbersOf(weights).some((number) => number <= 0)) {
    across = network.addElementWise(across, below(b), "kXOR");
    across = network.addElementWise(across, differsFrom(ctx, rest, 0), "kAND");
  }
  return network.addElementWise(quotient, network.addCast(across, quotient.type), "kSUB");
}

/** Both operands in one type: PyTorch's result type, or `dtype`. */
export function promote(
  ctx: ConversionContext,
  a: Operand,
  b: Operand,
  dtype: ScalarType = resultType(a, b),
): [TensorValue, TensorValue] {
  return [castTo(ctx, a, dtype), castTo(ctx, b, dtype)];
}

// --- Shapes ----------------------------------------------------------------------------------------------------------

/** An axis that may count from the end, as one that does not. A 0-d tensor has axis 0. */
export function normalizeAxis(ctx: ConversionContext, dim: number, rank: number): number {
  const limit = Math.max(rank, 1);
  if (dim < -limit || dim >= limit) {
    throw new TrtorchError("conversion", `${ctx.node.kind}: dim ${dim} is out of range for a tensor of rank ${rank}`);
  }
  return dim < 0 ? dim + limit : dim;
}

/** Axes without repetition; none given means all of them. */
export function normalizeAxes(ctx: ConversionContext, dims: readonly number[] | null, rank: number): number[] {
  if (dims === null || dims.length === 0) return Array.from({ length: rank }, (_, axis) => axis);
  return [...new Set(dims.map((dim) => normalizeAxis(ctx, dim, rank)))].sort((a, b) => a - b);
}

/** The tensor with other dims; constants stay constants. */
export function reshape(ctx: ConversionContext, tensor: ITensor, dims: readonly Dim[]): ITensor {
  if (tensor.dims.length === dims.length && tensor.dims.every((dim, i) => sameDim(dim, dims[i] as Dim))) return tensor;
  const { producer } = tensor;
  if (producer?.type === "kCONSTANT" && isStatic(dims) && !dims.includes(-1)) {
    return ctx.network.addConstant({ ...producer.attributes.weights, dims });
  }
  return ctx.network.addShuffle(tensor, { reshape: dims });
}

/** The tensor with leading 1s, up to `rank`. */
export function expandRank(ctx: ConversionContext, tensor: ITensor, rank: number): ITensor {
  const missing = rank - tensor.dims.length;
  if (missing <= 0) return tensor;
  return reshape(ctx, tensor, [...Array.from({ length: missing }, () => 1), ...tensor.dims]);
}

/** Tensors of one rank, whose dims layers of TensorRT broadcast. */
export function broadcast<T extends readonly ITensor[]>(ctx: ConversionContext, ...tensors: T): T {
  const rank = Math.max(...tensors.map((tensor) => tensor.dims.length));
  return tensors.map((tensor) => expandRank(ctx, tensor, rank)) as unknown as T;
}

/** The dims that PyTorch broadcasts shapes to. */
export function broadcastShapes(ctx: ConversionContext, ...shapes: readonly (readonly Dim[])[]): Dim[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) =>
    shapes
      .map((shape) => shape[axis - rank + shape.length] ?? 1)
      .reduce((a, b) => broadcastDim(a, b, () => ctx.node.kind)),
  );
}

/** The tensor stretched to `dims`: its own sizes or 1 where they differ. */
export function expandTo(ctx: ConversionContext, tensor: ITensor, dims: readonly Dim[]): ITensor {
  const ranked = expandRank(ctx, tensor, dims.length);
  const clashes = ranked.dims.some((dim, i) => dim !== 1 && isStatic([dim, dims[i] as Dim]) && dim !== dims[i]);
  if (ranked.dims.length !== dims.length || clashes) {
    throw new TrtorchError(
      "conversion",
      `${ctx.node.kind}: ${describe(tensor)} cannot be expanded to [${dims.map(String)}]`,
    );
  }
  if (ranked.dims.every((dim, i) => sameDim(dim, dims[i] as Dim))) return ranked;
  // A stride of 0 repeats what there is one of, which for a dynamic dim only running tells.
  const stride = ranked.dims.map((dim, i) => {
    if (sameDim(dim, dims[i] as Dim) || bounds(dim).min > 1) return 1;
    return dim === 1 ? 0 : min(1, sub(dim, 1));
  });
  return ctx.network.addSlice(
    ranked,
    dims.map(() => 0),
    dims,
    stride,
  );
}

// --- Computing -------------------------------------------------------------------------------------------------------

type Computation = (a: Scalar, b: Scalar) => Scalar;

/** The same operations on numbers, so that arithmetic on sizes in 0-d tensors stays arithmetic on sizes. */
const ON_NUMBERS: Partial<Record<ElementWiseOperation, Computation>> = {
  kSUM: scalars.add,
  kSUB: scalars.sub,
  kPROD: scalars.mul,
  kMAX: scalars.max,
  kMIN: scalars.min,
  kAND: scalars.and,
  kOR: scalars.or,
  kXOR: scalars.xor,
  kEQUAL: scalars.eq,
  kGREATER: scalars.greater,
  kLESS: scalars.less,
};

/** What arithmetic on bools is: PyTorch's sum of bools is `or`, their product `and`. */
const ON_BOOLS: Partial<Record<ElementWiseOperation, ElementWiseOperation>> = {
  kSUM: "kOR",
  kPROD: "kAND",
  kMAX: "kOR",
  kMIN: "kAND",
};

/**
 * `operation` of two operands with PyTorch's promotion and broadcasting. Comparisons give bool, all others the type
 * computed in: the result type unless `dtype` says another.
 */
export function elementWise(
  ctx: ConversionContext,
  a: Operand,
  b: Operand,
  operation: ElementWiseOperation,
  dtype: ScalarType = resultType(a, b),
): TensorValue {
  const compares = operation === "kEQUAL" || operation === "kGREATER" || operation === "kLESS";
  const [x, y] = [asScalar(a), asScalar(b)];
  const compute = ON_NUMBERS[operation];
  if (x !== undefined && y !== undefined && compute !== undefined) {
    const result = compute(scalars.castScalar(x, dtype), scalars.castScalar(y, dtype));
    return scalarTensorOf(ctx, result, compares ? "bool" : dtype);
  }
  if (dtype === "bool" && (operation === "kGREATER" || operation === "kLESS")) dtype = "int32";
  const layer = dtype === "bool" ? (ON_BOOLS[operation] ?? operation) : operation;
  const [left, right] = broadcastOperands(ctx, [a, b], dtype);
  const result =
    layer === "kFLOOR_DIV" && isIntegral(dtype)
      ? floorQuotient(ctx, left as ITensor, right as ITensor)
      : ctx.network.addElementWise(left as ITensor, right as ITensor, layer);
  if (compares) return ctx.tensorValue(result, "bool");
  return ctx.tensorValue(OVERFLOWS.has(operation) ? wrap(ctx, result, dtype) : result, dtype);
}

/** Quotients too: the least number has no opposite, by which -1 divides. */
const OVERFLOWS: ReadonlySet<ElementWiseOperation> = new Set(["kSUM", "kSUB", "kPROD", "kDIV", "kFLOOR_DIV"]);

/** Network tensors of one type and rank for layers with several inputs; numbers become constants of that rank. */
export function broadcastOperands(
  ctx: ConversionContext,
  operands: readonly Operand[],
  dtype: ScalarType = resultType(...operands),
): ITensor[] {
  const rank = Math.max(...operands.map((operand) => (operand instanceof Scalar ? 0 : operand.dims.length)));
  return operands.map((operand) => {
    const scalar = asScalar(operand);
    if (scalar !== undefined) return scalarOfRank(ctx, scalar, dtype, rank);
    return expandRank(ctx, castTo(ctx, operand, dtype).tensor, rank);
  });
}

/** The tensor in a float type: what TensorRT's unary and activation layers take. */
export function toFloatTensor(ctx: ConversionContext, value: TensorValue): TensorValue {
  return isFloatType(dataTypeOf(value.dtype)) ? value : castTo(ctx, value, "float32");
}
