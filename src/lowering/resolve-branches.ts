import { type Block, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { sameType } from "../ir/type.js";
import { constantBefore, replaceNode, spliceBefore } from "./blocks.js";

/** Replaces every `prim::If` on a known condition by the branch that is taken, and results that do not depend on it. */
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
    if (node.kind === "prim::If") changed = agree(node) || changed;
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

/** Both branches give the same number, string or None. */
function agree(node: Node): boolean {
  let changed = false;
  for (const [i, output] of node.outputs.entries()) {
    if (!output.hasUses) continue;
    const [first, second] = node.blocks.map((block) => block.outputs[i]) as [Value, Value];
    const constant = constantOf(first);
    const isPlain = constant !== undefined && (constant === null || typeof constant !== "object");
    if (!isPlain || constant !== constantOf(second) || !sameType(first.type, second.type)) continue;
    output.replaceAllUsesWith(constantBefore(node, constant, first.type));
    changed = true;
  }
  return changed;
}
