import { Graph, type Node, type Value } from "../ir/graph.js";
import { parseSchema } from "../ir/schema.js";
import { IntType } from "../ir/type.js";
import { SymInt } from "../network/symbolic.js";
import type { ExecutionTrace, Operation } from "./trace.js";

/** Operations that run one after the other in one place. */
export interface Segment {
  readonly runs: "TensorRT" | "Torch";
  readonly operations: readonly Operation[];
}

/** Where operations run, and what becomes of it when segments are too short. */
export function chooseSegments(trace: ExecutionTrace, minBlockSize: number): Segment[] {
  let operations = trace.operations;
  for (;;) {
    const segments = formSegments(trace, operations);
    const short = segments.filter(
      ({ runs, operations }) => runs === "TensorRT" && operations.length < minBlockSize && segments.length > 1,
    );
    if (short.length === 0) return segments;
    const moved = new Map<Operation, Operation>();
    for (const segment of short) {
      const count = segment.operations.length;
      const torch = `only ${count} operator${count === 1 ? "" : "s"} between those of Torch: min_block_size is ${minBlockSize}`;
      for (const operation of segment.operations) moved.set(operation, { ...operation, torch });
    }
    operations = operations.map((operation) => moved.get(operation) ?? operation);
  }
}

/**
 * One segment of each kind is open at a time. It takes the operations of its kind until one of the other kind needs a result of
 * it: branches that do not depend on each other so share a segment.
 */
function formSegments(trace: ExecutionTrace, operations: readonly Operation[]): Segment[] {
  const closed: { runs: Segment["runs"]; operations: Operation[] }[] = [];
  const open: Record<Segment["runs"], Operation[]> = { TensorRT: [], Torch: [] };
  const owner = new Map<Node, Operation>(operations.map((operation) => [operation.node, operation]));
  const close = (runs: Segment["runs"]): void => {
    if (open[runs].length === 0) return;
    const last = closed.at(-1);
    if (last?.runs === runs) last.operations.push(...open[runs]);
    else closed.push({ runs, operations: open[runs] });
    open[runs] = [];
  };
  const place = new Map<Operation, Operation[]>();
  for (const operation of operations) {
    const runs = operation.torch === null ? "TensorRT" : "Torch";
    const other = runs === "TensorRT" ? "Torch" : "TensorRT";
    const needsOther = readsOf(trace, operation.node).some((value) => {
      const producer = owner.get(producerOf(value));
      return producer !== undefined && place.get(producer) === open[other];
    });
    if (needsOther) close(other);
    open[runs].push(operation);
    place.set(operation, open[runs]);
  }
  close("TensorRT");
  close("Torch");
  return closed;
}

/** The node that computes a value that is a result, or an element of one. */
export function producerOf(value: Value): Node {
  let { node } = value;
  while (UNPACKING.has(node.kind)) ({ node } = node.input());
  return node;
}

const UNPACKING = new Set(["prim::ListUnpack", "prim::TupleUnpack", "prim::unchecked_unwrap_optional"]);

/** The arguments and results of operations that a node takes, through glue, blocks included. */
export function readsOf(trace: ExecutionTrace, node: Node): readonly Value[] {
  const known = readsMemo.get(node);
  if (known !== undefined) return known;
  const found = new Set<Value>();
  const seen = new Set<Value>();
  const own = new Set<Value>();
  const read = (value: Value): void => {
    if (seen.has(value) || own.has(value)) return;
    seen.add(value);
    if (trace.values.has(value)) found.add(value);
    else value.node.inputs.forEach(read);
  };
  const visit = (at: Node): void => {
    at.inputs.forEach(read);
    for (const block of at.blocks) {
      for (const input of block.inputs) own.add(input);
      for (const inner of block.nodes()) {
        visit(inner);
        for (const output of inner.outputs) own.add(output);
      }
      block.outputs.forEach(read);
    }
  };
  visit(node);
  const reads = [...found];
  readsMemo.set(node, reads);
  return reads;
}

/** Whether a node takes a tensor itself, alone or in a list, rather than a number made of its size. */
function readsContent(trace: ExecutionTrace, node: Node, tensor: Value): boolean {
  // A branch or loop may do anything with it.
  if (node.blocks.length > 0) return true;
  const holds = (value: Value): boolean =>
    value === tensor || (!trace.values.has(value) && LISTS.has(value.node.kind) && value.node.inputs.some(holds));
  return node.inputs.some(holds);
}

const LISTS = new Set(["prim::ListConstruct", "prim::TupleConstruct"]);

const readsMemo = new WeakMap<Node, readonly Value[]>();

const SIZE = parseSchema("aten::size.int(Tensor self, int dim) -> int");

function sizeOf(graph: Graph, tensor: Value, axis: number): Value {
  const dim = graph.block.appendNode(graph.createConstant(axis, IntType)).output();
  const node = graph.createNode(SIZE.name, [tensor, dim], [IntType]);
  node.schema = SIZE;
  return graph.block.appendNode(node).output();
}

