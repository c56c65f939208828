import { isFloatingPoint, isIntegral } from "../../ir/scalar-type.js";
import type { ElementWiseOperation, UnaryOperation } from "../../network/enums.js";
import { largestFinite } from "../../network/half.js";
import type { ITensor } from "../../network/layers.js";
import type { ConversionContext } from "../context.js";
import { asScalar, castTo, constantLike, elementWise, scalarTensorOf, toFloatTensor, wrap } from "../operands.js";
import { type Converter, converter } from "../registry.js";
import * as scalars from "../scalars.js";
import { Scalar, type TensorValue } from "../values.js";

/** A function of floats; integers and bools become float32 first, as in PyTorch. */
function floatUnary(
  name: string,
  build: (ctx: ConversionContext, x: ITensor) => ITensor,
  ofScalar?: (a: Scalar) => Scalar,
): Converter {
  return converter(`aten::${name as "exp"}(Tensor self) -> Tensor`, (ctx, { self }) => {
    const x = toFloatTensor(ctx, self);
    const scalar = asScalar(x);
    if (ofScalar !== undefined && scalar !== undefined) return scalarTensorOf(ctx, ofScalar(scalar), x.dtype);
    return ctx.tensorValue(build(ctx, x.tensor), x.dtype);
  });
}

const layer =
  (operation: UnaryOperation) =>
  (ctx: ConversionContext, x: ITensor): ITensor =>
    ctx.network.addUnary(x, operation);

function binary(ctx: ConversionContext, x: ITensor, operation: ElementWiseOperation, constant: number): ITensor {
  return ctx.network.addElementWise(x, constantLike(ctx, x, constant), operation);
}

/** One TensorRT layer each. */
export const layers = [
  floatUnary("exp", layer("kEXP"), scalars.exp),
  floatUnary("log", layer("kLOG"), scalars.log),
  floatUnary("sqrt", layer("kSQRT"), scalars.sqrt),
  floatUnary("reciprocal", layer("kRECIP"), (a) => scalars.truediv(scalars.float(1), a)),
  floatUnary("sin", layer("kSIN")),
  floatUnary("cos", layer("kCOS")),
  floatUnary("tan", layer("kTAN")),
  floatUnary("sinh", layer("kSINH")),
  floatUnary("cosh", layer("kCOSH")),
  floatUnary("asin", layer("kASIN")),
  floatUnary("acos", layer("kACOS")),
  floatUnary("atan", layer("kATAN")),
  floatUnary("asinh", layer("kASINH")),
  floatUnary("acosh", layer("kACOSH")),
  floatUnary("atanh", layer("kATANH")),
  floatUnary("erf", layer("kERF")),
  floatUnary("special_erf", layer("kERF")),
  floatUnary("tanh", (ctx, x) => ctx.network.addActivation(x, "kTANH")),
  floatUnary("sigmoid", (ctx, x) => ctx.network.addActivation(x, "kSIGMOID")),
  floatUnary("special_expit", (ctx, x) => ctx.network.addActivation(x, "kSIGMOID")),
  floatUnary("arcsin", layer("kASIN")),
  floatUnary("arccos", layer("kACOS")),
  floatUnary("arctan", layer("kATAN")),
  floatUnary("arcsinh", layer("kASINH")),
  floatUnary("arccosh", layer("kACOSH")),
  floatUnary("arctanh", layer("kATANH")),
];

/** Compositions of a few layers. */
export const compositions = [
  floatUnary("rsqrt", (ctx, x) => ctx.network.addUnary(ctx.network.addUnary(x, "kSQRT"), "kRECIP")),
  floatUnary("log2", (ctx, x) => binary(ctx, ctx.network.addUnary(x, "kLOG"), "kPROD", Math.LOG2E)),
  floatUnary("log10", (ctx, x) => binary(ctx, ctx.network.addUnary(x, "kLOG"), "kPROD", Math.LOG10E)),
  floatUnary("exp2", (ctx, x) => ctx.network.addUnary(binary(ctx, x, "kPROD", Math.LN2), "kEXP")),
  floatUnary("special_exp2", (ctx, x) => ctx.network.addUnary(binary(ctx, x, "kPROD", Math.LN2), "kEXP")),
  floatUnary("log1p", log1p),
  floatUnary("special_log1p", log1p),
  floatUnary("expm1", expm1),
  floatUnary("special_expm1", expm1),
  floatUnary("erfc", erfc),
  floatUnary("special_erfc", erfc),
  floatUnary("deg2rad", (ctx, x) => binary(ctx, x, "kPROD", Math.PI / 180)),
  floatUnary("rad2deg", (ctx, x) => binary(ctx, x, "kPROD", 180 / Math.PI)),
  floatUnary("sinc", (ctx, x) => {
    const { network } = ctx;
    const scaled = binary(ctx, x, "kPROD", Math.PI);
    const zero = network.addElementWise(x, constantLike(ctx, x, 0), "kEQUAL");
    const one = constantLike(ctx, x, 1);
    const quotient = network.addElementWise(network.addUnary(scaled, "kSIN"), scaled, "kDIV");
    return network.addSelect(zero, one, quotient);
  }),
];

