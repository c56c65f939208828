import type { Node, Value } from "../ir/graph.js";
import { findSchemas } from "../ir/operators.js";
import { nodeError } from "../ir/printer.js";
import { resolveSchema } from "../ir/resolve.js";
import type { FunctionSchema } from "../ir/schema.js";
import { NoneType, TensorType } from "../ir/type.js";
import { constantBefore } from "./blocks.js";
import type { Dtypes } from "./dtypes.js";
import { writtenInputs } from "./effects.js";
import { emit } from "./emit.js";
import { isTensor } from "./views.js";

/** Give bools, or longer ints, which a write in place converts. */
const CONVERTED = /^aten::(?:eq|ne|lt|le|gt|ge|not_equal|less\w*|greater\w*|logical_\w+|cumsum|cumprod)$/;

/** What the tensors hold that a node writes to, in the order of its targets; in front of `node`. */
export function functionalResults(node: Node, count: number, dtypes: Dtypes): Value[] {
  const [self] = node.inputs as [Value];
  switch (node.kind) {
    case "aten::copy_":
      return [filled(node, self, node.input(1), dtypes)];
    case "aten::fill_":
      return [filled(node, self, node.input(1), dtypes)];
    case "aten::zero_":
      return [likeZeros(node, self)];
    default:
  }
  const { schema } = node;
  if (schema === undefined) throw cannotWrite(node);
  const written = new Set(writtenInputs(node));
  const isOut = schema.arguments.some(({ alias, kwargOnly }) => alias?.isWrite === true && kwargOnly);
  const twin = isOut ? node.kind : functionalKind(node.kind);
  const inputs = isOut ? node.inputs.filter((_, i) => !written.has(i)) : node.inputs;
  const call = node.graph.createNode(twin, inputs, Array(count).fill(TensorType)).insertBefore(node);
  call.sourceRange = node.sourceRange;
  call.schema = functionalSchema(call, schema, isOut);
  if (call.schema === undefined) throw cannotWrite(node);
  if (isOut) return call.outputs.map((output, i) => kept(output, node.input([...written][i]), node, dtypes));
  const output = call.output();
  const others = node.inputs.slice(1).filter(({ type }) => isTensor(type));
  // Without other dtypes PyTorch writes in place only what has the tensor's own.
  const isSame = others.every((other) => dtypes.areSame(self, other));
  return [isSame && !CONVERTED.test(twin) ? output : kept(output, self, node, dtypes)];
}

/** Where the functional operator promotes dtypes, the written tensor keeps its own. */
function kept(result: Value, self: Value, node: Node, dtypes: Dtypes): Value {
  return dtypes.areSame(result, self) ? result : emit(node, node, "aten::type_as", [result, self]);
}

/** `source` as big as `self` and of its dtype. */
function filled(node: Node, self: Value, source: Value, dtypes: Dtypes): Value {
  if (!isTensor(source.type)) {
    const none = constantBefore(node, null, NoneType);
    return emit(node, node, "aten::full_like", [self, source, none, none, none, none, none]);
  }
  const cast = dtypes.areSame(source, self) ? source : emit(node, node, "aten::type_as", [source, self]);
  return emit(node, node, "aten::expand_as", [cast, self]);
}

function likeZeros(node: Node, self: Value): Value {
  const none = constantBefore(node, null, NoneType);
  return emit(node, node, "aten::zeros_like", [self, none, none, none, none, none]);
}

/** `aten::add_` without writing is `aten::add`, `aten::__iand__` is `aten::__and__`. */
function functionalKind(kind: string): string {
  return kind.endsWith("__") ? kind.replace(/__i(\w+)__$/, "__$1__") : kind.replace(/_$/, "");
}

/** The overload with the same arguments that writes none of them. */
function functionalSchema(call: Node, written: FunctionSchema, isOut: boolean): FunctionSchema | undefined {
  const formals = isOut ? written.arguments.filter(({ alias }) => alias?.isWrite !== true) : written.arguments;
  const candidates = findSchemas(call.kind).filter(
    (schema) =>
      schema.arguments.every(({ alias }) => alias?.isWrite !== true) && schema.returns.length === call.outputs.length,
  );
  const names = formals.map(({ name, spelling }) => `${spelling} ${name}`).join();
  return (
    candidates.find((schema) => schema.arguments.map(({ name, spelling }) => `${spelling} ${name}`).join() === names) ??
    resolveSchema(call, candidates)
  );
}

function cannotWrite(node: Node): Error {
  return nodeError(
    "unsupported",
    node,
    "this operator writes to a tensor and has no form without writing",
    "Use an operator that returns a new tensor in the model.",
  );
}
