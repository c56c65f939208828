import { type Constant, EnumValue, ObjectValue, TupleValue } from "../ir/constant.js";
import { type Block, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { TrtorchError } from "../util/errors.js";
import { STATE_ATTRIBUTE } from "./pickle.js";
import type { CompilationUnit, FunctionInfo } from "./unit.js";

/**
 * Finishes what the unpickler read: members of Enum classes get their names, and objects whose class has a
 * `__setstate__` (packed quantized parameters) get their attributes by running it. C++ classes keep their state under
 * {@link STATE_ATTRIBUTE}: their code is not in the archive.
 */
export function restoreObjects(root: ObjectValue, unit: CompilationUnit, graphOf: (info: FunctionInfo) => Graph): void {
  new Restorer(unit, graphOf).object(root);
}

class Restorer {
  readonly #unit: CompilationUnit;
  readonly #graphOf: (info: FunctionInfo) => Graph;
  readonly #seen = new Set<ObjectValue>();

  constructor(unit: CompilationUnit, graphOf: (info: FunctionInfo) => Graph) {
    this.#unit = unit;
    this.#graphOf = graphOf;
  }

  object(object: ObjectValue): void {
    if (this.#seen.has(object)) return;
    this.#seen.add(object);
    for (const [name, value] of object.attributes) {
      const restored = this.#value(value);
      if (restored !== value) object.attributes.set(name, restored);
    }
    const state = object.attributes.get(STATE_ATTRIBUTE);
    if (state === undefined) return;
    const setState = this.#unit.findClass(object.typeName)?.methods.get("__setstate__");
    if (setState === undefined) return;
    object.attributes.delete(STATE_ATTRIBUTE);
    new Interpreter(this.#unit, this.#graphOf).run(setState, [object, state]);
  }

  #value(value: Constant): Constant {
    if (value instanceof ObjectValue) this.object(value);
    else if (value instanceof EnumValue) return this.#member(value);
    else if (value instanceof TupleValue) {
      const elements = value.elements.map((element) => this.#value(element));
      if (elements.some((element, i) => element !== value.elements[i])) return new TupleValue(elements);
    } else if (Array.isArray(value)) {
      for (const [i, element] of value.entries()) value[i] = this.#value(element);
    } else if (value instanceof Map) {
      for (const [key, element] of value) value.set(key, this.#value(element));
    }
    return value;
  }

  #member(member: EnumValue): EnumValue {
    const info = this.#unit.findClass(member.typeName);
    for (const { name } of info?.definition.attributes ?? []) {
      const known = info === undefined ? undefined : this.#unit.enumMember(info, name);
      if (known !== undefined && known.value === member.value) return known;
    }
    return member;
  }
}

/** Runs the few operators that `__setstate__` methods are made of: moving values about and packing weights. */
class Interpreter {
  readonly #unit: CompilationUnit;
  readonly #graphOf: (info: FunctionInfo) => Graph;

  constructor(unit: CompilationUnit, graphOf: (info: FunctionInfo) => Graph) {
    this.#unit = unit;
    this.#graphOf = graphOf;
  }

  run(info: FunctionInfo, args: readonly Constant[]): Constant {
    const graph = this.#graphOf(info);
    const values = new Map<Value, Constant>();
    for (const [i, input] of graph.inputs.entries()) values.set(input, args[i] ?? null);
    const [result] = this.#block(graph.block, values);
    return result ?? null;
  }

  #block(block: Block, values: Map<Value, Constant>): readonly Constant[] {
    for (const node of block.nodes()) {
      const results = this.#node(node, values);
      for (const [i, output] of node.outputs.entries()) values.set(output, results[i] ?? null);
    }
    return block.outputs.map((output) => values.get(output) ?? null);
  }

  #node(node: Node, values: Map<Value, Constant>): readonly Constant[] {
    const args = node.inputs.map((input) => values.get(input) ?? null);
    const [first = null, second = null] = args;
    switch (node.kind) {
      case "prim::Constant":
        return [constantOf(node.output()) ?? null];
      case "prim::Uninitialized":
        return [null];
      case "prim::unchecked_cast":
        return [first];
      case "prim::GetAttr":
        return [this.#object(node, first).attributes.get(node.string("name")) ?? null];
      case "prim::SetAttr":
        this.#object(node, first).attributes.set(node.string("name"), second);
        return [];
      case "prim::TupleConstruct":
        return [new TupleValue(args)];
      case "prim::ListConstruct":
        return [args];
      case "prim::TupleUnpack":
      case "prim::ListUnpack":
        return elementsOf(first);
      case "prim::TupleIndex":
      case "aten::__getitem__":
        return [elementsOf(first).at(Number(second)) ?? null];
      case "aten::len":
        return [elementsOf(first).length];
      case "aten::eq":
        return [first === second];
      case "aten::ne":
        return [first !== second];
      case "aten::__is__":
        return [first === second];
      case "aten::__isnot__":
        return [first !== second];
      case "aten::__not__":
        return [first !== true];
      case "prim::If":
        return this.#block(node.blocks[first === true ? 0 : 1] as Block, values);
      case "prim::CallMethod": {
        const method = this.#unit.findClass(this.#object(node, first).typeName)?.methods.get(node.string("name"));
        return method === undefined ? this.#fail(node) : [this.run(method, args)];
      }
    }
    const packed = node.outputs[0]?.type;
    if (node.schema !== undefined && packed?.kind === "ClassType" && /_prepack(?:_\w+)?$/.test(node.kind)) {
      const { arguments: formals } = node.schema;
      return [new ObjectValue(packed.name, new Map(formals.map(({ name }, i) => [name, args[i] ?? null])))];
    }
    return this.#fail(node);
  }

  #object(node: Node, value: Constant): ObjectValue {
    return value instanceof ObjectValue ? value : this.#fail(node);
  }

  #fail(node: Node): never {
    const { file, line, text } = node.sourceRange ?? { file: "", line: 0 };
    throw new TrtorchError("unsupported", `${node.kind} in a __setstate__ method cannot be run without PyTorch`, {
      location: { file, line, ...(text === undefined ? {} : { text }) },
      hint: "Save the model without the custom state: load it in PyTorch, torch.jit.freeze it and save it again.",
    });
  }
}

function elementsOf(value: Constant): readonly Constant[] {
  if (value instanceof TupleValue) return value.elements;
  return Array.isArray(value) ? value : [];
}
