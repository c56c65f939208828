import { isFloatingPoint, type ScalarType } from "../../ir/scalar-type.js";
import type { ElementWiseOperation } from "../../network/enums.js";
import type { ITensor } from "../../network/layers.js";
import type { ConversionContext } from "../context.js";
import {
  asScalar,
  broadcastOperands,
  castTo,
  constantLike,
  elementWise,
  floatResult,
  inFloat32,
  type Operand,
  resultType,
  scalarTensorOf,
} from "../operands.js";
import { type Converter, type ConverterNotes, converter } from "../registry.js";
import * as scalars from "../scalars.js";
import { Scalar, type TensorValue } from "../values.js";
import { truncate } from "./unary.js";

type Binary = (ctx: ConversionContext, a: Operand, b: Operand) => TensorValue;

/** The `.Tensor` and `.Scalar` overloads of an operator with two operands, under each of its names. */
function overloads(names: readonly string[], compute: Binary, notes?: ConverterNotes): Converter[] {
  return names.flatMap((name) => [
    converter(
      `aten::${name as "mul"}.Tensor(Tensor self, Tensor other) -> Tensor`,
      (ctx, { self, other }) => compute(ctx, self, other),
      notes,
    ),
    converter(
      `aten::${name as "mul"}.Scalar(Tensor self, Scalar other) -> Tensor`,
      (ctx, { self, other }) => compute(ctx, self, other),
      notes,
    ),
  ]);
}

/** An operator that has tensors only. */
function ofTensors(names: readonly string[], compute: Binary, notes?: ConverterNotes): Converter[] {
  return names.map((name) =>
    converter(
      `aten::${name as "mul"}(Tensor self, Tensor other) -> Tensor`,
      (ctx, { self, other }) => compute(ctx, self, other),
      notes,
    ),
  );
}

const layer =
  (operation: ElementWiseOperation): Binary =>
  (ctx, a, b) =>
    elementWise(ctx, a, b, operation);

// --- Arithmetic ------------------------------------------------------------------------------------------------------

/** `a + alpha * b` and `a - alpha * b` in the type of a and b. */
function sum(ctx: ConversionContext, a: Operand, b: Operand, alpha: Scalar, operation: "kSUM" | "kSUB"): TensorValue {
  const dtype = resultType(a, b);
  const scaled = alpha.value === 1 ? b : elementWise(ctx, b, alpha, "kPROD", dtype);
  return elementWise(ctx, a, scaled, operation, dtype);
}

function withAlpha(
  name: string,
  compute: (ctx: ConversionContext, a: Operand, b: Operand, alpha: Scalar) => TensorValue,
) {
  return [
    converter(
      `aten::${name as "add"}.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor`,
      (ctx, { self, other, alpha }) => compute(ctx, self, other, alpha),
    ),
    converter(
      `aten::${name as "add"}.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor`,
      (ctx, { self, other, alpha }) => compute(ctx, self, other, alpha),
    ),
  ];
}

export const sums = [
  ...withAlpha("add", (ctx, a, b, alpha) => sum(ctx, a, b, alpha, "kSUM")),
  ...withAlpha("sub", (ctx, a, b, alpha) => sum(ctx, a, b, alpha, "kSUB")),
  ...withAlpha("subtract", (ctx, a, b, alpha) => sum(ctx, a, b, alpha, "kSUB")),
  ...withAlpha("rsub", (ctx, a, b, alpha) => sum(ctx, b, a, alpha, "kSUB")),
];

export const products = overloads(["mul", "multiply"], layer("kPROD"));

/** `/`: integers divide to float32. */
export const trueDivide: Binary = (ctx, a, b) => {
  const dtype = floatResult(resultType(a, b));
  const [x, y] = [asScalar(a), asScalar(b)];
  if (x !== undefined && y !== undefined) return scalarTensorOf(ctx, scalars.truediv(x, y), dtype);
  return elementWise(ctx, a, b, "kDIV", dtype);
};

/** Rounded towards minus infinity. */
export const floorDivide: Binary = (ctx, a, b) => {
  const dtype = resultType(a, b);
  if (isFloatingPoint(dtype)) return floatDivision(ctx, a, b, dtype, FLOOR);
  const [x, y] = [asScalar(a), asScalar(b)];
  if (x !== undefined && y !== undefined) return scalarTensorOf(ctx, scalars.floordiv(x, y), dtype);
  return elementWise(ctx, a, b, "kFLOOR_DIV", dtype);
};

