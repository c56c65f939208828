import { TrtorchError } from "../util/errors.js";

/**
 * Integers that are known only at run time, as expressions over symbols with bounds. A dim of a tensor is a number or
 * one of these, so shape inference, `aten::size` and arithmetic on it stay exact for dynamic shapes: equal expressions
 * are recognised (`2*b` here and there), bounds decide most branches, and shape-tensor layers are made only where
 * TensorRT needs the value itself.
 *
 * A SymInt is a polynomial with integer coefficients over atoms; an atom is a symbol or an operation that a polynomial
 * cannot express (floor division, min, max, rounding of a float). Polynomials are normalised: equal keys, equal values.
 */
export interface SymbolAtom {
  readonly kind: "symbol";
  readonly key: string;
  readonly min: number;
  readonly opt: number;
  readonly max: number;
  /** The network tensor that holds the value: the size along `axis`, or without one the scalar itself. */
  readonly source: { readonly tensor: SymbolSource; readonly axis?: number };
}

/** What a symbol's value is read from: an ITensor of the network (kept opaque here). */
export interface SymbolSource {
  readonly id: number;
}

export type IntOperation = "floordiv" | "min" | "max" | "floor" | "ceil" | "round" | "trunc" | "select";

export interface OperationAtom {
  readonly kind: "operation";
  readonly key: string;
  readonly operation: IntOperation;
  readonly args: readonly SymScalar[];
  readonly min: number;
  readonly max: number;
}

export type Atom = SymbolAtom | OperationAtom;

interface Term {
  /** Sorted by key, repeated for powers; empty for the constant term. */
  readonly atoms: readonly Atom[];
  readonly coefficient: number;
}

export type Dim = number | SymInt;
export type FloatScalar = number | SymFloat;
export type SymScalar = Dim | FloatScalar | boolean | SymBool;

export class SymInt {
  readonly key: string;
  readonly terms: readonly Term[];
  readonly min: number;
  readonly max: number;

  /** @internal Use the functions below. */
  constructor(terms: readonly Term[]) {
    this.terms = terms;
    this.key = terms.map((term) => [term.coefficient, ...term.atoms.map((atom) => atom.key)].join("*")).join("+");
    let min = 0;
    let max = 0;
    for (const { atoms, coefficient } of terms) {
      let low = coefficient;
      let high = coefficient;
      for (const atom of atoms) {
        const products = [low, high].flatMap((bound) => [times(bound, atom.min), times(bound, atom.max)]);
        low = Math.min(...products);
        high = Math.max(...products);
      }
      min += low;
      max += high;
    }
    this.min = min;
    this.max = max;
  }

  /** For messages and dumps: `2*batch + 1`. */
  toString(): string {
    return this.terms
      .map(({ atoms, coefficient }) => {
        const names = atoms.map(describeAtom).join("*");
        if (names === "") return String(coefficient);
        return coefficient === 1 ? names : coefficient === -1 ? `-${names}` : `${coefficient}*${names}`;
      })
      .join(" + ")
      .replaceAll("+ -", "- ");
  }
}

export type FloatOperation =
  | "toFloat"
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "sqrt"
  | "pow"
  | "min"
  | "max"
  | "neg"
  | "log"
  | "exp";

/** A float computed from sizes, such as `size * scale_factor` before it is floored. */
export class SymFloat {
  readonly operation: FloatOperation;
  readonly args: readonly (Dim | FloatScalar)[];
  readonly key: string;
  readonly min: number;
  readonly max: number;

  constructor(operation: FloatOperation, args: readonly (Dim | FloatScalar)[]) {
    this.operation = operation;
    this.args = args;
    this.key = `${operation}(${args.map(keyOf).join(",")})`;
    const { min, max } = floatBounds(operation, args.map(bounds));
    this.min = min;
    this.max = max;
  }

  toString(): string {
    return `${this.operation}(${this.args.map(String).join(", ")})`;
  }
}

export type BoolOperation = "eq" | "ne" | "lt" | "le" | "and" | "or" | "not";

/** A condition on sizes that their bounds do not decide. */
export class SymBool {
  readonly operation: BoolOperation;
  readonly args: readonly SymScalar[];
  readonly key: string;

  constructor(operation: BoolOperation, args: readonly SymScalar[]) {
    this.operation = operation;
    this.args = args;
    this.key = `${operation}(${args.map(keyOf).join(",")})`;
  }

  toString(): string {
    return `${this.operation}(${this.args.map(String).join(", ")})`;
  }
}

