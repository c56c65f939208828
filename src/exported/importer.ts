import { type Constant, constantKey, Device } from "../ir/constant.js";
import { type Block, Graph, type Node, type SourceRange, type Value } from "../ir/graph.js";
import { findSchema, findSchemas } from "../ir/operators.js";
import { isFloatingPoint, type ScalarType, scalarTypeCode } from "../ir/scalar-type.js";
import { type FunctionSchema, operatorName, type Argument as Parameter } from "../ir/schema.js";
import { placeOf } from "../ir/state-write.js";
import { Tensor } from "../ir/tensor.js";
import {
  BoolType,
  DeviceObjType,
  FloatType,
  IntType,
  ListType,
  NoneType,
  NumberType,
  OptionalType,
  StringType,
  TensorType,
  type Type,
} from "../ir/type.js";
import { hasEffect } from "../lowering/effects.js";
import { TrtorchError } from "../util/errors.js";
import { Names } from "../util/names.js";
import { importHigherOrder } from "./higher-order.js";
import { scalarOperator, scalarSchema } from "./scalar-operators.js";
import {
  type Argument,
  dtypeOf,
  floatOf,
  type GraphJson,
  layoutOf,
  memoryFormatOf,
  type NodeJson,
  type TaggedArgument,
  type TensorMeta,
  untag,
} from "./schema.js";
import { SourceRanges } from "./source-ranges.js";

/** A graph of the file while it is imported: an exported program's, or a subgraph of a higher-order operator. */
export interface Frame {
  readonly json: GraphJson;
  /** The values of the names in `json`, which has a namespace of its own. */
  readonly values: Map<string, Value>;
  /** Where its nodes go. */
  readonly block: Block;
  /** Constants that the block has already, and the blocks around it. */
  readonly constants: ConstantPool;
  /** Set within `torch.autocast`: the dtype that its operators are to compute in. */
  readonly autocast: ScalarType | undefined;
}

/** One `prim::Constant` for each number, string, ... of a block, by its `constantKey`. */
export class ConstantPool {
  readonly #known = new Map<unknown, Value>();
  readonly #outer: ConstantPool | undefined;

  constructor(outer?: ConstantPool) {
    this.#outer = outer;
  }

  get(key: unknown): Value | undefined {
    return this.#known.get(key) ?? this.#outer?.get(key);
  }

  set(key: unknown, value: Value): void {
    this.#known.set(key, value);
  }
}

/** Nodes at most: `scan` within `scan` multiplies, and a small file must not take all memory. */
const NODE_LIMIT = 1_000_000;

/** Operators that only check, or tell the exporter what it knows. */
const CHECKS = /^aten::(?:_assert_|_functional_assert_|sym_constrain_|_functional_sym_constrain_|_check)/;

/** What an exported graph asks of a tensor, by the operators that TorchScript asks with. */
const RENAMED: ReadonlyMap<string, string> = new Map([
  ["aten::sym_size.int", "aten::size.int"],
  ["aten::sym_size", "aten::size"],
  ["aten::sym_stride.int", "aten::stride.int"],
  ["aten::sym_stride", "aten::stride"],
  ["aten::sym_numel", "aten::numel"],
  ["aten::sym_storage_offset", "aten::storage_offset"],
]);

const ITEMS: ReadonlySet<string> = new Set(["aten::item", "aten::_local_scalar_dense"]);

const NUMBERS: ReadonlySet<string> = new Set([
  "as_int",
  "as_float",
  "as_bool",
  "as_sym_int",
  "as_sym_float",
  "as_sym_bool",
]);

/**
 * Makes IR of the graphs of an exported program, in the form that PyTorch's JIT gives the same operators: all arguments
 * in the schema's order, defaults filled in, lists made by `prim::ListConstruct`, sizes by TorchScript's scalar
 * operators.
 */
