import type { Capabilities } from "../conversion/context.js";
import { ConversionContext, UndecidedWriteError } from "../conversion/context.js";
import { decidedBranch, isUnrolled, RaisedError } from "../conversion/control-flow.js";
import { bindInputs, Interpreter } from "../conversion/convert.js";
import { QUANTIZED } from "../conversion/refusals.js";
import type { Registry } from "../conversion/registry.js";
import { holdsComplex, type IValue, ObjectInstance, Scalar, TensorValue } from "../conversion/values.js";
import { type Constant, Device, EnumValue, TupleValue } from "../ir/constant.js";
import { type Block, Graph, type Node, type Value, valuesFromOutside } from "../ir/graph.js";
import type { InputSpec } from "../ir/input-spec.js";
import type { ScalarType } from "../ir/scalar-type.js";
import { operatorName, parseSchema } from "../ir/schema.js";
import { Tensor } from "../ir/tensor.js";
import {
  BoolType,
  DictType,
  FloatType,
  IntType,
  ListType,
  NoneType,
  StringType,
  TensorType,
  TupleType,
  type Type,
} from "../ir/type.js";
import { eliminateDeadCode } from "../lowering/eliminate-dead-code.js";
import { Network } from "../network/network.js";
import { type Dim, isSymbolic, keyOf, SymBool, SymFloat, type SymScalar } from "../network/symbolic.js";
import { dataTypeOf, numbersOf, scalarTypeOf, tensorOf } from "../network/weights.js";
import { TrtorchError } from "../util/errors.js";
import { shapeInTorch } from "./shapes.js";

/** What is known of a tensor before anything runs. */
export interface TensorInfo {
  readonly dtype: ScalarType;
  readonly dims: readonly Dim[];
}

/** An operator that computes tensors when the method runs: the smallest thing that is TensorRT's or Torch's. */
export interface Operation {
  /** In the trace's graph. */
  readonly node: Node;
  /** The node of the lowered graph that it executes. */
  readonly origin: Node;
  /** Why it stays with Torch; null: TensorRT can run it. */
  readonly torch: string | null;
}

/**
 * What a method does for the given inputs: a graph without branches and loops but for those that data decides, lists and
 * sizes resolved as far as they are known. Its nodes are operations, and around them the glue that builds lists and computes
 * sizes, which is cheap and may be repeated wherever it is needed.
 */
export interface ExecutionTrace {
  readonly graph: Graph;
  /** In the order of execution. */
  readonly operations: readonly Operation[];
  /** Arguments and results of operations, and their elements; null where the shape is not known, or for no tensor. */
  readonly values: ReadonlyMap<Value, TensorInfo | null>;
  /** What numbers of the glue are, as expressions over the sizes of the inputs. */
  readonly numbers: ReadonlyMap<Value, SymScalar>;
}

export interface TraceOptions {
  readonly inputs: readonly InputSpec[];
  readonly registry: Registry;
  readonly capabilities: Capabilities;
  /** Why the user wants a node to stay with Torch; undefined: they do not. */
  readonly forced: (node: Node) => string | undefined;
}

/** Executes a lowered graph as conversion would, leaving to Torch what conversion refuses, and records what is executed. */
export function traceExecution(lowered: Graph, options: TraceOptions): ExecutionTrace {
  const ctx = new ConversionContext(new Network(), options.registry, options.capabilities);
  return new Recorder(ctx, lowered, options).trace();
}

/** A value that a Torch operation computes and of which nothing is known but its type. */
class TorchValue extends ObjectInstance {
  readonly origin: Node;

  constructor(origin: Node) {
    super("value of Torch");
    this.origin = origin;
  }
}