/** Rounded towards zero, which is what kDIV does with integers. */
const truncDivide: Binary = (ctx, a, b) => {
  const dtype = resultType(a, b);
  const [x, y] = [asScalar(a), asScalar(b)];
  if (x !== undefined && y !== undefined) return scalarTensorOf(ctx, scalars.truncdiv(x, y), dtype);
  const quotient = elementWise(ctx, a, b, "kDIV", dtype);
  return isFloatingPoint(dtype) ? ctx.tensorValue(truncate(ctx, quotient.tensor), dtype) : quotient;
};

function divide(ctx: ConversionContext, a: Operand, b: Operand, mode: string | null): TensorValue {
  if (mode === null) return trueDivide(ctx, a, b);
  if (mode === "floor") return floorDivide(ctx, a, b);
  if (mode === "trunc") return truncDivide(ctx, a, b);
  return ctx.unsupported(`rounding_mode "${mode}"`, 'PyTorch knows None, "floor" and "trunc".');
}

/** What is left of a division: `a - b * quotient`. */
function rest(ctx: ConversionContext, a: Operand, b: Operand, ofFloats: Division, quotient: Binary): TensorValue {
  const dtype = resultType(a, b);
  if (isFloatingPoint(dtype)) return floatDivision(ctx, a, b, dtype, ofFloats);
  return elementWise(ctx, a, elementWise(ctx, quotient(ctx, a, b), b, "kPROD", dtype), "kSUB", dtype);
}

/** What an operator takes of a division of floats, all of them C's fmod and what follows from it. */
interface Division {
  readonly ofNumbers: (a: number, b: number) => number;
  /** Of numbers known only at run time, which stay sizes. */
  readonly ofSizes: (a: Scalar, b: Scalar) => Scalar;
  /** For a divisor that is a power of two, by which quotient and product are exact. */
  readonly byPowerOfTwo: (ctx: ConversionContext, a: ITensor, b: ITensor) => ITensor;
  readonly ofTensors: (ctx: ConversionContext, a: ITensor, b: ITensor) => ITensor;
}

const FLOAT_LIMITS = {
  limits:
    "Floats are exact for quotients below 2^24, by 25 to 40 small layers; by 1 to 8 for a power of two known at build time, by which infinity stays infinite.",
};

/** Half types in float32, as PyTorch computes them. */
function floatDivision(
  ctx: ConversionContext,
  a: Operand,
  b: Operand,
  dtype: ScalarType,
  { ofNumbers, ofSizes, byPowerOfTwo, ofTensors }: Division,
): TensorValue {
  const [m, n] = [a, b].map((operand) => {
    const scalar = asScalar(operand);
    return scalar === undefined ? undefined : scalars.castScalar(scalar, dtype);
  });
  const [x, y] = [m, n].map((scalar) => (scalar === undefined ? undefined : scalars.knownNumber(scalar.value)));
  if (x !== undefined && y !== undefined) return scalarTensorOf(ctx, scalars.float(ofNumbers(x, y)), dtype);
  if (m !== undefined && n !== undefined) return scalarTensorOf(ctx, ofSizes(m, n), dtype);
  const compute = y !== undefined && Number.isInteger(Math.log2(Math.abs(y))) ? byPowerOfTwo : ofTensors;
  const wide = broadcastOperands(ctx, [castTo(ctx, a, dtype), castTo(ctx, b, dtype)], "float32") as [ITensor, ITensor];
  return castTo(ctx, ctx.tensorValue(compute(ctx, ...wide), "float32"), dtype);
}

/**
 * |a| mod |b|. The quotient rounds, so that its floor may be one too many, and its product with b has more digits than a
 * float: both are cut in halves whose products are exact, and subtracted from a one by one, so that nothing rounds.
 */
