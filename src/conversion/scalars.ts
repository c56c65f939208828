import { isFloatingPoint, isIntegral, type ScalarType } from "../ir/scalar-type.js";
import { Tensor } from "../ir/tensor.js";
import {
  type BoolOperation,
  type Dim,
  equal,
  type FloatOperation,
  type FloatScalar,
  isSymbolic,
  keyOf,
  lessOrEqual,
  lessThan,
  SymBool,
  SymFloat,
  SymInt,
  type SymScalar,
  select,
  add as symAdd,
  floordiv as symFloordiv,
  max as symMax,
  min as symMin,
  mod as symMod,
  mul as symMul,
  round as symRound,
  sub as symSub,
} from "../network/symbolic.js";
import { TrtorchError } from "../util/errors.js";
import { Scalar } from "./values.js";

/**
 * Python's arithmetic on numbers of which some are known only at run time. Two ints (or bools) give an int, anything with
 * a float gives a float, as for TorchScript's scalar operators and for 0-d tensors made of sizes.
 */

export function toInt(scalar: Scalar): Dim {
  const { value } = scalar;
  if (typeof value === "boolean" || value instanceof SymBool) return select(value, 1, 0);
  if (value instanceof SymInt) return value;
  return symRound("trunc", value);
}

export function toFloat(scalar: Scalar): FloatScalar {
  const { value } = scalar;
  if (typeof value === "number" || value instanceof SymFloat) return value;
  const int = toInt(scalar);
  return typeof int === "number" ? int : new SymFloat("toFloat", [int]);
}

export function toBool(scalar: Scalar): boolean | SymBool {
  const { value } = scalar;
  if (typeof value === "boolean" || value instanceof SymBool) return value;
  return notEqual(scalar, int(0));
}

export function int(value: Dim): Scalar {
  return new Scalar("int", value);
}

export function float(value: FloatScalar): Scalar {
  return new Scalar("float", value);
}

export function bool(value: boolean | SymBool): Scalar {
  return new Scalar("bool", value);
}

export function isFloat(...scalars: readonly Scalar[]): boolean {
  return scalars.some((scalar) => scalar.type === "float");
}

/** The number rounded to what the dtype holds. */
export function castScalar(scalar: Scalar, dtype: ScalarType): Scalar {
  if (dtype === "bool") return bool(toBool(scalar));
  if (isIntegral(dtype)) {
    const value = toInt(scalar);
    return int(typeof value === "number" && dtype !== "int64" ? roundTo(dtype, value) : value);
  }
  const value = toFloat(scalar);
  return float(typeof value === "number" && isFloatingPoint(dtype) ? roundTo(dtype, value) : value);
}

function roundTo(dtype: ScalarType, value: number): number {
  return Tensor.scalar(dtype, value).item();
}

type Binary = (a: Scalar, b: Scalar) => Scalar;

function arithmetic(
  ints: (a: Dim, b: Dim) => Dim,
  floats: (a: number, b: number) => number,
  symbolic: (a: FloatScalar, b: FloatScalar) => FloatScalar,
): Binary {
  return (a, b) => {
    if (!isFloat(a, b)) return int(ints(toInt(a), toInt(b)));
    const [x, y] = [toFloat(a), toFloat(b)];
    return float(typeof x === "number" && typeof y === "number" ? floats(x, y) : symbolic(x, y));
  };
}

const symFloat =
  (operation: FloatOperation) =>
  (a: FloatScalar, b: FloatScalar): FloatScalar =>
    new SymFloat(operation, [a, b]);

export const add = arithmetic(symAdd, (a, b) => a + b, symFloat("add"));
export const sub = arithmetic(symSub, (a, b) => a - b, symFloat("sub"));
export const mul = arithmetic(symMul, (a, b) => a * b, symFloat("mul"));
export const min = arithmetic(symMin, Math.min, symFloat("min"));
export const max = arithmetic(symMax, Math.max, symFloat("max"));