/** These only move values about, whatever the values are. */
const STRUCTURAL = new Set([
  "prim::ListConstruct",
  "prim::TupleConstruct",
  "prim::DictConstruct",
  "prim::ListUnpack",
  "prim::TupleUnpack",
  "prim::TupleIndex",
  "prim::TupleSlice",
  "prim::CreateObject",
  "prim::GetAttr",
  "prim::SetAttr",
  "prim::unchecked_cast",
  "prim::unchecked_unwrap_optional",
  "aten::__getitem__",
  "aten::_set_item",
  "aten::append",
  "aten::extend",
  "aten::insert",
  "aten::pop",
  "aten::len",
  "aten::__is__",
  "aten::__isnot__",
]);

class Recorder extends Interpreter {
  readonly #lowered: Graph;
  readonly #options: TraceOptions;
  readonly #graph: Graph;
  readonly #operations: Operation[] = [];
  readonly #info = new Map<Value, TensorInfo | null>();
  /** Tensors, and what only Torch knows, by the value of the trace that holds them. */
  readonly #values = new Map<TensorValue | TorchValue, Value>();
  /** Numbers over sizes, by their expressions. */
  readonly #numbers = new Map<string, readonly [Value, SymScalar]>();
  readonly #constants = new Map<Tensor, Value>();
  /** Within a branch or loop that is one operation, nothing is recorded. */
  #nested = false;
  /** Within a branch run for its shapes only, what conversion refuses has an unknown result. */
  #tolerant = false;

  constructor(ctx: ConversionContext, lowered: Graph, options: TraceOptions) {
    super(ctx);
    this.#lowered = lowered;
    this.#options = options;
    this.#graph = new Graph(lowered.name);
  }

