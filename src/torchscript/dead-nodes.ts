import type { Block, Node } from "../ir/graph.js";
import { hasEffect } from "../lowering/effects.js";

/**
 * Removes what compiling left over and nobody uses: constants and tuples that were taken apart at once, results of
 * branches and loops. Operators that write, raise or print stay, and so do calls: nobody knows yet what they do.
 */
export function removeDeadNodes(block: Block): void {
  for (let node = block.lastNode; node !== undefined; ) {
    const previous: Node | undefined = node.previous;
    if (node.blocks.length > 0) removeDeadOutputs(node);
    for (const inner of node.blocks) removeDeadNodes(inner);
    if (isDead(node)) node.destroy();
    node = previous;
  }
}

function isDead(node: Node): boolean {
  if (node.outputs.some((output) => output.hasUses)) return false;
  return node.blocks.length > 0 ? node.blocks.every((block) => block.firstNode === undefined) : !hasEffect(node);
}

function removeDeadOutputs(node: Node): void {
  // A loop's blocks have one output, the condition, and one input, the counter, before the carried values.
  const offset = node.kind === "prim::Loop" ? 1 : 0;
  for (let i = node.outputs.length - 1; i >= 0; i--) {
    if (node.output(i).hasUses) continue;
    if (node.kind === "prim::Loop") {
      const [body] = node.blocks;
      const carried = body?.inputs[i + 1];
      // Used inside, other than to be handed on as it is.
      if (body === undefined || carried === undefined) continue;
      if ([...carried.uses].some((use) => use.user !== body.returnNode || use.offset !== i + 1)) continue;
      node.eraseOutput(i);
      body.returnNode.removeInput(i + 1);
      body.paramNode.eraseOutput(i + 1);
      node.removeInput(i + 2);
      continue;
    }
    node.eraseOutput(i);
    for (const block of node.blocks) block.returnNode.removeInput(i + offset);
  }
}
