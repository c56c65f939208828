import { type Block, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { printConstant } from "../ir/printer.js";
import { printType } from "../ir/type.js";
import { replaceNode } from "./blocks.js";
import { hasEffect } from "./effects.js";
import { isMutable, mutatedTypes } from "./fold-constants.js";

/** Give something else each time without a generator among their arguments, or what nobody has written yet. */
const UNREPEATABLE = /^aten::(?:rand|empty|new_empty|\w*dropout)/;

/**
 * Common subexpressions: where an operator is called on the same values again, its first results are used. For graphs
 * without writes to tensors. A value of an outer block stands for its duplicates in inner ones.
 */
export function mergeDuplicates(graph: Graph): boolean {
  return merge(graph.block, new Map(), mutatedTypes(graph));
}

function merge(block: Block, outer: ReadonlyMap<string, Node>, mutable: ReadonlySet<string>): boolean {
  let changed = false;
  const known = new Map(block.owningNode === undefined ? [] : outer);
  for (const node of block.nodes()) {
    for (const inner of node.blocks) changed = merge(inner, known, mutable) || changed;
    const key = keyOf(node, mutable);
    if (key === undefined) continue;
    const first = known.get(key);
    if (first === undefined) known.set(key, node);
    else {
      replaceNode(node, first.outputs);
      changed = true;
    }
  }
  return changed;
}

function keyOf(node: Node, mutable: ReadonlySet<string>): string | undefined {
  if (node.kind === "prim::Constant" || node.kind === "prim::CreateObject" || node.outputs.length === 0)
    return undefined;
  if (node.blocks.length > 0 || hasEffect(node) || isRandom(node)) return undefined;
  if (
    node.inputs.some((input) => isMutable(input, mutable)) ||
    node.outputs.some((output) => isMutable(output, mutable))
  ) {
    return undefined;
  }
  const attributes: string[] = [];
  for (const [name, value] of node.attributes) {
    if (typeof value !== "string" && typeof value !== "number") return undefined;
    attributes.push(`${name}=${value}`);
  }
  const outputs = node.outputs.map((output) => printType(output.type));
  return [node.kind, ...attributes, ...node.inputs.map(valueKey), ...outputs].join(" ");
}

/** Equal numbers are the same, whichever constant holds them: constants are pooled last. */
function valueKey(value: Value): string {
  const constant = constantOf(value);
  const isPlain = constant === null || ["number", "boolean", "string"].includes(typeof constant);
  if (constant === undefined || !isPlain) return `%${value.id}`;
  return `${value.type.kind} ${printConstant(constant, value.type)}`;
}

/** Does an operator give something else each time? */
function isRandom(node: Node): boolean {
  if (UNREPEATABLE.test(node.kind)) return true;
  return (node.schema?.arguments ?? []).some(({ name, type }, i) => {
    const probability = name === "dropout_p" ? node.inputs[i] : undefined;
    if (probability !== undefined) return constantOf(probability) !== 0;
    return (type.kind === "OptionalType" ? type.element : type).kind === "GeneratorType";
  });
}