  trace(): ExecutionTrace {
    bindInputs(this.ctx, this.#lowered, this.#options.inputs);
    for (const input of this.#lowered.inputs) {
      if (input.type.kind === "ClassType" || input.type.kind === "InterfaceType") continue;
      this.#register(this.ctx.valueOf(input), this.#graph.addInput(input.debugName, input.type));
    }
    const results = this.runBlock(this.#lowered.block);
    results.forEach((result, i) => {
      this.#graph.registerOutput(this.#materialize(result, (this.#lowered.outputs[i] as Value).type));
    });
    eliminateDeadCode(this.#graph);
    return {
      graph: this.#graph,
      operations: this.#operations.filter(({ node }) => node.owningBlock !== undefined),
      values: this.#info,
      numbers: new Map(this.#numbers.values()),
    };
  }

  protected override runNode(node: Node): void {
    if (node.kind === "prim::Constant") super.runNode(node);
    else if (this.#nested) this.#runNested(node);
    else if (node.kind === "prim::If" && decidedBranch(this.ctx, node) !== undefined) super.runNode(node);
    else if (node.kind === "prim::Loop" && isUnrolled(this.ctx, node)) {
      try {
        super.runNode(node);
      } catch (error) {
        this.#leaveToTorch(node, this.#snapshot(node), reasonOf(error));
      }
    } else this.#operation(node);
  }

  #operation(node: Node): void {
    const reads = this.#snapshot(node);
    const refusal = this.#convert(node, reads);
    if (refusal === undefined) this.#record(node, reads);
    else this.#leaveToTorch(node, reads, refusal);
  }

  /** Runs the node's conversion; gives the reason where it is refused. */
  #convert(node: Node, reads: ReadonlyMap<Value, IValue>): string | undefined {
    const unknown = [...reads.values()].find(holdsTorchValue);
    const reason =
      unknown === undefined ? undefined : `it takes a result of ${originOf(unknown)}, whose shape is not known`;
    if (reason !== undefined && !STRUCTURAL.has(node.kind)) return reason;
    this.#nested = node.blocks.length > 0;
    try {
      super.runNode(node);
      return undefined;
    } catch (error) {
      return reason ?? reasonOf(error);
    } finally {
      this.#nested = false;
    }
  }

  /** Inside of a region that is one operation: refused as a whole, or run for its shapes. */
  #runNested(node: Node): void {
    if (!this.#tolerant) {
      super.runNode(node);
      return;
    }
    try {
      if ([...this.#snapshot(node).values()].some(holdsTorchValue) && !STRUCTURAL.has(node.kind)) throw UNKNOWN;
      super.runNode(node);
    } catch (error) {
      reasonOf(error);
      if (undecidedWrite(error) !== undefined) throw error;
      this.#bindUnconverted(node, this.#snapshot(node));
    }
  }

  /** Binds what a node that stays with Torch gives, as far as it is known. */
  #bindUnconverted(node: Node, reads: ReadonlyMap<Value, IValue>): void {
    const shapes = this.#shapesInTorch(node, reads);
    node.outputs.forEach((output, i) => {
      const shape = output.type.kind === "TensorType" ? shapes[i] : undefined;
      const result = shape === undefined ? new TorchValue(node) : this.#placeholder(shape);
      this.ctx.associateValueAndIValue(output, result);
    });
  }

  #shapesInTorch(node: Node, reads: ReadonlyMap<Value, IValue>): readonly (TensorInfo | undefined)[] {
    if (node.kind === "prim::If") return this.#shapesOfBranches(node);
    if (node.kind === "prim::Loop") return this.#shapesOfLoop(node);
    return [
      shapeInTorch(
        node,
        node.inputs.map((input) => reads.get(input) as IValue),
      ),
    ];
  }

  /** Every value from outside that a node reads, as it is before the node runs: some nodes write. */
  #snapshot(node: Node): Map<Value, IValue> {
    const values = [...node.inputs, ...node.blocks.flatMap((block) => [...valuesFromOutside(block)])];
    return new Map(values.map((value) => [value, this.ctx.valueOf(value)]));
  }

  /** Enters a node that conversion accepted, unless all it gives is known already. */
  #record(node: Node, reads: ReadonlyMap<Value, IValue>): void {
    const results = node.outputs.map((output) => this.ctx.valueOf(output));
    if (results.every((result) => this.#isSettled(result))) return;
    const copy = this.#emit(node, reads);
    if (results.some(computesTensor)) {
      const complex = [...reads.values(), ...results].some(holdsComplex) ? COMPLEX : null;
      this.#operations.push({ node: copy, origin: node, torch: this.#options.forced(node) ?? complex });
    }
    results.forEach((result, i) => {
      this.#register(result, copy.output(i));
    });
  }

  #leaveToTorch(node: Node, reads: ReadonlyMap<Value, IValue>, reason: string): void {
    const copy = this.#emit(node, reads);
    this.#operations.push({ node: copy, origin: node, torch: this.#options.forced(node) ?? reason });
    this.#bindUnconverted(node, reads);
    node.outputs.forEach((output, i) => {
      this.#register(this.ctx.valueOf(output), copy.output(i));
    });
  }

  #emit(node: Node, reads: ReadonlyMap<Value, IValue>): Node {
    const values = new Map<Value, Value>();
    for (const [value, content] of reads) values.set(value, this.#materialize(content, value.type));
    const map = (value: Value): Value => values.get(value) as Value;
    return this.#graph.block.appendNode(this.#graph.createClone(node, map, values));
  }

  /** A tensor of the scratch network in place of one that Torch computes. */
  #placeholder({ dtype, dims }: TensorInfo): TensorValue {
    const { network } = this.ctx;
    const input = network.addInput(`torch_${network.inputs.length}`, dataTypeOf(dtype), dims);
    return TensorValue.of(network, input, dtype);
  }

  /** What a conditional gives that Torch runs, where both branches give tensors of one shape. */
  #shapesOfBranches(node: Node): readonly (TensorInfo | undefined)[] {
    const [first = [], second = []] = node.blocks.map((block) => this.#dryRun(block));
    return first.map((a, i) => sharedShape(a, second[i]));
  }