/**
 * ln(1 + x). Where 1 + x rounds, Kahan's correction ln(u) * x / (u - 1) with u = 1 + x gives back the digits that
 * small x lose; u = 1 stands for x itself.
 */
function log1p(ctx: ConversionContext, x: ITensor): ITensor {
  const { network } = ctx;
  const u = binary(ctx, x, "kSUM", 1);
  const rounded = binary(ctx, u, "kSUB", 1);
  const isOne = network.addElementWise(rounded, constantLike(ctx, x, 0), "kEQUAL");
  const isInfinite = network.addUnary(u, "kISINF");
  const log = network.addUnary(u, "kLOG");
  const corrected = network.addElementWise(log, network.addElementWise(x, rounded, "kDIV"), "kPROD");
  return network.addSelect(isOne, x, network.addSelect(isInfinite, log, corrected));
}

/** e^x - 1, by tanh for small x: e^x - 1 = 2t / (1 - t) with t = tanh(x/2), which does not cancel. */
export function expm1(ctx: ConversionContext, x: ITensor): ITensor {
  const { network } = ctx;
  const t = network.addActivation(binary(ctx, x, "kPROD", 0.5), "kTANH");
  const small = network.addElementWise(binary(ctx, t, "kPROD", 2), oneMinus(ctx, t), "kDIV");
  const large = binary(ctx, network.addUnary(x, "kEXP"), "kSUB", 1);
  const isSmall = network.addElementWise(network.addUnary(x, "kABS"), constantLike(ctx, x, 1), "kLESS");
  return network.addSelect(isSmall, small, large);
}

/**
 * 1 - erf(x) without the cancellation: t e^(-x² + P(t)) with t = 1 / (1 + |x| / 2), a Chebyshev approximation of relative
 * error 1.2e-7 (Numerical Recipes 6.2, erfcc).
 */
function erfc(ctx: ConversionContext, x: ITensor): ITensor {
  const { network } = ctx;
  const t = network.addUnary(binary(ctx, binary(ctx, network.addUnary(x, "kABS"), "kPROD", 0.5), "kSUM", 1), "kRECIP");
  const exponent = network.addElementWise(horner(ctx, t, ERFC), network.addElementWise(x, x, "kPROD"), "kSUB");
  const tail = network.addElementWise(t, network.addUnary(exponent, "kEXP"), "kPROD");
  const negative = network.addElementWise(x, constantLike(ctx, x, 0), "kLESS");
  const mirrored = network.addElementWise(constantLike(ctx, x, 2), tail, "kSUB");
  return network.addSelect(negative, mirrored, tail);
}

const ERFC = [
  0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368,
  -1.26551223,
];

/** The polynomial with these coefficients, that of the highest power first. */
function horner(ctx: ConversionContext, x: ITensor, coefficients: readonly number[]): ITensor {
  let sum = constantLike(ctx, x, coefficients[0] as number);
  for (const coefficient of coefficients.slice(1)) {
    sum = binary(ctx, ctx.network.addElementWise(sum, x, "kPROD"), "kSUM", coefficient);
  }
  return sum;
}

function oneMinus(ctx: ConversionContext, x: ITensor): ITensor {
  return ctx.network.addElementWise(constantLike(ctx, x, 1), x, "kSUB");
}

export const logit = converter("aten::logit(Tensor self, float? eps=None) -> Tensor", (ctx, { self, eps }) => {
  const x = toFloatTensor(ctx, self);
  let p = x.tensor;
  if (eps !== null) p = binary(ctx, binary(ctx, p, "kMAX", eps), "kMIN", 1 - eps);
  const odds = ctx.network.addElementWise(p, oneMinus(ctx, p), "kDIV");
  return ctx.tensorValue(ctx.network.addUnary(odds, "kLOG"), x.dtype);
});

/** Functions that keep the type, whatever it is. */
function sameTypeUnary(
  name: string,
  build: (ctx: ConversionContext, x: ITensor, self: TensorValue) => ITensor,
  ofScalar: (a: Scalar) => Scalar,
): Converter {
  return converter(`aten::${name as "abs"}(Tensor self) -> Tensor`, (ctx, { self }) => {
    const scalar = asScalar(self);
    if (scalar !== undefined) return scalarTensorOf(ctx, ofScalar(scalar), self.dtype);
    return ctx.tensorValue(build(ctx, self.tensor, self), self.dtype);
  });
}