/** `//`: rounds towards minus infinity. */
export const floordiv = arithmetic(symFloordiv, pythonFloorDivision, (a, b) => {
  const quotient = symRound("floor", new SymFloat("div", [a, b]));
  return typeof quotient === "number" ? quotient : new SymFloat("toFloat", [quotient]);
});

/** `%`: has the sign of the divisor. */
export const mod = arithmetic(symMod, pythonModulo, (a, b) => {
  const quotient = symRound("floor", new SymFloat("div", [a, b]));
  return new SymFloat("sub", [a, new SymFloat("mul", [b, quotient])]);
});

/** C's `%`: has the sign of the dividend. */
export const fmod: Binary = (a, b) => sub(a, mul(truncdiv(a, b), b));

/** `/` with the quotient rounded towards zero. */
export const truncdiv: Binary = (a, b) => {
  if (isFloat(a, b)) return trunc(truediv(a, b));
  const [x, y] = [toInt(a), toInt(b)];
  if (typeof x === "number" && typeof y === "number") return y === 0 ? floordiv(a, b) : int(Math.trunc(x / y));
  if (lessOrEqual(0, x) === true && lessOrEqual(0, y) === true) return int(symFloordiv(x, y));
  const sameSign = less(int(-1), mul(sign(a), sign(b)));
  return int(
    select(
      sameSign.value as boolean | SymBool,
      symFloordiv(toInt(abs(a)), toInt(abs(b))),
      symMul(-1, symFloordiv(toInt(abs(a)), toInt(abs(b)))),
    ),
  );
};

/** `/`: always a float. */
export const truediv: Binary = (a, b) => {
  const [x, y] = [toFloat(a), toFloat(b)];
  return float(typeof x === "number" && typeof y === "number" ? x / y : new SymFloat("div", [x, y]));
};

/** Ints stay ints for a known exponent that is not negative. */
export const pow: Binary = (a, b) => {
  const { value: exponent } = b;
  if (!isFloat(a, b) && typeof exponent === "number" && exponent >= 0) {
    const base = toInt(a);
    return int(typeof base === "number" ? base ** exponent : symMul(...Array.from({ length: exponent }, () => base)));
  }
  const [x, y] = [toFloat(a), toFloat(b)];
  return float(typeof x === "number" && typeof y === "number" ? x ** y : new SymFloat("pow", [x, y]));
};

function compare(
  operation: BoolOperation,
  ints: (a: Dim, b: Dim) => boolean | undefined,
  floats: (a: number, b: number) => boolean,
): (a: Scalar, b: Scalar) => Scalar {
  return (a, b) => {
    if (!isFloat(a, b)) {
      const [x, y] = [toInt(a), toInt(b)];
      return bool(ints(x, y) ?? new SymBool(operation, [x, y]));
    }
    const [x, y] = [toFloat(a), toFloat(b)];
    return bool(typeof x === "number" && typeof y === "number" ? floats(x, y) : new SymBool(operation, [x, y]));
  };
}

export const eq = compare("eq", equal, (a, b) => a === b);
export const less = compare("lt", lessThan, (a, b) => a < b);
export const lessEqual = compare("le", lessOrEqual, (a, b) => a <= b);
export const greater: Binary = (a, b) => less(b, a);
export const greaterEqual: Binary = (a, b) => lessEqual(b, a);
export const ne: Binary = (a, b) => bool(negate(eq(a, b).value as boolean | SymBool));

function notEqual(a: Scalar, b: Scalar): boolean | SymBool {
  return ne(a, b).value as boolean | SymBool;
}

function negate(value: boolean | SymBool): boolean | SymBool {
  if (typeof value === "boolean") return !value;
  return value.operation === "not" ? (value.args[0] as SymBool) : new SymBool("not", [value]);
}

export function not(a: Scalar): Scalar {
  return bool(negate(toBool(a)));
}

