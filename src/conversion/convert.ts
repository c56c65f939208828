import { type Constant, ObjectValue, TupleValue } from "../ir/constant.js";
import { allNodes, type Block, constantOf, type Graph, type Node, type Value, valuesFromOutside } from "../ir/graph.js";
import type { InputSpec } from "../ir/input-spec.js";
import { printNode } from "../ir/printer.js";
import type { ScalarType } from "../ir/scalar-type.js";
import { operatorName, printSchema } from "../ir/schema.js";
import type { Type } from "../ir/type.js";
import { settleConditionals } from "../network/conditionals.js";
import type { DataType } from "../network/enums.js";
import type { ITensor } from "../network/layers.js";
import { Network } from "../network/network.js";
import { foldConstants, joinConcatenations } from "../network/simplify.js";
import type { SymInt } from "../network/symbolic.js";
import { dataTypeOf } from "../network/weights.js";
import { type SourceLocation, TrtorchError } from "../util/errors.js";
import { bindArguments, describeValue } from "./arguments.js";
import { convertComplex } from "./complex.js";
import { type Capabilities, ConversionContext } from "./context.js";
import { convertIf, convertLoop } from "./control-flow.js";
import { reshape } from "./operands.js";
import { refusalOf } from "./refusals.js";
import type { Registry } from "./registry.js";
import { refuseSizesOfValues } from "./value-sizes.js";
import { type Container, collectContainers, type IValue, Scalar, TensorValue } from "./values.js";

export interface ConvertOptions {
  /** What the tensor inputs of the graph are, in order; those of a tuple or list one after the other. */
  readonly inputs: readonly InputSpec[];
  readonly registry: Registry;
  readonly capabilities: Capabilities;
  /** Binding names of the outputs, where they should not be `output_0`, `output_1`, ... */
  readonly outputNames?: readonly string[] | undefined;
}

type Key = string | number | boolean;

/** How a method's result is made of the engine's outputs, for wrapped modules. */
export type OutputStructure =
  /** `dtype` is PyTorch's, which the output's binding may not have. */
  | { readonly kind: "tensor"; readonly output: number; readonly dtype: ScalarType }
  | { readonly kind: "tuple" | "list"; readonly elements: readonly OutputStructure[] }
  | { readonly kind: "dict"; readonly entries: readonly (readonly [Key, OutputStructure])[] }
  | { readonly kind: "constant"; readonly value: Constant };

/** What became of a node: for the support report. */
export interface ConvertedNode {
  readonly node: Node;
  readonly role: "converter" | "evaluator";
  readonly layers: number;
}

export interface ConversionResult {
  readonly network: Network;
  readonly outputStructure: OutputStructure;
  /** In the order of execution; loops unrolled by conversion count once an iteration. */
  readonly nodes: readonly ConvertedNode[];
}

/** An operator that nothing in the registry converts. */
export class UnsupportedOperatorError extends TrtorchError {
  override readonly name = "UnsupportedOperatorError";
  /** `aten::flatten.using_ints`, or the kind of a node without a schema. */
  readonly operator: string;
  readonly node: Node;

  /** `remedy` is another way out, told besides that of a converter. */
  constructor(node: Node, remedy = "") {
    const operator = node.schema === undefined ? node.kind : operatorName(node.schema);
    const schema = node.schema === undefined ? undefined : printSchema(node.schema);
    const refusal = refusalOf(node.kind);
    const why = refusal === undefined ? "" : `: ${refusal.reason}`;
    super("unsupported-operator", `no converter for ${operator}${why}\n  ${printNode(node)}`, {
      location: locationOf(node),
      hint:
        refusal !== undefined
          ? refusal.hint
          : schema === undefined
            ? "This construct of TorchScript has no counterpart; rewrite that part of the model."
            : `Register one: export const op = converter("${schema}", (ctx, args) => ...) in a file named under converters: in the config.${remedy}`,
    });
    this.node = node;
    this.operator = operator;
  }
}

