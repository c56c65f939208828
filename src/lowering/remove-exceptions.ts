import { type Block, constantOf, type Graph, type Node } from "../ir/graph.js";
import { nodeError } from "../ir/printer.js";
import type { LoweringReport } from "./report.js";
import { takeBranch } from "./resolve-branches.js";

/**
 * A network cannot raise: where one branch of a `prim::If` does nothing but raise, the other becomes unconditional. The
 * checks that go with it, of ranks and sizes, are made by the network's own inference for the shapes it is built for.
 * Messages go into the report. Throws `unsupported` where the method raises whatever its inputs are.
 */
export function removeExceptions(graph: Graph, report: LoweringReport): boolean {
  const changed = remove(graph.block, report);
  const raised = exceptionOf(graph.block);
  if (raised !== undefined) {
    throw nodeError(
      "unsupported",
      raised,
      `the method raises an exception for every input${messageOf(raised)}`,
      "Check the attributes that the module was saved with.",
    );
  }
  return changed;
}

function remove(block: Block, report: LoweringReport): boolean {
  let changed = false;
  for (const node of block.nodes()) {
    for (const inner of node.blocks) changed = remove(inner, report) || changed;
    if (node.kind !== "prim::If") continue;
    const [yes, no] = node.blocks as [Block, Block];
    const raised = [exceptionOf(yes), exceptionOf(no)] as const;
    const other = raised[0] !== undefined ? no : raised[1] !== undefined ? yes : undefined;
    if (other === undefined || (raised[0] !== undefined && raised[1] !== undefined)) continue;
    const exception = (raised[0] ?? raised[1]) as Node;
    report.record("remove-exceptions", "exception", exception, messageOf(exception).replace(/^: /, ""));
    takeBranch(node, other);
    changed = true;
  }
  return changed;
}

/** The node that raises whenever the block runs, if there is one. */
function exceptionOf(block: Block): Node | undefined {
  for (const node of block.nodes()) {
    if (node.kind === "prim::RaiseException") return node;
    if (node.kind !== "prim::If") continue;
    const raised = node.blocks.map(exceptionOf);
    if (raised.every((exception) => exception !== undefined)) return raised[0];
  }
  return undefined;
}

function messageOf(exception: Node): string {
  let source = exception.inputs[0];
  // A message that is formatted with sizes is told by its pattern.
  while (source !== undefined && source.node.kind !== "prim::Constant") source = source.node.inputs[0];
  const message = source === undefined ? undefined : constantOf(source);
  return typeof message === "string" && message !== "" ? `: ${message}` : "";
}