/** The part of a trace that one segment executes, as a graph of its own. */
export interface SegmentGraph {
  readonly graph: Graph;
  /** The trace's values that are its inputs and outputs, in order. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Each operation with its node in `graph`. */
  readonly operations: readonly { readonly operation: Operation; readonly copy: Node }[];
}

/** Copies operations of a trace, and the glue they need, into another graph. */
export class TraceCopier {
  readonly graph: Graph;
  /** The counterparts of the trace's values. */
  readonly values = new Map<Value, Value>();
  readonly #trace: ExecutionTrace;

  constructor(trace: ExecutionTrace, graph: Graph) {
    this.#trace = trace;
    this.graph = graph;
  }

  /** The counterpart of a value, made of glue where it is not there yet. Results of operations must be. */
  need(value: Value): Value {
    const known = this.values.get(value);
    if (known !== undefined) return known;
    this.copy(value.node);
    return this.values.get(value) as Value;
  }

  copy(node: Node): Node {
    for (const input of externalInputs(node)) this.need(input);
    const copy = this.graph.createClone(node, (value) => this.values.get(value) as Value, this.values);
    this.graph.block.appendNode(copy);
    return copy;
  }

  /** An operation with what takes its results apart. */
  copyOperation({ node }: Operation): Node {
    const copy = this.copy(node);
    this.takeApart(node);
    return copy;
  }

  /** Copies what takes a node's results apart, elements of elements too. */
  takeApart(node: Node): void {
    for (const output of node.outputs) {
      for (const { user } of output.uses) {
        if (UNPACKING.has(user.kind) && user.outputs.some((element) => this.#trace.values.has(element))) {
          this.copy(user);
          this.takeApart(user);
        }
      }
    }
  }
}

/** The values from outside that a node and its blocks read. */
function externalInputs(node: Node): Set<Value> {
  const external = new Set<Value>();
  const own = new Set<Value>();
  const visit = (at: Node): void => {
    for (const input of at.inputs) if (!own.has(input)) external.add(input);
    for (const block of at.blocks) {
      for (const input of block.inputs) own.add(input);
      for (const inner of block.nodes()) {
        visit(inner);
        for (const output of inner.outputs) own.add(output);
      }
      for (const output of block.outputs) if (!own.has(output)) external.add(output);
    }
  };
  visit(node);
  return external;
}

/** The graph that a segment for TensorRT is converted from; null when nothing after it needs its results. */
export function segmentGraph(trace: ExecutionTrace, segments: readonly Segment[], index: number): SegmentGraph | null {
  const { operations } = segments[index] as Segment;
  const inside = new Set(operations.map(({ node }) => node));
  const computed = (value: Value): boolean => inside.has(producerOf(value));
  const later = segments.slice(index + 1).flatMap((segment) => segment.operations);
  const needed = new Set<Value>();
  for (const { node } of later) for (const value of readsOf(trace, node)) if (computed(value)) needed.add(value);
  for (const value of readsOf(trace, trace.graph.block.returnNode)) if (computed(value)) needed.add(value);
  if (needed.size === 0) return null;
  const graph = new Graph(trace.graph.name);
  const copier = new TraceCopier(trace, graph);
  const inputs: Value[] = [];
  const take = (value: Value): void => {
    if (computed(value) || copier.values.has(value)) return;
    copier.values.set(value, graph.addInput(`input_${inputs.push(value) - 1}`, value.type));
  };
  for (const { node } of operations) {
    for (const value of readsOf(trace, node)) if (readsContent(trace, node, value)) take(value);
  }
  // Sizes are read from these tensors where they have them, rather than from one passed for its size alone.
  const sizes = new Map<string, readonly [Value, number]>();
  for (const value of inputs) {
    trace.values.get(value)?.dims.forEach((dim, axis) => {
      if (typeof dim !== "number" && !sizes.has(dim.key)) sizes.set(dim.key, [value, axis]);
    });
  }
  const resolved = new Set<Value>();
  const resolve = (value: Value): void => {
    if (copier.values.has(value) || resolved.has(value)) return;
    resolved.add(value);
    const number = trace.numbers.get(value);
    const source = number instanceof SymInt ? sizes.get(number.key) : undefined;
    if (source !== undefined) copier.values.set(value, sizeOf(graph, copier.need(source[0]), source[1]));
    else if (trace.values.has(value)) take(value);
    else value.node.inputs.forEach(resolve);
  };
  for (const { node } of operations) for (const value of externalInputs(node)) resolve(value);
  const copies = operations.map((operation) => ({ operation, copy: copier.copyOperation(operation) }));
  const outputs = [...needed];
  for (const value of outputs) graph.registerOutput(copier.values.get(value) as Value);
  return { graph, inputs, outputs, operations: copies };
}
