import { allNodes, constantOf, type Graph } from "../ir/graph.js";
import { replaceNode } from "./blocks.js";

const CASTS: ReadonlySet<string> = new Set([
  "prim::unchecked_cast",
  "prim::unchecked_unwrap_optional",
  "aten::_unwrap_optional",
]);

/** Removes casts that only tell the type checker that a value is not None, or of which class it is. */
export function removeOptionals(graph: Graph): boolean {
  let changed = false;
  for (const node of allNodes(graph.block)) {
    // Unwrapping None raises: the branch in which that stands is not taken, or the method is wrong.
    if (!CASTS.has(node.kind) || constantOf(node.input()) === null) continue;
    const input = node.input();
    // Every use of a graph's input is behind the check: the narrower type is what the method works with.
    if (input.node.kind !== "prim::Param" && input.type.kind === "OptionalType" && input.uses.size === 1) {
      input.type = node.output().type;
    }
    replaceNode(node, [input]);
    changed = true;
  }
  return changed;
}