export class GraphImporter {
  readonly graph: Graph;
  readonly file: string;
  /** Of the graph's values. */
  readonly names = new Names(".", 1);
  readonly #ranges = new SourceRanges();
  readonly #schemas = new Map<string, FunctionSchema | undefined>();
  #count = 0;
  /** Nodes that compute numbers: dropped again when nobody uses them (they fed an assertion). */
  readonly #scalarNodes: Node[] = [];

  constructor(file: string) {
    this.file = file;
    this.graph = new Graph("forward");
  }

  /** Imports the frame's nodes, and gives the values of its outputs; null for an output that is None. */
  run(frame: Frame): (Value | null)[] {
    for (const node of frame.json.nodes) this.#node(frame, node);
    return frame.json.outputs.flatMap((output) => this.outputValues(frame, output));
  }

  /** Takes out what turned out not to be used: sizes that fed assertions, weights. */
  dropUnused(weights: readonly Value[]): void {
    for (const node of [...weights.map((value) => value.node), ...this.#scalarNodes].reverse()) {
      if (node.owningBlock === undefined || hasEffect(node)) continue;
      if (!node.outputs.some((output) => output.hasUses)) node.destroy();
    }
  }

  /** A subgraph's nodes in place, its inputs being these values. */
  inline(frame: Frame, json: GraphJson, inputs: readonly Value[], autocast = frame.autocast): (Value | null)[] {
    return this.run({ ...frame, json, values: this.bind(json, inputs), autocast });
  }

  bind(json: GraphJson, inputs: readonly Value[]): Map<string, Value> {
    const values = new Map<string, Value>();
    if (json.inputs.length !== inputs.length) {
      throw new TrtorchError("archive", `a subgraph of ${json.inputs.length} inputs is called with ${inputs.length}`);
    }
    json.inputs.forEach((input, i) => {
      const name = nameOf(untag(input));
      if (name !== undefined) values.set(name, inputs[i] as Value);
    });
    return values;
  }

  rangeOf(node: NodeJson): SourceRange | undefined {
    return this.#ranges.of(node.metadata);
  }

  unsupported(node: NodeJson, message: string, hint?: string): never {
    const location = placeOf(this.rangeOf(node)) ?? { file: this.file };
    throw new TrtorchError("unsupported", message, { location, hint });
  }

  /** Appends a node of an operator of the table, e.g. `aten::Bool.Tensor`, with the range of the exported node. */
  emit(frame: Frame, node: NodeJson, operator: string, inputs: readonly Value[], outputs: readonly Type[]): Node {
    const dot = operator.indexOf(".");
    const made = this.append(frame, node, dot < 0 ? operator : operator.slice(0, dot), inputs, outputs);
    made.schema = findSchema(operator);
    return made;
  }

  append(frame: Frame, node: NodeJson, kind: string, inputs: readonly Value[], outputs: readonly Type[]): Node {
    if (++this.#count > NODE_LIMIT) {
      this.unsupported(
        node,
        `the program unrolls into more than ${NODE_LIMIT} operators`,
        "Export it with fewer scan or map steps.",
      );
    }
    const made = this.graph.createNode(kind, inputs, outputs);
    made.sourceRange = this.rangeOf(node);
    return frame.block.appendNode(made);
  }

  constant(frame: Frame, value: Constant, type: Type): Value {
    const key = constantKey(value, type);
    const known = frame.constants.get(key);
    if (known !== undefined) return known;
    const made = frame.block.appendNode(this.graph.createConstant(value, type)).output();
    frame.constants.set(key, made);
    return made;
  }

  lookup(frame: Frame, name: string | undefined): Value {
    const value = frame.values.get(name ?? "");
    if (value !== undefined) return value;
    throw new TrtorchError("archive", `the graph uses the value "${name}", which nothing defines`, {
      location: { file: this.file },
    });
  }

  /** Makes `value` known under its name in the file; names of values stay unique in the graph. */
  define(frame: Frame, name: string, value: Value): void {
    frame.values.set(name, value);
    value.debugName ??= this.names.unique(name);
  }

  /** The tensor type of a name in the file, with its dtype and what its strides tell. */
  tensorType(frame: Frame, name: string): Type {
    const meta = frame.json.tensor_values[name];
    if (meta === undefined) return TensorType;
    const isContiguous = isLaidOutByRows(meta);
    return { kind: "TensorType", dtype: dtypeOf(meta.dtype), ...(isContiguous === undefined ? {} : { isContiguous }) };
  }

  /** The value of an argument that is no list; `type` is the parameter's, where there is one. */
  value(frame: Frame, argument: TaggedArgument, type?: Type): Value {
    switch (argument.tag) {
      case "as_none":
        return this.constant(frame, null, NoneType);
      case "as_tensor":
        return this.lookup(frame, argument.value.name);
      case "as_optional_tensor": {
        const tensor = argument.value.as_tensor;
        return tensor === undefined ? this.constant(frame, null, NoneType) : this.lookup(frame, tensor.name);
      }
      case "as_int":
        return this.constant(frame, argument.value, type === FloatType ? FloatType : IntType);
      case "as_float":
        return this.constant(frame, floatOf(argument.value), FloatType);
      case "as_bool":
        return this.constant(frame, argument.value, BoolType);
      case "as_complex": {
        const { real, imag } = argument.value;
        return this.constant(frame, Tensor.from("complex64", [], Float32Array.of(real, imag)), TensorType);
      }
      case "as_string":
        return this.constant(frame, argument.value, StringType);
      case "as_sym_int": {
        const { as_name: name, as_int: int } = argument.value;
        return int === undefined ? this.lookup(frame, name) : this.constant(frame, int, IntType);
      }
      case "as_sym_float": {
        const { as_name: name, as_float: float } = argument.value;
        return float === undefined ? this.lookup(frame, name) : this.constant(frame, floatOf(float), FloatType);
      }
      case "as_sym_bool": {
        const { as_name: name, as_bool: bool } = argument.value;
        return bool === undefined ? this.lookup(frame, name) : this.constant(frame, bool, BoolType);
      }
      case "as_scalar_type":
        return this.constant(frame, scalarTypeCode(dtypeOf(argument.value)), IntType);
      case "as_layout":
        return this.constant(frame, layoutOf(argument.value), IntType);
      case "as_memory_format":
        return this.constant(frame, memoryFormatOf(argument.value), IntType);
      case "as_device": {
        const { type: device, index } = argument.value;
        const name = index === null || index === undefined ? device : `${device}:${index}`;
        return this.constant(frame, new Device(name), DeviceObjType);
      }
      default:
        throw new TrtorchError("unsupported", `an argument of the kind ${argument.tag} is not supported`, {
          location: { file: this.file },
        });
    }
  }

  /** The elements of an argument that is a list; undefined for one that is none. */
  elements(frame: Frame, argument: TaggedArgument): Value[] | undefined {
    switch (argument.tag) {
      case "as_tensors":
        return argument.value.map(({ name }) => this.lookup(frame, name));
      case "as_optional_tensors":
        return argument.value.map((value) => this.value(frame, { tag: "as_optional_tensor", value }));
      case "as_ints":
        return argument.value.map((value) => this.value(frame, { tag: "as_int", value }));
      case "as_floats":
        return argument.value.map((value) => this.value(frame, { tag: "as_float", value }));
      case "as_bools":
        return argument.value.map((value) => this.value(frame, { tag: "as_bool", value }));
      case "as_strings":
        return argument.value.map((value) => this.value(frame, { tag: "as_string", value }));
      case "as_sym_ints":
        return argument.value.map((value) => this.value(frame, { tag: "as_sym_int", value }));
      case "as_sym_floats":
        return argument.value.map((value) => this.value(frame, { tag: "as_sym_float", value }));
      case "as_sym_bools":
        return argument.value.map((value) => this.value(frame, { tag: "as_sym_bool", value }));
      default:
        return undefined;
    }
  }

  /** The values of an output of a graph: null for None, several of a list. */
  outputValues(frame: Frame, output: Argument): (Value | null)[] {
    const argument = untag(output);
    if (argument.tag === "as_none") return [null];
    return this.elements(frame, argument) ?? [this.value(frame, argument)];
  }

  #node(frame: Frame, node: NodeJson): void {
    try {
      if (node.target.startsWith("torch.ops.higher_order.")) {
        this.#bindOutputs(frame, node, importHigherOrder(this, frame, node));
        return;
      }
      const scalar = scalarOperator(node.target);
      if (scalar !== undefined) this.#scalarNode(frame, node, scalar);
      else this.#operatorNode(frame, node);
    } catch (error) {
      // Errors that know no better place than the file are of this node.
      const place = placeOf(this.rangeOf(node));
      if (!(error instanceof TrtorchError) || place === undefined || (error.location?.line ?? 0) > 0) throw error;
      throw new TrtorchError(error.code, error.message, { location: place, hint: error.hint, cause: error.cause });
    }
  }