  /** What a loop gives that Torch runs: the shapes that it starts with, where an iteration keeps them. */
  #shapesOfLoop(node: Node): readonly (TensorInfo | undefined)[] {
    const [body] = node.blocks as [Block];
    const start = node.inputs.slice(2).map((input) => {
      const value = this.ctx.valueOf(input);
      // What it holds at first says nothing of later iterations; its shape must.
      return value instanceof TensorValue ? this.#placeholder(value) : new TorchValue(node);
    });
    [new TorchValue(node), ...start].forEach((value, i) => {
      this.ctx.associateValueAndIValue(body.inputs[i] as Value, value);
    });
    const next = this.#dryRun(body).slice(1);
    return start.map((value, i) => sharedShape(value, next[i]));
  }

  /** Runs a block for the shapes of its results. */
  #dryRun(block: Block): readonly IValue[] {
    const outer = [this.#nested, this.#tolerant] as const;
    [this.#nested, this.#tolerant] = [true, true];
    try {
      return this.runUndecided(block);
    } catch (error) {
      reasonOf(error);
      // The blocks around it may read what was to be changed: nothing is known of their results either.
      if (outer[1] && undecidedWrite(error) !== undefined) throw error;
      return [];
    } finally {
      [this.#nested, this.#tolerant] = outer;
    }
  }

  #isSettled(value: IValue): boolean {
    if (value instanceof TensorValue) return this.#values.has(value) || constantTensor(value) !== null;
    if (value instanceof TorchValue) return this.#values.has(value);
    if (value instanceof Scalar) return this.#isSettled(value.value);
    if (isSymbolic(value)) return this.#numbers.has(keyOf(value));
    if (value instanceof TupleValue) return value.elements.every((element) => this.#isSettled(element));
    if (Array.isArray(value)) return value.every((element) => this.#isSettled(element));
    if (value instanceof Map) return [...value.values()].every((element) => this.#isSettled(element));
    return true;
  }

  /** From here on `content` is found in `value`, and its elements in elements of it. */
  #register(content: IValue, value: Value): void {
    if (value.node.kind === "prim::Param" || this.#isResult(value)) {
      const known = content instanceof TensorValue ? { dtype: content.dtype, dims: content.dims } : null;
      this.#info.set(value, known);
    }
    if (this.#isSettled(content)) return;
    if (content instanceof TensorValue || content instanceof TorchValue) {
      this.#values.set(content, value.type.kind === "OptionalType" ? this.#unwrap(value) : value);
    } else if (content instanceof Scalar) this.#register(content.value, value);
    else if (isSymbolic(content)) this.#numbers.set(keyOf(content), [value, content]);
    else if (Array.isArray(content)) {
      const type = value.type.kind === "ListType" ? value.type.element : TensorType;
      this.#unpack("prim::ListUnpack", value, content, () => type);
    } else if (content instanceof TupleValue) {
      const types = value.type.kind === "TupleType" ? value.type.elements : [];
      this.#unpack("prim::TupleUnpack", value, content.elements, (i) => types[i] ?? TensorType);
    } else {
      throw new TrtorchError("unsupported", `a dict that an operator returns cannot cross between Torch and TensorRT`);
    }
  }

  #unpack(kind: string, value: Value, elements: readonly IValue[], typeOf: (i: number) => Type): void {
    const node = this.#graph.createNode(
      kind,
      [value],
      elements.map((_, i) => typeOf(i)),
    );
    this.#graph.block.appendNode(node);
    elements.forEach((element, i) => {
      this.#register(element, node.output(i));
    });
  }

  #unwrap(value: Value): Value {
    const type = value.type.kind === "OptionalType" ? value.type.element : value.type;
    const node = this.#graph.createNode("prim::unchecked_unwrap_optional", [value], [type]);
    node.schema = UNWRAP;
    this.#graph.block.appendNode(node);
    this.#info.set(node.output(), this.#info.get(value) ?? null);
    return node.output();
  }

  /** An operation's output or an argument, or an element of one. */
  #isResult(value: Value): boolean {
    let { node } = value;
    while ((node.kind === "prim::ListUnpack" || node.kind === "prim::TupleUnpack") && node.inputs.length === 1) {
      node = node.input().node;
    }
    return node.kind === "prim::Param" || this.#operations.at(-1)?.node === node;
  }

  /** The value of the trace for what is known: made of constants, of results, and of glue that puts them together. */
  #materialize(content: IValue, type: Type): Value {
    if (content instanceof TensorValue || content instanceof TorchValue) return this.#tensor(content);
    if (content instanceof Scalar) {
      const kinds = { int: IntType, float: FloatType, bool: BoolType };
      return this.#materialize(content.value, kinds[content.type]);
    }
    if (isSymbolic(content)) return this.#number(content);
    const plain = plainConstant(content);
    if (plain !== undefined) return this.#constant(plain, constantType(plain, type));
    const bare = type.kind === "OptionalType" ? type.element : type;
    if (Array.isArray(content)) {
      const declared = bare.kind === "ListType" ? bare.element : undefined;
      const elements = content.map((element) => this.#materialize(element, declared ?? TensorType));
      return this.#glue("prim::ListConstruct", elements, ListType(declared ?? elements[0]?.type ?? TensorType));
    }
    if (content instanceof TupleValue) {
      const types = bare.kind === "TupleType" ? bare.elements : [];
      const elements = content.elements.map((element, i) => this.#materialize(element, types[i] ?? TensorType));
      const own = TupleType(elements.map((element) => element.type));
      return this.#glue("prim::TupleConstruct", elements, bare.kind === "TupleType" ? bare : own);
    }
    if (content instanceof Map) {
      const [key, value] = bare.kind === "DictType" ? [bare.key, bare.value] : [StringType, TensorType];
      const items = [...content].flatMap(([name, item]) => [
        this.#constant(name, constantType(name, key)),
        this.#materialize(item, value),
      ]);
      return this.#glue("prim::DictConstruct", items, DictType(key, value));
    }
    if (content instanceof ObjectInstance && content.typeName.includes(".quantized.")) {
      throw new TrtorchError("unsupported", `a quantized layer cannot be taken apart: ${QUANTIZED.reason}`, {
        hint: QUANTIZED.hint,
      });
    }
    throw new TrtorchError(
      "unsupported",
      "an object of a class cannot be handed to an operator that stays with Torch",
      {
        hint: "Pass the tensors that the operator needs instead of the object.",
      },
    );
  }

  #tensor(content: TensorValue | TorchValue): Value {
    const known = this.#values.get(content);
    if (known !== undefined) return known;
    const constant = content instanceof TensorValue ? constantTensor(content) : null;
    if (constant === null) throw new TrtorchError("internal", "a tensor that no recorded operation computes");
    let value = this.#constants.get(constant);
    if (value === undefined) {
      value = this.#constant(constant, TensorType);
      this.#constants.set(constant, value);
    }
    return value;
  }

  #number(content: SymScalar): Value {
    const known = this.#numbers.get(keyOf(content));
    if (known !== undefined) return known[0];
    const kind = content instanceof SymFloat ? "float" : content instanceof SymBool ? "bool" : "int";
    throw new TrtorchError("unsupported", `the ${kind} ${String(content)} cannot be computed again in Torch`);
  }

  #constant(value: Constant, type: Type): Value {
    return this.#graph.block.appendNode(this.#graph.createConstant(value, type)).output();
  }

  #glue(kind: string, inputs: readonly Value[], type: Type): Value {
    return this.#graph.block.appendNode(this.#graph.createNode(kind, inputs, [type])).output();
  }
}

