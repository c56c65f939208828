import { EnumValue, TupleValue } from "../../ir/constant.js";
import type { Node } from "../../ir/graph.js";
import { parseSchema } from "../../ir/schema.js";
import { printType, type Type } from "../../ir/type.js";
import { SymBool, SymFloat, SymInt } from "../../network/symbolic.js";
import { numbersOf } from "../../network/weights.js";
import { TrtorchError } from "../../util/errors.js";
import { describeValue } from "../arguments.js";
import type { ConversionContext } from "../context.js";
import { RaisedError } from "../control-flow.js";
import { evaluator, nodeEvaluator } from "../registry.js";
import { type IValue, ObjectInstance, Scalar, TensorValue } from "../values.js";

/** Tuples, lists and objects of TorchScript, which exist at build time only; and what the language does with values. */
export const structures = [
  nodeEvaluator("prim::ListConstruct", (_ctx, _node, inputs) => [[...inputs]]),
  nodeEvaluator("prim::TupleConstruct", (_ctx, _node, inputs) => [new TupleValue(inputs)]),
  nodeEvaluator("prim::DictConstruct", (_ctx, _node, inputs) => {
    const dict = new Map<string | number | boolean, IValue>();
    for (let i = 0; i + 1 < inputs.length; i += 2) {
      dict.set(inputs[i] as string | number | boolean, inputs[i + 1] as IValue);
    }
    return [dict];
  }),
  nodeEvaluator("prim::ListUnpack", unpack),
  nodeEvaluator("prim::TupleUnpack", unpack),
  nodeEvaluator("prim::TupleIndex", (_ctx, node, [tuple, index]) => [element(node, elementsOf(node, tuple), index)]),
  nodeEvaluator("prim::TupleSlice", (_ctx, node, [tuple]) => [
    new TupleValue(
      elementsOf(node, tuple).slice(Number(node.attributes.get("beg") ?? 0), node.attributes.get("end") as number),
    ),
  ]),
  nodeEvaluator("prim::rangelist", (_ctx, _node, [n]) => [Array.from({ length: Number(n) }, (_, i) => i)]),
];

export const objects = [
  nodeEvaluator("prim::CreateObject", (_ctx, node) => {
    const { type } = node.output();
    return [new ObjectInstance(type.kind === "ClassType" ? type.name : printType(type))];
  }),
  nodeEvaluator("prim::GetAttr", (_ctx, node, [object]) => {
    const name = String(node.attributes.get("name"));
    const value = object instanceof ObjectInstance ? object.attributes.get(name) : undefined;
    if (value === undefined) {
      throw new TrtorchError(
        "conversion",
        `prim::GetAttr: ${describeValue(object as IValue)} has no attribute "${name}"`,
      );
    }
    return [value];
  }),
  nodeEvaluator("prim::SetAttr", (ctx, node, [object, value]) => {
    const name = String(node.attributes.get("name"));
    if (!(object instanceof ObjectInstance)) {
      throw new TrtorchError("conversion", `prim::SetAttr: ${describeValue(object as IValue)} has no attributes`);
    }
    ctx.changed(object).attributes.set(name, value as IValue);
    return [];
  }),
  nodeEvaluator("prim::EnumName", (_ctx, node, [value]) => [enumOf(node, value).memberName]),
  nodeEvaluator("prim::EnumValue", (ctx, node, [value]) => [ctx.constants.value(enumOf(node, value).value)]),
  nodeEvaluator("prim::ModuleContainerIndex", (_ctx, node, [container, index]) => {
    const value = container instanceof ObjectInstance ? container.attributes.get(String(index)) : undefined;
    if (value === undefined) throw new TrtorchError("conversion", `${node.kind}: there is no module ${String(index)}`);
    return [value];
  }),
];

/** What the type checker says about a value does not change it. */
export const identities = ["prim::unchecked_cast", "prim::unchecked_unwrap_optional", "prim::data"].map((kind) =>
  nodeEvaluator(kind, (_ctx, _node, [value]) => [value as IValue]),
);

export const uninitialized = nodeEvaluator("prim::Uninitialized", () => [null]);

export const isInstance = nodeEvaluator("prim::isinstance", (_ctx, node, [value]) => {
  const types = node.attributes.get("types") as readonly string[];
  return [types.some((type) => isInstanceOf(value as IValue, type, node.input().type))];
});

export const raise = nodeEvaluator("prim::RaiseException", (_ctx, _node, [message]) => {
  throw new RaisedError(String(message));
});

/** Nothing of these is left in an engine. */
export const sideEffects = ["prim::Print", "aten::warn", "aten::_print"].map((kind) => nodeEvaluator(kind, () => []));

export const numToTensor = [
  evaluator("prim::NumToTensor.Scalar(Scalar a) -> Tensor", (ctx, { a }) =>
    ctx.scalarValue(a.value, a.type === "float" ? "float64" : a.dtype),
  ),
  evaluator("prim::NumToTensor.bool(SymBool a) -> Tensor", (ctx, { a }) => ctx.scalarValue(a as boolean, "bool")),
];

