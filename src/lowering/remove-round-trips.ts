import { allNodes, type Graph, type Node, type Value } from "../ir/graph.js";
import { replaceNode } from "./blocks.js";

/** What takes a number out of a tensor of one element. */
const NUMBERS: Readonly<Record<string, readonly string[]>> = {
  "aten::Int": ["IntType"],
  "aten::IntImplicit": ["IntType"],
  "aten::Float": ["FloatType"],
  "aten::FloatImplicit": ["FloatType"],
  "aten::ScalarImplicit": ["IntType", "FloatType"],
  "aten::item": ["IntType", "FloatType"],
};

/** Removes `aten::Int` and the like of a number that tracing put into a tensor by `prim::NumToTensor`. */
export function removeRoundTrips(graph: Graph): boolean {
  let changed = false;
  for (const node of allNodes(graph.block)) {
    const same = originOf(node);
    if (same === undefined) continue;
    replaceNode(node, [same]);
    changed = true;
  }
  return changed;
}

function originOf(node: Node): Value | undefined {
  const types = NUMBERS[node.kind];
  const tensor = node.inputs[0]?.node;
  const number = tensor?.kind === "prim::NumToTensor" ? tensor.input() : undefined;
  return number !== undefined && types?.includes(number.type.kind) === true ? number : undefined;
}