/** Converts a lowered graph, node after node, into a network. */
export function convert(graph: Graph, options: ConvertOptions): ConversionResult {
  const network = new Network();
  const ctx = new ConversionContext(network, options.registry, options.capabilities);
  const interpreter = new Interpreter(ctx);
  bindInputs(ctx, graph, options.inputs);
  const results = interpreter.runBlock(graph.block);
  network.layerNamePrefix = "";
  const outputs: TensorValue[] = [];
  const outputStructure = collectOutputs(
    results.length === 1 ? (results[0] as IValue) : new TupleValue(results),
    outputs,
  );
  if (outputs.length === 0) {
    throw new TrtorchError("unsupported", `${graph.name ?? "the method"} returns no tensor: there is nothing to build`);
  }
  outputs.forEach((output, i) => {
    network.markOutput(output.tensor, options.outputNames?.[i] ?? `output_${i}`);
  });
  if (options.capabilities.backend === "tensorrt-rtx") settleConditionals(network);
  network.prune();
  joinConcatenations(network);
  foldConstants(network);
  return { network, outputStructure, nodes: interpreter.converted };
}

const failures = new WeakMap<TrtorchError, Node>();

/** The node whose conversion threw the error. */
export function failedNode(error: unknown): Node | undefined {
  return error instanceof TrtorchError ? failures.get(error) : undefined;
}

/** Runs blocks: every value of a node is bound before the next node. */
export class Interpreter {
  readonly ctx: ConversionContext;
  readonly converted: ConvertedNode[] = [];
  readonly #place: Node | undefined;

  /** @param place the node in whose place the blocks run; their layers and errors are its own */
  constructor(ctx: ConversionContext, place?: Node) {
    this.ctx = ctx;
    this.#place = place;
  }

  /** Runs a block whose turn only the running model knows: it may change no container from outside of it. */
  runUndecided(block: Block): IValue[] {
    const outside = new Set<Container>();
    for (const value of valuesFromOutside(block)) collectContainers(this.ctx.valueOf(value), outside);
    for (const { kind, outputs } of allNodes(block)) {
      const constant = kind === "prim::Constant" ? constantOf(outputs[0] as Value) : undefined;
      if (constant instanceof ObjectValue) collectContainers(this.ctx.constants.value(constant), outside);
    }
    return this.ctx.keeping(outside, () => this.runBlock(block));
  }

  /** Runs a block's nodes and gives its outputs. */
  runBlock(block: Block): IValue[] {
    for (const node of block.nodes()) this.runNode(node);
    return block.outputs.map((output) => this.ctx.valueOf(output));
  }