function floatRest(ctx: ConversionContext, a: ITensor, b: ITensor): ITensor {
  const { network } = ctx;
  const product = (x: ITensor, y: ITensor): ITensor => network.addElementWise(x, y, "kPROD");
  const [dividend, divisor] = [network.addUnary(a, "kABS"), network.addUnary(b, "kABS")];
  const [t, u] = halves(ctx, network.addElementWise(dividend, divisor, "kFLOOR_DIV"));
  const [v, w] = halves(ctx, divisor);
  const left = [product(v, t), product(v, u), product(w, t), product(w, u)].reduce(
    (rest, part) => network.addElementWise(rest, part, "kSUB"),
    dividend,
  );
  const below = network.addElementWise(left, constantLike(ctx, left, 0), "kLESS");
  const raised = network.addSelect(below, network.addElementWise(left, divisor, "kSUM"), left);
  const inside = network.addElementWise(raised, divisor, "kLESS");
  const lowered = network.addSelect(inside, raised, network.addElementWise(raised, divisor, "kSUB"));
  // What is smaller than the divisor, also than an infinite one, is all that is left.
  return network.addSelect(network.addElementWise(dividend, divisor, "kLESS"), dividend, lowered);
}

/** x as a sum of two floats of 12 digits each: those of x / 4096 that remain beside x are the upper ones. */
function halves(ctx: ConversionContext, x: ITensor): [ITensor, ITensor] {
  const { network } = ctx;
  const small = network.addElementWise(x, constantLike(ctx, x, 2 ** -12), "kPROD");
  const rounded = network.addElementWise(network.addElementWise(x, small, "kSUM"), x, "kSUB");
  const upper = network.addElementWise(rounded, constantLike(ctx, x, 2 ** 12), "kPROD");
  return [upper, network.addElementWise(x, upper, "kSUB")];
}

function fmod(ctx: ConversionContext, a: ITensor, b: ITensor): ITensor {
  return ctx.network.addElementWise(floatRest(ctx, a, b), ctx.network.addUnary(a, "kSIGN"), "kPROD");
}

/** Where the rest of the division is on the other side of 0 than the divisor. */
function differ(ctx: ConversionContext, rest: ITensor, b: ITensor): ITensor {
  const { network } = ctx;
  const signs = network.addElementWise(network.addUnary(rest, "kSIGN"), network.addUnary(b, "kSIGN"), "kPROD");
  return network.addElementWise(signs, constantLike(ctx, signs, 0), "kLESS");
}

const onOtherSide = (rest: number, b: number): boolean => rest !== 0 && rest < 0 !== b < 0;

function lessProduct(ctx: ConversionContext, a: ITensor, b: ITensor, quotient: ITensor): ITensor {
  return ctx.network.addElementWise(a, ctx.network.addElementWise(b, quotient, "kPROD"), "kSUB");
}

const FMOD: Division = {
  ofNumbers: (a, b) => a % b,
  ofSizes: scalars.fmod,
  byPowerOfTwo: (ctx, a, b) => lessProduct(ctx, a, b, truncate(ctx, ctx.network.addElementWise(a, b, "kDIV"))),
  ofTensors: fmod,
};

const REMAINDER: Division = {
  ofNumbers: (a, b) => (onOtherSide(a % b, b) ? (a % b) + b : a % b),
  ofSizes: scalars.mod,
  byPowerOfTwo: (ctx, a, b) => lessProduct(ctx, a, b, ctx.network.addElementWise(a, b, "kFLOOR_DIV")),
  ofTensors: (ctx, a, b) => {
    const rest = fmod(ctx, a, b);
    return ctx.network.addSelect(differ(ctx, rest, b), ctx.network.addElementWise(rest, b, "kSUM"), rest);
  },
};

const FLOOR: Division = {
  ofNumbers: (a, b) => (b === 0 ? a / b : Math.round((a - (a % b)) / b) - Number(onOtherSide(a % b, b))),
  ofSizes: scalars.floordiv,
  byPowerOfTwo: (ctx, a, b) => ctx.network.addElementWise(a, b, "kFLOOR_DIV"),
  ofTensors: (ctx, a, b) => {
    const { network } = ctx;
    const rest = fmod(ctx, a, b);
    const multiple = network.addElementWise(a, rest, "kSUB");
    const whole = network.addUnary(network.addElementWise(multiple, b, "kDIV"), "kROUND");
    const lower = network.addElementWise(whole, constantLike(ctx, whole, 1), "kSUB");
    const floor = network.addSelect(differ(ctx, rest, b), lower, whole);
    // Nothing is left of a division by 0, whose quotient is infinite.
    const byZero = network.addElementWise(b, constantLike(ctx, b, 0), "kEQUAL");
    return network.addSelect(byZero, network.addElementWise(a, b, "kDIV"), floor);
  },
};

