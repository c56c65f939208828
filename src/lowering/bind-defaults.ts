import { type Constant, typeOfConstant } from "../ir/constant.js";
import type { Graph, Value } from "../ir/graph.js";
import type { Type } from "../ir/type.js";
import { LoweringReport } from "./report.js";

/**
 * Makes constants of the inputs that no engine takes, where the method's signature has a value for them: `num_updates:
 * int = 12`. With the number of tensors that the method will be given, optional tensors beyond them are None as well.
 * Inputs without a default stay, for conversion to refuse by name.
 */
export function bindDefaults(
  graph: Graph,
  inputCount = Number.POSITIVE_INFINITY,
  report: LoweringReport = new LoweringReport(),
): boolean {
  const left: Value[] = [];
  let tensors = 0;
  for (const input of graph.inputs) {
    const count = tensorCount(input.type);
    if (graph.defaults.has(input) && (count === 0 || tensors + count > inputCount)) left.push(input);
    else tensors += count;
  }
  for (const input of left) {
    const value = graph.defaults.get(input) ?? null;
    const constant = graph.createConstant(value, typeOfConstant(value, input.type));
    graph.block.prependNode(constant);
    report.record(
      "bind-defaults",
      "default of an argument",
      constant,
      `${input.name.replace(/\.\d+$/, "")} = ${text(value)}`,
    );
    input.replaceAllUsesWith(constant.output());
    graph.defaults.delete(input);
    graph.block.paramNode.eraseOutput(graph.inputs.indexOf(input));
  }
  return left.length > 0;
}

const text = (value: Constant): string => (value === null ? "None" : JSON.stringify(value));

/** How many tensors an argument of the type takes at least. */
function tensorCount(type: Type): number {
  switch (type.kind) {
    case "TensorType":
      return 1;
    case "OptionalType":
    case "ListType":
      return tensorCount(type.element);
    case "TupleType":
      return type.elements.reduce((sum, element) => sum + tensorCount(element), 0);
    default:
      return 0;
  }
}
