import { type Constant, Device } from "../ir/constant.js";
import { Value } from "../ir/graph.js";
import { findSchemas } from "../ir/operators.js";
import type { Argument, FunctionSchema } from "../ir/schema.js";
import { isSubtype, unifyAll } from "../ir/subtype.js";
import {
  BoolType,
  DeviceObjType,
  FloatType,
  IntType,
  ListType,
  NoneType,
  printType,
  StringType,
  TensorType,
  type Type,
} from "../ir/type.js";
import type { Statement } from "./ast.js";
import { GraphBuilder } from "./graph-builder.js";
import { type Conversion, convert, type Input, type Match, matchSchemas } from "./matching.js";
import { parseFile } from "./parser.js";
import { TENSOR_ATTRIBUTES } from "./python-names.js";
import { type CallArgument, Frame, type Special, type Sugared } from "./sugared.js";
import type { ClassInfo, FunctionInfo } from "./unit.js";
import { BUILTIN_SOURCE, findBuiltin, findUpgrader } from "./upgraders.js";

const NO_KEYWORDS: ReadonlyMap<string, Sugared> = new Map();

let builtinFunctions: ReturnType<typeof parseFile>["functions"] | undefined;

/** Calls of operators, functions and methods, and what makes a value fit an argument. */
export abstract class CallImporter extends GraphBuilder {
  /** A function's body; the value it returns. */
  protected abstract body(statements: readonly Statement[]): Sugared;

  /** The elements of a tuple or list, of which `count` are wanted. */
  protected unpack(result: Sugared, count: number): readonly Sugared[] {
    if (!(result instanceof Value) && result.kind === "tuple") {
      return this.checkCount(result.elements, count);
    }
    const value = this.value(result);
    const { type, node } = value;
    if (type.kind === "TupleType") {
      this.checkCount(type.elements, count);
      if (node.kind === "prim::TupleConstruct") return node.inputs;
      return this.insert("prim::TupleUnpack", [value], type.elements).outputs;
    }
    // An operator that nobody knows has as many results as are taken from it.
    if (node.schema === undefined && !node.kind.startsWith("prim::") && type.kind === "TensorType") {
      while (node.outputs.length < count) node.addOutput(TensorType);
      return node.outputs;
    }
    const list = type.kind === "TensorType" ? this.callValue("aten::unbind", value) : value;
    if (list.type.kind !== "ListType")
      return this.fail(`${printType(type)} cannot be taken apart into ${count} values`);
    const { element } = list.type;
    return this.insert("prim::ListUnpack", [list], new Array<Type>(count).fill(element)).outputs;
  }

  protected checkCount<T>(elements: readonly T[], count: number): readonly T[] {
    if (elements.length === count) return elements;
    return this.fail(`${elements.length} values are assigned to ${count} names`);
  }

  protected tupleIndex(value: Value, index: number): Value {
    const { type, node } = value;
    const element = type.kind === "TupleType" ? type.elements[index] : undefined;
    if (element === undefined) return this.fail(`${printType(type)} has no element ${index}`);
    if (node.kind === "prim::TupleConstruct") return node.input(index);
    return this.insert("prim::TupleIndex", [value, this.constant(index, IntType)], [element]).output();
  }

  protected invoke(target: Sugared, args: readonly Sugared[], kwargs: ReadonlyMap<string, Sugared>): Sugared {
    if (target instanceof Value) {
      if (target.type.kind === "ClassType") return this.invoke(this.valueAttribute(target, "forward"), args, kwargs);
      return this.fail(`a ${printType(target.type)} cannot be called`);
    }
    switch (target.kind) {
      case "operator":
        return this.call(target.name, args, kwargs, target.self);
      case "cast": {
        const [argument] = args;
        if (argument === undefined || args.length !== 1) return this.call(target.operator, args, kwargs);
        const value = this.value(argument);
        return isSubtype(value.type, target.type) ? value : this.call(target.operator, [value]);
      }
      case "function":
        return this.callFunction(target.info, args, kwargs);
      case "method":
        return this.callMethod(target, args, kwargs);
      case "class":
        return this.construct(target.info, args, kwargs);
      case "closure":
        return this.callClosure(target);
      case "module":
        return this.fail(`the archive holds no ${target.path}`);
      default:
        return this.fail("this cannot be called");
    }
  }