export const quotients = [
  ...overloads(["div", "divide", "true_divide"], trueDivide),
  ...["div", "divide"].flatMap((name) => [
    converter(
      `aten::${name as "div"}.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor`,
      (ctx, { self, other, rounding_mode }) => divide(ctx, self, other, rounding_mode),
      FLOAT_LIMITS,
    ),
    converter(
      `aten::${name as "div"}.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor`,
      (ctx, { self, other, rounding_mode }) => divide(ctx, self, other, rounding_mode),
      FLOAT_LIMITS,
    ),
  ]),
  ...ofTensors(["floor_divide"], floorDivide, FLOAT_LIMITS),
  converter(
    "aten::floor_divide.Scalar(Tensor self, Scalar other) -> Tensor",
    (ctx, { self, other }) => floorDivide(ctx, self, other),
    FLOAT_LIMITS,
  ),
];

/** The remainder has the sign of the divisor, as Python's `%`. */
const remainder: Binary = (ctx, a, b) => rest(ctx, a, b, REMAINDER, floorDivide);

export const remainders = [
  ...overloads(["remainder"], remainder, FLOAT_LIMITS),
  converter(
    "aten::remainder.Scalar_Tensor(Scalar self, Tensor other) -> Tensor",
    (ctx, { self, other }) => remainder(ctx, self, other),
    FLOAT_LIMITS,
  ),
  // The sign of the dividend, as C's `%`.
  ...overloads(["fmod"], (ctx, a, b) => rest(ctx, a, b, FMOD, truncDivide), FLOAT_LIMITS),
];

// --- Powers ----------------------------------------------------------------------------------------------------------

/** TensorRT raises floats only; integers are multiplied, which is exact and wraps around as PyTorch does. */
export const power: Binary = (ctx, base, exponent) => {
  const dtype = resultType(base, exponent);
  const [x, n] = [asScalar(base), asScalar(exponent)];
  if (x !== undefined && n !== undefined) return scalarTensorOf(ctx, scalars.pow(x, n), dtype);
  const known = n === undefined ? undefined : scalars.knownNumber(n.value);
  if (known !== undefined && Number.isInteger(known) && known >= 0 && known <= (isFloatingPoint(dtype) ? 3 : 64)) {
    return repeatedProduct(ctx, castTo(ctx, base, dtype), known);
  }
  if (!isFloatingPoint(dtype)) {
    if (known !== undefined && known < 0) return ctx.unsupported("integers raised to a negative power");
    return integerPower(ctx, base, exponent, dtype);
  }
  if (known === 0.5) return ctx.tensorValue(ctx.network.addUnary(castTo(ctx, base, dtype).tensor, "kSQRT"), dtype);
  if (known === -1) return ctx.tensorValue(ctx.network.addUnary(castTo(ctx, base, dtype).tensor, "kRECIP"), dtype);
  return elementWise(ctx, base, exponent, "kPOW", dtype);
};

/** By squaring. */
function repeatedProduct(ctx: ConversionContext, base: TensorValue, exponent: number): TensorValue {
  let result: TensorValue | undefined;
  let square = base;
  for (let rest = exponent; rest > 0; rest >>= 1) {
    if (rest % 2 === 1) result = result === undefined ? square : elementWise(ctx, result, square, "kPROD");
    if (rest > 1) square = elementWise(ctx, square, square, "kPROD");
  }
  // x^0 is 1 even of nan; comparing x with itself in a type of numbers would not be.
  if (result === undefined) return onesOf(ctx, base);
  return result;
}

function onesOf(ctx: ConversionContext, value: TensorValue): TensorValue {
  const { network } = ctx;
  const { tensor } = value;
  const alike = network.addElementWise(tensor, tensor, "kEQUAL");
  const always = network.addElementWise(alike, network.addUnary(alike, "kNOT"), "kOR");
  return castTo(ctx, ctx.tensorValue(always, "bool"), value.dtype);
}

