import type { Constant } from "../ir/constant.js";
import { type Block, constantOf, type Node, type Value } from "../ir/graph.js";
import { BoolType, IntType, NoneType, type Type } from "../ir/type.js";

/** Moves a branch's or body's nodes in front of the node that owns it. Its inputs must have been replaced before. */
export function spliceBefore(block: Block, node: Node): void {
  for (const inner of block.nodes()) inner.moveBefore(node);
}

/** Puts a copy of `block` in front of `node`, its inputs standing for `inputs`; the copies of its outputs. */
export function cloneBefore(block: Block, node: Node, inputs: readonly Value[], inserted?: Node[]): Value[] {
  const valueMap = new Map<Value, Value>();
  for (const [i, input] of block.inputs.entries()) valueMap.set(input, inputs[i] as Value);
  const map = (value: Value): Value => valueMap.get(value) ?? value;
  for (const inner of block.nodes()) {
    const clone = node.graph.createClone(inner, map, valueMap).insertBefore(node);
    inserted?.push(clone);
  }
  return block.outputs.map(map);
}

/** A constant in front of `node`. */
export function constantBefore(node: Node, value: Constant, type: Type): Value {
  const constant = node.graph.createConstant(value, value === null ? NoneType : type).insertBefore(node);
  if (node.sourceRange !== undefined) constant.sourceRange = node.sourceRange;
  return constant.output();
}

export function intBefore(node: Node, value: number): Value {
  return constantBefore(node, value, IntType);
}

export function boolBefore(node: Node, value: boolean): Value {
  return constantBefore(node, value, BoolType);
}

/** Gives every use of `node`'s outputs the given values and takes the node out. */
export function replaceNode(node: Node, outputs: readonly Value[]): void {
  for (const [i, output] of node.outputs.entries()) {
    const other = outputs[i];
    if (other !== undefined) renamed(output, other).replaceAllUsesWith(other);
  }
  node.destroy();
}

/** A value without a name takes over the name of the one that it replaces. */
function renamed(old: Value, other: Value): Value {
  if (other.debugName === undefined && other.node.kind !== "prim::Constant") other.debugName = old.debugName;
  return old;
}

/** The values of constants; undefined as soon as one is none. */
export function constantsOf(values: readonly Value[]): Constant[] | undefined {
  const constants: Constant[] = [];
  for (const value of values) {
    const constant = constantOf(value);
    if (constant === undefined) return undefined;
    constants.push(constant);
  }
  return constants;
}

/** Does `block` lie within `ancestor`, or is it that one? */
export function isWithin(block: Block | undefined, ancestor: Block): boolean {
  for (let at = block; at !== undefined; at = at.owningNode?.owningBlock) if (at === ancestor) return true;
  return false;
}

/** The node of `block` within whose blocks `node` stands, or `node` itself. */
export function ancestorIn(node: Node, block: Block): Node | undefined {
  let at: Node | undefined = node;
  while (at !== undefined && at.owningBlock !== block) at = at.owningBlock?.owningNode;
  return at;
}

/** The input that the schema gives that name. */
export function argumentOf(node: Node, name: string): Value | undefined {
  const index = node.schema?.arguments.findIndex((formal) => formal.name === name) ?? -1;
  return index < 0 ? undefined : node.inputs[index];
}