  /** A call of an operator: the overload is chosen by the arguments' types. */
  protected call(
    name: string,
    args: readonly Sugared[],
    kwargs: ReadonlyMap<string, Sugared> = NO_KEYWORDS,
    self?: Value,
  ): Sugared {
    const call = {
      args: args.map((value) => this.operand(value)),
      kwargs: new Map([...kwargs].map(([key, value]) => [key, this.operand(value)])),
      self: self === undefined ? undefined : this.operand(self),
    };
    const known = findSchemas(name);
    if (known.length === 0) return this.callUnknown(name, self === undefined ? args : [self, ...args], kwargs);
    const schemas = known.map((schema) => this.upgrader(schema)?.schema ?? schema);
    const builtin = findBuiltin(name);
    if (builtin !== undefined) schemas.push(builtin.schema);
    const match = matchSchemas(schemas, call);
    if (match === undefined) return this.failMatch(name, schemas, call);
    const inputs = match.inputs.map((input) => this.input(input));
    if (builtin !== undefined && match.schema === builtin.schema) return this.inline(builtin.function, inputs);
    const schema = known[schemas.indexOf(match.schema)] as FunctionSchema;
    const upgrader = this.upgrader(schema);
    if (upgrader !== undefined) return this.inline(upgrader.function, inputs);
    const node = this.insert(name, inputs, match.returns);
    node.schema = schema;
    if (node.outputs.length === 1) return node.output();
    return { kind: "tuple", elements: node.outputs };
  }

  /** Built-in functions are written in today's operators. */
  protected upgrader(schema: FunctionSchema): ReturnType<typeof findUpgrader> {
    return this.source === BUILTIN_SOURCE ? undefined : findUpgrader(schema, this.unit.version);
  }

  protected callValue(name: string, ...args: Value[]): Value {
    return this.value(this.call(name, args));
  }

  /** A user's operator without a schema stays in the graph, so that the support report can name it. */
  protected callUnknown(name: string, args: readonly Sugared[], kwargs: ReadonlyMap<string, Sugared>): Sugared {
    if (name.startsWith("aten::") || name.startsWith("prim::")) {
      return this.fail(`there is no operator ${name}`, "The file may have been saved by a PyTorch newer than 2.11.");
    }
    const values = [...args, ...kwargs.values()].map((value) => this.value(value));
    const node = this.insert(name, values, [TensorType]);
    // Without a schema the names of arguments are known from the call alone: for writing it back.
    if (kwargs.size > 0) node.attributes.set("keywords", [...kwargs.keys()]);
    return node.output();
  }

  protected callFunction(info: FunctionInfo, args: readonly Sugared[], kwargs: ReadonlyMap<string, Sugared>): Sugared {
    const { match, inputs } = this.matchOwn(info, undefined, args, kwargs);
    const name = info.definition.name;
    const type: Type = { kind: "FunctionType", name: info.qualifiedName };
    const callee = this.pooled(`function ${info.qualifiedName}`, () => {
      const node = this.graph.createNode("prim::Constant", [], [type]);
      node.attributes.set("name", name);
      return node;
    });
    return this.insert("prim::CallFunction", [callee, ...inputs], match.returns).output();
  }

  protected callMethod(
    { object, className, name }: Special<"method">,
    args: readonly Sugared[],
    kwargs: ReadonlyMap<string, Sugared>,
  ): Sugared {
    const info = this.unit.findClass(className)?.methods.get(name);
    let inputs: readonly Value[];
    let returns: readonly Type[];
    if (info !== undefined) {
      const own = this.matchOwn(info, object, args, kwargs);
      inputs = own.inputs;
      returns = own.match.returns;
    } else {
      // A C++ class: its code is not in the archive.
      const type = this.unit.attributeType(className, name) ?? TensorType;
      inputs = [object, ...args, ...kwargs.values()].map((value) => this.value(value));
      returns = [type];
    }
    const node = this.insert("prim::CallMethod", inputs, returns);
    node.attributes.set("name", name);
    return node.output();
  }

  protected matchOwn(
    info: FunctionInfo,
    self: Value | undefined,
    args: readonly Sugared[],
    kwargs: ReadonlyMap<string, Sugared>,
  ): { match: Match<CallArgument>; inputs: readonly Value[] } {
    const signature = this.unit.signature(info);
    const call = {
      args: args.map((value) => this.operand(value)),
      kwargs: new Map([...kwargs].map(([key, value]) => [key, this.operand(value)])),
      self: self === undefined ? undefined : this.operand(self),
    };
    const match = matchSchemas([signature], call);
    if (match === undefined) return this.failMatch(info.qualifiedName, [signature], call);
    return { match, inputs: match.inputs.map((input) => this.input(input)) };
  }

