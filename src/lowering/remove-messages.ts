import { allNodes, constantOf, type Graph } from "../ir/graph.js";
import { replaceNode } from "./blocks.js";
import type { LoweringReport } from "./report.js";

const MESSAGES: ReadonlySet<string> = new Set(["aten::warn", "prim::Print"]);

/** Contexts of PyTorch itself, which switch gradients or tell a profiler. A user's own are calls of their methods. */
const CONTEXTS: ReadonlySet<string> = new Set([
  "prim::Enter",
  "prim::Exit",
  "profiler::_record_function_enter",
  "profiler::_record_function_enter_new",
  "profiler::_record_function_exit",
  "aten::set_grad_enabled",
]);

/** Removes what talks to the person at the terminal, and PyTorch's contexts, such as `torch.no_grad()`. */
export function removeMessages(graph: Graph, report: LoweringReport): boolean {
  let changed = false;
  for (const node of allNodes(graph.block)) {
    if (MESSAGES.has(node.kind)) {
      const text = node.inputs[0] === undefined ? undefined : constantOf(node.inputs[0]);
      report.record("remove-messages", node.kind, node, typeof text === "string" ? text : undefined);
    } else if (CONTEXTS.has(node.kind)) {
      report.record("remove-messages", node.kind, node);
    } else continue;
    if (node.outputs.some((output) => output.hasUses)) {
      // What entering gives is the context itself.
      if (node.inputs[0] === undefined) continue;
      replaceNode(node, [node.inputs[0]]);
    } else node.destroy();
    changed = true;
  }
  return changed;
}
