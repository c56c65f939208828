import { type Constant, Device, EnumValue, ObjectValue, TupleValue } from "../ir/constant.js";
import type { Node, Value } from "../ir/graph.js";
import { fromInt64, toInt64 } from "../ir/int64.js";
import { scalarTypeCode } from "../ir/scalar-type.js";
import { Tensor } from "../ir/tensor.js";
import { printType, type Type } from "../ir/type.js";

/**
 * What an operator on numbers, strings, lists and dicts gives for constant inputs, as Python computes it. Undefined
 * where the operator is not one of these, or would raise. Of tensors only their properties are read, never numbers:
 * something may write to them.
 */
export function evaluate(node: Node, inputs: readonly Constant[]): Constant | undefined {
  const rule = RULES[node.kind];
  if (rule === undefined || node.outputs.length !== 1) return undefined;
  return rule(inputs, node);
}

/** What can be told of a node by the types of its inputs alone. */
export function evaluateTypes(node: Node): boolean | undefined {
  switch (node.kind) {
    case "aten::__is__":
    case "aten::__isnot__": {
      const [a, b] = node.inputs as [Value, Value];
      if (a === b) return node.kind === "aten::__is__";
      const other = b.type.kind === "NoneType" ? a : a.type.kind === "NoneType" ? b : undefined;
      if (other === undefined) return undefined;
      const isNone = other.type.kind === "NoneType" ? true : mayBeNone(other.type) ? undefined : false;
      return isNone === undefined ? undefined : isNone === (node.kind === "aten::__is__");
    }
    case "prim::requires_grad":
    case "aten::requires_grad":
    case "aten::is_grad_enabled":
    case "aten::is_autocast_enabled":
    case "aten::is_autocast_cpu_enabled":
    case "prim::is_nested":
    case "prim::is_sparse":
    case "prim::is_sparse_csr":
    case "prim::is_mkldnn":
    case "prim::is_meta":
      // Engines compute without gradients, on dense tensors.
      return false;
    case "prim::isinstance": {
      const types = node.attributes.get("types");
      return Array.isArray(types) ? isInstance(node.input().type, types.map(String)) : undefined;
    }
    default:
      return undefined;
  }
}

function mayBeNone(type: Type): boolean {
  return (
    type.kind === "OptionalType" ||
    type.kind === "AnyType" ||
    type.kind === "VarType" ||
    (type.kind === "UnionType" && type.members.some(mayBeNone)) ||
    type.kind === "NoneType"
  );
}

/** `list` and `tuple` stand for any of their kind. Undefined where only the value can tell. */
function isInstance(type: Type, names: readonly string[]): boolean | undefined {
  if (type.kind === "OptionalType") {
    const inner = isInstance(type.element, names);
    return inner === names.includes("NoneType") ? inner : undefined;
  }
  if (type.kind === "UnionType") {
    const answers = new Set(type.members.map((member) => isInstance(member, names)));
    return answers.size === 1 ? [...answers][0] : undefined;
  }
  if (type.kind === "AnyType" || type.kind === "VarType" || type.kind === "InterfaceType") return undefined;
  if (type.kind === "ListType" && names.includes("list")) return true;
  if (type.kind === "TupleType" && names.includes("tuple")) return true;
  if (type.kind === "NumberType") return undefined;
  return names.includes(printType(type));
}

type Rule = (inputs: readonly Constant[], node: Node) => Constant | undefined;

function isNumber(value: Constant | undefined): value is number | boolean {
  return typeof value === "number" || typeof value === "boolean";
}

/** Of numbers, a bool counting as 0 or 1. */
function numeric(compute: (...numbers: number[]) => Constant | undefined): Rule {
  return (inputs) => (inputs.every(isNumber) ? compute(...inputs.map(Number)) : undefined);
}

function finite(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value;
}

/** Deep equality of Python's `==`; undefined for tensors and objects. */
function equal(a: Constant, b: Constant): boolean | undefined {
  if (a instanceof Tensor || b instanceof Tensor || a instanceof ObjectValue || b instanceof ObjectValue)
    return undefined;
  if (isNumber(a) && isNumber(b)) return Number(a) === Number(b);
  if (a instanceof Device && b instanceof Device) return deviceName(a.name) === deviceName(b.name);
  if (a instanceof EnumValue && b instanceof EnumValue)
    return a.typeName === b.typeName && a.memberName === b.memberName;
  if (a instanceof TupleValue && b instanceof TupleValue) return equalAll(a.elements, b.elements);
  if (Array.isArray(a) && Array.isArray(b)) return equalAll(a, b);
  if (a instanceof Map && b instanceof Map) {
    return a.size === b.size && [...a].every(([key, value]) => b.has(key) && equal(value, b.get(key) ?? null) === true);
  }
  return a === b;
}

