import { isIntegral } from "../../ir/scalar-type.js";
import { parseSchema } from "../../ir/schema.js";
import {
  type Dim,
  type FloatScalar,
  mod as modulo,
  SymBool,
  type SymScalar,
  floordiv as symFloordiv,
} from "../../network/symbolic.js";
import { numbersOf } from "../../network/weights.js";
import type { ConversionContext } from "../context.js";
import { asScalar } from "../operands.js";
import { type Converter, evaluator } from "../registry.js";
import * as scalars from "../scalars.js";
import { Scalar, type TensorValue } from "../values.js";

type NumberType = "int" | "float" | "bool" | "Scalar";

/** How the binder is told to hand over numbers of sizes as well. */
const SPELLINGS: Record<NumberType, string> = { int: "SymInt", float: "SymFloat", bool: "SymBool", Scalar: "Scalar" };

function scalarOf(type: NumberType, value: unknown): Scalar {
  return value instanceof Scalar ? value : new Scalar(type as Scalar["type"], value as SymScalar);
}

function resultOf(type: NumberType, result: Scalar): SymScalar | Scalar {
  if (type === "Scalar") return result;
  return type === "int" ? scalars.toInt(result) : type === "float" ? scalars.toFloat(result) : scalars.toBool(result);
}

function overload(
  name: string,
  types: readonly NumberType[],
  returns: NumberType,
  compute: (...args: Scalar[]) => Scalar,
  names: readonly string[] = ["a", "b"],
): Converter {
  const formals = types.map((type, i) => `${SPELLINGS[type]} ${names[i]}`).join(", ");
  return {
    role: "evaluator",
    schema: parseSchema(`${name}(${formals}) -> ${returns}`),
    notes: {},
    convert: (_ctx, args) =>
      resultOf(returns, compute(...types.map((type, i) => scalarOf(type, args[names[i] as string])))),
  };
}

/** The argument types that an overload's name stands for. */
const BINARY: Record<string, readonly [NumberType, NumberType]> = {
  int: ["int", "int"],
  int_to_int: ["int", "int"],
  float: ["float", "float"],
  int_float: ["int", "float"],
  float_int: ["float", "int"],
  bool: ["bool", "bool"],
  int_int: ["int", "int"],
  float_float: ["float", "float"],
  Scalar_Scalar: ["Scalar", "Scalar"],
  "": ["Scalar", "Scalar"],
};

/** Overloads of an operator with two numbers: the name of each and what it returns. */
function binary(
  name: string,
  overloads: Readonly<Record<string, NumberType>>,
  compute: (a: Scalar, b: Scalar) => Scalar,
): Converter[] {
  return Object.entries(overloads).map(([suffix, returns]) =>
    overload(suffix === "" ? name : `${name}.${suffix}`, BINARY[suffix] as [NumberType, NumberType], returns, compute),
  );
}

function unary(
  name: string,
  overloads: Readonly<Partial<Record<NumberType, NumberType>>>,
  compute: (a: Scalar) => Scalar,
  argument = "a",
): Converter[] {
  return (Object.entries(overloads) as [NumberType, NumberType][]).map(([type, returns]) =>
    overload(`${name}.${type}`, [type], returns, compute, [argument]),
  );
}

const NUMERIC = { int: "int", float: "float", int_float: "float", float_int: "float", "": "Scalar" } as const;
const TO_FLOAT = { int: "float", float: "float", int_float: "float", float_int: "float", "": "float" } as const;
const TO_BOOL = { int: "bool", float: "bool", int_float: "bool", float_int: "bool", "": "bool" } as const;