export function isSymbolic(value: unknown): value is SymInt | SymFloat | SymBool {
  return value instanceof SymInt || value instanceof SymFloat || value instanceof SymBool;
}

export function keyOf(value: SymScalar): string {
  return isSymbolic(value) ? value.key : String(value);
}

export function symbol(
  name: string,
  bounds: { min: number; opt: number; max: number },
  source: SymbolAtom["source"],
): SymInt {
  return fromAtom({ kind: "symbol", key: name, ...bounds, source });
}

export function fromAtom(atom: Atom): SymInt {
  return new SymInt([{ atoms: [atom], coefficient: 1 }]);
}

/** Infinity * 0 is 0 for bounds. */
function times(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : a * b;
}

function describeAtom(atom: Atom): string {
  return atom.kind === "symbol" ? atom.key : `${atom.operation}(${atom.args.map(String).join(", ")})`;
}

function termsOf(value: Dim): readonly Term[] {
  if (value instanceof SymInt) return value.terms;
  return value === 0 ? [] : [{ atoms: [], coefficient: value }];
}

function normalize(terms: Iterable<Term>): Dim {
  const sums = new Map<string, { atoms: readonly Atom[]; coefficient: number }>();
  for (const { atoms, coefficient } of terms) {
    const key = atoms.map((atom) => atom.key).join("*");
    const known = sums.get(key);
    if (known === undefined) sums.set(key, { atoms, coefficient });
    else known.coefficient += coefficient;
  }
  const kept = [...sums].filter(([, term]) => term.coefficient !== 0);
  if (kept.length === 0) return 0;
  if (kept.length === 1 && kept[0]?.[0] === "") return kept[0][1].coefficient;
  kept.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return new SymInt(kept.map(([, term]) => term));
}

export function add(...values: Dim[]): Dim {
  if (values.every((value) => typeof value === "number")) return values.reduce((sum, value) => sum + value, 0);
  return normalize(values.flatMap(termsOf));
}

export function neg(value: Dim): Dim {
  return mul(value, -1);
}

export function sub(a: Dim, b: Dim): Dim {
  return add(a, neg(b));
}

export function mul(...values: Dim[]): Dim {
  let product: Dim = 1;
  for (const value of values) {
    if (typeof product === "number" && typeof value === "number") product *= value;
    else {
      const left = termsOf(product);
      const right = termsOf(value);
      product = normalize(
        left.flatMap((a) =>
          right.map((b) => ({
            atoms: [...a.atoms, ...b.atoms].sort((x, y) => (x.key < y.key ? -1 : 1)),
            coefficient: a.coefficient * b.coefficient,
          })),
        ),
      );
    }
  }
  return product;
}

/** Python's `//`: rounds towards minus infinity. */
export function floordiv(a: Dim, b: Dim): Dim {
  if (b === 0) throw new TrtorchError("conversion", `division of ${a} by zero in shape arithmetic`);
  if (typeof a === "number" && typeof b === "number") return Math.floor(a / b);
  if (b === 1 || a === 0) return a;
  if (keyOf(a) === keyOf(b)) return 1;
  const exact = divideExactly(a, b);
  if (exact !== undefined) return exact;
  if (typeof b === "number" && b > 0 && a instanceof SymInt) {
    // (b*q + r) // b = q + r // b, whatever the sign of r.
    const whole: Term[] = [];
    const rest: Term[] = [];
    for (const term of a.terms) {
      const quotient = Math.floor(term.coefficient / b);
      const remainder = term.coefficient - quotient * b;
      if (quotient !== 0) whole.push({ atoms: term.atoms, coefficient: quotient });
      if (remainder !== 0) rest.push({ atoms: term.atoms, coefficient: remainder });
    }
    const remainder = normalize(rest);
    const quotient = normalize(whole);
    if (bounds(remainder).min >= 0 && bounds(remainder).max < b) return quotient;
    if (quotient !== 0) return add(quotient, floordiv(remainder, b));
    // (x // c) // b = x // (c*b)
    const only = a.terms.length === 1 && a.terms[0]?.coefficient === 1 ? a.terms[0].atoms : undefined;
    const atom = only?.length === 1 ? only[0] : undefined;
    if (atom?.kind === "operation" && atom.operation === "floordiv") {
      const [numerator, divisor] = atom.args as [Dim, Dim];
      if (typeof divisor === "number" && divisor > 0) return floordiv(numerator, divisor * b);
    }
  }
  const x = bounds(a);
  const y = bounds(b);
  const quotients =
    y.min > 0
      ? [x.min / y.min, x.min / y.max, x.max / y.min, x.max / y.max].map((q) => Math.floor(Number.isNaN(q) ? 0 : q))
      : [-Infinity, Infinity];
  return operation("floordiv", [a, b], Math.min(...quotients), Math.max(...quotients));
}

