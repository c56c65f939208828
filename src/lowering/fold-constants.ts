import { type Constant, holdsTensor, TupleValue, typeOfConstant } from "../ir/constant.js";
import { allNodes, type Graph, type Node, type Use, type Value } from "../ir/graph.js";
import { BoolType, printType, type Type } from "../ir/type.js";
import { constantBefore, constantsOf, replaceNode } from "./blocks.js";
import { hasEffect, writtenInputs } from "./effects.js";
import { evaluate, evaluateTypes } from "./evaluate.js";

/**
 * Computes what depends on constants only: numbers, strings, lists, tuples and dicts, by the table in `evaluate`. Tensors
 * are left to conversion, whose converters say what operators on them mean.
 */
export function foldConstants(graph: Graph): boolean {
  const mutable = mutatedTypes(graph);
  let changed = false;
  for (const node of allNodes(graph.block)) changed = foldNode(node, mutable) || changed;
  return changed;
}

function foldNode(node: Node, mutable: ReadonlySet<string>): boolean {
  if (node.kind === "prim::Constant" || node.outputs.length === 0 || node.blocks.length > 0) return false;
  if (node.owningBlock === undefined || hasEffect(node)) return false;
  const known = evaluateTypes(node);
  if (known !== undefined) {
    replaceNode(node, [constantBefore(node, known, BoolType)]);
    return true;
  }
  const inputs = constantsOf(node.inputs);
  if (inputs === undefined) return false;
  const result = construct(node, inputs, mutable) ?? (readsMutable(node, mutable) ? undefined : evaluate(node, inputs));
  if (result === undefined) return false;
  const output = node.output();
  replaceNode(node, [constantBefore(node, result, typeOfConstant(result, refine(output.type, node)))]);
  return true;
}

/** `aten::__getitem__.t` of a list has the element's type; a cast from Any says what it casts to. */
function refine(type: Type, node: Node): Type {
  return type.kind === "VarType" ? (node.inputs[0]?.type ?? type) : type;
}

/** A list, tuple or dict of constants, unless something may write to it or it holds tensors. */
function construct(node: Node, inputs: readonly Constant[], mutable: ReadonlySet<string>): Constant | undefined {
  if (inputs.some(holdsTensor)) return undefined;
  switch (node.kind) {
    case "prim::ListConstruct":
      return isMutable(node.output(), mutable) ? undefined : [...inputs];
    case "prim::TupleConstruct":
      return new TupleValue(inputs);
    case "prim::DictConstruct": {
      if (isMutable(node.output(), mutable)) return undefined;
      const entries = new Map<string | number | boolean, Constant>();
      for (let i = 0; i + 1 < inputs.length; i += 2) entries.set(inputs[i] as string, inputs[i + 1] as Constant);
      return entries;
    }
    default:
      return undefined;
  }
}

function readsMutable(node: Node, mutable: ReadonlySet<string>): boolean {
  return node.inputs.some((input) => isMutable(input, mutable));
}

/**
 * Types of lists and dicts that are written through a value whose maker is not in sight: any list of that type may be
 * meant. Writes to a list that the graph makes itself concern that list only.
 */
export function mutatedTypes(graph: Graph): Set<string> {
  const types = new Set<string>();
  for (const user of allNodes(graph.block)) {
    for (const offset of writtenInputs(user)) {
      const { type, node: maker } = user.input(offset);
      const isContainer = type.kind === "ListType" || type.kind === "DictType";
      if (!isContainer || maker.kind === "prim::ListConstruct" || maker.kind === "prim::DictConstruct") continue;
      if (writesTo({ user, offset })) types.add(printType(type));
    }
  }
  return types;
}

/** May the container be written to? */
export function isMutable(value: Value, mutable: ReadonlySet<string>): boolean {
  if (value.type.kind !== "ListType" && value.type.kind !== "DictType") return false;
  return mutable.has(printType(value.type)) || isWritten(value);
}

/** Does something write to the value itself? */
export function isWritten(value: Value): boolean {
  return [...value.uses].some(writesTo);
}

/** Of `update` the schema says that it writes to both dicts, but it only reads the second. */
export function writesTo({ user, offset }: Use): boolean {
  return writtenInputs(user).includes(offset) && !(user.kind === "aten::update" && offset === 1);
}
