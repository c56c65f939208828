import { Device, EnumValue, TupleValue } from "../../ir/constant.js";
import type { Node } from "../../ir/graph.js";
import { isSymbolic, SymBool, type SymScalar } from "../../network/symbolic.js";
import { TrtorchError } from "../../util/errors.js";
import { describeValue } from "../arguments.js";
import type { ConversionContext } from "../context.js";
import { type Converter, evaluator, nodeEvaluator } from "../registry.js";
import * as scalars from "../scalars.js";
import { type IValue, Scalar, TensorValue } from "../values.js";

type Key = string | number | boolean;
type Dict = Map<Key, IValue>;

/**
 * Lists, dicts and strings. They live at build time only, and are changed in place: an evaluator that writes takes the
 * value itself, not the copy that arguments by schema are.
 */
export const lists = [
  nodeEvaluator("aten::append", (ctx, node, [list, item]) => {
    ctx.changed(listOf(node, list)).push(item as IValue);
    return [list as IValue];
  }),
  nodeEvaluator("aten::extend", (ctx, node, [list, other]) => {
    ctx.changed(listOf(node, list)).push(...listOf(node, other));
    return [];
  }),
  nodeEvaluator("aten::insert", (ctx, node, [list, index, item]) => {
    ctx.changed(listOf(node, list)).splice(Number(index), 0, item as IValue);
    return [];
  }),
  nodeEvaluator("aten::list", (_ctx, node, [list]) => [typeof list === "string" ? [...list] : [...listOf(node, list)]]),
  nodeEvaluator("aten::Size", (_ctx, node, [list]) => [listOf(node, list)]),
  nodeEvaluator("aten::reverse", (ctx, node, [list]) => {
    ctx.changed(listOf(node, list)).reverse();
    return [];
  }),
  nodeEvaluator("aten::remove", (ctx, node, [list, item]) => {
    const elements = ctx.changed(listOf(node, list));
    elements.splice(indexOf(node, elements, item as IValue), 1);
    return [];
  }),
  nodeEvaluator("aten::sorted", (_ctx, node, [list]) => [listOf(node, list).toSorted(order(node))]),
];