  /** Names the results of a subgraph as the node that called it names them. */
  #bindOutputs(frame: Frame, node: NodeJson, results: readonly (Value | null)[]): void {
    const names = node.outputs.flatMap((output) => {
      const argument = untag(output);
      return argument.tag === "as_tensors" ? argument.value.map(({ name }) => name) : [nameOf(argument)];
    });
    names.forEach((name, i) => {
      const value = results[i];
      if (name !== undefined && value !== null && value !== undefined) this.define(frame, name, value);
    });
  }

  #scalarNode(frame: Frame, node: NodeJson, operator: string): void {
    const inputs = node.inputs.map(({ arg }) => this.value(frame, untag(arg)));
    const output = untag(node.outputs[0] ?? { as_none: true });
    const name = nameOf(output);
    const [first, second, third] = inputs;
    if (name === undefined || first === undefined) {
      throw new TrtorchError("archive", `${node.target} has no input or no output`, { location: { file: this.file } });
    }
    if (operator === "") {
      frame.values.set(name, first);
      return;
    }
    const result = numberType(output.tag);
    if (operator === "prim::If" && second !== undefined && third !== undefined) {
      const choice = this.append(frame, node, operator, [first], [result]);
      for (const value of [second, third]) choice.addBlock().registerOutput(value);
      this.define(frame, name, choice.output());
      return;
    }
    const schema = scalarSchema(
      operator,
      inputs.map((input) => input.type),
      result,
    );
    if (schema === undefined) {
      this.unsupported(node, `${node.target} of ${inputs.map((input) => input.type.kind).join(", ")} is not supported`);
    }
    const made = this.append(frame, node, operator, inputs, [result]);
    made.schema = schema;
    this.#scalarNodes.push(made);
    this.define(frame, name, made.output());
  }

  #operatorNode(frame: Frame, node: NodeJson): void {
    const operator = operatorOf(node.target);
    if (operator === undefined) this.unsupported(node, `${node.target} is no operator that can be compiled`);
    if (CHECKS.test(operator) && node.outputs.length === 0) return;
    if (ITEMS.has(operator)) {
      this.#itemNode(frame, node);
      return;
    }
    const exact = this.#schema(RENAMED.get(operator) ?? operator);
    const given = new Map(node.inputs.map(({ name, arg }) => [name, untag(arg)]));
    const schema = exact === undefined ? inventSchema(operator, node) : withNumbers(exact, given);
    for (const name of given.keys()) {
      if (!schema.arguments.some((parameter) => parameter.name === name)) {
        this.unsupported(
          node,
          `${operatorName(schema)} has no argument "${name}"`,
          "Export the model again with PyTorch 2.11.",
        );
      }
    }
    const dtype = this.#autocastDtype(frame, node);
    const inputs = schema.arguments.map((parameter) => {
      const argument = given.get(parameter.name);
      if (argument === undefined) return this.#default(frame, node, schema, parameter);
      return this.#argument(frame, node, parameter, argument, dtype);
    });
    const made = this.append(frame, node, schema.name, inputs, []);
    made.schema = schema;
    if (node.outputs.every((output) => untag(output).tag.startsWith("as_sym_")) && node.outputs.length > 0) {
      this.#scalarNodes.push(made);
    }
    this.#outputs(frame, node, made);
  }

  /** `item()` is a Scalar in the schema, but the file knows whether it is an int, a float or a bool. */
  #itemNode(frame: Frame, node: NodeJson): void {
    const output = untag(node.outputs[0] ?? { as_none: true });
    const name = nameOf(output);
    const type = numberType(output.tag);
    const tensor = this.value(frame, untag(node.inputs[0]?.arg ?? {}));
    const operator =
      type === IntType ? "aten::Int.Tensor" : type === FloatType ? "aten::Float.Tensor" : "aten::Bool.Tensor";
    const made = this.emit(frame, node, operator, [tensor], [type]);
    this.#scalarNodes.push(made);
    if (name !== undefined) this.define(frame, name, made.output());
  }

  #schema(operator: string): FunctionSchema | undefined {
    if (!this.#schemas.has(operator)) this.#schemas.set(operator, findSchema(operator));
    return this.#schemas.get(operator);
  }

  #argument(
    frame: Frame,
    node: NodeJson,
    parameter: Parameter,
    argument: TaggedArgument,
    dtype: ScalarType | undefined,
  ): Value {
    const type = parameter.type.kind === "OptionalType" ? parameter.type.element : parameter.type;
    const isNumber = argument.tag === "as_complex" && type !== TensorType;
    if (argument.tag === "as_custom_obj" || isNumber || argument.tag === "as_graph") {
      const what = { as_custom_obj: "a custom C++ object", as_complex: "a complex number", as_graph: "a subgraph" }[
        argument.tag
      ];
      this.unsupported(node, `${node.target} takes ${what}, which cannot be compiled`);
    }
    const elements = this.elements(frame, argument)?.map((value) => this.#cast(frame, node, value, dtype));
    if (elements !== undefined) {
      const element = type.kind === "ListType" ? type.element : (elements[0]?.type ?? TensorType);
      if (element === FloatType) {
        elements.forEach((value, i) => {
          if (value.type === IntType)
            elements[i] = this.emit(frame, node, "aten::Float.int", [value], [FloatType]).output();
        });
      }
      return this.append(frame, node, "prim::ListConstruct", elements, [ListType(element)]).output();
    }
    const value = this.#cast(
      frame,
      node,
      this.value(frame, argument, type.kind === "ListType" ? type.element : type),
      dtype,
    );
    if (value.type === NoneType) return value;
    // One number stands for the whole list: kernel_size=3.
    if (type.kind === "ListType" && parameter.size !== undefined && value.type.kind !== "ListType") {
      const repeated = new Array<Value>(parameter.size).fill(value);
      return this.append(frame, node, "prim::ListConstruct", repeated, [type]).output();
    }
    // No overload takes the number as such: a tensor without dims promotes types as a number does.
    if (type.kind === "TensorType" && value.type.kind !== "TensorType")
      return this.#tensorOfNumber(frame, node, argument, value);
    return value;
  }

  #tensorOfNumber(frame: Frame, node: NodeJson, argument: TaggedArgument, value: Value): Value {
    switch (argument.tag) {
      case "as_int":
        return this.constant(frame, Tensor.scalar("int64", argument.value), TensorType);
      case "as_float":
        return this.constant(frame, Tensor.scalar("float32", floatOf(argument.value)), TensorType);
      case "as_bool":
        return this.constant(frame, Tensor.scalar("bool", argument.value ? 1 : 0), TensorType);
      default: {
        const operator = value.type === BoolType ? "prim::NumToTensor.bool" : "prim::NumToTensor.Scalar";
        return this.emit(frame, node, operator, [value], [TensorType]).output();
      }
    }
  }

  #default(frame: Frame, node: NodeJson, schema: FunctionSchema, parameter: Parameter): Value {
    if (!parameter.hasDefault) {
      this.unsupported(node, `${operatorName(schema)} is called without its argument "${parameter.name}"`);
    }
    const value = parameter.default ?? null;
    if (value === null) return this.constant(frame, null, NoneType);
    const type = parameter.type.kind === "OptionalType" ? parameter.type.element : parameter.type;
    if (type.kind === "ListType") {
      const list = Array.isArray(value) ? value : new Array<Constant>(parameter.size ?? 1).fill(value);
      return this.constant(frame, list, type);
    }
    if (type === NumberType) return this.constant(frame, value, scalarType(value));
    return this.constant(frame, value, type);
  }

  /**
   * Autocast makes operators compute in another dtype without a trace in the graph but the dtypes of their results:
   * the dtype that floating-point inputs are to be cast to, where that is so.
   */
  #autocastDtype(frame: Frame, node: NodeJson): ScalarType | undefined {
    const output = untag(node.outputs[0] ?? { as_none: true });
    const meta = output.tag === "as_tensor" ? frame.json.tensor_values[output.value.name] : undefined;
    const converts = /^torch\.ops\.aten\.(?:to|_to_copy|type_as|_autocast_to|copy|copy_)\b/.test(node.target);
    if (frame.autocast === undefined || meta === undefined || converts) return undefined;
    const dtype = dtypeOf(meta.dtype);
    return dtype === frame.autocast || dtype === "float32" ? dtype : undefined;
  }

  #cast(frame: Frame, node: NodeJson, value: Value, dtype: ScalarType | undefined): Value {
    const { type } = value;
    if (dtype === undefined || type.kind !== "TensorType" || type.dtype === undefined) return value;
    if (type.dtype === dtype || !isFloatingPoint(type.dtype)) return value;
    const code = this.constant(frame, scalarTypeCode(dtype), IntType);
    const no = this.constant(frame, false, BoolType);
    const none = this.constant(frame, null, NoneType);
    return this.emit(
      frame,
      node,
      "aten::to.dtype",
      [value, code, no, no, none],
      [{ kind: "TensorType", dtype }],
    ).output();
  }

  #outputs(frame: Frame, node: NodeJson, made: Node): void {
    for (const output of node.outputs) {
      const argument = untag(output);
      switch (argument.tag) {
        case "as_tensors": {
          const list = made.addOutput(ListType(TensorType));
          const unpack = this.append(frame, node, "prim::ListUnpack", [list], []);
          for (const { name } of argument.value) {
            this.define(frame, name, unpack.addOutput(this.tensorType(frame, name)));
          }
          break;
        }
        case "as_tensor":
          this.define(frame, argument.value.name, made.addOutput(this.tensorType(frame, argument.value.name)));
          break;
        case "as_sym_int":
        case "as_sym_float":
        case "as_sym_bool": {
          const value = made.addOutput(numberType(argument.tag));
          if (argument.value.as_name !== undefined) this.define(frame, argument.value.as_name, value);
          break;
        }
        case "as_none":
          // A result that PyTorch leaves undefined, such as the mask of dropout in inference.
          made.addOutput(TensorType);
          break;
        default:
          this.unsupported(node, `${node.target} returns a value of the kind ${argument.tag}, which is not supported`);
      }
    }
  }
}