const UNWRAP = parseSchema("prim::unchecked_unwrap_optional(t(a)? optional) -> t(a)");

const UNKNOWN = new TrtorchError("unsupported", "its input's shape is not known");

/** Does conversion say that TensorRT cannot run something, rather than that the model or its inputs are wrong? */
export function isRefusal(error: unknown): error is TrtorchError {
  if (!(error instanceof TrtorchError) || error instanceof RaisedError) return false;
  // What the method does after it depends on it, whoever runs the branch or loop.
  if (undecidedWrite(error)?.outlives === true) return false;
  return error.code === "unsupported" || error.code === "unsupported-operator";
}

/** Found under the places that the nodes around it gave the error. */
function undecidedWrite(error: unknown): UndecidedWriteError | undefined {
  if (error instanceof UndecidedWriteError) return error;
  return error instanceof TrtorchError ? undecidedWrite(error.cause) : undefined;
}

/** Why conversion refused a node, in a line; rethrows what is no refusal. */
function reasonOf(error: unknown): string {
  if (!isRefusal(error)) throw error;
  return (error.message.split("\n")[0] as string).replace(/^(aten|prim|\w+)::[\w.]+: /, "");
}

function holdsTorchValue(value: IValue): boolean {
  if (value instanceof TorchValue) return true;
  if (value instanceof TupleValue) return value.elements.some(holdsTorchValue);
  if (Array.isArray(value)) return value.some(holdsTorchValue);
  return value instanceof Map && [...value.values()].some(holdsTorchValue);
}

