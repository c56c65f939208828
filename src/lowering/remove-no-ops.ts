import { allNodes, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { INT64_MAX } from "../ir/int64.js";
import { argumentOf, replaceNode } from "./blocks.js";
import type { LoweringReport } from "./report.js";

/** Give their first input as it is, once nothing writes to tensors and a network lays out its memory itself. */
const IDENTITIES: ReadonlySet<string> = new Set([
  "aten::detach",
  "aten::detach_copy",
  "aten::contiguous",
  "aten::alias",
  "aten::alias_copy",
  "aten::clone",
  "aten::lift",
  "aten::lift_fresh",
  "aten::lift_fresh_copy",
  "aten::data",
  "prim::data",
  "aten::cpu",
  "aten::cuda",
  "aten::pin_memory",
  "aten::requires_grad_",
  "aten::resolve_conj",
  "aten::resolve_neg",
  "aten::positive",
]);

/**
 * Removes what changes nothing in a network: copies and changes of memory layout, `aten::to` of a
 * device only. For graphs without writes to tensors: some of these make copies that a write would tell.
 */
export function removeNoOps(graph: Graph, report: LoweringReport): boolean {
  let changed = false;
  for (const node of allNodes(graph.block)) {
    const same = identityOf(node);
    if (same === undefined) continue;
    report.record("remove-no-ops", node.kind, node);
    replaceNode(node, [same]);
    changed = true;
  }
  return changed;
}

function identityOf(node: Node): Value | undefined {
  if (IDENTITIES.has(node.kind)) return node.inputs[0];
  if (node.kind === "aten::slice" && isWhole(node)) return node.input();
  return node.kind === "aten::to" && movesOnly(node) ? node.input() : undefined;
}

/** `x[:]` of a tensor. A slice of a list is a copy. */
function isWhole(node: Node): boolean {
  if (node.input().type.kind !== "TensorType" || node.inputs.length !== 5) return false;
  const [start, end, step] = node.inputs.slice(2).map(constantOf);
  const isToEnd = end === null || (typeof end === "number" && end >= INT64_MAX);
  return (start === null || start === 0) && isToEnd && step === 1;
}

/** `to(device=...)` without a dtype. The overload that takes another tensor takes over its dtype too. */
function movesOnly(node: Node): boolean {
  const { schema } = node;
  if (schema === undefined || schema.arguments.some((formal) => formal.name === "other")) return false;
  const dtype = argumentOf(node, "dtype");
  return dtype === undefined || constantOf(dtype) === null;
}