/** The factors base^(2^i) for the bits i that the exponent has; an integer overflows for exponents of more than 6 bits. */
function integerPower(ctx: ConversionContext, base: Operand, exponent: Operand, dtype: ScalarType): TensorValue {
  const whole = castTo(ctx, base, dtype);
  let [square, rest] = [whole, castTo(ctx, exponent, dtype)];
  let result: TensorValue | undefined;
  const [one, two] = [new Scalar("int", 1), new Scalar("int", 2)];
  for (let bit = 0; bit < 6; bit++) {
    const half = elementWise(ctx, rest, two, "kFLOOR_DIV", dtype);
    const odd = elementWise(ctx, rest, elementWise(ctx, half, two, "kPROD", dtype), "kSUB", dtype);
    // odd * (square - 1) + 1 is square where the bit is set, else 1.
    const less = elementWise(ctx, square, one, "kSUB", dtype);
    const factor = elementWise(ctx, elementWise(ctx, odd, less, "kPROD", dtype), one, "kSUM", dtype);
    result = result === undefined ? factor : elementWise(ctx, result, factor, "kPROD", dtype);
    rest = half;
    square = elementWise(ctx, square, square, "kPROD", dtype);
  }
  // Rounded towards zero, a negative power is 0 unless the base is 1 or -1, of which the bits above tell the sign.
  const { network } = ctx;
  const [x, n, product] = broadcastOperands(
    ctx,
    [whole, castTo(ctx, exponent, dtype), result as TensorValue],
    dtype,
  ) as [ITensor, ITensor, ITensor];
  const negative = network.addElementWise(n, constantLike(ctx, n, 0), "kLESS");
  const isUnit = network.addElementWise(network.addElementWise(x, x, "kPROD"), constantLike(ctx, x, 1), "kEQUAL");
  const vanishes = network.addElementWise(negative, network.addUnary(isUnit, "kNOT"), "kAND");
  return ctx.tensorValue(network.addSelect(vanishes, constantLike(ctx, product, 0), product), dtype);
}

const doublePower: Binary = (ctx, base, exponent) =>
  power(
    ctx,
    base instanceof Scalar ? base : castTo(ctx, base, "float64"),
    exponent instanceof Scalar ? scalars.float(scalars.toFloat(exponent)) : castTo(ctx, exponent, "float64"),
  );

export const powers = [
  ...(
    [
      ["pow", power],
      ["float_power", doublePower],
    ] as const
  ).flatMap(([name, compute]) => [
    converter(`aten::${name}.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor`, (ctx, { self, exponent }) =>
      compute(ctx, self, exponent),
    ),
    converter(`aten::${name}.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor`, (ctx, { self, exponent }) =>
      compute(ctx, self, exponent),
    ),
    converter(`aten::${name}.Scalar(Scalar self, Tensor exponent) -> Tensor`, (ctx, { self, exponent }) =>
      compute(ctx, self, exponent),
    ),
  ]),
];

// --- Extremes --------------------------------------------------------------------------------------------------------

/** The other operand where one is not a number. */
function ignoringNan(operation: "kMAX" | "kMIN"): Binary {
  return (ctx, a, b) => {
    const dtype = resultType(a, b);
    const extreme = elementWise(ctx, a, b, operation, dtype);
    if (!isFloatingPoint(dtype)) return extreme;
    const { network } = ctx;
    const [x, y, both] = broadcastOperands(ctx, [a, b, extreme], dtype) as [ITensor, ITensor, ITensor];
    const withoutY = network.addSelect(network.addUnary(y, "kISNAN"), x, both);
    return ctx.tensorValue(network.addSelect(network.addUnary(x, "kISNAN"), y, withoutY), dtype);
  };
}

export const extremes = [
  ...ofTensors(["maximum"], layer("kMAX")),
  ...ofTensors(["minimum"], layer("kMIN")),
  converter("aten::max.other(Tensor self, Tensor other) -> Tensor", (ctx, { self, other }) =>
    elementWise(ctx, self, other, "kMAX"),
  ),
  converter("aten::min.other(Tensor self, Tensor other) -> Tensor", (ctx, { self, other }) =>
    elementWise(ctx, self, other, "kMIN"),
  ),
  ...ofTensors(["fmax"], ignoringNan("kMAX")),
  ...ofTensors(["fmin"], ignoringNan("kMIN")),
];