function deviceName(name: string): string {
  return name === "cuda" ? "cuda:0" : name;
}

function equalAll(a: readonly Constant[], b: readonly Constant[]): boolean | undefined {
  if (a.length !== b.length) return false;
  let all: boolean | undefined = true;
  for (const [i, item] of a.entries()) {
    const same = equal(item, b[i] ?? null);
    if (same === false) return false;
    if (same === undefined) all = undefined;
  }
  return all;
}

/** Python's order on numbers and strings. */
function compare(test: (order: number) => boolean): Rule {
  return ([a, b]) => {
    if (isNumber(a) && isNumber(b)) {
      if (Number.isNaN(Number(a)) || Number.isNaN(Number(b))) return false;
      return test(Number(a) - Number(b) || (Number(a) < Number(b) ? -1 : Number(a) > Number(b) ? 1 : 0));
    }
    if (typeof a === "string" && typeof b === "string") return test(a < b ? -1 : a > b ? 1 : 0);
    return undefined;
  };
}

/** Rounds half to even, as Python and `aten::round` do. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

function floorDivide(a: number, b: number): number | undefined {
  return b === 0 ? undefined : Math.floor(a / b);
}

/** The sign of Python's `%` is the divisor's. */
function modulo(a: number, b: number): number | undefined {
  if (b === 0) return undefined;
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}

function extreme(pick: (a: number, b: number) => number): Rule {
  return (inputs) => {
    const [first] = inputs;
    const numbers = inputs.length === 1 && Array.isArray(first) ? first : inputs;
    if (numbers.length === 0 || !numbers.every(isNumber)) return undefined;
    return numbers.map(Number).reduce((a, b) => pick(a, b));
  };
}

/** Python's slice over a list or a string; undefined for a step of 0, which raises. */
export function sliceIndices(
  length: number,
  start: number | null,
  end: number | null,
  step: number,
): number[] | undefined {
  if (step === 0) return undefined;
  const clamp = (index: number | null, otherwise: number): number => {
    if (index === null) return otherwise;
    return Math.min(Math.max(index < 0 ? index + length : index, step < 0 ? -1 : 0), step < 0 ? length - 1 : length);
  };
  const from = clamp(start, step < 0 ? length - 1 : 0);
  const to = clamp(end, step < 0 ? -1 : length);
  const indices: number[] = [];
  for (let i = from; step < 0 ? i > to : i < to; i += step) indices.push(i);
  return indices;
}

function item(items: readonly Constant[], index: Constant | undefined): Constant | undefined {
  return typeof index === "number" ? items[index < 0 ? index + items.length : index] : undefined;
}

/** Python's `str()` of a constant, for messages and names. */
function pythonText(value: Constant, type: Type | undefined): string | undefined {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return value;
  if (typeof value === "number")
    return type?.kind === "FloatType" && Number.isInteger(value) ? `${value}.0` : String(value);
  if (value instanceof Device) return value.name;
  if (Array.isArray(value)) {
    const element = type?.kind === "ListType" ? type.element : undefined;
    const texts = value.map((entry) => (typeof entry === "string" ? `'${entry}'` : pythonText(entry, element)));
    return texts.every((text) => text !== undefined) ? `[${texts.join(", ")}]` : undefined;
  }
  return undefined;
}

const add: Rule = ([a, b]) => {
  if (isNumber(a) && isNumber(b)) return Number(a) + Number(b);
  if (typeof a === "string" && typeof b === "string") return a + b;
  return Array.isArray(a) && Array.isArray(b) ? [...a, ...b] : undefined;
};

const multiply: Rule = ([a, b]) => {
  if (isNumber(a) && isNumber(b)) return Number(a) * Number(b);
  if (Array.isArray(a) && typeof b === "number") return Array.from({ length: Math.max(b, 0) }, () => a).flat(1);
  return undefined;
};

const contains: Rule = ([container, key]) => {
  if (key === undefined) return undefined;
  if (Array.isArray(container)) {
    const answers = container.map((entry) => equal(entry, key));
    return answers.includes(true) ? true : answers.includes(undefined) ? undefined : false;
  }
  if (container instanceof Map) return container.has(key as string | number | boolean);
  return typeof container === "string" && typeof key === "string" ? container.includes(key) : undefined;
};

