import { isFloatingPoint, isIntegral, type ScalarType } from "../../ir/scalar-type.js";
import type { ITensor } from "../../network/layers.js";
import { dataTypeOf } from "../../network/weights.js";
import { like } from "../axes.js";
import type { ConversionContext } from "../context.js";
import {
  asScalar,
  broadcastOperands,
  castTo,
  constantLike,
  elementWise,
  expandRank,
  floorQuotient,
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
    if (operation === "kAND" && (x ?? y) !== undefined) {
      const mask = scalars.knownNumber(scalars.castScalar((x ?? y) as Scalar, dtype).value);
      const masked =
        mask === undefined ? undefined : lowestBits(ctx, castTo(ctx, x === undefined ? a : b, dtype), mask);
      if (masked !== undefined) return masked;
    }
    return bitByBit(ctx, a, b, operation, dtype);
  };
}

/** The lowest bits are what is left of a division by a power of two, of negative numbers too. Undefined for other masks. */
function lowestBits(ctx: ConversionContext, value: TensorValue, mask: number): TensorValue | undefined {
  const { dtype } = value;
  if (mask === -1 || (dtype === "uint8" && mask === 255)) return value;
  const modulus = mask + 1;
  if (!Number.isInteger(Math.log2(modulus)) || modulus > 2 ** 62) return undefined;
  // In a type that has the modulus, which may be one more than the tensor's own holds.
  const type = dtype === "int64" || modulus > 2 ** 30 ? "int64" : "int32";
  const wide = castTo(ctx, value, type);
  const number = new Scalar("int", modulus);
  const quotient = elementWise(ctx, wide, number, "kFLOOR_DIV", type);
  const rest = elementWise(ctx, wide, elementWise(ctx, quotient, number, "kPROD", type), "kSUB", type);
  return like(ctx, value, ctx.network.addCast(rest.tensor, dataTypeOf(dtype)));
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
  const divide = (x: ITensor, y: ITensor): ITensor => floorQuotient(ctx, x, y);
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

const SIZES: Partial<Record<ScalarType, number>> = { uint8: 8, int8: 8, int16: 16, int32: 32, int64: 64 };

/** A shift by `distance`, or by `most` where that is as far as bits go or the distance negative. */
function distanceOf(
  ctx: ConversionContext,
  distance: Operand,
  most: number,
): { within: TensorValue; far: TensorValue } {
  const n = castTo(ctx, distance, "int64");
  const limit = new Scalar("int", most);
  const beyond = elementWise(ctx, n, new Scalar("int", most - 1), "kGREATER");
  const far = elementWise(ctx, beyond, elementWise(ctx, n, new Scalar("int", 0), "kLESS"), "kOR");
  return { within: where(ctx, far, limit, n), far };
}

const powerOfTwo = (ctx: ConversionContext, exponent: Operand, dtype: ScalarType): TensorValue =>
  power(ctx, castTo(ctx, new Scalar("int", 2), dtype), castTo(ctx, exponent, dtype));

/** x * 2^n, which loses the upper bits as products of integers do, and all of them in the end. */
const shiftLeft: Binary = (ctx, a, b) => {
  const dtype = resultType(a, b);
  const { within, far } = distanceOf(ctx, b, bitsOf(ctx, dtype));
  const shifted = elementWise(ctx, a, powerOfTwo(ctx, within, dtype), "kPROD", dtype);
  const known = asScalar(far)?.value;
  if (known === false) return shifted;
  return choose(ctx, far, new Scalar("int", 0), shifted, dtype);
};

/** x / 2^n rounded down, which is what a shift of two's complement does: in two steps, as 2^63 is no int64. */
const shiftRight: Binary = (ctx, a, b) => {
  const dtype = resultType(a, b);
  // Signed numbers keep their sign in the end.
  const { within } = distanceOf(ctx, b, bitsOf(ctx, dtype) - (dtype === "uint8" ? 0 : 1));
  const value = castTo(ctx, a, "int64");
  if (dtype !== "int64") return castTo(ctx, floorDivide(ctx, value, powerOfTwo(ctx, within, "int64")), dtype);
  const first = elementWise(ctx, within, new Scalar("int", WORD), "kMIN");
  const second = elementWise(ctx, within, first, "kSUB");
  const upper = floorDivide(ctx, value, powerOfTwo(ctx, first, "int64"));
  return asScalar(second)?.value === 0 ? upper : floorDivide(ctx, upper, powerOfTwo(ctx, second, "int64"));
};

function bitsOf(ctx: ConversionContext, dtype: ScalarType): number {
  return SIZES[dtype] ?? ctx.unsupported(`shifts of ${dtype}`, "Shift integers, or multiply by a power of two.");
}

const BITS: readonly (readonly [string, string, Binary])[] = [
  ["bitwise_and", "__and__", bitwise("kAND")],
  ["bitwise_or", "__or__", bitwise("kOR")],
  ["bitwise_xor", "__xor__", bitwise("kXOR")],
  ["bitwise_left_shift", "__lshift__", shiftLeft],
  ["bitwise_right_shift", "__rshift__", shiftRight],
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