/** Bounds of any kind count for the type: a float bound makes floats of integers. */
function clamp(ctx: ConversionContext, self: TensorValue, low: Operand | null, high: Operand | null): TensorValue {
  const operands = [self, low, high].filter((operand) => operand !== null);
  const dtype = resultType(...operands);
  const [x, y] = [low, high].map((bound) => (bound instanceof Scalar ? scalars.knownNumber(bound.value) : undefined));
  if (isFloatingPoint(dtype) && x !== undefined && y !== undefined && x <= y && asScalar(self) === undefined) {
    return ctx.tensorValue(ctx.network.addActivation(castTo(ctx, self, dtype).tensor, "kCLIP", x, y), dtype);
  }
  let result = castTo(ctx, self, dtype);
  if (low !== null) result = elementWise(ctx, result, low, "kMAX", dtype);
  // Last, so that the upper bound wins where the lower is above it.
  if (high !== null) result = elementWise(ctx, result, high, "kMIN", dtype);
  return result;
}

export const clamps = [
  ...["clamp", "clip"].flatMap((name) => [
    converter(
      `aten::${name as "clamp"}(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor`,
      (ctx, { self, min, max }) => clamp(ctx, self, min, max),
    ),
    converter(
      `aten::${name as "clamp"}.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor`,
      (ctx, { self, min, max }) => clamp(ctx, self, min, max),
    ),
  ]),
  converter("aten::clamp_min(Tensor self, Scalar min) -> Tensor", (ctx, { self, min }) => clamp(ctx, self, min, null)),
  converter("aten::clamp_max(Tensor self, Scalar max) -> Tensor", (ctx, { self, max }) => clamp(ctx, self, null, max)),
  converter("aten::clamp_min.Tensor(Tensor self, Tensor min) -> Tensor", (ctx, { self, min }) =>
    clamp(ctx, self, min, null),
  ),
  converter("aten::clamp_max.Tensor(Tensor self, Tensor max) -> Tensor", (ctx, { self, max }) =>
    clamp(ctx, self, null, max),
  ),
];

// --- Compositions ----------------------------------------------------------------------------------------------------

function scaled(ctx: ConversionContext, value: Scalar, product: TensorValue, dtype: ScalarType): TensorValue {
  return value.value === 1 ? product : elementWise(ctx, product, value, "kPROD", dtype);
}

export const compositions = [
  converter(
    "aten::addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
    (ctx, { self, tensor1, tensor2, value }) => {
      return inFloat32(ctx, resultType(self, tensor1, tensor2), (dtype) => {
        const product = elementWise(ctx, tensor1, tensor2, "kPROD", dtype);
        return elementWise(ctx, self, scaled(ctx, value, product, dtype), "kSUM", dtype);
      });
    },
  ),
  converter(
    "aten::addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
    (ctx, { self, tensor1, tensor2, value }) => {
      return inFloat32(ctx, floatResult(resultType(self, tensor1, tensor2)), (dtype) => {
        const quotient = elementWise(ctx, tensor1, tensor2, "kDIV", dtype);
        return elementWise(ctx, self, scaled(ctx, value, quotient, dtype), "kSUM", dtype);
      });
    },
  ),
  ...(["Scalar", "Tensor"] as const).map((type) =>
    converter(`aten::lerp.${type}(Tensor self, Tensor end, ${type} weight) -> Tensor`, (ctx, { self, end, weight }) => {
      return inFloat32(ctx, resultType(self, end), (dtype) => {
        const way = elementWise(ctx, end, self, "kSUB", dtype);
        return elementWise(ctx, self, elementWise(ctx, way, weight as Operand, "kPROD", dtype), "kSUM", dtype);
      });
    }),
  ),
  ...ofTensors(["hypot"], hypot),
  ...ofTensors(["logaddexp"], (ctx, a, b) => logAddExp(ctx, a, b, 1)),
  ...ofTensors(["logaddexp2"], (ctx, a, b) => logAddExp(ctx, a, b, Math.LN2)),
  ...overloads(["copysign"], copySign),
  ...ofTensors(["atan2", "arctan2"], atan2),
  ...ofTensors(["heaviside"], (ctx, a, b) => {
    const dtype = resultType(a, b);
    const [x, y] = broadcastOperands(ctx, [a, b], dtype) as [ITensor, ITensor];
    const zero = constantLike(ctx, x, 0);
    const step = ctx.network.addCast(ctx.network.addElementWise(x, zero, "kGREATER"), x.type);
    return ctx.tensorValue(ctx.network.addSelect(ctx.network.addElementWise(x, zero, "kEQUAL"), y, step), dtype);
  }),
];