export const arithmetic = [
  ...binary("aten::add", NUMERIC, scalars.add),
  ...binary("aten::sub", NUMERIC, scalars.sub),
  ...binary("aten::mul", NUMERIC, scalars.mul),
  ...binary("aten::div", { int: "float", float: "float", "": "float" }, scalars.truediv),
  ...binary("aten::floordiv", NUMERIC, scalars.floordiv),
  ...binary("aten::remainder", NUMERIC, scalars.mod),
  ...binary("aten::fmod", TO_FLOAT, scalars.fmod),
  ...binary("aten::__round_to_zero_floordiv", { int: "int", "": "int" }, scalars.truncdiv),
  ...binary(
    "aten::pow",
    { int: "float", float: "float", int_float: "float", float_int: "float", Scalar_Scalar: "float", int_to_int: "int" },
    scalars.pow,
  ),
  ...binary("prim::max", { ...NUMERIC, bool: "bool" }, scalars.max),
  ...binary("prim::min", { ...NUMERIC, bool: "bool" }, scalars.min),
  ...binary("aten::gcd", { int: "int" }, (a, b) => scalars.int(gcd(Number(a.value), Number(b.value)))),
  ...unary("aten::neg", { int: "int", float: "float", Scalar: "Scalar" }, scalars.neg),
  ...unary("prim::abs", { int: "int", float: "float", Scalar: "Scalar" }, scalars.abs),
  ...unary("aten::fabs", { int: "float", float: "float", Scalar: "Scalar" }, scalars.abs),
  ...unary("aten::floor", { int: "int", float: "int", Scalar: "Scalar" }, scalars.floor),
  ...unary("aten::ceil", { int: "int", float: "int", Scalar: "Scalar" }, scalars.ceil),
  ...unary("aten::round", { int: "float", float: "float", Scalar: "Scalar" }, scalars.round),
  overload("aten::sym_min", ["Scalar", "Scalar"], "Scalar", scalars.min),
  overload("aten::sym_max", ["Scalar", "Scalar"], "Scalar", scalars.max),
];

export const comparisons = [
  ...binary("aten::eq", { ...TO_BOOL, bool: "bool" }, scalars.eq),
  ...binary("aten::ne", { ...TO_BOOL, bool: "bool" }, scalars.ne),
  ...binary("aten::lt", { ...TO_BOOL, bool: "bool" }, scalars.less),
  ...binary("aten::le", { ...TO_BOOL, bool: "bool" }, scalars.lessEqual),
  ...binary("aten::gt", { ...TO_BOOL, bool: "bool" }, scalars.greater),
  ...binary("aten::ge", { ...TO_BOOL, bool: "bool" }, scalars.greaterEqual),
];

export const logic = [
  ...binary("aten::__and__", { bool: "bool" }, scalars.and),
  ...binary("aten::__or__", { bool: "bool" }, scalars.or),
  ...binary("aten::__xor__", { bool: "bool" }, scalars.xor),
  ...binary(
    "aten::__and__",
    { int: "int", "": "int" },
    scalars.bitwise("and", (a, b) => a & b),
  ),
  ...binary(
    "aten::__or__",
    { int: "int", "": "int" },
    scalars.bitwise("or", (a, b) => a | b),
  ),
  ...binary(
    "aten::__xor__",
    { int: "int", "": "int" },
    scalars.bitwise("xor", (a, b) => a ^ b),
  ),
  ...binary(
    "aten::__lshift__",
    { int: "int" },
    scalars.bitwise("shift", (a, b) => a << b),
  ),
  ...binary(
    "aten::__rshift__",
    { int: "int" },
    scalars.bitwise("shift", (a, b) => a >> b),
  ),
  overload("aten::__not__", ["bool"], "bool", scalars.not, ["self"]),
];

const FLOAT_UNARY = { int: "float", float: "float", Scalar: "Scalar" } as const;