export const and: Binary = (a, b) => {
  const [x, y] = [toBool(a), toBool(b)];
  if (x === false || y === false) return bool(false);
  if (x === true) return bool(y);
  return bool(y === true || keyOf(x) === keyOf(y) ? x : new SymBool("and", [x, y]));
};

export const or: Binary = (a, b) => {
  const [x, y] = [toBool(a), toBool(b)];
  if (x === true || y === true) return bool(true);
  if (x === false) return bool(y);
  return bool(y === false || keyOf(x) === keyOf(y) ? x : new SymBool("or", [x, y]));
};

export const xor: Binary = (a, b) => {
  const [x, y] = [toBool(a), toBool(b)];
  if (typeof x === "boolean") return bool(x ? negate(y) : y);
  if (typeof y === "boolean") return bool(y ? negate(x) : x);
  return or(and(bool(x), not(bool(y))), and(not(bool(x)), bool(y)));
};

/** An operation on the bits of two ints, which must be known. */
export function bitwise(name: string, ints: (a: bigint, b: bigint) => bigint): Binary {
  return (a, b) => {
    const [x, y] = [toInt(a), toInt(b)];
    if (typeof x !== "number" || typeof y !== "number") {
      throw new TrtorchError("unsupported", `${name} of ${x} and ${y}: bits of sizes that vary are not computed`);
    }
    return int(Number(BigInt.asIntN(64, ints(BigInt(x), BigInt(y)))));
  };
}

export function neg(a: Scalar): Scalar {
  return sub(int(0), a);
}

export function abs(a: Scalar): Scalar {
  if (a.type === "float" && typeof a.value === "number") return float(Math.abs(a.value));
  return max(a, neg(a));
}

export function sign(a: Scalar): Scalar {
  const { value } = a;
  if (typeof value === "number") return new Scalar(a.type, Math.sign(value));
  return int(
    symSub(
      select(less(int(0), a).value as boolean | SymBool, 1, 0),
      select(less(a, int(0)).value as boolean | SymBool, 1, 0),
    ),
  );
}

type Rounding = "floor" | "ceil" | "round" | "trunc";

/** Keeps the type, as for tensors; `toInt` makes Python's int of it. */
function rounding(kind: Rounding): (a: Scalar) => Scalar {
  return (a) => {
    if (a.type !== "float") return int(toInt(a));
    const value = toFloat(a);
    if (typeof value === "number" && !Number.isFinite(value)) return a;
    const rounded = symRound(kind, value);
    return float(typeof rounded === "number" ? rounded : new SymFloat("toFloat", [rounded]));
  };
}

export const floor = rounding("floor");
export const ceil = rounding("ceil");
export const round = rounding("round");
export const trunc = rounding("trunc");

/** A function of one float, with its symbolic form where it has one. */
export function floatFunction(
  name: string,
  known: (a: number) => number,
  symbolic?: FloatOperation,
): (a: Scalar) => Scalar {
  return (a) => {
    const value = toFloat(a);
    if (typeof value === "number") return float(known(value));
    if (symbolic === undefined) {
      throw new TrtorchError("unsupported", `${name} of ${value}, which is known only at run time`);
    }
    return float(new SymFloat(symbolic, [value]));
  };
}

export const sqrt = floatFunction("sqrt", Math.sqrt, "sqrt");
export const log = floatFunction("log", Math.log, "log");
export const exp = floatFunction("exp", Math.exp, "exp");

function pythonFloorDivision(a: number, b: number): number {
  return Math.floor(a / b);
}

function pythonModulo(a: number, b: number): number {
  const remainder = a % b;
  return remainder !== 0 && remainder < 0 !== b < 0 ? remainder + b : remainder;
}

/** The number as plain JavaScript, or undefined when only running tells. */
export function knownNumber(value: SymScalar): number | undefined {
  return isSymbolic(value) ? undefined : Number(value);
}