/** Operators that lists have in common with tensors. */
export const sharedWithTensors: Converter[] = [
  evaluator("aten::add.t(t[] a, t[] b) -> t[]", (_ctx, { a, b }) => [...a, ...b]),
  evaluator("aten::add_.t(t[](a!) self, t[] b) -> t[]", (ctx, { b }) => {
    const list = ctx.changed(listOf(ctx.node, ctx.valueOf(ctx.node.input(0))));
    list.push(...b);
    return list;
  }),
  evaluator("aten::mul.left_t(t[] l, int n) -> t[]", (_ctx, { l, n }) => repeat(l, n)),
  evaluator("aten::mul.right_(int n, t[] l) -> t[]", (_ctx, { l, n }) => repeat(l, n)),
  evaluator("aten::slice.t(t[] l, int? start=None, int? end=None, int step=1) -> t[]", (_ctx, args) =>
    slice(args.l, args.start, args.end, args.step),
  ),
  evaluator("aten::slice.str(str string, int? start=None, int? end=None, int step=1) -> str", (_ctx, args) =>
    slice([...args.string], args.start, args.end, args.step).join(""),
  ),
  evaluator("aten::copy.t(t[](a) self) -> t[]", (_ctx, { self }) => [...self]),
  ...["str", "int", "bool", "float"].map((key) =>
    evaluator(`aten::copy.Dict_${key as "str"}(Dict(str, t)(a) self) -> Dict(str, t)`, (ctx) => {
      return new Map(dictOf(ctx.node, ctx.valueOf(ctx.node.input(0))));
    }),
  ),
  ...["int", "float", "bool", "str"].flatMap((type) => [
    evaluator(`aten::index.list_${type as "int"}(t[] self, t el) -> int`, (ctx, { self, el }) =>
      indexOf(ctx.node, self as IValue[], el),
    ),
    evaluator(`aten::eq.${type as "int"}_list(t[] a, t[] b) -> bool`, (_ctx, { a, b }) =>
      same(a as IValue[], b as IValue[]),
    ),
    evaluator(`aten::ne.${type as "int"}_list(t[] a, t[] b) -> bool`, (_ctx, { a, b }) =>
      negated(same(a as IValue[], b as IValue[])),
    ),
    evaluator(`aten::sort.${type as "int"}(t[](a!) self, bool reverse=False) -> ()`, (ctx, { reverse }) => {
      const list = ctx.changed(listOf(ctx.node, ctx.valueOf(ctx.node.input(0)))).sort(order(ctx.node));
      if (reverse) list.reverse();
      return null;
    }),
  ]),
  ...["int", "float", "bool", "str"].map((type) =>
    evaluator(
      `aten::any.${type as "int"}(t[] self) -> bool`,
      (_ctx, { self }) => self.map(truth).reduce(scalars.or, scalars.bool(false)).value,
    ),
  ),
  ...["int", "float", "bool"].map((type) =>
    evaluator(
      `aten::all.${type as "int"}(t[] self) -> bool`,
      (_ctx, { self }) => self.map(truth).reduce(scalars.and, scalars.bool(true)).value,
    ),
  ),
  evaluator("aten::sum.int(SymInt[] self) -> int", (_ctx, { self }) =>
    scalars.toInt(self.map(numberOf).reduce(scalars.add, scalars.int(0))),
  ),
  evaluator("aten::sum.float(float[] self) -> float", (_ctx, { self }) => self.reduce((sum, value) => sum + value, 0)),
  evaluator("prim::max.self_int(SymInt[] self) -> int", (ctx, { self }) => extreme(ctx, self, scalars.max)),
  evaluator("prim::min.self_int(SymInt[] self) -> int", (ctx, { self }) => extreme(ctx, self, scalars.min)),
  evaluator("prim::max.self_float(float[] self) -> float", (_ctx, { self }) => Math.max(...self)),
  evaluator("prim::min.self_float(float[] self) -> float", (_ctx, { self }) => Math.min(...self)),
  evaluator("aten::sum.bool(bool[] self) -> int", (_ctx, { self }) => self.filter((value) => value).length),
  evaluator("prim::max.self_bool(bool[] self) -> bool", (_ctx, { self }) => self.includes(true)),
  evaluator("prim::min.self_bool(bool[] self) -> bool", (_ctx, { self }) => !self.includes(false)),
];

export const dicts = [
  nodeEvaluator("aten::dict", (_ctx, node, [entries]) => {
    if (entries === undefined) return [new Map()];
    if (entries instanceof Map) return [new Map(entries)];
    return [new Map(listOf(node, entries).map((entry) => (entry as TupleValue<IValue>).elements as [Key, IValue]))];
  }),
  nodeEvaluator("aten::keys", (_ctx, node, [dict]) => [[...dictOf(node, dict).keys()]]),
  nodeEvaluator("aten::values", (_ctx, node, [dict]) => [[...dictOf(node, dict).values()]]),
  nodeEvaluator("aten::items", (_ctx, node, [dict]) => [
    [...dictOf(node, dict)].map(([key, value]) => new TupleValue<IValue>([key, value])),
  ]),
  nodeEvaluator("aten::get", (_ctx, node, [dict, key, otherwise]) => [
    dictOf(node, dict).get(keyOf(key)) ?? otherwise ?? null,
  ]),
  nodeEvaluator("aten::setdefault", (ctx, node, [dict, key, value]) => {
    const entries = dictOf(node, dict);
    if (!entries.has(keyOf(key))) ctx.changed(entries).set(keyOf(key), value as IValue);
    return [entries.get(keyOf(key)) as IValue];
  }),
  nodeEvaluator("aten::update", (ctx, node, [dict, other]) => {
    const entries = ctx.changed(dictOf(node, dict));
    for (const [key, value] of dictOf(node, other)) entries.set(key, value);
    return [];
  }),
  nodeEvaluator("aten::popitem", (ctx, node, [dict]) => {
    const entries = ctx.changed(dictOf(node, dict));
    const last = [...entries].at(-1) ?? fail(node, "the dict is empty");
    entries.delete(last[0]);
    return [new TupleValue<IValue>(last)];
  }),
];