/** The larger size times sqrt(1 + ratio²): the squares of large numbers overflow, those of small ones vanish. */
function hypot(ctx: ConversionContext, a: Operand, b: Operand): TensorValue {
  const { network } = ctx;
  return inFloat32(ctx, resultType(a, b), (dtype) => {
    const [x, y] = broadcastOperands(ctx, [a, b], dtype).map((tensor) => network.addUnary(tensor, "kABS")) as [
      ITensor,
      ITensor,
    ];
    const larger = network.addElementWise(x, y, "kMAX");
    const quotient = network.addElementWise(network.addElementWise(x, y, "kMIN"), larger, "kDIV");
    // Of 0 and 0, and of two infinities, which are as long as either.
    const isUndefined = network.addUnary(quotient, "kISNAN");
    const ratio = network.addSelect(isUndefined, constantLike(ctx, quotient, 0), quotient);
    const squares = network.addElementWise(
      network.addElementWise(ratio, ratio, "kPROD"),
      constantLike(ctx, ratio, 1),
      "kSUM",
    );
    const length = network.addElementWise(larger, network.addUnary(squares, "kSQRT"), "kPROD");
    // Whether a maximum tells that an operand is not a number depends on the library; a sum of sizes does.
    const sum = network.addElementWise(x, y, "kSUM");
    return ctx.tensorValue(network.addSelect(network.addUnary(sum, "kISNAN"), sum, length), dtype);
  });
}

/** log(base^a + base^b), by the larger one: nothing overflows. `log` is the base's logarithm. */
function logAddExp(ctx: ConversionContext, a: Operand, b: Operand, log: number): TensorValue {
  return inFloat32(ctx, floatResult(resultType(a, b)), (dtype) => logAddExpIn(ctx, a, b, log, dtype));
}

function logAddExpIn(ctx: ConversionContext, a: Operand, b: Operand, log: number, dtype: ScalarType): TensorValue {
  const { network } = ctx;
  const larger = elementWise(ctx, a, b, "kMAX", dtype);
  const difference = elementWise(ctx, a, b, "kSUB", dtype).tensor;
  const away = network.addElementWise(
    network.addUnary(difference, "kABS"),
    constantLike(ctx, difference, -log),
    "kPROD",
  );
  const ratio = network.addUnary(away, "kEXP");
  const rest = network.addUnary(network.addElementWise(ratio, constantLike(ctx, ratio, 1), "kSUM"), "kLOG");
  const inBase = network.addElementWise(rest, constantLike(ctx, rest, 1 / log), "kPROD");
  const total = network.addElementWise(larger.tensor, inBase, "kSUM");
  // Equal infinities have no difference.
  const infinite = network.addUnary(difference, "kISNAN");
  return ctx.tensorValue(network.addSelect(infinite, larger.tensor, total), dtype);
}

/** The size of a with the sign of b, -0.0's included. */
function copySign(ctx: ConversionContext, a: Operand, b: Operand): TensorValue {
  const dtype = floatResult(resultType(a, b));
  const { network } = ctx;
  const [x, y] = broadcastOperands(ctx, [a, b], dtype) as [ITensor, ITensor];
  const magnitude = network.addUnary(x, "kABS");
  const zero = constantLike(ctx, y, 0);
  const below = network.addElementWise(y, zero, "kLESS");
  const minusZero = network.addElementWise(network.addUnary(y, "kRECIP"), zero, "kLESS");
  const negative = network.addElementWise(below, minusZero, "kOR");
  return ctx.tensorValue(network.addSelect(negative, network.addUnary(magnitude, "kNEG"), magnitude), dtype);
}

