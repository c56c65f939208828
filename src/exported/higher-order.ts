import type { Node, Value } from "../ir/graph.js";
import { INT64_MAX } from "../ir/int64.js";
import type { ScalarType } from "../ir/scalar-type.js";
import { BoolType, IntType, ListType, TensorType } from "../ir/type.js";
import { ConstantPool, type Frame, type GraphImporter } from "./importer.js";
import { dtypeOf, type GraphJson, type NodeJson, type TaggedArgument, untag } from "./schema.js";

/**
 * Imports a call of an operator that takes graphs, and gives its results. Wrappers that only set a mode are inlined;
 * `cond` becomes `prim::If`, `while_loop` a `prim::Loop`, and `scan` and `map` over a known number of steps are
 * unrolled. Everything else is a TrtorchError of code `unsupported`.
 */
export function importHigherOrder(importer: GraphImporter, frame: Frame, node: NodeJson): (Value | null)[] {
  const name = node.target.slice("torch.ops.higher_order.".length);
  const args = node.inputs.map(({ arg }) => untag(arg));
  const graphs = args.flatMap((arg) => (arg.tag === "as_graph" ? [arg.value.graph] : []));
  const [graph, second] = graphs;
  const position = args.findIndex((arg) => arg.tag === "as_graph");
  const lists = (): Value[][] => args.flatMap((arg) => listOf(importer, frame, arg));
  if (graph !== undefined) {
    switch (name) {
      case "wrap_with_set_grad_enabled":
      case "wrap":
      case "tag_activation_checkpoint":
      case "strict_mode":
      case "hints_wrapper":
      case "run_const_graph":
      case "invoke_subgraph":
        return importer.inline(frame, graph, operands(importer, frame, args.slice(position + 1)));
      case "wrap_with_autocast":
        return importer.inline(
          frame,
          graph,
          operands(importer, frame, args.slice(position + 1)),
          autocastOf(args) ?? frame.autocast,
        );
      case "cond":
        if (second !== undefined) return importCond(importer, frame, node, args, graph, second);
        break;
      case "while_loop": {
        const [carried, additional = []] = lists();
        if (second !== undefined && carried !== undefined) {
          return importWhileLoop(importer, frame, node, graph, second, carried, additional);
        }
        break;
      }
      case "scan": {
        const [carried, sequences, additional = []] = lists();
        const others = args.some((arg) => arg.tag === "as_int" || arg.tag === "as_bool");
        if (others)
          importer.unsupported(node, "scan of this PyTorch release is not supported", "Export with PyTorch 2.11.");
        if (carried !== undefined && sequences !== undefined) {
          return unroll(importer, frame, node, graph, carried, sequences, additional);
        }
        break;
      }
      case "map_impl": {
        const [sequences, additional = []] = lists();
        if (sequences !== undefined) return unroll(importer, frame, node, graph, [], sequences, additional);
        break;
      }
    }
  }
  return importer.unsupported(
    node,
    `the higher-order operator ${name} cannot be compiled`,
    "Export a model without it: ep.run_decompositions() removes some.",
  );
}

function listOf(importer: GraphImporter, frame: Frame, arg: TaggedArgument): Value[][] {
  const elements = importer.elements(frame, arg);
  return elements === undefined ? [] : [elements];
}

/** What follows the graph, flat; names of graphs and options are no operands. */
function operands(importer: GraphImporter, frame: Frame, args: readonly TaggedArgument[]): Value[] {
  return args.flatMap((arg) => {
    if (arg.tag === "as_string" || arg.tag === "as_string_to_argument") return [];
    return importer.elements(frame, arg) ?? [importer.value(frame, arg)];
  });
}

/** (device_type, dtype, enabled, cache_enabled, graph, ...); float32 undoes an autocast around it. */
function autocastOf(args: readonly TaggedArgument[]): ScalarType | undefined {
  const [, dtype, enabled] = args;
  if (enabled?.tag === "as_bool" && !enabled.value) return "float32";
  return dtype?.tag === "as_scalar_type" ? dtypeOf(dtype.value) : undefined;
}

