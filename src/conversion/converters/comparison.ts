import { isFloatingPoint, isIntegral, type ScalarType } from "../../ir/scalar-type.js";
import type { ITensor } from "../../network/layers.js";
import type { ConversionContext } from "../context.js";
import {
  asScalar,
  broadcastOperands,
  castTo,
  constantLike,
  elementWise,
  expandRank,
  type Operand,
  reshape,
  resultType,
  scalarTensorOf,
} from "../operands.js";
import { type Converter, converter } from "../registry.js";
import * as scalars from "../scalars.js";
import { Scalar, type TensorValue } from "../values.js";
import { floorDivide, power } from "./element-wise.js";

type Binary = (ctx: ConversionContext, a: Operand, b: Operand) => TensorValue;

function negated(ctx: ConversionContext, value: TensorValue): TensorValue {
  const scalar = asScalar(value);
  if (scalar !== undefined) return scalarTensorOf(ctx, scalars.not(scalar), "bool");
  return ctx.tensorValue(ctx.network.addUnary(value.tensor, "kNOT"), "bool");
}

/** Of floats not the opposite of the strict comparison: nothing holds of what is not a number. */
function orEqual(strict: "kLESS" | "kGREATER", opposite: "kLESS" | "kGREATER"): Binary {
  return (ctx, a, b) => {
    if (!isFloatingPoint(resultType(a, b))) return negated(ctx, elementWise(ctx, a, b, opposite));
    return elementWise(ctx, elementWise(ctx, a, b, strict), elementWise(ctx, a, b, "kEQUAL"), "kOR");
  };
}

const COMPARISONS: readonly (readonly [readonly string[], Binary])[] = [
  [["eq"], (ctx, a, b) => elementWise(ctx, a, b, "kEQUAL")],
  [["ne", "not_equal"], (ctx, a, b) => negated(ctx, elementWise(ctx, a, b, "kEQUAL"))],
  [["lt", "less"], (ctx, a, b) => elementWise(ctx, a, b, "kLESS")],
  [["gt", "greater"], (ctx, a, b) => elementWise(ctx, a, b, "kGREATER")],
  [["le", "less_equal"], orEqual("kLESS", "kGREATER")],
  [["ge", "greater_equal"], orEqual("kGREATER", "kLESS")],
];

function overloads(name: string, compute: Binary): Converter[] {
  return [
    converter(`aten::${name as "eq"}.Tensor(Tensor self, Tensor other) -> Tensor`, (ctx, { self, other }) =>
      compute(ctx, self, other),
    ),
    converter(`aten::${name as "eq"}.Scalar(Tensor self, Scalar other) -> Tensor`, (ctx, { self, other }) =>
      compute(ctx, self, other),
    ),
  ];
}

export const comparisons = COMPARISONS.flatMap(([names, compute]) => names.flatMap((name) => overloads(name, compute)));

/** Any number but 0 is true. */
export const logical = (
  [
    ["logical_and", "kAND"],
    ["logical_or", "kOR"],
    ["logical_xor", "kXOR"],
  ] as const
).map(([name, operation]) =>
  converter(`aten::${name}(Tensor self, Tensor other) -> Tensor`, (ctx, { self, other }) =>
    elementWise(ctx, castTo(ctx, self, "bool"), castTo(ctx, other, "bool"), operation),
  ),
);

// --- Bits ------------------------------------------------------------------------------------------------------------

const ON_BITS = {
  kAND: (a: bigint, b: bigint): bigint => a & b,
  kOR: (a: bigint, b: bigint): bigint => a | b,
  kXOR: (a: bigint, b: bigint): bigint => a ^ b,
};

type BitOperation = keyof typeof ON_BITS;

function bitwise(operation: BitOperation): Binary {
  return (ctx, a, b) => {
    const dtype = resultType(a, b);
    if (dtype === "bool") return elementWise(ctx, a, b, operation);
    if (!isIntegral(dtype)) return ctx.unsupported("the bits of floats");
    const [x, y] = [asScalar(a), asScalar(b)];
    if (x !== undefined && y !== undefined) {
      return scalarTensorOf(ctx, scalars.bitwise(operation, ON_BITS[operation])(x, y), dtype);
    }
    const mask = scalars.knownNumber((y ?? x)?.value ?? true);
    if (operation === "kAND" && (x ?? y) !== undefined && mask !== undefined && Number.isInteger(Math.log2(mask + 1))) {
      // The lowest bits are what is left of a division by a power of two, of negative numbers too.
      const value = x === undefined ? a : b;
      const modulus = new Scalar("int", mask + 1);
      const quotient = elementWise(ctx, value, modulus, "kFLOOR_DIV", dtype);
      return elementWise(ctx, value, elementWise(ctx, quotient, modulus, "kPROD", dtype), "kSUB", dtype);
    }
    return bitByBit(ctx, a, b, operation, dtype);
  };
}

/**
 * TensorRT has bits of bools only: words of 32 bits become their bits along a new last axis, floor(x / 2^i) mod 2, and
 * those, combined, a sum by place value again, in which the sign's counts negative. All of it stays below 2^53, where
 * sums of int64 are exact whatever computes them.
 */
