import { TupleValue } from "../ir/constant.js";
import type { Block, Node } from "../ir/graph.js";
import type { ITensor } from "../network/layers.js";
import { type Dim, isSymbolic, keyOf, SymBool, SymFloat, SymInt, type SymScalar, toDims } from "../network/symbolic.js";
import { dataTypeOf } from "../network/weights.js";
import { TrtorchError } from "../util/errors.js";
import { describeValue } from "./arguments.js";
import type { ConversionContext } from "./context.js";
import type { Interpreter } from "./convert.js";
import { knownCondition } from "./convert.js";
import { type IValue, Scalar, TensorValue } from "./values.js";

/** The model raises an exception on this path: the path cannot be what the user wants built. */
export class RaisedError extends TrtorchError {
  override readonly name = "RaisedError";

  constructor(message: string) {
    super("conversion", `the model raises an exception for these inputs: ${message}`, {
      hint: "Check the input shapes and dtypes in the config against what the model expects.",
    });
  }
}

/**
 * `prim::If`: the branch that a known condition chooses, as if the other did not exist; a TensorRT conditional where
 * only running tells. A branch that can only raise leaves the other as the only way.
 */
export function convertIf(interpreter: Interpreter, node: Node): void {
  const { ctx } = interpreter;
  const decided = decidedBranch(ctx, node);
  if (decided !== undefined) {
    bind(interpreter, node, interpreter.runBlock(decided));
    return;
  }
  const [thenBlock, elseBlock] = node.blocks as [Block, Block];
  const condition = ctx.valueOf(node.input());
  const { network } = ctx;
  const tensor = conditionTensor(interpreter, condition);
  const conditional = network.addIfConditional(tensor);
  const thenResults = conditional.branch("then", () => toTensors(interpreter.runUndecided(thenBlock)));
  const elseResults = conditional.branch("else", () => toTensors(interpreter.runUndecided(elseBlock)));
  ctx.node = node;
  const results = thenResults.map((thenResult, i) =>
    merge(interpreter, node, conditional, condition, thenResult, elseResults[i] as IValue),
  );
  bind(interpreter, node, results);
}

/** The branch of a `prim::If` that is the only one there is at run time; undefined where data decides. */
export function decidedBranch(ctx: ConversionContext, node: Node): Block | undefined {
  const [thenBlock, elseBlock] = node.blocks as [Block, Block];
  const known = knownCondition(ctx.valueOf(node.input()));
  if (known !== undefined) return known ? thenBlock : elseBlock;
  if (alwaysRaises(thenBlock) === alwaysRaises(elseBlock)) return undefined;
  return alwaysRaises(thenBlock) ? elseBlock : thenBlock;
}

/** Whether a `prim::Loop` is run iteration by iteration at build time, so far as can be told before. */
export function isUnrolled(ctx: ConversionContext, node: Node): boolean {
  const trips = ctx.valueOf(node.input(0));
  const limit = trips instanceof Scalar ? trips.value : trips;
  return typeof limit === "number" && knownCondition(ctx.valueOf(node.input(1))) !== undefined;
}

function bind(interpreter: Interpreter, node: Node, results: readonly IValue[]): void {
  node.outputs.forEach((output, i) => {
    interpreter.ctx.associateValueAndIValue(output, results[i] ?? null);
  });
}

/** Network tensors of a branch have to be made inside of it. */
function toTensors(results: readonly IValue[]): readonly IValue[] {
  for (const result of results) if (result instanceof TensorValue && result.scalar === undefined) void result.tensor;
  return results;
}

function alwaysRaises(block: Block): boolean {
  for (const node of block.nodes()) {
    if (node.kind === "prim::RaiseException") return true;
    if (node.kind === "prim::If" && node.blocks.every(alwaysRaises)) return true;
  }
  return false;
}

function conditionTensor(interpreter: Interpreter, condition: IValue): ITensor {
  const { ctx } = interpreter;
  const content = condition instanceof Scalar ? condition.value : condition;
  if (content instanceof SymBool || content instanceof SymInt) {
    return ctx.network.addCast(ctx.network.scalarTensor(content), "kBOOL");
  }
  if (content instanceof TensorValue) {
    return ctx.network.addCast(ctx.network.addShuffle(content.tensor, { reshape: [] }), "kBOOL");
  }
  return ctx.unsupported(`the condition is ${describeValue(condition)}`);
}