  protected construct(info: ClassInfo, args: readonly Sugared[], kwargs: ReadonlyMap<string, Sugared>): Sugared {
    const type = this.unit.typeOf(info);
    if (type.kind === "TupleType") {
      const { attributes } = info.definition;
      const elements = type.elements.map((element, i) => {
        const field = attributes[i];
        const given = args[i] ?? kwargs.get(field?.name ?? "");
        if (given !== undefined) return this.convertTo(element, this.value(given, element));
        if (field?.value === undefined) return this.fail(`${info.definition.name} needs '${field?.name}'`);
        const constant = this.unit.constant(field.value, info.source);
        if (constant === undefined) return this.fail(`the default of '${field.name}' is no literal`);
        return this.constant(constant, constant === null ? NoneType : element);
      });
      return this.insert("prim::TupleConstruct", elements, [type]).output();
    }
    const object = this.insert("prim::CreateObject", [], [type]).output();
    if (info.methods.has("__init__")) {
      this.callMethod({ kind: "method", object, className: info.qualifiedName, name: "__init__" }, args, kwargs);
    }
    return object;
  }

  /** A nested function takes no arguments: it sees the variables around it. */
  protected callClosure({ body, frame }: Special<"closure">): Sugared {
    const outer = this.frame;
    this.frame = new Frame(frame);
    const result = this.body(body);
    this.frame = outer;
    return result;
  }

  /** Compiles a built-in function in place of a call. */
  protected inline(name: string, inputs: readonly Value[]): Sugared {
    builtinFunctions ??= parseFile(BUILTIN_SOURCE).functions;
    const definition = builtinFunctions.get(name);
    if (definition === undefined) return this.fail(`there is no built-in function ${name}`);
    const [source, frame, at] = [this.source, this.frame, this.at];
    // What is compiled in place comes from where the call does.
    const outermost = this.inlinedAt === undefined;
    this.inlinedAt ??= this.range();
    this.source = BUILTIN_SOURCE;
    this.frame = new Frame();
    for (const [i, parameter] of definition.parameters.entries()) {
      this.frame.variables.set(parameter.name, inputs[i] as Value);
    }
    const result = this.body(definition.body);
    if (outermost) this.inlinedAt = undefined;
    [this.source, this.frame, this.at] = [source, frame, at];
    return result;
  }

  protected failMatch(
    name: string,
    schemas: readonly FunctionSchema[],
    call: { args: readonly CallArgument[]; kwargs: ReadonlyMap<string, CallArgument>; self: CallArgument | undefined },
  ): never {
    const reasons: string[] = [];
    matchSchemas(schemas, call, reasons);
    const types = [
      ...(call.self === undefined ? [] : [printType(call.self.type)]),
      ...call.args.map((argument) => printType(argument.type)),
      ...[...call.kwargs].map(([key, argument]) => `${key}=${printType(argument.type)}`),
    ];
    return this.fail(
      `no overload of ${name} takes (${types.join(", ")})`,
      [...new Set(reasons)].slice(0, 4).join("; "),
    );
  }

  protected operand(value: Sugared): CallArgument {
    if (!(value instanceof Value) && value.kind === "emptyList") {
      return { value, type: ListType(TensorType), emptyList: true };
    }
    const materialised = this.value(value);
    return { value: materialised, type: materialised.type };
  }

  protected input(input: Input<CallArgument>): Value {
    switch (input.kind) {
      case "default":
        return this.defaultValue(input.argument);
      case "list":
        return this.makeList(
          input.operands.map(({ value }, i) => this.convert(input.conversions[i] as Conversion, value)),
          input.element,
        );
      case "operand":
        return this.convert(input.conversion, input.operand.value);
    }
  }

  protected defaultValue({ default: value = null, type: declared, size }: Argument): Value {
    const type = declared.kind === "OptionalType" ? declared.element : declared;
    if (value === null) return this.constant(null, NoneType);
    // `int[2] stride=1`.
    if (type.kind === "ListType" && !Array.isArray(value) && size !== undefined) {
      return this.constant(new Array<Constant>(size).fill(value), type);
    }
    if (type.kind === "NumberType" && typeof value === "number") {
      return this.constant(value, Number.isInteger(value) ? IntType : FloatType);
    }
    return this.constant(value, type);
  }