function importCond(
  importer: GraphImporter,
  frame: Frame,
  node: NodeJson,
  args: readonly TaggedArgument[],
  whenTrue: GraphJson,
  whenFalse: GraphJson,
): (Value | null)[] {
  const [predicate] = args;
  const inputs = operands(importer, frame, args.slice(3));
  if (predicate?.tag === "as_bool") return importer.inline(frame, predicate.value ? whenTrue : whenFalse, inputs);
  const condition = asBool(importer, frame, node, importer.value(frame, predicate ?? { tag: "as_none", value: true }));
  const made = importer.append(frame, node, "prim::If", [condition], []);
  const [first, second] = [whenTrue, whenFalse].map((graph) => branch(importer, frame, made, graph, inputs));
  return (first ?? []).map((value, i) => {
    const other = second?.[i];
    if (value === null || other === null || other === undefined) {
      return importer.unsupported(node, "a branch of cond that returns None cannot be compiled");
    }
    return made.addOutput(value.type);
  });
}

function branch(
  importer: GraphImporter,
  frame: Frame,
  made: Node,
  graph: GraphJson,
  inputs: readonly Value[],
): (Value | null)[] {
  const block = made.addBlock();
  const inner = { ...frame, block, constants: new ConstantPool(frame.constants) };
  const results = importer.inline(inner, graph, inputs);
  for (const value of results) if (value !== null) block.registerOutput(value);
  return results;
}

function importWhileLoop(
  importer: GraphImporter,
  frame: Frame,
  node: NodeJson,
  condition: GraphJson,
  body: GraphJson,
  carried: readonly Value[],
  additional: readonly Value[],
): Value[] {
  const check = (inner: Frame, values: readonly Value[]): Value => {
    const [result] = importer.inline(inner, condition, [...values, ...additional]);
    if (result === null || result === undefined)
      importer.unsupported(node, "the condition of while_loop returns nothing");
    return asBool(importer, inner, node, result);
  };
  const limit = importer.constant(frame, INT64_MAX, IntType);
  const loop = importer.append(frame, node, "prim::Loop", [limit, check(frame, carried), ...carried], []);
  const block = loop.addBlock();
  const inner = { ...frame, block, constants: new ConstantPool(frame.constants) };
  block.addInput(IntType, importer.names.unique("i"));
  const inputs = carried.map((value) => block.addInput(value.type));
  const next = importer.inline(inner, body, [...inputs, ...additional]).map((value) => {
    return value ?? importer.unsupported(node, "the body of while_loop returns None");
  });
  block.registerOutput(check(inner, next));
  for (const value of next) block.registerOutput(value);
  return next.map((value) => loop.addOutput(value.type));
}

/** The steps one after the other: the body's first results are carried on, the others stacked. */
function unroll(
  importer: GraphImporter,
  frame: Frame,
  node: NodeJson,
  body: GraphJson,
  initial: readonly Value[],
  sequences: readonly Value[],
  additional: readonly Value[],
): Value[] {
  // Flat, the sequences follow the carried values, of which map has none.
  const lists = node.inputs.flatMap(({ arg }) => arg.as_tensors ?? []);
  const sequence = lists[initial.length];
  const steps = sequence === undefined ? undefined : frame.json.tensor_values[sequence.name]?.sizes[0]?.as_int;
  const name = node.target.split(".").at(-1);
  if (steps === undefined || steps === 0) {
    return importer.unsupported(
      node,
      `${name} over a length that is not known cannot be compiled`,
      "Export with a static length.",
    );
  }
  let carried = [...initial];
  const stacks: Value[][] = [];
  const zero = importer.constant(frame, 0, IntType);
  for (let step = 0; step < steps; step++) {
    const index = importer.constant(frame, step, IntType);
    const slices = sequences.map((value) =>
      importer.emit(frame, node, "aten::select.int", [value, zero, index], [value.type]).output(),
    );
    const results = importer.inline(frame, body, [...carried, ...slices, ...additional]).map((value) => {
      return value ?? importer.unsupported(node, `the body of ${name} returns None`);
    });
    carried = results.slice(0, initial.length);
    results.slice(initial.length).forEach((value, i) => {
      stacks[i] ??= [];
      stacks[i].push(value);
    });
  }
  const stacked = stacks.map((values) => {
    const list = importer.append(frame, node, "prim::ListConstruct", values, [ListType(TensorType)]).output();
    return importer.emit(frame, node, "aten::stack", [list, zero], [values[0]?.type ?? TensorType]).output();
  });
  return [...carried, ...stacked];
}

function asBool(importer: GraphImporter, frame: Frame, node: NodeJson, value: Value): Value {
  if (value.type.kind === "BoolType") return value;
  return importer.emit(frame, node, "aten::Bool.Tensor", [value], [BoolType]).output();
}