/** a / b when b is a single term that divides every term of a. */
function divideExactly(a: Dim, b: Dim): Dim | undefined {
  const divisors = termsOf(b);
  if (divisors.length !== 1) return undefined;
  const divisor = divisors[0] as Term;
  const quotient: Term[] = [];
  for (const term of termsOf(a)) {
    if (term.coefficient % divisor.coefficient !== 0) return undefined;
    const atoms = [...term.atoms];
    for (const atom of divisor.atoms) {
      const index = atoms.findIndex((other) => other.key === atom.key);
      if (index < 0) return undefined;
      atoms.splice(index, 1);
    }
    quotient.push({ atoms, coefficient: term.coefficient / divisor.coefficient });
  }
  return normalize(quotient);
}

/** Python's `%`: has the sign of the divisor. */
export function mod(a: Dim, b: Dim): Dim {
  return sub(a, mul(floordiv(a, b), b));
}

export function ceildiv(a: Dim, b: Dim): Dim {
  return neg(floordiv(neg(a), b));
}

export function min(a: Dim, b: Dim): Dim {
  const order = lessOrEqual(a, b);
  if (order === true) return a;
  if (order === false || lessOrEqual(b, a) === true) return b;
  const [x, y] = [bounds(a), bounds(b)];
  return operation("min", sorted(a, b), Math.min(x.min, y.min), Math.min(x.max, y.max));
}

export function max(a: Dim, b: Dim): Dim {
  const order = lessOrEqual(a, b);
  if (order === true) return b;
  if (order === false || lessOrEqual(b, a) === true) return a;
  const [x, y] = [bounds(a), bounds(b)];
  return operation("max", sorted(a, b), Math.max(x.min, y.min), Math.max(x.max, y.max));
}

function sorted(a: Dim, b: Dim): [Dim, Dim] {
  return keyOf(a) < keyOf(b) ? [a, b] : [b, a];
}

/** An int made from a float: floor, ceil, Python's round (half to even), or `int()`. */
export function round(kind: "floor" | "ceil" | "round" | "trunc", value: FloatScalar): Dim {
  if (typeof value === "number") return kind === "round" ? roundHalfEven(value) : Math[kind](value);
  const [only] = value.args;
  if (value.operation === "toFloat" && only instanceof SymInt) return only;
  const bound = (n: number): number => (kind === "round" ? roundHalfEven(n) : Math[kind](n));
  return quotientInstead(kind, value) ?? operation(kind, [value], bound(value.min), bound(value.max));
}

/** The most values of sizes that are gone through at build time. */
const MOST_VALUES = 2 ** 20;

/**
 * `n * p // q`, where that is what `floor(n * factor)` is for every value of the size n, as Python's doubles round the
 * product: run in float32, 100 * 0.29 would be 29 and not 28. Integers also let equal sizes be recognised.
 */
function quotientInstead(kind: IntOperation, { operation, args }: SymFloat): Dim | undefined {
  const [a, b] = args.map((arg) => (arg instanceof SymFloat && arg.operation === "toFloat" ? arg.args[0] : arg));
  const scales = operation === "mul" || (operation === "div" && typeof b === "number");
  const [size, factor] = typeof a === "number" ? [b, a] : [a, b];
  if (kind === "round" || !scales || !(size instanceof SymInt) || typeof factor !== "number") return undefined;
  const { min: first, max: last } = size;
  if (first < 0 || !(last - first < MOST_VALUES) || !(factor >= 0)) return undefined;
  // ceil(x) is -floor(-x).
  const sign = kind === "ceil" ? -1 : 1;
  // floor(n * p / q) is k where k/n <= p/q < (k+1)/n: p/q is the highest of the lower limits, if below all upper ones.
  let low = { p: 0, q: 1 };
  let high = { p: 1, q: 0 };
  for (let n = Math.max(first, 1); n <= last; n++) {
    const k = Math.floor(sign * (operation === "mul" ? n * factor : n / factor));
    if (!(Math.abs(k) < 2 ** 31)) return undefined;
    if (high.q === 0 || k * low.q > low.p * n) low = { p: k, q: n };
    if ((k + 1) * high.q < high.p * n) high = { p: k + 1, q: n };
  }
  return low.p * high.q < high.p * low.q ? mul(sign, floordiv(mul(size, low.p), low.q)) : undefined;
}