/** `torch.ops.aten.conv2d.default` is `aten::conv2d`; undefined for what is no operator of PyTorch's table. */
function operatorOf(target: string): string | undefined {
  const [, space, name, overload] = /^torch\.ops\.(\w+)\.(\w+)(?:\.(\w+))?$/.exec(target) ?? [];
  if (space === undefined) return undefined;
  return overload === undefined || overload === "default" ? `${space}::${name}` : `${space}::${name}.${overload}`;
}

function nameOf(argument: TaggedArgument): string | undefined {
  switch (argument.tag) {
    case "as_tensor":
    case "as_custom_obj":
      return argument.value.name;
    case "as_sym_int":
    case "as_sym_float":
    case "as_sym_bool":
      return argument.value.as_name;
    default:
      return undefined;
  }
}

function numberType(tag: string): Type {
  return tag.endsWith("int") ? IntType : tag.endsWith("float") ? FloatType : BoolType;
}

function scalarType(value: Constant): Type {
  return typeof value === "boolean" ? BoolType : Number.isInteger(value) ? IntType : FloatType;
}

/**
 * Python calls `aten::mul.Tensor` with a number, which TorchScript does not: it has `aten::mul.Scalar` for that. Gives
 * the overload that takes numbers where numbers are given, or the same schema when there is none.
 */