/** One value out of what both branches give. */
function merge(
  interpreter: Interpreter,
  node: Node,
  conditional: ReturnType<Interpreter["ctx"]["network"]["addIfConditional"]>,
  condition: IValue,
  a: IValue,
  b: IValue,
): IValue {
  if (a === b) return a;
  const { ctx } = interpreter;
  if (a instanceof TensorValue && b instanceof TensorValue) {
    if (dataTypeOf(a.dtype) !== dataTypeOf(b.dtype)) {
      return ctx.unsupported(
        `its branches give tensors of ${a.dtype} and ${b.dtype}, and which one is known only at run time`,
        "Cast one branch's tensor to the other's dtype.",
      );
    }
    // Myelin fails with an internal error on anything else.
    if (ctx.capabilities.backend === "tensorrt-rtx" && !sameDims(a.dims, b.dims)) {
      return ctx.unsupported(
        `its branches give tensors of sizes [${toDims(a.dims)}] and [${toDims(b.dims)}] (-1: known at run time only), TensorRT-RTX asks for equal ones`,
        "Give both branches the same sizes, do without the branch (pad by size % 2), or narrow the inputs' ranges until they decide it.",
      );
    }
    const thenTensor = conditional.branch("then", () => ctx.network.addIdentity(a.tensor));
    const elseTensor = conditional.branch("else", () => ctx.network.addIdentity(b.tensor));
    return ctx.tensorValue(conditional.addOutput(thenTensor, elseTensor), a.dtype);
  }
  if (a instanceof TupleValue && b instanceof TupleValue && a.elements.length === b.elements.length) {
    return new TupleValue(
      a.elements.map((element, i) =>
        merge(interpreter, node, conditional, condition, element, b.elements[i] as IValue),
      ),
    );
  }
  if (Array.isArray(a) && Array.isArray(b) && a.length === b.length) {
    return a.map((element, i) => merge(interpreter, node, conditional, condition, element, b[i] as IValue));
  }
  if (isNumber(a) && isNumber(b) && keyOf(a) === keyOf(b)) return a;
  return ctx.unsupported(
    `its branches give ${describeValue(a)} and ${describeValue(b)}, and which one is known only at run time`,
    "Both branches of a condition on data must give tensors. Conditions on sizes are decided when those dims are fixed.",
  );
}

function sameDims(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, i) => keyOf(dim) === keyOf(b[i] as Dim));
}

function isNumber(value: IValue): value is SymScalar {
  return typeof value === "number" || typeof value === "boolean" || isSymbolic(value);
}

function isWholeNumber(value: IValue): value is SymScalar {
  return isNumber(value) && !(value instanceof SymFloat) && (typeof value !== "number" || Number.isInteger(value));
}

/** The most iterations that are written out one after the other. */
const MAX_UNROLLED = 100_000;

/**
 * `prim::Loop`: run iteration by iteration while trip count and condition are known, which unrolls it; otherwise a
 * TensorRT loop whose carried values are tensors of unchanging shape.
 */
export function convertLoop(interpreter: Interpreter, node: Node): void {
  const { ctx } = interpreter;
  const [body] = node.blocks as [Block];
  const [maxTrip, initialCondition, ...initial] = node.inputs.map((input) => ctx.valueOf(input));
  let carried: IValue[] = initial;
  let condition = knownCondition(initialCondition as IValue);
  const limit = maxTrip instanceof Scalar ? maxTrip.value : maxTrip;
  if (condition === undefined || typeof limit !== "number") {
    bind(interpreter, node, runtimeLoop(interpreter, node, body, limit as IValue, initialCondition as IValue, carried));
    return;
  }
  for (let i = 0; i < limit && condition; i++) {
    if (i >= MAX_UNROLLED) ctx.unsupported(`more than ${MAX_UNROLLED} iterations`);
    bindBlockInputs(interpreter, body, [i, ...carried]);
    const [next, ...results] = interpreter.runBlock(body);
    carried = results;
    const nextCondition = knownCondition(next as IValue);
    if (nextCondition === undefined) {
      ctx.node = node;
      ctx.unsupported(
        "whether it goes on depends on tensor data after its first iteration",
        "TensorRT loops stop on a condition that is computed from tensors from the start; make the number of iterations a constant.",
      );
    }
    condition = nextCondition;
  }
  bind(interpreter, node, carried);
}

function bindBlockInputs(interpreter: Interpreter, block: Block, values: readonly IValue[]): void {
  block.inputs.forEach((input, i) => {
    interpreter.ctx.associateValueAndIValue(input, values[i] as IValue);
  });
}