/**
 * Values of the symbols for which the number comes out otherwise where floats are computed in float32, as the network does,
 * than in Python's doubles; undefined where there are none, or too many to go through.
 */
export function lostInFloat32(value: SymInt): string | undefined {
  const symbols = [...symbolsIn(value)];
  const count = symbols.reduce((product, { min, max }) => product * (max - min + 1), 1);
  if (!(count <= MOST_VALUES / 16)) return undefined;
  const at = new Map(symbols.map((symbol) => [symbol.key, symbol.min]));
  const assigned = ({ key }: SymbolAtom): number => at.get(key) as number;
  for (let i = 0; i < count; i++) {
    if (evaluate(value, assigned) !== evaluate(value, assigned, Math.fround)) {
      return symbols.map(({ key }) => `${key} = ${at.get(key)}`).join(", ");
    }
    for (const { key, min, max } of symbols) {
      const next = (at.get(key) as number) + 1;
      at.set(key, next > max ? min : next);
      if (next <= max) break;
    }
  }
  return undefined;
}

/** The symbols that an expression is made of. */
function symbolsIn(value: SymScalar, found: Set<SymbolAtom> = new Set()): Set<SymbolAtom> {
  if (!isSymbolic(value)) return found;
  if (!(value instanceof SymInt)) for (const arg of value.args) symbolsIn(arg, found);
  else {
    for (const atom of value.terms.flatMap(({ atoms }) => atoms)) {
      if (atom.kind === "symbol") found.add(atom);
      else for (const arg of atom.args) symbolsIn(arg, found);
    }
  }
  return found;
}

/** `a` where the condition holds at run time, else `b`; `select(condition, 1, 0)` is Python's `int(condition)`. */
export function select(condition: boolean | SymBool, a: Dim, b: Dim): Dim {
  if (typeof condition === "boolean") return condition ? a : b;
  if (sameDim(a, b)) return a;
  const [x, y] = [bounds(a), bounds(b)];
  return operation("select", [condition, a, b], Math.min(x.min, y.min), Math.max(x.max, y.max));
}

export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

function operation(kind: IntOperation, args: readonly SymScalar[], low: number, high: number): Dim {
  if (low === high && Number.isFinite(low)) return low;
  return fromAtom({
    kind: "operation",
    operation: kind,
    args,
    key: `${kind}(${args.map(keyOf).join(",")})`,
    min: low,
    max: high,
  });
}

/** The symbols that a value is computed from. */
export function* symbolsOf(value: SymScalar): Generator<SymbolAtom> {
  if (typeof value !== "object") return;
  const atoms = value instanceof SymInt ? value.terms.flatMap((term) => term.atoms) : [];
  yield* atoms.filter((atom) => atom.kind === "symbol");
  const args =
    value instanceof SymInt ? atoms.flatMap((atom) => (atom.kind === "symbol" ? [] : atom.args)) : value.args;
  for (const arg of args) yield* symbolsOf(arg);
}

interface Bounds {
  readonly min: number;
  readonly max: number;
}

const UNBOUNDED: Bounds = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };

export function bounds(value: SymScalar): Bounds {
  if (value instanceof SymInt || value instanceof SymFloat) return value;
  if (value instanceof SymBool) return { min: 0, max: 1 };
  return { min: Number(value), max: Number(value) };
}

/**
 * Bounds of an operation on numbers within bounds of their own, each for itself: that two operands are made of one size,
 * or that one is large where the other is small, is not seen. They may be wider than they have to be, never narrower.
 */
function floatBounds(operation: FloatOperation, args: readonly Bounds[]): Bounds {
  const [x, y] = args as [Bounds, Bounds];
  const ends = (compute: (a: number) => number): Bounds => enclosing([compute(x.min), compute(x.max)]);
  const corners = (compute: (a: number, b: number) => number): Bounds =>
    enclosing([x.min, x.max].flatMap((a) => [compute(a, y.min), compute(a, y.max)]));
  switch (operation) {
    case "toFloat":
      return x;
    case "neg":
      return ends((a) => -a);
    case "sqrt":
      return ends(Math.sqrt);
    case "log":
      return ends(Math.log);
    case "exp":
      return ends(Math.exp);
    case "add":
      return corners((a, b) => a + b);
    case "sub":
      return corners((a, b) => a - b);
    case "mul":
      return corners(times);
    case "min":
      return corners(Math.min);
    case "max":
      return corners(Math.max);
    case "div":
      return y.min > 0 || y.max < 0 ? corners((a, b) => a / b) : UNBOUNDED;
    case "pow":
      // Of a positive base it rises or falls all the way with each of its operands.
      return x.min > 0 ? corners((a, b) => a ** b) : UNBOUNDED;
  }
}