function withNumbers(schema: FunctionSchema, given: ReadonlyMap<string, TaggedArgument>): FunctionSchema {
  const isNumber = (parameter: Parameter): boolean =>
    parameter.type.kind === "TensorType" && NUMBERS.has(given.get(parameter.name)?.tag ?? "");
  if (!schema.arguments.some(isNumber)) return schema;
  const other = findSchemas(schema.name).find(
    (candidate) =>
      candidate.returns.length === schema.returns.length &&
      schema.arguments.every((parameter) => {
        const same = candidate.arguments.find(({ name }) => name === parameter.name);
        if (isNumber(parameter)) return same?.type === NumberType;
        return same === undefined ? !given.has(parameter.name) : same.type.kind === parameter.type.kind;
      }) &&
      candidate.arguments.every((parameter) => parameter.hasDefault || given.has(parameter.name)),
  );
  return other ?? schema;
}

/** Undefined where sizes or strides depend on the inputs. */
function isLaidOutByRows({ sizes, strides }: TensorMeta): boolean | undefined {
  let expected = 1;
  let isByRows = true;
  for (let i = sizes.length - 1; i >= 0; i--) {
    const [size, stride] = [sizes[i]?.as_int, strides[i]?.as_int];
    if (size === undefined || stride === undefined) return undefined;
    if (size === 0) return true;
    if (size !== 1 && stride !== expected) isByRows = false;
    expected *= size;
  }
  return isByRows;
}