/** Python's `math`. */
export const math = [
  ...unary("aten::sqrt", FLOAT_UNARY, scalars.sqrt),
  ...unary("aten::exp", FLOAT_UNARY, scalars.exp),
  ...unary("aten::log", FLOAT_UNARY, scalars.log),
  ...(
    [
      ["log1p", Math.log1p],
      ["log10", Math.log10],
      ["expm1", Math.expm1],
      ["sin", Math.sin],
      ["cos", Math.cos],
      ["tan", Math.tan],
      ["asin", Math.asin],
      ["acos", Math.acos],
      ["atan", Math.atan],
      ["sinh", Math.sinh],
      ["cosh", Math.cosh],
      ["tanh", Math.tanh],
      ["asinh", Math.asinh],
      ["acosh", Math.acosh],
      ["atanh", Math.atanh],
      ["degrees", (x: number) => (x * 180) / Math.PI],
      ["radians", (x: number) => (x * Math.PI) / 180],
    ] as const
  ).flatMap(([name, compute]) => unary(`aten::${name}`, FLOAT_UNARY, scalars.floatFunction(name, compute))),
  ...binary(
    "aten::log",
    { int_int: "float", float_float: "float", int_float: "float", float_int: "float", Scalar_Scalar: "float" },
    (a, b) => scalars.truediv(scalars.log(a), scalars.log(b)),
  ),
  ...binary(
    "aten::atan2",
    { int: "float", float: "float", int_float: "float", float_int: "float", Scalar_Scalar: "float" },
    ofKnown("atan2", Math.atan2),
  ),
  ...binary(
    "aten::copysign",
    TO_FLOAT,
    ofKnown("copysign", (a, b) => (b < 0 || Object.is(b, -0) ? -Math.abs(a) : Math.abs(a))),
  ),
  ...(
    [
      ["isnan", Number.isNaN],
      ["isinf", (x: number) => Math.abs(x) === Number.POSITIVE_INFINITY],
      ["isfinite", Number.isFinite],
    ] as const
  ).map(([name, test]) =>
    overload(`aten::${name}.float`, ["float"], "bool", (a) => scalars.bool(test(Number(a.value))), ["a"]),
  ),
];

export const conversions = [
  ...unary("aten::Int", { bool: "int", float: "int", Scalar: "int" }, (a) => scalars.int(scalars.toInt(a))),
  overload("aten::Int.int", ["int"], "int", (a) => a),
  ...unary("aten::Float", { int: "float", bool: "float", Scalar: "float" }, (a) => scalars.float(scalars.toFloat(a))),
  ...unary("aten::Bool", { int: "bool", float: "bool" }, (a) => scalars.bool(scalars.toBool(a))),
  evaluator("aten::Int.str(str a) -> int", (ctx, { a }) => parseNumber(ctx, a, /^\s*[-+]?\d+\s*$/)),
  evaluator("aten::Float.str(str a) -> float", (ctx, { a }) => parseNumber(ctx, a, /^.*$/)),
];

/** The only number of a tensor as a number of the program. */
export const items = [
  evaluator("aten::Int.Tensor(Tensor a) -> int", (ctx, { a }) => scalars.toInt(itemOf(ctx, a))),
  evaluator("aten::IntImplicit(Tensor a) -> int", (ctx, { a }) => scalars.toInt(itemOf(ctx, a))),
  evaluator("aten::Float.Tensor(Tensor a) -> float", (ctx, { a }) => scalars.toFloat(itemOf(ctx, a))),
  evaluator("aten::FloatImplicit(Tensor a) -> float", (ctx, { a }) => scalars.toFloat(itemOf(ctx, a))),
  evaluator("aten::Bool.Tensor(Tensor a) -> bool", (ctx, { a }) => scalars.toBool(itemOf(ctx, a))),
  evaluator("aten::is_nonzero(Tensor self) -> bool", (ctx, { self }) => scalars.toBool(itemOf(ctx, self))),
  evaluator("aten::ScalarImplicit(Tensor a) -> Scalar", (ctx, { a }) => itemOf(ctx, a)),
  evaluator("aten::item(Tensor self) -> Scalar", (ctx, { self }) => itemOf(ctx, self)),
  evaluator("aten::_local_scalar_dense(Tensor self) -> Scalar", (ctx, { self }) => itemOf(ctx, self)),
];