/** What lies between the numbers; anything may where one of them is not a number. */
function enclosing(numbers: readonly number[]): Bounds {
  return numbers.some(Number.isNaN) ? UNBOUNDED : { min: Math.min(...numbers), max: Math.max(...numbers) };
}

/** true or false where the bounds decide, else undefined. */
export function equal(a: Dim, b: Dim): boolean | undefined {
  if (keyOf(a) === keyOf(b)) return true;
  const difference = bounds(sub(a, b));
  if (difference.min > 0 || difference.max < 0) return false;
  return difference.min === 0 && difference.max === 0 ? true : undefined;
}

export function lessOrEqual(a: Dim, b: Dim): boolean | undefined {
  const difference = bounds(sub(a, b));
  if (difference.max <= 0) return true;
  return difference.min > 0 ? false : undefined;
}

export function lessThan(a: Dim, b: Dim): boolean | undefined {
  const difference = bounds(sub(a, b));
  if (difference.max < 0) return true;
  return difference.min >= 0 ? false : undefined;
}

/** Are these certainly the same number? */
export function sameDim(a: Dim, b: Dim): boolean {
  return keyOf(a) === keyOf(b);
}

export type Assignment = "min" | "opt" | "max" | ((symbol: SymbolAtom) => number);

/**
 * The value of an expression when every symbol takes its minimum, its optimum, its maximum, or what a function says.
 * `rounded` rounds every float, to that of another type.
 */
export function evaluate(value: SymScalar, at: Assignment, rounded: (float: number) => number = (x) => x): number {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value instanceof SymInt) {
    return value.terms.reduce(
      (sum, { atoms, coefficient }) =>
        sum + atoms.reduce((product, atom) => times(product, evaluateAtom(atom, at, rounded)), coefficient),
      0,
    );
  }
  const isFloat = value.args.some(
    (arg) => arg instanceof SymFloat || (typeof arg === "number" && !Number.isInteger(arg)),
  );
  const [x = 0, y = 0] = value.args.map((arg) => {
    const number = evaluate(arg, at, rounded);
    return value instanceof SymFloat || isFloat ? rounded(number) : number;
  });
  const result = compute(value.operation, x, y);
  return value instanceof SymFloat ? rounded(result) : result;
}

function compute(operation: FloatOperation | BoolOperation, x: number, y: number): number {
  switch (operation) {
    case "toFloat":
      return x;
    case "add":
      return x + y;
    case "sub":
      return x - y;
    case "mul":
      return x * y;
    case "div":
      return x / y;
    case "sqrt":
      return Math.sqrt(x);
    case "pow":
      return x ** y;
    case "min":
      return Math.min(x, y);
    case "max":
      return Math.max(x, y);
    case "neg":
      return -x;
    case "log":
      return Math.log(x);
    case "exp":
      return Math.exp(x);
    case "eq":
      return Number(x === y);
    case "ne":
      return Number(x !== y);
    case "lt":
      return Number(x < y);
    case "le":
      return Number(x <= y);
    case "and":
      return Number(x !== 0 && y !== 0);
    case "or":
      return Number(x !== 0 || y !== 0);
    case "not":
      return Number(x === 0);
  }
}

function evaluateAtom(atom: Atom, at: Assignment, rounded: (float: number) => number): number {
  if (atom.kind === "symbol") return typeof at === "function" ? at(atom) : atom[at];
  const [x = 0, y = 0, z = 0] = atom.args.map((arg) => evaluate(arg, at, rounded));
  switch (atom.operation) {
    case "floordiv":
      return Math.floor(x / y);
    case "min":
      return Math.min(x, y);
    case "max":
      return Math.max(x, y);
    case "select":
      return x !== 0 ? y : z;
    case "round":
      return roundHalfEven(x);
    default:
      return Math[atom.operation](x);
  }
}

/** TensorRT's spelling of dims: -1 where the size is known only at run time. */
export function toDims(dims: readonly Dim[]): number[] {
  return dims.map((dim) => (typeof dim === "number" ? dim : -1));
}

export function isStatic(dims: readonly Dim[]): dims is readonly number[] {
  return dims.every((dim) => typeof dim === "number");
}

/** The number of elements. */
export function volume(dims: readonly Dim[]): Dim {
  return mul(...dims);
}
