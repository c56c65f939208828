import { constantKey } from "../ir/constant.js";
import { allNodes, constantOf, type Graph, type Value } from "../ir/graph.js";
import { printType } from "../ir/type.js";
import { isMutable, mutatedTypes } from "./fold-constants.js";

/** Moves all constants to the front of the graph, those that hold the same as one. Tensors are the same by identity. */
export function poolConstants(graph: Graph): boolean {
  const mutable = mutatedTypes(graph);
  const pool = new Map<unknown, Value>();
  const constants = [...allNodes(graph.block)].filter((node) => node.kind === "prim::Constant");
  const anchor = graph.block.prependNode(graph.createNode("prim::Param"));
  for (const node of constants) {
    const output = node.output();
    if (!output.hasUses) {
      node.destroy();
      continue;
    }
    const value = constantOf(output) ?? null;
    let key: unknown;
    if (node.attributes.has("name")) key = `name ${printType(output.type)} ${node.string("name")}`;
    else key = isMutable(output, mutable) ? node : constantKey(value, output.type);
    const known = pool.get(key);
    if (known !== undefined) {
      output.replaceAllUsesWith(known);
      node.destroy();
      continue;
    }
    pool.set(key, output);
    node.moveBefore(anchor);
  }
  anchor.destroy();
  return true;
}
