import type { Block, Graph, Node } from "../ir/graph.js";
import { hasEffect, isWriteOnly, writtenInputs } from "./effects.js";

/**
 * Removes nodes whose results nobody uses and that do nothing else, results of branches and loops that nobody uses, and
 * writes to containers that nobody reads. From the end to the front, so once is enough for all but cycles of loops.
 */
export function eliminateDeadCode(graph: Graph): boolean {
  return sweep(graph.block);
}

function sweep(block: Block): boolean {
  let changed = false;
  for (let node = block.lastNode; node !== undefined; ) {
    const previous: Node | undefined = node.previous;
    if (node.kind === "prim::If") changed = dropUnusedResults(node) || changed;
    if (node.kind === "prim::Loop") changed = dropUnusedCarried(node) || changed;
    for (const inner of node.blocks) changed = sweep(inner) || changed;
    if (isDead(node)) {
      node.destroy();
      changed = true;
    }
    node = previous;
  }
  return changed;
}

function isDead(node: Node): boolean {
  if (node.outputs.some((output) => output.hasUses)) return false;
  if (node.blocks.length > 0) return node.blocks.every((block) => block.firstNode === undefined);
  if (!hasEffect(node)) return true;
  const written = writtenInputs(node);
  return written.length > 0 && written.every((i) => isWriteOnly(node.input(i)));
}

function dropUnusedResults(node: Node): boolean {
  let changed = false;
  for (let i = node.outputs.length - 1; i >= 0; i--) {
    const [first, second] = node.blocks.map((block) => block.outputs[i]);
    const output = node.output(i);
    // Both branches give the same value from before the branch.
    if (first !== undefined && first === second) output.replaceAllUsesWith(first);
    if (output.hasUses) continue;
    node.eraseOutput(i);
    for (const block of node.blocks) block.returnNode.removeInput(i);
    changed = true;
  }
  return changed;
}

/** A loop has trip count and condition before the carried values, its body the counter and the condition. */
function dropUnusedCarried(node: Node): boolean {
  let changed = false;
  const [body] = node.blocks;
  if (body === undefined) return false;
  for (let i = node.outputs.length - 1; i >= 0; i--) {
    const input = body.paramNode.output(i + 1);
    const initial = node.input(i + 2);
    const output = node.output(i);
    const next = body.returnNode.input(i + 1);
    if (next === input || next === initial) {
      // The body hands on what it was given.
      input.replaceAllUsesWith(initial);
      output.replaceAllUsesWith(initial);
    }
    const onlyItself = [...input.uses].every((use) => use.user === body.returnNode && use.offset === i + 1);
    if (output.hasUses || !onlyItself) continue;
    body.returnNode.removeInput(i + 1);
    if (input.hasUses) continue;
    body.paramNode.eraseOutput(i + 1);
    node.removeInput(i + 2);
    node.eraseOutput(i);
    changed = true;
  }
  return changed;
}