/** Operators of lists, dicts and strings alike. */
export const collections = [
  nodeEvaluator("aten::__getitem__", (_ctx, node, [container, index]) => {
    if (container instanceof Map) {
      const value = container.get(keyOf(index));
      return [value === undefined ? fail(node, `the dict has no key ${describeValue(index as IValue)}`) : value];
    }
    const elements = typeof container === "string" ? [...container] : listOf(node, container);
    return [elements[position(node, elements.length, index)] as IValue];
  }),
  nodeEvaluator("prim::StringIndex", (_ctx, node, [text, index]) => {
    const characters = [...String(text)];
    return [characters[position(node, characters.length, index)] as string];
  }),
  nodeEvaluator("aten::_set_item", (ctx, node, [container, index, value]) => {
    if (container instanceof Map) ctx.changed(container).set(keyOf(index), value as IValue);
    else {
      const elements = ctx.changed(listOf(node, container));
      elements[position(node, elements.length, index)] = value as IValue;
    }
    return [container as IValue];
  }),
  nodeEvaluator("aten::Delete", (ctx, node, [container, index]) => {
    if (container instanceof Map) ctx.changed(container).delete(keyOf(index));
    else {
      const elements = ctx.changed(listOf(node, container));
      elements.splice(position(node, elements.length, index), 1);
    }
    return [];
  }),
  nodeEvaluator("aten::pop", (ctx, node, [container, index, otherwise]) => {
    if (container instanceof Map) {
      const value = container.get(keyOf(index)) ?? otherwise;
      ctx.changed(container).delete(keyOf(index));
      return [value === undefined ? fail(node, `the dict has no key ${describeValue(index as IValue)}`) : value];
    }
    const elements = ctx.changed(listOf(node, container));
    return elements.splice(position(node, elements.length, index ?? -1), 1);
  }),
  nodeEvaluator("aten::clear", (ctx, node, [container]) => {
    if (container instanceof Map) ctx.changed(container).clear();
    else ctx.changed(listOf(node, container)).length = 0;
    return [];
  }),
  nodeEvaluator("aten::len", (_ctx, node, [container]) => {
    if (container instanceof TensorValue) return [container.dims[0] ?? fail(node, "len() of a 0-d tensor")];
    if (container instanceof Map) return [container.size];
    return [typeof container === "string" ? [...container].length : listOf(node, container).length];
  }),
  nodeEvaluator("aten::__contains__", (_ctx, node, [container, item]) => {
    if (container instanceof Map) return [container.has(keyOf(item))];
    if (typeof container === "string") return [container.includes(String(item))];
    return [
      listOf(node, container)
        .map((element) => scalars.bool(same(element, item as IValue)))
        .reduce(scalars.or, scalars.bool(false)).value,
    ];
  }),
];

/** Equality that is not of numbers. */
export const identity = [
  evaluator("aten::eq.str(str a, str b) -> bool", (_ctx, { a, b }) => a === b),
  evaluator("aten::ne.str(str a, str b) -> bool", (_ctx, { a, b }) => a !== b),
  evaluator("aten::lt.str(str a, str b) -> bool", (_ctx, { a, b }) => a < b),
  evaluator("aten::gt.str(str a, str b) -> bool", (_ctx, { a, b }) => a > b),
  evaluator("aten::le.str(str a, str b) -> bool", (_ctx, { a, b }) => a <= b),
  evaluator("aten::ge.str(str a, str b) -> bool", (_ctx, { a, b }) => a >= b),
  evaluator("aten::eq.device(Device a, Device b) -> bool", (_ctx, { a, b }) => a.name === b.name),
  evaluator("aten::ne.device(Device a, Device b) -> bool", (_ctx, { a, b }) => a.name !== b.name),
  evaluator("aten::eq.enum(AnyEnumType a, AnyEnumType b) -> bool", (_ctx, { a, b }) => same(a, b)),
  evaluator("aten::ne.enum(AnyEnumType a, AnyEnumType b) -> bool", (_ctx, { a, b }) => negated(same(a, b))),
  nodeEvaluator("aten::__is__", (_ctx, _node, [a, b]) => [a === b]),
  nodeEvaluator("aten::__isnot__", (_ctx, _node, [a, b]) => [a !== b]),
];

function listOf(node: Node, value: IValue | undefined): IValue[] {
  if (Array.isArray(value)) return value;
  return fail(node, `expected a list, not ${describeValue(value ?? null)}`);
}