/** TensorRT has kABS, kNEG and kSIGN for floats and signed integers. */
const wrapping =
  (operation: UnaryOperation) =>
  (ctx: ConversionContext, x: ITensor, self: TensorValue): ITensor =>
    self.dtype === "uint8" && operation !== "kNEG" ? x : wrap(ctx, ctx.network.addUnary(x, operation), self.dtype);

/** What is not a number has none: 0. */
function sign(ctx: ConversionContext, x: ITensor, self: TensorValue): ITensor {
  const { network } = ctx;
  if (self.dtype === "bool") return x;
  const result = network.addUnary(x, "kSIGN");
  if (!isFloatingPoint(self.dtype)) return result;
  return network.addSelect(network.addUnary(x, "kISNAN"), constantLike(ctx, x, 0), result);
}

export const arithmetic = [
  sameTypeUnary("abs", wrapping("kABS"), scalars.abs),
  sameTypeUnary("absolute", wrapping("kABS"), scalars.abs),
  sameTypeUnary("neg", wrapping("kNEG"), scalars.neg),
  sameTypeUnary("negative", wrapping("kNEG"), scalars.neg),
  sameTypeUnary("sign", sign, scalars.sign),
  sameTypeUnary("sgn", sign, scalars.sign),
  sameTypeUnary(
    "positive",
    (_ctx, x) => x,
    (a) => a,
  ),
];

/** x^2: of bools, as any power of theirs, an int64. */
export const square = converter("aten::square(Tensor self) -> Tensor", (ctx, { self }) => {
  const x = self.dtype === "bool" ? castTo(ctx, self, "int64") : self;
  return elementWise(ctx, x, x, "kPROD");
});

/** Integers are round already. */
const rounding =
  (build: (ctx: ConversionContext, x: ITensor) => ITensor) =>
  (ctx: ConversionContext, x: ITensor, self: TensorValue): ITensor =>
    isFloatingPoint(self.dtype) ? build(ctx, x) : x;

export const roundings = [
  sameTypeUnary("floor", rounding(layer("kFLOOR")), scalars.floor),
  sameTypeUnary("ceil", rounding(layer("kCEIL")), scalars.ceil),
  sameTypeUnary("round", rounding(layer("kROUND")), scalars.round),
  sameTypeUnary("trunc", rounding(truncate), scalars.trunc),
  sameTypeUnary("fix", rounding(truncate), scalars.trunc),
  sameTypeUnary(
    "frac",
    (ctx, x) => ctx.network.addElementWise(x, truncate(ctx, x), "kSUB"),
    (a) => scalars.sub(a, scalars.trunc(a)),
  ),
];

/** Towards zero: the floor of the absolute value, with the sign. */
export function truncate(ctx: ConversionContext, x: ITensor): ITensor {
  const { network } = ctx;
  const magnitude = network.addUnary(network.addUnary(x, "kABS"), "kFLOOR");
  const negative = network.addElementWise(x, constantLike(ctx, x, 0), "kLESS");
  return network.addSelect(negative, network.addUnary(magnitude, "kNEG"), magnitude);
}

export const roundDecimals = converter(
  "aten::round.decimals(Tensor self, *, int decimals) -> Tensor",
  (ctx, { self, decimals }) => {
    if (!isFloatingPoint(self.dtype)) return self;
    const scale = 10 ** Math.abs(decimals);
    const [up, down] = decimals >= 0 ? (["kPROD", "kDIV"] as const) : (["kDIV", "kPROD"] as const);
    const rounded = ctx.network.addUnary(binary(ctx, self.tensor, up, scale), "kROUND");
    return ctx.tensorValue(binary(ctx, rounded, down, scale), self.dtype);
  },
);

/** Questions with a bool answer. */
function predicate(
  name: string,
  ofFloats: (ctx: ConversionContext, x: ITensor) => ITensor,
  ofOthers: boolean,
): Converter {
  return converter(`aten::${name as "isnan"}(Tensor self) -> Tensor`, (ctx, { self }) => {
    if (isFloatingPoint(self.dtype)) return ofFloats(ctx, self.tensor);
    // No integer is infinite or not a number; x == x has its sizes.
    const yes = ctx.network.addElementWise(self.tensor, self.tensor, "kEQUAL");
    return ofOthers ? yes : ctx.network.addUnary(yes, "kNOT");
  });
}