function originOf(value: IValue): string {
  if (value instanceof TorchValue) return nameOf(value.origin);
  const elements = value instanceof TupleValue ? value.elements : Array.isArray(value) ? value : [];
  const found = elements.find(holdsTorchValue);
  return found === undefined ? "Torch" : originOf(found);
}

/** `aten::relu`, with the overload where there is one. */
export function nameOf(node: Node): string {
  return node.schema === undefined ? node.kind : operatorName(node.schema);
}

/** An engine can compute with complex numbers, but neither take nor give them: where there are parts, one would have to. */
const COMPLEX = "it takes or gives complex numbers, which cannot be an engine's inputs or outputs";

/** Is there a tensor in it that data decides, rather than sizes alone? */
function computesTensor(value: IValue): boolean {
  if (value instanceof TensorValue) return value.scalar === undefined && constantTensor(value) === null;
  if (value instanceof TupleValue) return value.elements.some(computesTensor);
  return Array.isArray(value) && value.some(computesTensor);
}

const constantsMemo = new WeakMap<TensorValue, Tensor | null>();

/** The tensor where it is known at build time. */
function constantTensor(value: TensorValue): Tensor | null {
  let constant = constantsMemo.get(value);
  if (constant === undefined) {
    constant = value.constant ?? null;
    const weights = constant === null ? value.weights : null;
    if (weights !== null) {
      constant =
        scalarTypeOf(weights.type) === value.dtype
          ? tensorOf(weights)
          : Tensor.of(value.dtype, weights.dims, numbersOf(weights));
    }
    constantsMemo.set(value, constant);
  }
  return constant;
}

function plainConstant(value: IValue): Constant | undefined {
  if (value === null || typeof value === "string" || typeof value === "boolean" || typeof value === "number")
    return value;
  if (value instanceof Device || value instanceof EnumValue) return value;
  if (!Array.isArray(value)) return undefined;
  const elements = value.map((element) => (element === null ? undefined : plainConstant(element)));
  return elements.every((element) => element !== undefined) ? (elements as Constant[]) : undefined;
}

function constantType(value: Constant, declared: Type): Type {
  if (value === null) return declared.kind === "OptionalType" ? declared : NoneType;
  const type = declared.kind === "OptionalType" ? declared.element : declared;
  if (Array.isArray(value)) return type.kind === "ListType" ? type : ListType(constantType(value[0] ?? 0, TensorType));
  if (typeof value === "number" && type.kind !== "IntType" && type.kind !== "FloatType") {
    return Number.isInteger(value) ? IntType : FloatType;
  }
  if (typeof value === "boolean") return BoolType;
  return typeof value === "string" ? StringType : type;
}

function sharedShape(a: IValue | undefined, b: IValue | undefined): TensorInfo | undefined {
  return a instanceof TensorValue && b instanceof TensorValue && a.dtype === b.dtype && sameDims(a.dims, b.dims)
    ? { dtype: a.dtype, dims: a.dims }
    : undefined;
}

function sameDims(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, axis) => keyOf(dim) === keyOf(b[axis] as Dim));
}
