import type { Node, Value } from "../ir/graph.js";
import { findSchemas } from "../ir/operators.js";
import { resolveSchema } from "../ir/resolve.js";
import { TensorType, type Type } from "../ir/type.js";

/** A call of an operator in front of `before`, with its schema and the place of `origin` in the source. */
export function emit(
  before: Node,
  origin: Node,
  kind: string,
  inputs: readonly Value[],
  type: Type = TensorType,
): Value {
  const node = before.graph.createNode(kind, inputs, [type]).insertBefore(before);
  node.schema = resolveSchema(node, findSchemas(kind));
  node.sourceRange = origin.sourceRange;
  return node.output();
}