function isInfinity(sign: "kGREATER" | "kLESS"): (ctx: ConversionContext, x: ITensor) => ITensor {
  return (ctx, x) => ctx.network.addElementWise(ctx.network.addUnary(x, "kISINF"), binary(ctx, x, sign, 0), "kAND");
}

export const predicates = [
  predicate("isnan", layer("kISNAN"), false),
  predicate("isinf", layer("kISINF"), false),
  predicate("isposinf", isInfinity("kGREATER"), false),
  predicate("isneginf", isInfinity("kLESS"), false),
  predicate(
    "isfinite",
    (ctx, x) => {
      const { network } = ctx;
      const not = network.addElementWise(network.addUnary(x, "kISINF"), network.addUnary(x, "kISNAN"), "kOR");
      return network.addUnary(not, "kNOT");
    },
    true,
  ),
  // -0.0 has its sign set as well: its reciprocal is -inf.
  converter("aten::signbit(Tensor self) -> Tensor", (ctx, { self }) => {
    const { network } = ctx;
    if (self.dtype === "bool") return network.addElementWise(self.tensor, self.tensor, "kXOR");
    const negative = network.addElementWise(self.tensor, constantLike(ctx, self.tensor, 0), "kLESS");
    if (!isFloatingPoint(self.dtype)) return negative;
    const inverse = network.addUnary(self.tensor, "kRECIP");
    const below = network.addElementWise(inverse, constantLike(ctx, inverse, 0), "kLESS");
    return network.addElementWise(negative, below, "kOR");
  }),
];

export const logicalNot = converter("aten::logical_not(Tensor self) -> Tensor", (ctx, { self }) => {
  const scalar = asScalar(self);
  if (scalar !== undefined) return scalarTensorOf(ctx, scalars.not(scalar), "bool");
  return ctx.network.addUnary(castTo(ctx, self, "bool").tensor, "kNOT");
});

/** Of integers -x - 1: two's complement. */
export const bitwiseNot = converter("aten::bitwise_not(Tensor self) -> Tensor", (ctx, { self }) => {
  if (self.dtype === "bool") {
    const scalar = asScalar(self);
    return scalar === undefined
      ? ctx.network.addUnary(self.tensor, "kNOT")
      : scalarTensorOf(ctx, scalars.not(scalar), "bool");
  }
  if (!isIntegral(self.dtype)) return ctx.unsupported("the bits of floats");
  return elementWise(ctx, new Scalar("int", -1), self, "kSUB", self.dtype);
});

export const nanToNum = converter(
  "aten::nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor",
  (ctx, { self, nan, posinf, neginf }) => {
    if (!isFloatingPoint(self.dtype)) return self;
    const { network } = ctx;
    const x = self.tensor;
    const largest = largestFinite(x.type);
    const constant = (value: number): ITensor => constantLike(ctx, x, value);
    const infinite = network.addUnary(x, "kISINF");
    const positive = binary(ctx, x, "kGREATER", 0);
    const bound = network.addSelect(positive, constant(posinf ?? largest), constant(neginf ?? -largest));
    const finite = network.addSelect(infinite, bound, x);
    return ctx.tensorValue(network.addSelect(network.addUnary(x, "kISNAN"), constant(nan ?? 0), finite), self.dtype);
  },
);

/** The inverse of erf: Giles' approximation ("Approximating the erfinv function"), to float32's precision. */
export const erfinv = ["erfinv", "special_erfinv"].map((name) =>
  floatUnary(name, (ctx, x) => {
    const { network } = ctx;
    const product = network.addElementWise(oneMinus(ctx, x), binary(ctx, x, "kSUM", 1), "kPROD");
    const w = network.addUnary(network.addUnary(product, "kLOG"), "kNEG");
    const central = horner(ctx, binary(ctx, w, "kSUB", 2.5), GILES_CENTRAL);
    const tail = horner(ctx, binary(ctx, network.addUnary(w, "kSQRT"), "kSUB", 3), GILES_TAIL);
    const factor = network.addSelect(binary(ctx, w, "kLESS", 5), central, tail);
    const inside = network.addElementWise(factor, x, "kPROD");
    // At -1 and 1 the tail is of infinity: the limit is x * inf.
    const edge = network.addElementWise(network.addUnary(x, "kABS"), constantLike(ctx, x, 1), "kEQUAL");
    return network.addSelect(edge, binary(ctx, x, "kPROD", Number.POSITIVE_INFINITY), inside);
  }),
);

const GILES_CENTRAL = [
  2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 0.00021858087, -0.00125372503, -0.00417768164,
  0.246640727, 1.50140941,
];
const GILES_TAIL = [
  -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
  1.00167406, 2.83297682,
];