const getItem: Rule = ([container, key]) => {
  if (Array.isArray(container)) return item(container, key);
  if (container instanceof TupleValue) return item(container.elements, key);
  if (container instanceof Map) return container.get(key as string | number | boolean);
  return typeof container === "string" ? item([...container], key) : undefined;
};

const slice: Rule = ([container, start = null, end = null, step = 1]) => {
  const isIndex = (value: Constant): value is number | null => value === null || typeof value === "number";
  if (!isIndex(start) || !isIndex(end) || typeof step !== "number") return undefined;
  if (!Array.isArray(container) && typeof container !== "string") return undefined;
  const indices = sliceIndices(container.length, start, end, step);
  if (typeof container === "string") return indices?.map((i) => container[i]).join("");
  return indices?.map((i) => container[i] as Constant);
};

function text(compute: (self: string, ...rest: string[]) => Constant | undefined): Rule {
  return (inputs) =>
    inputs.every((input) => typeof input === "string") ? compute(...(inputs as [string])) : undefined;
}

function property(read: (tensor: Tensor) => Constant | undefined): Rule {
  return ([tensor]) => (tensor instanceof Tensor ? read(tensor) : undefined);
}

/** Of ints bit by bit, of bools as what they say. */
function bits(compute: (a: bigint, b: bigint) => bigint): Rule {
  return ([a, b]) => {
    if (!isNumber(a) || !isNumber(b)) return undefined;
    const result = compute(toInt64(Number(a)), toInt64(Number(b)));
    return typeof a === "boolean" && typeof b === "boolean" ? result !== 0n : fromInt64(result);
  };
}

/** C++ leaves open what shifting by less than 0 or by 64 and more gives. */
function shift(compute: (a: bigint, b: bigint) => bigint): Rule {
  return numeric((a, b = 0) => (b >= 0 && b < 64 ? fromInt64(compute(toInt64(a), toInt64(b))) : undefined));
}

const identity: Rule = ([value]) => value;

