import type { OutputStructure } from "../conversion/convert.js";
import type { Constant } from "../ir/constant.js";
import { Graph, type Value } from "../ir/graph.js";
import type { InputSpec } from "../ir/input-spec.js";
import { type ScalarType, scalarTypeCode } from "../ir/scalar-type.js";
import { type FunctionSchema, parseSchema } from "../ir/schema.js";
import {
  BoolType,
  ClassType,
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
import type { ITensor } from "../network/layers.js";
import type { Network } from "../network/network.js";
import { scalarTypeOf } from "../network/weights.js";
import type { Partition } from "./partition.js";
import { TraceCopier } from "./segments.js";
import { restoreTorchForms } from "./torch-forms.js";
import type { TensorInfo } from "./trace.js";

/** The class of Torch-TensorRT's runtime that holds an engine. */
export const ENGINE_CLASS = "__torch__.torch.classes.tensorrt.Engine";

const EXECUTE_ENGINE = parseSchema(
  `tensorrt::execute_engine(Tensor[] input_tensors, ${ENGINE_CLASS} engine) -> Tensor[]`,
);

const TO = parseSchema(
  "aten::to.dtype(Tensor(a) self, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)",
);

/** A method under construction that calls engines. Its graph is what the wrapped module's method is written from. */
export class StitchedMethod {
  readonly graph: Graph;
  readonly self: Value;

  constructor(typeName: string, method: string) {
    this.graph = new Graph(`${typeName}.${method}`);
    this.self = this.graph.addInput("self", ClassType(typeName));
  }

  /** Appends a node with these inputs and gives its outputs. */
  emit(kind: string, inputs: readonly Value[], types: readonly Type[], schema?: FunctionSchema): readonly Value[] {
    const node = this.graph.createNode(kind, inputs, types);
    node.schema = schema;
    this.graph.block.appendNode(node);
    return node.outputs;
  }

  emitOne(kind: string, inputs: readonly Value[], type: Type, schema?: FunctionSchema): Value {
    return this.emit(kind, inputs, [type], schema)[0] as Value;
  }

  constant(value: Constant, type: Type): Value {
    return this.graph.block.appendNode(this.graph.createConstant(value, type)).output();
  }

  /**
   * Calls the engine in an attribute of the module. `inputs` and the results are in PyTorch's dtypes; casts stand between
   * them and the bindings, whose types may differ (TensorRT has no double).
   */
  executeEngine(
    attribute: string,
    network: Network,
    inputs: readonly { readonly value: Value; readonly dtype: ScalarType }[],
    outputs: readonly ScalarType[],
  ): Value[] {
    const bound = inputs.map(({ value, dtype }, i) => this.#cast(value, dtype, network.inputs[i] as ITensor, "to"));
    const engine = this.graph.createNode("prim::GetAttr", [this.self], [ClassType(ENGINE_CLASS)]);
    engine.attributes.set("name", attribute);
    this.graph.block.appendNode(engine);
    const list = this.emitOne("prim::ListConstruct", bound, ListType(TensorType));
    const results = this.emitOne(EXECUTE_ENGINE.name, [list, engine.output()], ListType(TensorType), EXECUTE_ENGINE);
    const unpacked = this.emit(
      "prim::ListUnpack",
      [results],
      outputs.map(() => TensorType),
    );
    return unpacked.map((value, i) =>
      this.#cast(value, outputs[i] as ScalarType, network.outputs[i] as ITensor, "from"),
    );
  }

  #cast(value: Value, dtype: ScalarType, binding: ITensor, direction: "to" | "from"): Value {
    const bound = scalarTypeOf(binding.type);
    if (bound === dtype) return value;
    const target = this.constant(scalarTypeCode(direction === "to" ? bound : dtype), IntType);
    return this.emitOne("aten::to", [value, target], TensorType, TO);
  }

  /** The tensors in an argument of the method, in the order in which `inputs:` describes them. */
  unpackArgument(argument: Value, specs: InputSpec[]): Value[] {
    const { type } = argument;
    switch (type.kind) {
      case "TensorType":
        specs.shift();
        return [argument];
      case "OptionalType":
        if (specs.length === 0) return [];
        return this.unpackArgument(
          this.emitOne("prim::unchecked_unwrap_optional", [argument], type.element, UNWRAP),
          specs,
        );
      case "TupleType":
        return this.emit("prim::TupleUnpack", [argument], type.elements).flatMap((element) =>
          this.unpackArgument(element, specs),
        );
      case "ListType": {
        const elements = this.emit(
          "prim::ListUnpack",
          [argument],
          specs.map(() => type.element),
        );
        return elements.flatMap((element) => this.unpackArgument(element, specs));
      }
      default:
        return [];
    }
  }

  /** Puts tensors together as the method returns them. */
  assemble(structure: OutputStructure, tensors: readonly Value[], declared: Type | undefined): Value {
    const type = declared?.kind === "OptionalType" ? declared.element : declared;
    switch (structure.kind) {
      case "tensor":
        return tensors[structure.output] as Value;
      case "constant":
        return this.constant(structure.value, constantType(structure.value, declared));
      case "tuple": {
        const types = type?.kind === "TupleType" ? type.elements : [];
        const elements = structure.elements.map((element, i) => this.assemble(element, tensors, types[i]));
        const own = TupleType(elements.map((element) => element.type));
        return this.emitOne("prim::TupleConstruct", elements, type?.kind === "TupleType" ? type : own);
      }
      case "list": {
        const element = type?.kind === "ListType" ? type.element : undefined;
        const elements = structure.elements.map((item) => this.assemble(item, tensors, element));
        return this.emitOne("prim::ListConstruct", elements, ListType(element ?? elements[0]?.type ?? TensorType));
      }
      case "dict": {
        const [key, value] = type?.kind === "DictType" ? [type.key, type.value] : [undefined, undefined];
        const items = structure.entries.flatMap(([name, entry]) => [
          this.constant(name, constantType(name, key)),
          this.assemble(entry, tensors, value),
        ]);
        return this.emitOne(
          "prim::DictConstruct",
          items,
          DictType(key ?? items[0]?.type ?? StringType, value ?? items[1]?.type ?? TensorType),
        );
      }
    }
  }
}

const UNWRAP = parseSchema("prim::unchecked_unwrap_optional(t(a)? optional) -> t(a)");

function constantType(value: Constant, declared: Type | undefined): Type {
  const type = declared?.kind === "OptionalType" && value !== null ? declared.element : declared;
  if (type !== undefined && type.kind !== "AnyType" && type.kind !== "TensorType") return type;
  if (typeof value === "boolean") return BoolType;
  if (typeof value === "number") return Number.isInteger(value) ? IntType : FloatType;
  return value === null ? NoneType : StringType;
}

/** The method whose whole work is one engine's. `lowered` gives the arguments and the type of the result. */
export function stitchWhole(
  typeName: string,
  method: string,
  attribute: string,
  lowered: Graph,
  converted: { network: Network; outputStructure: OutputStructure; inputs: readonly InputSpec[] },
): Graph {
  const stitched = new StitchedMethod(typeName, method);
  const specs = [...converted.inputs];
  const arguments_ = lowered.inputs
    .filter(({ type }) => type.kind !== "ClassType" && type.kind !== "InterfaceType")
    .map((input) => stitched.graph.addInput(input.debugName, input.type));
  const tensors = arguments_.flatMap((argument) => stitched.unpackArgument(argument, specs));
  const dtypes: ScalarType[] = [];
  collectDtypes(converted.outputStructure, dtypes);
  const results = stitched.executeEngine(
    attribute,
    converted.network,
    tensors.map((value, i) => ({ value, dtype: (converted.inputs[i] as InputSpec).dtype })),
    dtypes,
  );
  const declared = lowered.outputs.length === 1 ? lowered.outputs[0]?.type : undefined;
  stitched.graph.registerOutput(stitched.assemble(converted.outputStructure, results, declared));
  return stitched.graph;
}

function collectDtypes(structure: OutputStructure, dtypes: ScalarType[]): void {
  if (structure.kind === "tensor") dtypes[structure.output] = structure.dtype;
  else if (structure.kind === "dict") for (const [, entry] of structure.entries) collectDtypes(entry, dtypes);
  else if (structure.kind !== "constant") for (const element of structure.elements) collectDtypes(element, dtypes);
}

/** An engine of a partitioned method: the attribute that holds it, and the network it was built from. */
export interface StitchedEngine {
  readonly attribute: string;
  readonly network: Network;
}

/** The method that runs a partition's segments one after the other. `engines` are those of its TensorRT segments, in order. */
export function stitchSegments(
  typeName: string,
  method: string,
  { trace, segments }: Partition,
  engines: readonly StitchedEngine[],
): Graph {
  const stitched = new StitchedMethod(typeName, method);
  const copier = new TraceCopier(trace, stitched.graph);
  for (const input of trace.graph.inputs) {
    copier.values.set(input, stitched.graph.addInput(input.debugName, input.type));
  }
  copier.takeApart(trace.graph.block.paramNode);
  let next = 0;
  for (const segment of segments) {
    if (segment.runs === "Torch") {
      for (const operation of segment.operations) copier.copyOperation(operation);
      continue;
    }
    const { attribute, network } = engines[next++] as StitchedEngine;
    const dtypeOf = (value: Value): ScalarType => (trace.values.get(value) as TensorInfo).dtype;
    const inputs = segment.inputs.map((value) => ({ value: copier.need(value), dtype: dtypeOf(value) }));
    const results = stitched.executeEngine(attribute, network, inputs, segment.outputs.map(dtypeOf));
    segment.outputs.forEach((value, i) => {
      copier.values.set(value, results[i] as Value);
    });
  }
  for (const output of trace.graph.outputs) stitched.graph.registerOutput(copier.need(output));
  restoreTorchForms(stitched.graph);
  return stitched.graph;
}