function dictOf(node: Node, value: IValue | undefined): Dict {
  if (value instanceof Map) return value;
  return fail(node, `expected a dict, not ${describeValue(value ?? null)}`);
}

function keyOf(value: IValue | undefined): Key {
  return (value instanceof Scalar ? value.value : value) as Key;
}

/** A Python index as a place in the list. */
function position(node: Node, length: number, index: IValue | undefined): number {
  const number = index instanceof Scalar ? index.value : index;
  if (typeof number !== "number") {
    return fail(node, `the index must be known at build time, but is ${describeValue(index ?? null)}`);
  }
  const place = number < 0 ? number + length : number;
  return place < 0 || place >= length ? fail(node, `index ${number} is out of range for ${length} elements`) : place;
}

function repeat<T>(list: readonly T[], times: number): T[] {
  return Array.from({ length: Math.max(times, 0) }, () => list).flat();
}

function slice<T>(list: readonly T[], start: number | null, end: number | null, step: number): T[] {
  const { length } = list;
  const clamp = (value: number | null, otherwise: number): number =>
    value === null ? otherwise : Math.min(Math.max(value < 0 ? value + length : value, step < 0 ? -1 : 0), length);
  const out: T[] = [];
  if (step > 0) for (let i = clamp(start, 0); i < clamp(end, length); i += step) out.push(list[i] as T);
  else {
    const first = Math.min(clamp(start, length - 1), length - 1);
    for (let i = first; i > clamp(end, -1); i += step) out.push(list[i] as T);
  }
  return out;
}

function isNumber(value: IValue): value is SymScalar {
  return typeof value === "number" || typeof value === "boolean" || isSymbolic(value);
}

function truth(value: IValue): Scalar {
  if (value instanceof Scalar) return scalars.bool(scalars.toBool(value));
  if (isNumber(value))
    return scalars.bool(scalars.toBool(new Scalar(typeof value === "boolean" ? "bool" : "int", value)));
  return scalars.bool(value !== null && value !== "");
}

/** Python's `==`; a condition where only running tells. */
function same(a: IValue, b: IValue): boolean | SymBool {
  if (Array.isArray(a) && Array.isArray(b)) {
    if (a.length !== b.length) return false;
    return a.map((item, i) => scalars.bool(same(item, b[i] as IValue))).reduce(scalars.and, scalars.bool(true)).value as
      | boolean
      | SymBool;
  }
  if (a instanceof TupleValue && b instanceof TupleValue) return same([...a.elements], [...b.elements]);
  if (a instanceof EnumValue && b instanceof EnumValue) {
    return a.typeName === b.typeName && a.memberName === b.memberName;
  }
  if (a instanceof Device && b instanceof Device) return a.name === b.name;
  if (isNumber(a) && isNumber(b)) {
    return scalars.eq(numberOf(a), numberOf(b)).value as boolean | SymBool;
  }
  return a === b;
}

function numberOf(value: SymScalar): Scalar {
  if (typeof value === "boolean" || value instanceof SymBool) return scalars.bool(value);
  return new Scalar(typeof value === "number" && !Number.isInteger(value) ? "float" : "int", value);
}

function negated(value: boolean | SymBool): boolean | SymBool {
  return scalars.not(scalars.bool(value)).value as boolean | SymBool;
}

function indexOf(node: Node, list: readonly IValue[], item: IValue): number {
  const index = list.findIndex((element) => same(element, item) === true);
  return index < 0 ? fail(node, `${describeValue(item)} is not in the list`) : index;
}

function order(node: Node): (a: IValue, b: IValue) => number {
  return (a, b) => {
    if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
    if (typeof a === typeof b && (typeof a === "number" || typeof a === "boolean")) return Number(a) - Number(b);
    return fail(node, `${describeValue(a)} and ${describeValue(b)} cannot be put in order at build time`);
  };
}

function extreme(
  ctx: ConversionContext,
  list: readonly SymScalar[],
  choose: (a: Scalar, b: Scalar) => Scalar,
): ReturnType<typeof scalars.toInt> {
  if (list.length === 0) return ctx.unsupported("the list is empty");
  return scalars.toInt(list.map(numberOf).reduce(choose));
}

function fail(node: Node, message: string): never {
  throw new TrtorchError("conversion", `${node.kind}: ${message}`);
}