  /** Runs a node: its outputs are then bound. Partitioning overrides this to see what is executed, and what cannot be. */
  protected runNode(node: Node): void {
    const { ctx } = this;
    if (node.kind === "prim::Constant") {
      ctx.associateValueAndIValue(node.output(), ctx.constants.value(constantOf(node.output()) as Constant));
      return;
    }
    ctx.node = node;
    const before = ctx.network.layers.length;
    ctx.network.layerNamePrefix = layerName(this.#place ?? node);
    try {
      if (node.kind === "prim::If") convertIf(this, node);
      else if (node.kind === "prim::Loop") convertLoop(this, node);
      else this.converted.push({ node, role: this.#convertNode(node), layers: ctx.network.layers.length - before });
    } catch (error) {
      const at = this.#place ?? node;
      const placed = withPlace(error, at);
      // The innermost node is the one that failed.
      if (placed instanceof TrtorchError && !failures.has(placed)) failures.set(placed, failedNode(error) ?? at);
      throw placed;
    }
  }

  #convertNode(node: Node): "converter" | "evaluator" {
    const { ctx } = this;
    const evaluator = ctx.registry.findEvaluator(node.kind);
    if (evaluator !== undefined) {
      const results = evaluator.evaluate(
        ctx,
        node,
        node.inputs.map((input) => ctx.valueOf(input)),
      );
      node.outputs.forEach((output, i) => {
        ctx.associateValueAndIValue(output, results[i] ?? null);
      });
      return "evaluator";
    }
    const converter = node.schema === undefined ? undefined : ctx.registry.find(node.schema);
    if (converter === undefined) throw new UnsupportedOperatorError(node);
    const args = bindArguments(ctx.network, node, converter, (value) => ctx.valueOf(value));
    const result = convertComplex(ctx, converter, args) ?? converter.convert(ctx, args);
    const returns = converter.schema.returns;
    if (node.outputs.length === 1 && returns.length <= 1) {
      ctx.associateValueAndIValue(node.output(), wrapResult(ctx, result, returns[0]?.type ?? node.output().type));
    } else {
      const results = result as readonly unknown[];
      node.outputs.forEach((output, i) => {
        ctx.associateValueAndIValue(output, wrapResult(ctx, results[i], returns[i]?.type ?? output.type));
      });
    }
    refuseSizesOfValues(
      ctx,
      node.outputs.map((output) => ctx.valueOf(output)),
    );
    // A write that lowering left in place is to a value nobody else sees: the input now stands for the result.
    if (
      node.schema?.arguments[0]?.alias?.isWrite === true &&
      node.outputs[0] !== undefined &&
      node.inputs[0] !== undefined
    ) {
      const written = ctx.valueOf(node.output());
      if (written instanceof TensorValue) ctx.associateValueAndIValue(node.input(), written);
    }
    return converter.role;
  }
}

function wrapResult(ctx: ConversionContext, result: unknown, type: Type): IValue {
  if (result === undefined) return null;
  if (isITensor(result)) return TensorValue.of(ctx.network, result);
  if (Array.isArray(result)) {
    const element = type.kind === "ListType" ? type.element : type;
    return result.map((item) => wrapResult(ctx, item, element));
  }
  return result as IValue;
}

function isITensor(value: unknown): value is ITensor {
  return typeof value === "object" && value !== null && "producer" in value && "dims" in value;
}

/** Network inputs for the graph's tensors. */
export function bindInputs(ctx: ConversionContext, graph: Graph, specs: readonly InputSpec[]): void {
  const symbols = new Map<string, SymInt>();
  let next = 0;
  const take = (type: Type, what: string): IValue => {
    switch (type.kind) {
      case "TupleType":
        return new TupleValue(type.elements.map((element) => take(element, what)));
      case "OptionalType":
        return next < specs.length ? take(type.element, what) : null;
      case "ListType":
        if (type.element.kind === "TensorType") {
          const rest: IValue[] = [];
          while (next < specs.length) rest.push(take(type.element, what));
          return rest;
        }
        break;
      case "TensorType": {
        const spec = specs[next++];
        if (spec === undefined) {
          throw new TrtorchError(
            "config",
            `${graph.name ?? "the method"} takes a tensor "${what}" that inputs: does not describe`,
            {
              hint: `It has ${specs.length} input${specs.length === 1 ? "" : "s"}; add one with the shape of "${what}".`,
            },
          );
        }
        return makeInput(ctx, spec, symbols);
      }
    }
    throw new TrtorchError("unsupported", `input "${what}" of type ${type.kind} cannot be an engine's input`, {
      hint: "Engines take tensors. Fix the value in the model, for example by wrapping it in a module that passes it.",
    });
  };
  for (const input of graph.inputs) {
    if (input.type.kind === "ClassType" || input.type.kind === "InterfaceType") continue;
    ctx.associateValueAndIValue(input, take(input.type, input.debugName ?? `input ${next}`));
  }
  if (next < specs.length) {
    throw new TrtorchError(
      "config",
      `${graph.name ?? "the method"} takes ${next} tensor${next === 1 ? "" : "s"}, inputs: describes ${specs.length}`,
    );
  }
}

function makeInput(ctx: ConversionContext, spec: InputSpec, symbols: Map<string, SymInt>): TensorValue {
  if (spec.dtype === "float64") {
    throw new TrtorchError("unsupported", `input "${spec.name}": TensorRT has no float64`, {
      hint: "Declare it fp32 in the config: doubles compute as floats.",
    });
  }
  // TensorRT reads bytes only to cast them.
  const binding: DataType =
    spec.dtype === "uint8" ? "kUINT8" : spec.dtype === "int8" ? "kINT8" : dataTypeOf(spec.dtype);
  const input = ctx.network.addDynamicInput(spec.name, binding, spec.dims, symbols);
  const numbers = binding === "kINT8" && ctx.capabilities.backend === "tensorrt" ? dequantized(ctx, input) : input;
  return TensorValue.of(ctx.network, ctx.network.addCast(numbers, dataTypeOf(spec.dtype)), spec.dtype);
}

/** The numbers of an int8 input as floats: the full TensorRT takes its bytes for quantized ones, and builds nothing else over them. */
function dequantized(ctx: ConversionContext, input: ITensor): ITensor {
  const { network } = ctx;
  const vector = input.dims.length === 0 ? reshape(ctx, input, [1]) : input;
  return reshape(ctx, network.addDequantize(vector, ctx.constant("kFLOAT", [], [1]), "kFLOAT"), input.dims);
}

function collectOutputs(value: IValue, outputs: TensorValue[]): OutputStructure {
  if (value instanceof TensorValue) {
    if (value.parts !== undefined) {
      throw new TrtorchError("unsupported", "the method returns a complex tensor, which an engine cannot", {
        hint: "Return torch.view_as_real of it.",
      });
    }
    return { kind: "tensor", output: outputs.push(value) - 1, dtype: value.dtype };
  }
  if (value instanceof TupleValue) {
    return { kind: "tuple", elements: value.elements.map((element) => collectOutputs(element, outputs)) };
  }
  if (Array.isArray(value)) return { kind: "list", elements: value.map((element) => collectOutputs(element, outputs)) };
  if (value instanceof Map) {
    return { kind: "dict", entries: [...value].map(([key, entry]) => [key, collectOutputs(entry, outputs)]) };
  }
  if (value === null || typeof value === "string" || typeof value === "boolean" || typeof value === "number") {
    return { kind: "constant", value };
  }
  throw new TrtorchError("unsupported", `the method returns ${describeValue(value)}, which an engine cannot`, {
    hint: "Return tensors, or tuples, lists and dicts of them.",
  });
}

/** The condition of an If or Loop where it is decided at build time; undefined when only running tells. */
export function knownCondition(value: IValue): boolean | undefined {
  const content =
    value instanceof Scalar ? value.value : value instanceof TensorValue ? (value.scalar ?? foldedBool(value)) : value;
  if (typeof content === "boolean") return content;
  if (typeof content === "number") return content !== 0;
  return undefined;
}

function foldedBool(value: TensorValue): boolean | undefined {
  const weights = value.weights;
  return weights === null ? undefined : weights.values.some((byte) => byte !== 0);
}

function layerName(node: Node): string {
  const module = node.sourceRange?.module;
  return module === undefined || module === "" ? node.kind : `${module}/${node.kind}`;
}

export function locationOf(node: Node): SourceLocation | undefined {
  const range = node.sourceRange;
  if (range === undefined) return undefined;
  return {
    file: range.file,
    ...(range.line > 0 ? { line: range.line } : {}),
    ...(range.text === undefined ? {} : { text: range.text }),
  };
}

/** The error with the node's place in the user's source, unless it has one already. */
function withPlace(error: unknown, node: Node): unknown {
  if (!(error instanceof TrtorchError) || error.location !== undefined || error instanceof UnsupportedOperatorError)
    return error;
  const placed = new TrtorchError(
    error.code,
    error.message.includes(node.kind) ? error.message : `${node.kind}: ${error.message}`,
    {
      location: locationOf(node) ?? { file: node.graph.name ?? "graph" },
      hint: error.hint,
      cause: error,
    },
  );
  return placed;
}