/** A tensor's numbers as a list of lists. They must be known at build time. */
export const toList = nodeEvaluator("prim::tolist", (ctx, _node, [tensor]) => {
  const value = tensor as TensorValue;
  if (value.dims.length === 0 && value.scalar !== undefined) return [value.scalar];
  const numbers = knownNumbers(ctx, value);
  const nest = (dims: readonly number[], start: number): IValue => {
    const [size, ...inner] = dims;
    if (size === undefined) {
      const number = numbers[start] as number;
      return value.dtype === "bool" ? number !== 0 : number;
    }
    const step = inner.reduce((product, dim) => product * dim, 1);
    return Array.from({ length: size }, (_, i) => nest(inner, start + i * step));
  };
  return [nest(value.dims as readonly number[], 0)];
});

/** The numbers of a tensor that are known at build time; refuses the others. */
export function knownNumbers(ctx: ConversionContext, value: TensorValue): ArrayLike<number> {
  const { weights } = value;
  if (weights === null) {
    return ctx.unsupported(
      "the tensor's values are known only at run time",
      "Python lists and numbers in a model are part of the engine: they cannot depend on the data of its inputs.",
    );
  }
  return numbersOf(weights);
}

function unpack(_ctx: ConversionContext, node: Node, [list]: readonly IValue[]): readonly IValue[] {
  const elements = elementsOf(node, list);
  if (elements.length !== node.outputs.length) {
    throw new TrtorchError(
      "conversion",
      `${node.kind}: ${node.outputs.length} values are taken out of ${describeValue(list as IValue)}`,
    );
  }
  return elements;
}

function elementsOf(node: Node, value: IValue | undefined): readonly IValue[] {
  if (value instanceof TupleValue) return value.elements;
  if (Array.isArray(value)) return value;
  throw new TrtorchError("conversion", `${node.kind} of ${describeValue(value ?? null)}`);
}

function element(node: Node, elements: readonly IValue[], index: IValue | undefined): IValue {
  const position = Number(index);
  const value = elements[position < 0 ? position + elements.length : position];
  if (value === undefined) {
    throw new TrtorchError("conversion", `${node.kind}: index ${String(index)} of ${elements.length} elements`);
  }
  return value;
}

function enumOf(node: Node, value: IValue | undefined): EnumValue {
  if (value instanceof EnumValue) return value;
  throw new TrtorchError("conversion", `${node.kind} of ${describeValue(value ?? null)}`);
}

/** `asked` is a type's printed form, or PyTorch's `list` and `tuple` of anything. */
function isInstanceOf(value: IValue, asked: string, declared: Type): boolean {
  if (asked === "list") return Array.isArray(value);
  if (asked === "tuple") return value instanceof TupleValue;
  if (value instanceof ObjectInstance) return value.typeName === asked;
  if (value instanceof EnumValue) return `Enum<${value.typeName}>` === asked;
  const type = parseSchema(`prim::isinstance(${asked} value) -> ()`).arguments[0]?.type;
  return type !== undefined && isOfType(value, type, declared);
}

/** `declared` tells an int from a float, which are both numbers here. */
function isOfType(value: IValue, type: Type, declared: Type): boolean {
  switch (type.kind) {
    case "AnyType":
      return true;
    case "NoneType":
      return value === null;
    case "OptionalType":
      return value === null || isOfType(value, type.element, declared);
    case "UnionType":
      return type.members.some((member) => isOfType(value, member, declared));
    case "TensorType":
      return value instanceof TensorValue;
    case "StringType":
      return typeof value === "string";
    case "BoolType":
      return typeof value === "boolean" || value instanceof SymBool;
    case "IntType":
    case "FloatType": {
      if (value instanceof Scalar) return value.type === (type.kind === "IntType" ? "int" : "float");
      if (value instanceof SymInt) return type.kind === "IntType";
      if (value instanceof SymFloat) return type.kind === "FloatType";
      if (typeof value !== "number") return false;
      if (declared.kind === "IntType" || declared.kind === "FloatType") return declared.kind === type.kind;
      return Number.isInteger(value) === (type.kind === "IntType");
    }
    case "ListType": {
      const inner = declared.kind === "ListType" ? declared.element : type.element;
      return Array.isArray(value) && value.every((item) => isOfType(item, type.element, inner));
    }
    case "TupleType":
      return (
        value instanceof TupleValue &&
        value.elements.length === type.elements.length &&
        value.elements.every((item, i) => {
          const inner = type.elements[i] as Type;
          return isOfType(item, inner, declared.kind === "TupleType" ? (declared.elements[i] ?? inner) : inner);
        })
      );
    case "DictType":
      return value instanceof Map;
    default:
      return false;
  }
}