function bitByBit(
  ctx: ConversionContext,
  a: Operand,
  b: Operand,
  operation: BitOperation,
  dtype: ScalarType,
): TensorValue {
  const { network } = ctx;
  const operands = broadcastOperands(ctx, [castTo(ctx, a, dtype), castTo(ctx, b, dtype)], "int64");
  const rank = (operands[0] as ITensor).dims.length;
  const places = Array.from({ length: WORD }, (_, i) => i);
  const along = (numbers: readonly number[]): ITensor =>
    expandRank(ctx, ctx.constant("kINT64", [WORD], numbers), rank + 1);
  const divide = (x: ITensor, y: ITensor): ITensor => network.addElementWise(x, y, "kFLOOR_DIV");
  const times = (x: ITensor, y: ITensor): ITensor => network.addElementWise(x, y, "kPROD");
  const [powers, two] = [along(places.map((i) => 2 ** i)), along(places.map(() => 2))];
  const combine = (words: readonly ITensor[], isSigned: boolean): ITensor => {
    const [x, y] = words.map((word) => {
      const shifted = divide(reshape(ctx, word, [...word.dims, 1]), powers);
      return network.addCast(network.addElementWise(shifted, times(divide(shifted, two), two), "kSUB"), "kBOOL");
    }) as [ITensor, ITensor];
    const values = isSigned ? along(places.map((i) => (i === WORD - 1 ? -(2 ** i) : 2 ** i))) : powers;
    const bits = network.addCast(network.addElementWise(x, y, operation), "kINT64");
    return network.addReduce(times(bits, values), "kSUM", [rank], false);
  };
  if (dtype !== "int64") return castTo(ctx, ctx.tensorValue(combine(operands, true), "int64"), dtype);
  const size = constantLike(ctx, operands[0] as ITensor, 2 ** WORD);
  const upper = operands.map((x) => divide(x, size));
  const lower = operands.map((x, i) => network.addElementWise(x, times(upper[i] as ITensor, size), "kSUB"));
  const sum = network.addElementWise(times(combine(upper, true), size), combine(lower, false), "kSUM");
  return ctx.tensorValue(sum, dtype);
}

const WORD = 32;

/** x * 2^n, and x / 2^n rounded down, which is what a shift of two's complement does. */
function shift(operation: "left" | "right"): Binary {
  return (ctx, a, b) => {
    const dtype = resultType(a, b);
    const factor = power(ctx, castTo(ctx, new Scalar("int", 2), dtype), castTo(ctx, b, dtype));
    return operation === "left"
      ? elementWise(ctx, a, factor, "kPROD", dtype)
      : floorDivide(ctx, castTo(ctx, a, dtype), factor);
  };
}

const BITS: readonly (readonly [string, string, Binary])[] = [
  ["bitwise_and", "__and__", bitwise("kAND")],
  ["bitwise_or", "__or__", bitwise("kOR")],
  ["bitwise_xor", "__xor__", bitwise("kXOR")],
  ["bitwise_left_shift", "__lshift__", shift("left")],
  ["bitwise_right_shift", "__rshift__", shift("right")],
];

export const bits = BITS.flatMap(([name, method, compute]) => [
  ...overloads(method, compute),
  converter(`aten::${name as "eq"}.Tensor(Tensor self, Tensor other) -> Tensor`, (ctx, { self, other }) =>
    compute(ctx, self, other),
  ),
  converter(
    `aten::${name as "eq"}.${(name.endsWith("shift") ? "Tensor_Scalar" : "Scalar") as "Scalar"}(Tensor self, Scalar other) -> Tensor`,
    (ctx, { self, other }) => compute(ctx, self, other),
  ),
  converter(`aten::${name as "eq"}.Scalar_Tensor(Scalar self, Tensor other) -> Tensor`, (ctx, { self, other }) =>
    compute(ctx, self, other),
  ),
]);

/** `x &= y` and its like. */
export const inPlaceBits = BITS.flatMap(([, method, compute]) => overloads(method.replace("__", "__i"), compute));

// --- Choices ---------------------------------------------------------------------------------------------------------

/** Where the condition holds `a`, else `b`. */
export function where(ctx: ConversionContext, condition: TensorValue, a: Operand, b: Operand): TensorValue {
  return choose(ctx, condition, a, b, resultType(a, b));
}

function choose(
  ctx: ConversionContext,
  condition: TensorValue,
  a: Operand,
  b: Operand,
  dtype: ScalarType,
): TensorValue {
  const mask = castTo(ctx, condition, "bool");
  const known = asScalar(mask)?.value;
  if (typeof known === "boolean" && asScalar(a) !== undefined && asScalar(b) !== undefined) {
    return castTo(ctx, known ? a : b, dtype);
  }
  const rank = Math.max(...[mask, a, b].map((operand) => (operand instanceof Scalar ? 0 : operand.dims.length)));
  const [x, y] = broadcastOperands(ctx, [a, b], dtype).map((tensor) => expandRank(ctx, tensor, rank)) as [
    ITensor,
    ITensor,
  ];
  return ctx.tensorValue(ctx.network.addSelect(expandRank(ctx, mask.tensor, rank), x, y), dtype);
}

export const choices = [
  converter(
    "aten::where.self(Tensor condition, Tensor self, Tensor other) -> Tensor",
    (ctx, { condition, self, other }) => where(ctx, condition, self, other),
  ),
  converter(
    "aten::where.ScalarSelf(Tensor condition, Scalar self, Tensor other) -> Tensor",
    (ctx, { condition, self, other }) => where(ctx, condition, self, other),
  ),
  converter(
    "aten::where.ScalarOther(Tensor condition, Tensor self, Scalar other) -> Tensor",
    (ctx, { condition, self, other }) => where(ctx, condition, self, other),
  ),
  converter(
    "aten::where.Scalar(Tensor condition, Scalar self, Scalar other) -> Tensor",
    (ctx, { condition, self, other }) => where(ctx, condition, self, other),
  ),
  // A mask has no say in the type: the tensor keeps its own.
  converter(
    "aten::masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor",
    (ctx, { self, mask, value }) => choose(ctx, mask, value, self, self.dtype),
  ),
  converter(
    "aten::masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor",
    (ctx, { self, mask, value }) => choose(ctx, mask, value, self, self.dtype),
  ),
];
