import { type Block, constantOf, type Graph, type Node } from "../ir/graph.js";
import { replaceNode, spliceBefore } from "./blocks.js";

/** Replaces every `prim::If` on a known condition by the branch that is taken. */
export function resolveBranches(graph: Graph): boolean {
  return resolve(graph.block);
}

function resolve(block: Block): boolean {
  let changed = false;
  for (let node = block.firstNode; node !== undefined; ) {
    const condition = node.kind === "prim::If" ? constantOf(node.input()) : undefined;
    if (typeof condition === "boolean") {
      const taken = node.blocks[condition ? 0 : 1] as Block;
      // What the branch held stands here now, and may hold branches itself.
      const next: Node | undefined = taken.firstNode ?? node.next;
      takeBranch(node, taken);
      node = next;
      changed = true;
      continue;
    }
    for (const inner of node.blocks) changed = resolve(inner) || changed;
    node = node.next;
  }
  return changed;
}

/** Puts the nodes of one branch in the place of the whole `prim::If`. */
export function takeBranch(node: Node, branch: Block): void {
  const outputs = [...branch.outputs];
  spliceBefore(branch, node);
  replaceNode(node, outputs);
}