/** The schema of an operator that nobody registered, as far as one call shows it: for reports and messages. */
function inventSchema(operator: string, node: NodeJson): FunctionSchema {
  const dot = operator.indexOf(".");
  const typeOf = (tag: string): [Type, string] => {
    const found = CALL_TYPES.get(tag.replace("sym_", ""));
    return found ?? [TensorType, "Tensor"];
  };
  return {
    name: dot < 0 ? operator : operator.slice(0, dot),
    overload: dot < 0 ? "" : operator.slice(dot + 1),
    arguments: node.inputs.map(({ name, arg }) => {
      const [type, spelling] = typeOf(untag(arg).tag);
      return { name, type, spelling, hasDefault: false, kwargOnly: false };
    }),
    returns: node.outputs.map((output, i) => {
      const [type, spelling] = typeOf(untag(output).tag);
      return { name: `_${i}`, type, spelling, hasDefault: false, kwargOnly: false };
    }),
    isVararg: false,
    isVarret: false,
    isInvented: true,
  };
}

const CALL_TYPES: ReadonlyMap<string, [Type, string]> = new Map<string, [Type, string]>([
  ["as_none", [OptionalType(TensorType), "Tensor?"]],
  ["as_tensors", [ListType(TensorType), "Tensor[]"]],
  ["as_optional_tensors", [ListType(OptionalType(TensorType)), "Tensor?[]"]],
  ["as_int", [IntType, "int"]],
  ["as_ints", [ListType(IntType), "int[]"]],
  ["as_float", [FloatType, "float"]],
  ["as_floats", [ListType(FloatType), "float[]"]],
  ["as_bool", [BoolType, "bool"]],
  ["as_bools", [ListType(BoolType), "bool[]"]],
  ["as_string", [StringType, "str"]],
  ["as_strings", [ListType(StringType), "str[]"]],
  ["as_scalar_type", [IntType, "ScalarType"]],
  ["as_layout", [IntType, "Layout"]],
  ["as_memory_format", [IntType, "MemoryFormat"]],
  ["as_device", [DeviceObjType, "Device"]],
]);