/** Without the tensor overloads: a number among the inputs of `aten::add` makes it arithmetic of numbers. */
const RULES: Readonly<Record<string, Rule>> = {
  "aten::add": add,
  "aten::sub": numeric((a, b = 0) => a - b),
  "aten::mul": multiply,
  "aten::div": numeric((a, b = 0) => (b === 0 ? undefined : a / b)),
  "aten::floordiv": numeric((a, b = 0) => floorDivide(a, b)),
  "aten::remainder": numeric((a, b = 0) => modulo(a, b)),
  "aten::fmod": numeric((a, b = 0) => (b === 0 ? undefined : a % b)),
  "aten::pow": numeric((a, b = 0) => finite(a ** b)),
  "aten::neg": numeric((a) => -a),
  "aten::sqrt": numeric((a) => finite(Math.sqrt(a))),
  "aten::exp": numeric((a) => Math.exp(a)),
  "aten::log": numeric((a, base) => finite(base === undefined ? Math.log(a) : Math.log(a) / Math.log(base))),
  "aten::log2": numeric((a) => finite(Math.log2(a))),
  "aten::log10": numeric((a) => finite(Math.log10(a))),
  "aten::sin": numeric(Math.sin),
  "aten::cos": numeric(Math.cos),
  "aten::tanh": numeric(Math.tanh),
  "aten::ceil": numeric(Math.ceil),
  "aten::floor": numeric(Math.floor),
  "aten::round": numeric((a, digits) => (digits === undefined ? roundHalfEven(a) : undefined)),
  "aten::isnan": numeric((a) => Number.isNaN(a)),
  "aten::isinf": numeric((a) => Math.abs(a) === Number.POSITIVE_INFINITY),
  "prim::abs": numeric(Math.abs),
  "aten::abs": numeric(Math.abs),
  "prim::min": extreme(Math.min),
  "prim::max": extreme(Math.max),
  "aten::Int": ([value]) =>
    isNumber(value)
      ? Math.trunc(Number(value))
      : typeof value === "string"
        ? finite(Number.parseInt(value, 10))
        : undefined,
  "aten::Float": ([value]) =>
    isNumber(value) ? Number(value) : typeof value === "string" ? finite(Number(value)) : undefined,
  "aten::Bool": numeric((a) => a !== 0),
  "aten::str": ([value], node) => (value === undefined ? undefined : pythonText(value, node.input().type)),
  "aten::__and__": bits((a, b) => a & b),
  "aten::__or__": bits((a, b) => a | b),
  "aten::__xor__": bits((a, b) => a ^ b),
  "aten::__not__": ([a]) => (typeof a === "boolean" ? !a : undefined),
  "aten::__lshift__": shift((a, b) => a << b),
  "aten::__rshift__": shift((a, b) => a >> b),
  "aten::eq": ([a, b]) => (a === undefined || b === undefined ? undefined : equal(a, b)),
  "aten::ne": ([a, b]) => {
    const same = a === undefined || b === undefined ? undefined : equal(a, b);
    return same === undefined ? undefined : !same;
  },
  "aten::lt": compare((order) => order < 0),
  "aten::le": compare((order) => order <= 0),
  "aten::gt": compare((order) => order > 0),
  "aten::ge": compare((order) => order >= 0),
  "aten::__is__": ([a, b]) => (a === null || b === null ? a === b : undefined),
  "aten::__isnot__": ([a, b]) => (a === null || b === null ? a !== b : undefined),
  "aten::__contains__": contains,
  "aten::__getitem__": getItem,
  "aten::slice": slice,
  "aten::len": ([container]) => {
    if (Array.isArray(container)) return container.length;
    if (container instanceof TupleValue) return container.elements.length;
    if (container instanceof Map) return container.size;
    if (typeof container === "string") return [...container].length;
    return container instanceof Tensor ? container.sizes[0] : undefined;
  },
  "aten::list": ([value]) => (typeof value === "string" ? [...value] : Array.isArray(value) ? [...value] : undefined),
  "aten::keys": ([dict]) => (dict instanceof Map ? [...dict.keys()] : undefined),
  "aten::values": ([dict]) => (dict instanceof Map ? [...dict.values()] : undefined),
  "aten::sorted": ([list]) =>
    Array.isArray(list) && list.every(isNumber) ? list.map(Number).sort((a, b) => a - b) : undefined,
  "aten::sum": ([list]) =>
    Array.isArray(list) && list.every(isNumber) ? list.map(Number).reduce((a, b) => a + b, 0) : undefined,
  "aten::format": ([pattern, ...values], node) => {
    if (typeof pattern !== "string") return undefined;
    const texts = values.map((value, i) => pythonText(value, node.inputs[i + 1]?.type));
    if (texts.includes(undefined)) return undefined;
    let next = 0;
    return pattern.replace(/\{[^{}]*\}/g, () => texts[next++] ?? "");
  },
  "aten::lower": text((self) => self.toLowerCase()),
  "aten::upper": text((self) => self.toUpperCase()),
  "aten::startswith": text((self, prefix = "") => self.startsWith(prefix)),
  "aten::endswith": text((self, suffix = "") => self.endsWith(suffix)),
  "aten::strip": text((self, characters) => (characters === undefined || characters === " " ? self.trim() : undefined)),
  "aten::replace": text((self, old = "", by = "") => (old === "" ? undefined : self.replaceAll(old, by))),
  "aten::split": text((self, separator) => (separator === undefined ? undefined : self.split(separator))),
  "aten::join": ([separator, parts]) =>
    typeof separator === "string" && Array.isArray(parts) ? parts.map(String).join(separator) : undefined,
  "aten::__range_length": numeric((low, high = 0, step = 1) =>
    step === 0 ? undefined : Math.max(0, Math.ceil((high - low) / step)),
  ),
  "aten::__derive_index": numeric((index, start = 0, step = 1) => start + index * step),
  "aten::dim": property((tensor) => tensor.dim),
  "aten::numel": property((tensor) => tensor.numel),
  "aten::size": ([tensor, dim]) => {
    if (!(tensor instanceof Tensor)) return undefined;
    return dim === undefined ? [...tensor.sizes] : item(tensor.sizes, dim);
  },
  "aten::is_floating_point": property((tensor) => /^b?float/.test(tensor.dtype)),
  "prim::dtype": property((tensor) => scalarTypeCode(tensor.dtype)),
  "prim::layout": property(() => 0),
  "prim::unchecked_cast": identity,
  "prim::unchecked_unwrap_optional": identity,
  "prim::TupleIndex": ([tuple, index]) => (tuple instanceof TupleValue ? item(tuple.elements, index) : undefined),
  "prim::EnumValue": ([value]) => (value instanceof EnumValue ? (value.value ?? undefined) : undefined),
  "prim::EnumName": ([value]) => (value instanceof EnumValue ? value.memberName : undefined),
};
