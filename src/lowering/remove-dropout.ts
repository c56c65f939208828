import { allNodes, constantOf, type Graph, type Node } from "../ir/graph.js";
import { replaceNode } from "./blocks.js";
import type { LoweringReport } from "./report.js";

const DROPOUTS = /^aten::(?:feature_)?(?:alpha_)?dropout_?$/;

/**
 * Removes dropout that is switched off. It gives its very input, so this comes before writes in place are taken out:
 * who writes to the result writes to the input.
 */
export function removeDropout(graph: Graph, report: LoweringReport): boolean {
  let changed = false;
  for (const node of allNodes(graph.block)) {
    if (!DROPOUTS.test(node.kind) || !isOff(node)) continue;
    report.record("remove-dropout", node.kind, node);
    replaceNode(node, [node.input()]);
    changed = true;
  }
  return changed;
}

function isOff(node: Node): boolean {
  const [, rate, training] = node.inputs;
  return (training !== undefined && constantOf(training) === false) || (rate !== undefined && constantOf(rate) === 0);
}
