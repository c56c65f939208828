import { TupleValue, typeOfConstant } from "../ir/constant.js";
import { allNodes, type Block, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import type { Type } from "../ir/type.js";
import { constantBefore, replaceNode } from "./blocks.js";

/**
 * Takes tuples apart: what is unpacked or indexed gets the elements, results of branches and loops that are tuples
 * become results of their own. Tuples that the graph takes or returns stay.
 */
export function flattenTuples(graph: Graph): boolean {
  let changed = false;
  for (const node of allNodes(graph.block)) {
    if (node.kind === "prim::If") changed = splitResults(node) || changed;
    else if (node.kind === "prim::Loop") changed = splitCarried(node) || changed;
    else changed = takeApart(node) || changed;
  }
  return changed;
}

function takeApart(node: Node): boolean {
  switch (node.kind) {
    case "prim::TupleUnpack": {
      const elements = elementsOf(node.input(), node);
      if (elements?.length !== node.outputs.length) return false;
      replaceNode(node, elements);
      return true;
    }
    case "prim::TupleIndex": {
      const index = constantOf(node.input(1));
      const elements = typeof index === "number" ? elementsOf(node.input(), node) : undefined;
      const element = elements?.at(index as number);
      if (element === undefined) return false;
      replaceNode(node, [element]);
      return true;
    }
    case "prim::TupleSlice": {
      const elements = elementsOf(node.input(), node);
      if (elements === undefined) return false;
      const [start, end] = ["beg", "end"].map((name) => node.attributes.get(name) as number | undefined);
      const part = elements.slice(start, end);
      const type: Type = { kind: "TupleType", elements: part.map((value) => value.type) };
      replaceNode(node, [node.graph.createNode("prim::TupleConstruct", part, [type]).insertBefore(node).output()]);
      return true;
    }
    default:
      return false;
  }
}

function elementsOf(tuple: Value, before: Node): readonly Value[] | undefined {
  if (tuple.node.kind === "prim::TupleConstruct") return tuple.node.inputs;
  const constant = constantOf(tuple);
  const { type } = tuple;
  if (tuple.node.kind === "prim::Uninitialized" && type.kind === "TupleType") {
    return type.elements.map((element) =>
      tuple.graph.createNode("prim::Uninitialized", [], [element]).insertBefore(before).output(),
    );
  }
  if (!(constant instanceof TupleValue) || type.kind !== "TupleType") return undefined;
  return constant.elements.map((element, i) =>
    constantBefore(before, element, typeOfConstant(element, type.elements[i] as Type)),
  );
}

function unpackBefore(tuple: Value, before: Node, types: readonly Type[]): readonly Value[] {
  if (tuple.node.kind === "prim::TupleConstruct") return tuple.node.inputs;
  return tuple.graph.createNode("prim::TupleUnpack", [tuple], types).insertBefore(before).outputs;
}

function splitResults(node: Node): boolean {
  let changed = false;
  for (let i = node.outputs.length - 1; i >= 0; i--) {
    const { type } = node.output(i);
    if (type.kind !== "TupleType") continue;
    for (const block of node.blocks) {
      const tuple = block.returnNode.input(i);
      for (const element of unpackBefore(tuple, block.returnNode, type.elements)) block.registerOutput(element);
      block.returnNode.removeInput(i);
    }
    const elements = type.elements.map((element) => node.addOutput(element));
    const whole = node.graph.createNode("prim::TupleConstruct", elements, [type]).insertAfter(node);
    node.output(i).replaceAllUsesWith(whole.output());
    node.eraseOutput(i);
    changed = true;
  }
  return changed;
}

function splitCarried(node: Node): boolean {
  let changed = false;
  const [body] = node.blocks as [Block];
  for (let i = node.outputs.length - 1; i >= 0; i--) {
    const { type } = node.output(i);
    if (type.kind !== "TupleType") continue;
    for (const element of unpackBefore(node.input(i + 2), node, type.elements)) node.addInput(element);
    const inside = type.elements.map((element) => body.addInput(element));
    const rebuilt = body.prependNode(node.graph.createNode("prim::TupleConstruct", inside, [type]));
    body.paramNode.output(i + 1).replaceAllUsesWith(rebuilt.output());
    for (const element of unpackBefore(body.returnNode.input(i + 1), body.returnNode, type.elements)) {
      body.registerOutput(element);
    }
    const outside = type.elements.map((element) => node.addOutput(element));
    const whole = node.graph.createNode("prim::TupleConstruct", outside, [type]).insertAfter(node);
    node.output(i).replaceAllUsesWith(whole.output());
    body.returnNode.removeInput(i + 1);
    body.paramNode.eraseOutput(i + 1);
    node.removeInput(i + 2);
    node.eraseOutput(i);
    changed = true;
  }
  return changed;
}