/** Checks on sizes that torch.export leaves in graphs: the bounds of the build's inputs say more. */
export const assertions = [
  evaluator("aten::_assert_scalar(Scalar self, str assert_msg) -> ()", () => null),
  evaluator("aten::_assert_async.msg(Tensor self, str assert_msg) -> ()", () => null),
  evaluator("aten::_assert_async(Tensor self) -> ()", () => null),
  evaluator("aten::sym_constrain_range(Scalar size, *, int? min=None, int? max=None) -> ()", () => null),
  evaluator("aten::sym_constrain_range_for_size(Scalar size, *, int? min=None, int? max=None) -> ()", () => null),
];

/** Loops over `range(lo, hi, step)`. */
export const ranges = [
  evaluator("aten::__range_length(SymInt lo, SymInt hi, SymInt step) -> int", (ctx, { lo, hi, step }) => {
    if (step === 0) return ctx.unsupported("range() with step 0");
    const room = scalars.sub(scalars.int(hi), scalars.int(lo));
    const up = scalars.add(room, scalars.sub(scalars.int(step), scalars.int(1)));
    const down = scalars.add(room, scalars.add(scalars.int(step), scalars.int(1)));
    const count = symFloordiv(scalars.toInt(typeof step === "number" && step < 0 ? down : up), step);
    return scalars.toInt(scalars.max(scalars.int(0), scalars.int(count)));
  }),
  evaluator("aten::__derive_index(SymInt index, SymInt start, SymInt step) -> int", (_ctx, { index, start, step }) =>
    scalars.toInt(scalars.add(scalars.int(start), scalars.mul(scalars.int(index), scalars.int(step)))),
  ),
  evaluator("aten::divmod.int(SymInt x, SymInt y) -> (int, int)", (_ctx, { x, y }): [Dim, Dim] => [
    symFloordiv(x, y),
    modulo(x, y),
  ]),
];

/**
 * The number in a tensor of one element: known at build time, made of sizes, or an integer that the running network
 * computes, which then may serve as a size or index.
 */
export function itemOf(ctx: ConversionContext, value: TensorValue): Scalar {
  const scalar = asScalar(value);
  if (scalar !== undefined) return scalar;
  if (value.dims.some((dim) => typeof dim === "number" && dim !== 1)) {
    return ctx.unsupported(`a tensor of [${value.dims.map(String).join(", ")}] has no single value`);
  }
  const { weights } = value;
  const type = value.dtype === "bool" ? "bool" : isIntegral(value.dtype) ? "int" : "float";
  if (weights !== null) {
    const number = numbersOf(weights)[0] as number;
    return new Scalar(type, type === "bool" ? number !== 0 : number);
  }
  if (type === "float") {
    return ctx.unsupported(
      "a float that the network computes cannot become a Python number",
      "Keep it a tensor: leave out item() and float() and compute with the 0-d tensor.",
    );
  }
  const symbol = ctx.network.newSymbol(
    "item",
    type === "bool" ? { min: 0, max: 1 } : { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY },
    { tensor: value.tensor },
  );
  return type === "bool" ? scalars.bool(new SymBool("ne", [symbol, 0])) : scalars.int(symbol);
}

function ofKnown(name: string, compute: (a: number, b: number) => number): (a: Scalar, b: Scalar) => Scalar {
  return (a, b) => {
    const [x, y] = [scalars.toFloat(a), scalars.toFloat(b)] as [FloatScalar, FloatScalar];
    if (typeof x === "number") return scalars.floatFunction(name, (known) => compute(x, known))(b);
    return scalars.floatFunction(name, (known) => compute(known, Number(y)))(a);
  };
}

function gcd(a: number, b: number): number {
  return b === 0 ? Math.abs(a) : gcd(b, a % b);
}

function parseNumber(ctx: ConversionContext, text: string, form: RegExp): number {
  const number = Number(text.trim().replace(/^([-+]?)(inf|infinity)$/i, "$1Infinity"));
  if (!form.test(text) || (Number.isNaN(number) && text.trim().toLowerCase() !== "nan")) {
    return ctx.unsupported(`"${text}" is not a number`);
  }
  return number;
}