/** The angle of (x, y) = (b, a): atan(y/x), moved by half a turn where x is negative. */
export function atan2(ctx: ConversionContext, a: Operand, b: Operand): TensorValue {
  const dtype = floatResult(resultType(a, b));
  const { network } = ctx;
  const [y, x] = broadcastOperands(ctx, [a, b], dtype) as [ITensor, ITensor];
  const zero = constantLike(ctx, x, 0);
  const constant = (value: number): ITensor => constantLike(ctx, x, value);
  const below = network.addElementWise(y, zero, "kLESS");
  // Of two infinities as of two ones.
  const infinite = network.addElementWise(network.addUnary(y, "kISINF"), network.addUnary(x, "kISINF"), "kAND");
  const signs = network.addElementWise(network.addUnary(y, "kSIGN"), network.addUnary(x, "kSIGN"), "kPROD");
  const ratio = network.addSelect(infinite, signs, network.addElementWise(y, x, "kDIV"));
  const angle = network.addUnary(ratio, "kATAN");
  const turn = network.addSelect(below, constant(-Math.PI), constant(Math.PI));
  const left = network.addElementWise(x, zero, "kLESS");
  const turned = network.addSelect(left, network.addElementWise(angle, turn, "kSUM"), angle);
  // 0/0 is no angle; PyTorch's is 0.
  const yIsZero = network.addElementWise(y, zero, "kEQUAL");
  const xIsZero = network.addElementWise(x, zero, "kEQUAL");
  const origin = network.addElementWise(yIsZero, xIsZero, "kAND");
  return ctx.tensorValue(network.addSelect(origin, network.addElementWise(y, x, "kSUM"), turned), dtype);
}

/** x * log(y), and 0 where x is 0 unless y is not a number. */
const xlogy: Binary = (ctx, a, b) => {
  const dtype = floatResult(resultType(a, b));
  const { network } = ctx;
  const [x, y] = broadcastOperands(ctx, [a, b], dtype) as [ITensor, ITensor];
  const product = network.addElementWise(x, network.addUnary(y, "kLOG"), "kPROD");
  const zero = constantLike(ctx, product, 0);
  const isZero = network.addElementWise(x, constantLike(ctx, x, 0), "kEQUAL");
  const result = network.addSelect(isZero, zero, product);
  return ctx.tensorValue(network.addSelect(network.addUnary(y, "kISNAN"), y, result), dtype);
};

export const xlogys = [
  converter("aten::xlogy.Tensor(Tensor self, Tensor other) -> Tensor", (ctx, { self, other }) =>
    xlogy(ctx, self, other),
  ),
  converter("aten::xlogy.Scalar_Self(Scalar self, Tensor other) -> Tensor", (ctx, { self, other }) =>
    xlogy(ctx, self, other),
  ),
  converter("aten::xlogy.Scalar_Other(Tensor self, Scalar other) -> Tensor", (ctx, { self, other }) =>
    xlogy(ctx, self, other),
  ),
  ...ofTensors(["special_xlogy"], xlogy),
];

export const isclose = converter(
  "aten::isclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> Tensor",
  (ctx, { self, other, rtol, atol, equal_nan }) => {
    const { network } = ctx;
    const [x, y] = broadcastOperands(ctx, [self, other], floatResult(resultType(self, other))) as [ITensor, ITensor];
    const difference = network.addUnary(network.addElementWise(x, y, "kSUB"), "kABS");
    const magnitude = network.addUnary(y, "kABS");
    const relative = network.addElementWise(magnitude, constantLike(ctx, y, rtol), "kPROD");
    const allowed = network.addElementWise(relative, constantLike(ctx, y, atol), "kSUM");
    const far = network.addElementWise(difference, allowed, "kGREATER");
    // Not far may also be an infinity away, or nan.
    const infinite = network.addElementWise(
      network.addUnary(difference, "kISINF"),
      network.addUnary(difference, "kISNAN"),
      "kOR",
    );
    const near = network.addUnary(network.addElementWise(far, infinite, "kOR"), "kNOT");
    const close = network.addElementWise(near, network.addElementWise(x, y, "kEQUAL"), "kOR");
    if (!equal_nan) return close;
    const bothNan = network.addElementWise(network.addUnary(x, "kISNAN"), network.addUnary(y, "kISNAN"), "kAND");
    return network.addElementWise(close, bothNan, "kOR");
  },
);