/** A loop whose number of iterations is known only at run time. */
function runtimeLoop(
  interpreter: Interpreter,
  node: Node,
  body: Block,
  limit: IValue,
  initialCondition: IValue,
  initial: readonly IValue[],
): IValue[] {
  const { ctx } = interpreter;
  const { network } = ctx;
  for (const value of initial) {
    if (!(value instanceof TensorValue) && !isWholeNumber(value)) {
      ctx.unsupported(
        `a loop of unknown length carries ${describeValue(value)}`,
        "Only tensors and whole numbers can be carried from iteration to iteration in TensorRT. Preallocate a tensor and write into it, or fix the length.",
      );
    }
  }
  const starts = initial.map((value) => asTensor(interpreter, value));
  const trips = asTensor(interpreter, limit);
  const first = conditionOrTrue(interpreter, initialCondition);
  const loop = network.addLoop();
  const recurrences = starts.map((start) => loop.addRecurrence(start));
  const counter = loop.addRecurrence(network.scalarTensor(0));
  const goesOn = loop.addRecurrence(first);
  loop.body(() => {
    const values = recurrences.map(({ value }, i) => ctx.tensorValue(value, dtypeOf(initial[i] as IValue)));
    const asIValues = values.map((value, i) =>
      initial[i] instanceof TensorValue ? value : scalarOf(interpreter, value),
    );
    bindBlockInputs(interpreter, body, [scalarOf(interpreter, ctx.tensorValue(counter.value)), ...asIValues]);
    const [next, ...results] = interpreter.runUndecided(body);
    ctx.node = node;
    results.forEach((result, i) => {
      const tensor = asTensor(interpreter, result);
      const start = starts[i] as ITensor;
      if (tensor.type !== start.type) {
        ctx.unsupported(
          `a value changes its type from ${start.type} to ${tensor.type} in a loop of unknown length`,
          "Values carried by a TensorRT loop keep their type. Start with a float where an iteration gives one, or cast its result back.",
        );
      }
      if (
        tensor.dims.length !== start.dims.length ||
        tensor.dims.some((dim, axis) => keyOf(dim) !== keyOf(start.dims[axis] ?? -1))
      ) {
        ctx.unsupported(
          `a value changes its shape from [${start.dims.map(String)}] to [${tensor.dims.map(String)}] in a loop of unknown length`,
          "Values carried by a TensorRT loop keep their shape. Preallocate the result and write into it, or fix the length.",
        );
      }
      recurrences[i]?.setNext(tensor);
    });
    counter.setNext(network.addElementWise(counter.value, network.scalarTensor(1), "kSUM"));
    goesOn.setNext(conditionOrTrue(interpreter, next as IValue));
    const below = network.addElementWise(counter.value, trips, "kLESS");
    loop.addTripLimit(network.addElementWise(below, goesOn.value, "kAND"), "kWHILE");
  });
  return recurrences.map(({ value }, i) => {
    const output = loop.addLoopOutput(value, "kLAST_VALUE");
    // Its builder fails where another loop takes a loop's output into its body, but for a layer between them.
    const result = ctx.capabilities.backend === "tensorrt-rtx" ? network.addIdentity(output) : output;
    const last = ctx.tensorValue(result, dtypeOf(initial[i] as IValue));
    return initial[i] instanceof TensorValue ? last : scalarOf(interpreter, last);
  });
}

function asTensor(interpreter: Interpreter, value: IValue): ITensor {
  if (value instanceof TensorValue) return value.tensor;
  const content = value instanceof Scalar ? value.value : value;
  if (isNumber(content)) return interpreter.ctx.network.scalarTensor(content);
  return interpreter.ctx.unsupported(`a loop of unknown length gives ${describeValue(value)}`);
}

function conditionOrTrue(interpreter: Interpreter, condition: IValue): ITensor {
  const known = knownCondition(condition);
  return known !== undefined ? interpreter.ctx.network.scalarTensor(known) : conditionTensor(interpreter, condition);
}

function dtypeOf(value: IValue): TensorValue["dtype"] {
  if (value instanceof TensorValue) return value.dtype;
  return typeof value === "boolean" || value instanceof SymBool ? "bool" : "int64";
}

/** An int that the network computes, as a size. */
export function scalarOf(interpreter: Interpreter, value: TensorValue): IValue {
  if (value.scalar !== undefined) return value.scalar;
  const { network } = interpreter.ctx;
  return network.newSymbol(
    "value",
    { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY },
    { tensor: value.tensor },
  );
}
