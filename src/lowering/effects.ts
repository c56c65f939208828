import type { Node, Value } from "../ir/graph.js";
import { isMutating } from "../ir/schema.js";

/** Containers made in the graph: nobody outside sees what is written to them. */
const FRESH: ReadonlySet<string> = new Set([
  "prim::ListConstruct",
  "prim::DictConstruct",
  "prim::CreateObject",
  "aten::list",
  "aten::dict",
]);

const EFFECTS: ReadonlySet<string> = new Set([
  "prim::SetAttr",
  "prim::RaiseException",
  "prim::Print",
  "prim::CallMethod",
  "prim::CallFunction",
  "prim::Enter",
  "prim::Exit",
  "aten::warn",
]);

/** Write statistics to buffers while observing, which conversion refuses; otherwise nothing. */
const OBSERVERS: ReadonlySet<string> = new Set([
  "aten::fused_moving_avg_obs_fake_quant",
  "aten::_fused_moving_avg_obs_fq_helper",
]);

/**
 * Is it known what the node does? Not of an operator of somebody else's whose schema nobody registered: it may write to
 * what it is given, and give something else each time.
 */
export function isKnown(node: Node): boolean {
  return node.kind.startsWith("prim::") || (node.schema !== undefined && node.schema.isInvented !== true);
}

/**
 * The inputs of an unknown operator that it may be there to write to: it gives nothing, or its name says so as PyTorch's
 * names do. Others are taken to give new tensors, as PyTorch asks of operators that do not say what they write to.
 */
export function doubtfulInputs(node: Node): Value[] {
  if (isKnown(node) || (node.outputs.length > 0 && !node.kind.endsWith("_"))) return [];
  return node.inputs.flatMap((input) => (input.node.kind === "prim::ListConstruct" ? input.node.inputs : [input]));
}

/** Which inputs a node writes to, by its schema; `prim::SetAttr` writes to the first. */
export function writtenInputs(node: Node): number[] {
  if (node.kind === "prim::SetAttr") return [0];
  if (OBSERVERS.has(node.kind)) return [];
  if (node.schema === undefined || !isMutating(node.schema)) return [];
  return node.schema.arguments.flatMap((argument, i) =>
    argument.alias?.isWrite === true && i < node.inputs.length ? [i] : [],
  );
}

/** Does the node do anything but give outputs? Its blocks aside. */
export function hasEffect(node: Node): boolean {
  return EFFECTS.has(node.kind) || !isKnown(node) || writtenInputs(node).length > 0;
}

/** Is the value a container of the graph's own that is written to but never read? */
export function isWriteOnly(value: Value): boolean {
  if (!FRESH.has(value.node.kind)) return false;
  for (const { user, offset } of value.uses) {
    if (!writtenInputs(user).includes(offset)) return false;
    if (user.outputs.some((output) => output.hasUses)) return false;
  }
  return true;
}