  protected convertTo(type: Type, value: Value): Value {
    const { conversion } = convert(type, value, true);
    return this.convert(conversion, value);
  }

  protected convert(conversion: Conversion, operand: Sugared): Value {
    switch (conversion.kind) {
      case "same":
        return this.value(operand);
      case "repeat": {
        const value = this.value(operand);
        return this.makeList(new Array<Value>(conversion.times).fill(value), value.type);
      }
      case "emptyList":
        return this.makeList([], conversion.element);
      case "tupleToList": {
        const value = this.value(operand);
        const count = (value.type as { elements: readonly Type[] }).elements.length;
        const elements = this.unpack(value, count).map((element) => this.value(element));
        return this.makeList(elements, conversion.element);
      }
      case "tuple": {
        const elements = this.unpack(operand, conversion.elements.length).map((element, i) =>
          this.convert(conversion.elements[i] as Conversion, element),
        );
        return this.tuple(elements);
      }
      case "call":
        return this.callValue(conversion.operator, this.value(operand));
    }
  }

  protected attribute(object: Sugared, name: string): Sugared {
    if (object instanceof Value) return this.valueAttribute(object, name);
    switch (object.kind) {
      case "operators":
        return { kind: "operator", name: `${object.namespace}::${name}` };
      case "ops":
        return { kind: "operators", namespace: name };
      case "constants": {
        const value = this.unit.constants[Number(name.slice(1))];
        if (value === undefined) return this.fail(`the archive holds no constant ${name}`);
        return this.constant(value, inferType(value));
      }
      case "module": {
        const path = `${object.path}.${name}`;
        return this.unit.find(path) === undefined ? { kind: "module", path } : this.definition(path);
      }
      case "class": {
        const { info } = object;
        if (name === "__new__") return { kind: "new", info };
        const type = this.unit.typeOf(info);
        const member = type.kind === "EnumType" ? this.unit.enumMember(info, name) : undefined;
        if (member !== undefined) return this.constant(member, type);
        return this.fail(`class ${info.qualifiedName} has no member '${name}'`);
      }
      default:
        return this.valueAttribute(this.value(object), name);
    }
  }

  protected definition(path: string): Sugared {
    const info = this.unit.find(path);
    if (info === undefined) return this.fail(`the archive holds no ${path}`);
    return info.kind === "class" ? { kind: "class", info } : { kind: "function", info };
  }

  protected valueAttribute(value: Value, name: string): Sugared {
    const { type } = value;
    if (type.kind === "ClassType" || type.kind === "InterfaceType") {
      const className = type.name;
      const attribute = this.unit.attributeType(className, name);
      const isCustom = className.startsWith("__torch__.torch.classes.");
      if (attribute !== undefined && !isCustom) {
        const node = this.insert("prim::GetAttr", [value], [attribute]);
        node.attributes.set("name", name);
        return node.output();
      }
      const constant = this.unit.constantAttribute(className, name);
      if (constant !== undefined) return this.constant(constant.value, constant.type);
      if (isCustom || this.unit.findClass(className)?.methods.has(name) === true) {
        return { kind: "method", object: value, className, name };
      }
      return this.fail(`${className} has no attribute or method '${name}'`);
    }
    if (type.kind === "TupleType" && type.fields !== undefined) {
      const index = type.fields.indexOf(name);
      if (index >= 0) return this.tupleIndex(value, index);
    }
    if (type.kind === "EnumType" && (name === "name" || name === "value")) {
      const output = name === "name" ? StringType : IntType;
      return this.insert(`prim::Enum${name === "name" ? "Name" : "Value"}`, [value], [output]).output();
    }
    if (type.kind === "TensorType") {
      const operator = TENSOR_ATTRIBUTES[name];
      if (operator !== undefined) return this.call(operator, [value]);
    }
    return { kind: "operator", name: `aten::${name}`, self: value };
  }
}

/** The type of a constant of the archive, which is kept without one. */
function inferType(value: Constant): Type {
  if (value === null) return NoneType;
  if (typeof value === "boolean") return BoolType;
  if (typeof value === "string") return StringType;
  if (typeof value === "number") return Number.isInteger(value) ? IntType : FloatType;
  if (value instanceof Device) return DeviceObjType;
  if (Array.isArray(value)) return ListType(unifyAll(value.map(inferType)) ?? TensorType);
  return TensorType;
}
