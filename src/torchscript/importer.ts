import { type Constant, Device } from "../ir/constant.js";
import { type Block, constantOf, Graph, type Node, type SourceRange, Value } from "../ir/graph.js";
import type { Argument, FunctionSchema } from "../ir/schema.js";
import {
  BoolType,
  DeviceObjType,
  FloatType,
  IntType,
  ListType,
  NoneType,
  printType,
  StringType,
  sameType,
  TensorType,
  type Type,
} from "../ir/type.js";
import type { BinaryOperator, Expression, Keyword, Statement } from "./ast.js";
import { assignedNames } from "./ast-names.js";
import { removeDeadNodes } from "./dead-nodes.js";
import {
  type Conversion,
  convert,
  type Input,
  isSubtype,
  type Match,
  matchSchemas,
  unifyAll,
  unifyTypes,
} from "./matching.js";
import { parseFile } from "./parser.js";
import { CASTS, FORMS, FUNCTIONS, OPERATORS, TENSOR_ATTRIBUTES } from "./python-names.js";
import { findSchemas } from "./schemas.js";
import type { Source } from "./source.js";
import { type CallArgument, Frame, type Special, type Sugared } from "./sugared.js";
import type { ClassInfo, CompilationUnit, FunctionInfo } from "./unit.js";
import { BUILTIN_SOURCE, findBuiltin, findUpgrader } from "./upgraders.js";

/** A block under construction with the constants that stand in it. */
interface Scope {
  readonly block: Block;
  readonly constants: Map<string | Constant, Value>;
}

/** The largest int of TorchScript: the trip count of a `while`. */
const INT64_MAX = 2 ** 63;

/** Finds the user's source of a place in a file of the archive. */
export type FindRange = (source: Source, offset: number) => SourceRange;

/**
 * Compiles a function to the graph that `torch.jit.load` makes of it: constants pooled, tuples that are taken apart
 * at once removed, calls of methods and functions left as `prim::CallMethod` and `prim::CallFunction`.
 * Throws a TrtorchError of code `parse` or `unsupported` that points at the line of the archive's code.
 */
export function importFunction(unit: CompilationUnit, info: FunctionInfo, findRange: FindRange): Graph {
  return new Importer(unit, info.source, findRange).function(info);
}

let builtinFunctions: ReturnType<typeof parseFile>["functions"] | undefined;

class Importer {
  readonly #unit: CompilationUnit;
  readonly #findRange: FindRange;
  #source: Source;
  #graph = new Graph();
  #scopes: Scope[] = [];
  #frame = new Frame();
  /** Where in the source the node now being made comes from. */
  #at = 0;
  #inlinedAt: SourceRange | undefined;

  constructor(unit: CompilationUnit, source: Source, findRange: FindRange) {
    this.#unit = unit;
    this.#source = source;
    this.#findRange = findRange;
  }

  function(info: FunctionInfo): Graph {
    const { definition } = info;
    const signature = this.#unit.signature(info);
    this.#graph = new Graph(info.qualifiedName);
    this.#scopes = [{ block: this.#graph.block, constants: new Map() }];
    for (const [i, argument] of signature.arguments.entries()) {
      const name = definition.parameters[i]?.name as string;
      this.#frame.variables.set(name, this.#graph.addInput(name, argument.type));
    }
    const result = this.#body(definition.body);
    this.#at = definition.body.at(-1)?.at ?? definition.at;
    const declared = definition.returns === undefined ? undefined : signature.returns[0]?.type;
    let value = this.#value(result);
    if (declared !== undefined) {
      value = this.#convertTo(declared, value);
      if (!isSubtype(value.type, declared)) {
        this.#fail(`${definition.name} returns ${printType(value.type)}, but declares ${printType(declared)}`);
      }
    }
    this.#graph.registerOutput(value);
    removeDeadNodes(this.#graph.block);
    return this.#graph;
  }

  // Statements

  /** A function's body; the value it returns. */
  #body(statements: readonly Statement[]): Sugared {
    for (const statement of statements) {
      if (statement.kind === "Return") return this.#returned(statement.value);
      const outcome = this.#statement(statement);
      if (outcome !== undefined) return outcome;
    }
    return this.#constant(null, NoneType);
  }

  #returned(value: Expression | undefined): Sugared {
    return value === undefined ? this.#constant(null, NoneType) : this.#expression(value);
  }

  #block(statements: readonly Statement[]): void {
    for (const statement of statements) {
      if (statement.kind === "Return") this.#unsupported(statement.at, "a return inside an if or a loop");
      if (this.#statement(statement) !== undefined) this.#unsupported(statement.at, "a return inside an if or a loop");
    }
  }

  /** Gives a value where the statement, an `if` whose outcome is known, returns. */
  #statement(statement: Statement): Sugared | undefined {
    this.#at = statement.at;
    switch (statement.kind) {
      case "Expression":
        this.#expression(statement.value);
        return undefined;
      case "Assign":
        this.#assignment(statement);
        return undefined;
      case "AugmentedAssign": {
        const left = this.#value(this.#expression(statement.target));
        const right = this.#value(this.#expression(statement.value));
        this.#at = statement.at;
        const operator = this.#operatorName(statement.operator, left);
        const inplace = left.type.kind === "TensorType" && findSchemas(`${operator}_`).length > 0;
        const addToList = left.type.kind === "ListType" && operator === "aten::add";
        this.#assign(statement.target, this.#call(inplace || addToList ? `${operator}_` : operator, [left, right]));
        return undefined;
      }
      case "If":
        return this.#if(statement);
      case "While":
        this.#loop(statement.body, undefined, undefined, statement.test);
        return undefined;
      case "For":
        this.#for(statement);
        return undefined;
      case "With": {
        const contexts = statement.items.map(({ context, target }) => {
          const object = this.#value(this.#expression(context));
          const entered = this.#insert("prim::Enter", [object], [this.#enterType(object)]).output();
          if (target !== undefined) this.#assign(target, entered);
          return object;
        });
        this.#block(statement.body);
        this.#at = statement.at;
        for (const object of contexts.reverse()) this.#insert("prim::Exit", [object], []);
        return undefined;
      }
      case "Raise": {
        const { value } = statement;
        const message = value?.kind === "Call" ? value.args[0] : value;
        const text = message === undefined ? this.#constant("", StringType) : this.#value(this.#expression(message));
        this.#at = statement.at;
        this.#call("prim::RaiseException", [
          text.type.kind === "StringType" ? text : this.#callValue("aten::str", text),
        ]);
        return undefined;
      }
      case "Assert": {
        const condition = this.#condition(statement.test);
        const message = statement.message;
        this.#branches(
          condition,
          () => {},
          () => {
            const text =
              message === undefined
                ? this.#constant("AssertionError: ", StringType)
                : this.#value(this.#expression(message));
            this.#call("prim::RaiseException", [text]);
          },
        );
        return undefined;
      }
      case "Delete":
        for (const target of statement.targets) {
          if (target.kind === "Name") this.#frame.variables.delete(target.name);
          else if (target.kind === "Subscript") {
            const object = this.#value(this.#expression(target.object));
            this.#call("aten::Delete", [object, this.#value(this.#expression(target.index))]);
          } else this.#unsupported(target.at, "this del");
        }
        return undefined;
      case "Function":
        this.#frame.variables.set(statement.name, { kind: "closure", body: statement.body, frame: this.#frame });
        return undefined;
      case "Pass":
        return undefined;
      case "Return":
        return this.#returned(statement.value);
      case "Break":
      case "Continue":
        return this.#unsupported(statement.at, `a ${statement.kind.toLowerCase()}`);
    }
  }

  #enterType(object: Value): Type {
    const method =
      object.type.kind === "ClassType" ? this.#unit.findClass(object.type.name)?.methods.get("__enter__") : undefined;
    return method === undefined ? NoneType : (this.#unit.signature(method).returns[0]?.type ?? NoneType);
  }

  #assignment({ targets, annotation, value, at }: Statement & { kind: "Assign" }): void {
    const type = annotation === undefined ? undefined : this.#unit.resolveType(annotation, this.#source);
    const [first] = targets;
    if (type !== undefined && first?.kind === "Name") this.#frame.declared.set(first.name, type);
    if (value === undefined) return;
    let result = this.#expression(value, type);
    this.#at = at;
    if (type !== undefined) {
      const converted = this.#convertTo(type, this.#value(result, type));
      if (!isSubtype(converted.type, type)) {
        this.#fail(`a ${printType(converted.type)} is assigned to a variable of type ${printType(type)}`);
      }
      result = converted;
    }
    for (const target of targets) this.#assign(target, result);
  }

  #assign(target: Expression, result: Sugared): void {
    switch (target.kind) {
      case "Name": {
        let value = result;
        if (!(value instanceof Value) && (value.kind === "tuple" || value.kind === "emptyList"))
          value = this.#value(value);
        if (value instanceof Value) nameValue(value, target.name);
        this.#frame.variables.set(target.name, value);
        return;
      }
      case "Tuple":
      case "List": {
        const values = this.#unpack(result, target.elements.length);
        for (const [i, element] of target.elements.entries()) this.#assign(element, values[i] as Sugared);
        return;
      }
      case "Attribute": {
        const object = this.#value(this.#expression(target.object));
        if (object.type.kind !== "ClassType") this.#fail(`${printType(object.type)} has no attributes to assign to`);
        const type = this.#unit.attributeType((object.type as { name: string }).name, target.name);
        const value = this.#value(result);
        this.#at = target.at;
        const node = this.#insert(
          "prim::SetAttr",
          [object, type === undefined ? value : this.#convertTo(type, value)],
          [],
        );
        node.attributes.set("name", target.name);
        return;
      }
      case "Subscript": {
        const object = this.#value(this.#expression(target.object));
        const index = this.#value(this.#expression(target.index));
        this.#call("aten::_set_item", [object, index, this.#value(result)]);
        return;
      }
      default:
        this.#unsupported(target.at, "an assignment to this");
    }
  }

  /** The elements of a tuple or list, of which `count` are wanted. */
  #unpack(result: Sugared, count: number): readonly Sugared[] {
    if (!(result instanceof Value) && result.kind === "tuple") {
      return this.#checkCount(result.elements, count);
    }
    const value = this.#value(result);
    const { type, node } = value;
    if (type.kind === "TupleType") {
      this.#checkCount(type.elements, count);
      if (node.kind === "prim::TupleConstruct") return node.inputs;
      return this.#insert("prim::TupleUnpack", [value], type.elements).outputs;
    }
    // An operator that nobody knows has as many results as are taken from it.
    if (node.schema === undefined && !node.kind.startsWith("prim::") && type.kind === "TensorType") {
      while (node.outputs.length < count) node.addOutput(TensorType);
      return node.outputs;
    }
    const list = type.kind === "TensorType" ? this.#callValue("aten::unbind", value) : value;
    if (list.type.kind !== "ListType")
      return this.#fail(`${printType(type)} cannot be taken apart into ${count} values`);
    const { element } = list.type;
    return this.#insert("prim::ListUnpack", [list], new Array<Type>(count).fill(element)).outputs;
  }

  #checkCount<T>(elements: readonly T[], count: number): readonly T[] {
    if (elements.length === count) return elements;
    return this.#fail(`${elements.length} values are assigned to ${count} names`);
  }

  #if({ test, body, otherwise, at }: Statement & { kind: "If" }): Sugared | undefined {
    const condition = this.#condition(test);
    this.#at = at;
    if (typeof condition === "boolean") {
      for (const statement of condition ? body : otherwise) {
        const outcome = this.#statement(statement);
        if (outcome !== undefined) return outcome;
      }
      return undefined;
    }
    const thenReturn = body.at(-1);
    const otherwiseReturn = otherwise.at(-1);
    if (thenReturn?.kind === "Return" && otherwiseReturn?.kind === "Return") {
      return this.#choice(
        condition,
        () => this.#body(body),
        () => this.#body(otherwise),
      );
    }
    this.#branches(
      condition,
      () => this.#block(body),
      () => this.#block(otherwise),
    );
    return undefined;
  }

  /** A `prim::If` whose results are the variables that either branch assigns and both have. */
  #branches(condition: boolean | Value, then: () => void, otherwise: () => void): void {
    if (typeof condition === "boolean") {
      if (condition) then();
      else otherwise();
      return;
    }
    const node = this.#insert("prim::If", [condition], []);
    const outer = this.#frame;
    const arms = [then, otherwise].map((emit) => {
      const scope = this.#enter(node.addBlock());
      this.#frame = new Frame(outer);
      emit();
      const frame = this.#frame;
      this.#leave();
      this.#frame = outer;
      const raises = [...scope.block.nodes()].some((inner) => inner.kind === "prim::RaiseException");
      return { scope, frame, raises };
    });
    const [a, b] = arms as [(typeof arms)[0], (typeof arms)[0]];
    const names = new Set([...a.frame.variables.keys(), ...b.frame.variables.keys()]);
    for (const name of names) {
      let left = a.frame.get(name);
      let right = b.frame.get(name);
      // What a branch that raises would have assigned does not matter.
      if (left === undefined && a.raises && right instanceof Value) left = this.#uninitialized(a.scope, right.type);
      if (right === undefined && b.raises && left instanceof Value) right = this.#uninitialized(b.scope, left.type);
      if (left === undefined || right === undefined) continue;
      if (!(left instanceof Value) || !(right instanceof Value)) {
        if (left === right) outer.variables.set(name, left);
        continue;
      }
      const type = unifyTypes(a.frame.declaredType(name) ?? left.type, b.frame.declaredType(name) ?? right.type);
      if (type === undefined) continue;
      a.scope.block.registerOutput(left);
      b.scope.block.registerOutput(right);
      const output = node.addOutput(type);
      nameValue(output, name);
      outer.variables.set(name, output);
    }
  }

  #uninitialized(scope: Scope, type: Type): Value {
    return scope.block.appendNode(this.#graph.createNode("prim::Uninitialized", [], [type])).output();
  }

  /** A `prim::If` with one result: a conditional expression. */
  #choice(condition: boolean | Value, then: () => Sugared, otherwise: () => Sugared): Sugared {
    if (typeof condition === "boolean") return condition ? then() : otherwise();
    const node = this.#insert("prim::If", [condition], []);
    const outer = this.#frame;
    const types = [then, otherwise].map((emit) => {
      const { block } = this.#enter(node.addBlock());
      this.#frame = new Frame(outer);
      const value = this.#value(emit());
      this.#leave();
      this.#frame = outer;
      block.registerOutput(value);
      return value.type;
    });
    const type = unifyTypes(types[0] as Type, types[1] as Type);
    if (type === undefined) return this.#fail(`the branches give ${types.map(printType).join(" and ")}`);
    return node.addOutput(type);
  }

  #for({ target, iterable, body, at }: Statement & { kind: "For" }): void {
    if (iterable.kind === "Call" && iterable.callee.kind === "Name" && iterable.callee.name === "range") {
      const bounds = iterable.args.map((bound) => this.#convertTo(IntType, this.#value(this.#expression(bound))));
      const [first, stop, step = this.#constant(1, IntType)] = bounds;
      if (first === undefined) this.#fail("range() takes at least one argument");
      this.#at = at;
      if (stop === undefined) this.#loop(body, first, (index) => this.#assign(target, index));
      else {
        const length = this.#value(this.#call("aten::__range_length", [first, stop, step]));
        this.#loop(body, length, (index) => {
          this.#assign(target, this.#call("aten::__derive_index", [index, first, step]));
        });
      }
      return;
    }
    const sequence = this.#value(this.#expression(iterable));
    this.#at = at;
    if (sequence.type.kind === "TupleType") {
      // A tuple's elements may be of several types: the loop is written out.
      for (const element of this.#unpack(sequence, sequence.type.elements.length)) {
        this.#assign(target, element);
        this.#block(body);
      }
      return;
    }
    const list = sequence.type.kind === "TensorType" ? this.#callValue("aten::unbind", sequence) : sequence;
    const length = this.#callValue("aten::len", list);
    this.#loop(body, length, (index) => this.#assign(target, this.#call("aten::__getitem__", [list, index])));
  }

  /** A `prim::Loop`; the variables that its body assigns and that existed before are carried through it. */
  #loop(
    body: readonly Statement[],
    tripCount: Value | undefined,
    start?: (index: Value) => void,
    test?: Expression,
  ): void {
    const outer = this.#frame;
    const carried = [...assignedNames(body)].flatMap((name) => {
      const value = outer.get(name);
      return value instanceof Value ? [{ name, value, type: outer.declaredType(name) ?? value.type }] : [];
    });
    const trips = tripCount ?? this.#constant(INT64_MAX, IntType);
    const initial = test === undefined ? this.#constant(true, BoolType) : this.#conditionValue(test);
    const node = this.#insert("prim::Loop", [trips, initial, ...carried.map(({ value }) => value)], []);
    const { block } = this.#enter(node.addBlock());
    const index = block.addInput(IntType);
    this.#frame = new Frame(outer);
    for (const { name, type } of carried) {
      const input = block.addInput(type);
      nameValue(input, name);
      this.#frame.variables.set(name, input);
    }
    start?.(index);
    this.#block(body);
    block.registerOutput(test === undefined ? this.#constant(true, BoolType) : this.#conditionValue(test));
    const inner = this.#frame;
    this.#leave();
    this.#frame = outer;
    for (const { name, type } of carried) {
      const value = inner.get(name);
      if (!(value instanceof Value)) this.#fail(`'${name}' has no value at the end of the loop`);
      block.registerOutput(value);
      const unified = unifyTypes(type, value.type);
      if (unified === undefined) {
        this.#fail(`'${name}' is ${printType(type)} before the loop and ${printType(value.type)} after it`);
      }
      const output = node.addOutput(unified);
      nameValue(output, name);
      outer.variables.set(name, output);
    }
  }

  #conditionValue(test: Expression): Value {
    const condition = this.#condition(test);
    return typeof condition === "boolean" ? this.#constant(condition, BoolType) : condition;
  }

  /** A condition's outcome where it is known from types and literals alone. */
  #condition(test: Expression): boolean | Value {
    if (test.kind === "Literal") return test.value === true;
    if (test.kind === "Unary" && test.operator === "not") {
      const operand = this.#condition(test.operand);
      return typeof operand === "boolean" ? !operand : this.#callValue("aten::__not__", operand);
    }
    if (test.kind === "Binary" && (test.operator === "is" || test.operator === "is not")) {
      const known = this.#comparesWithNone(test);
      if (known !== undefined) return known;
    }
    const value = this.#value(this.#expression(test));
    const known = constantOf(value);
    if (typeof known === "boolean") return known;
    return value.type.kind === "BoolType" ? value : this.#callValue("aten::Bool", value);
  }

  /** `x is None` where the type of `x` says it. */
  #comparesWithNone({ left, right, operator }: Expression & { kind: "Binary" }): boolean | undefined {
    if (right.kind !== "Literal" || right.value !== null) return undefined;
    const { type } = this.#value(this.#expression(left));
    if (type.kind === "NoneType") return operator === "is";
    return type.kind === "OptionalType" || type.kind === "AnyType" ? undefined : operator !== "is";
  }

  // Expressions

  #expression(expression: Expression, hint?: Type): Sugared {
    const before = this.#at;
    this.#at = expression.at;
    const result = this.#evaluate(expression, hint);
    this.#at = before;
    return result;
  }

  #evaluate(expression: Expression, hint: Type | undefined): Sugared {
    switch (expression.kind) {
      case "Name":
        return this.#name(expression.name);
      case "Number":
        if (expression.type === "int") return this.#constant(expression.value, IntType);
        if (expression.type === "float") return this.#constant(expression.value, FloatType);
        return this.#call("aten::Complex", [this.#constant(0, FloatType), this.#constant(expression.value, FloatType)]);
      case "String":
        return this.#constant(expression.value, StringType);
      case "Literal":
        return this.#constant(expression.value, expression.value === null ? NoneType : BoolType);
      case "Attribute":
        return this.#attribute(this.#expression(expression.object), expression.name);
      case "Call":
        return this.#callExpression(expression.callee, expression.args, expression.keywords, expression.at);
      case "Subscript":
        return this.#subscript(expression.object, expression.index);
      case "Tuple": {
        const hints = hint?.kind === "TupleType" ? hint.elements : [];
        return { kind: "tuple", elements: expression.elements.map((e, i) => this.#expression(e, hints[i])) };
      }
      case "List":
        return this.#list(expression.elements, hint);
      case "Dict":
        return this.#dict(expression, hint);
      case "Unary":
        return this.#unary(expression);
      case "Binary":
        return this.#binary(expression);
      case "Conditional":
        return this.#choice(
          this.#condition(expression.test),
          () => this.#expression(expression.value, hint),
          () => this.#expression(expression.otherwise, hint),
        );
      case "Comprehension":
        return this.#comprehension(expression);
      case "Slice":
      case "Starred":
      case "Ellipsis":
        return this.#unsupported(expression.at, `a ${expression.kind.toLowerCase()} here`);
    }
  }

  #name(name: string): Sugared {
    const variable = this.#frame.get(name);
    if (variable !== undefined) return variable;
    switch (name) {
      case "torch":
        return { kind: "operators", namespace: "aten" };
      case "ops":
        return { kind: "ops" };
      case "CONSTANTS":
        return { kind: "constants" };
      case "__torch__":
        return { kind: "module", path: name };
      case "inf":
        return this.#constant(Infinity, FloatType);
      case "nan":
        return this.#constant(Number.NaN, FloatType);
    }
    const cast = CASTS[name];
    if (cast !== undefined) return { kind: "cast", ...cast };
    if (FORMS.has(name)) return { kind: "form", name };
    const operator = FUNCTIONS[name];
    return operator === undefined ? this.#fail(`'${name}' is not defined`) : { kind: "operator", name: operator };
  }

  #attribute(object: Sugared, name: string): Sugared {
    if (object instanceof Value) return this.#valueAttribute(object, name);
    switch (object.kind) {
      case "operators":
        return { kind: "operator", name: `${object.namespace}::${name}` };
      case "ops":
        return { kind: "operators", namespace: name };
      case "constants": {
        const value = this.#unit.constants[Number(name.slice(1))];
        if (value === undefined) return this.#fail(`the archive holds no constant ${name}`);
        return this.#constant(value, typeOfConstant(value));
      }
      case "module": {
        const path = `${object.path}.${name}`;
        return this.#unit.find(path) === undefined ? { kind: "module", path } : this.#definition(path);
      }
      case "class": {
        const { info } = object;
        if (name === "__new__") return { kind: "new", info };
        const type = this.#unit.typeOf(info);
        const member = type.kind === "EnumType" ? this.#unit.enumMember(info, name) : undefined;
        if (member !== undefined) return this.#constant(member, type);
        return this.#fail(`class ${info.qualifiedName} has no member '${name}'`);
      }
      default:
        return this.#valueAttribute(this.#value(object), name);
    }
  }

  #definition(path: string): Sugared {
    const info = this.#unit.find(path);
    if (info === undefined) return this.#fail(`the archive holds no ${path}`);
    return info.kind === "class" ? { kind: "class", info } : { kind: "function", info };
  }

  #valueAttribute(value: Value, name: string): Sugared {
    const { type } = value;
    if (type.kind === "ClassType" || type.kind === "InterfaceType") {
      const className = type.name;
      const attribute = this.#unit.attributeType(className, name);
      const isCustom = className.startsWith("__torch__.torch.classes.");
      if (attribute !== undefined && !isCustom) {
        const node = this.#insert("prim::GetAttr", [value], [attribute]);
        node.attributes.set("name", name);
        return node.output();
      }
      const constant = this.#unit.constantAttribute(className, name);
      if (constant !== undefined) return this.#constant(constant.value, constant.type);
      if (isCustom || this.#unit.findClass(className)?.methods.has(name) === true) {
        return { kind: "method", object: value, className, name };
      }
      return this.#fail(`${className} has no attribute or method '${name}'`);
    }
    if (type.kind === "TupleType" && type.fields !== undefined) {
      const index = type.fields.indexOf(name);
      if (index >= 0) return this.#tupleIndex(value, index);
    }
    if (type.kind === "EnumType" && (name === "name" || name === "value")) {
      const output = name === "name" ? StringType : IntType;
      return this.#insert(`prim::Enum${name === "name" ? "Name" : "Value"}`, [value], [output]).output();
    }
    if (type.kind === "TensorType") {
      const operator = TENSOR_ATTRIBUTES[name];
      if (operator !== undefined) return this.#call(operator, [value]);
    }
    return { kind: "operator", name: `aten::${name}`, self: value };
  }

  #subscript(object: Expression, index: Expression): Sugared {
    const base = this.#expression(object);
    if (!(base instanceof Value) && base.kind === "tuple") {
      const at = this.#unit.constant(index, this.#source);
      const element = typeof at === "number" ? base.elements.at(at) : undefined;
      if (element !== undefined) return element;
    }
    const value = this.#value(base);
    const { type } = value;
    if (index.kind === "Slice") return this.#slice(value, index);
    if (type.kind === "TupleType") {
      const at = this.#unit.constant(index, this.#source);
      if (typeof at === "number") return this.#tupleIndex(value, at < 0 ? at + type.elements.length : at);
      const element = unifyAll(type.elements);
      const position = this.#value(this.#expression(index));
      if (element === undefined) return this.#fail("this tuple's elements differ in type: its index must be a literal");
      return this.#insert("prim::TupleIndex", [value, position], [element]).output();
    }
    const position = this.#value(this.#expression(index));
    if (type.kind === "ClassType")
      return this.#invoke(this.#valueAttribute(value, "__getitem__"), [position], new Map());
    if (type.kind === "TensorType") {
      return this.#call("aten::select", [value, this.#constant(0, IntType), position]);
    }
    return this.#call("aten::__getitem__", [value, position]);
  }

  #slice(value: Value, { start, stop, step }: Expression & { kind: "Slice" }): Sugared {
    const { type } = value;
    if (type.kind === "TupleType") {
      const [from, to, by] = [start, stop, step].map((bound) =>
        bound === undefined ? undefined : this.#unit.constant(bound, this.#source),
      );
      if ([from, to].some((bound) => bound !== undefined && typeof bound !== "number") || (by ?? 1) !== 1) {
        return this.#fail("a tuple's slice takes literals and no step");
      }
      const elements = this.#unpack(value, type.elements.length);
      return { kind: "tuple", elements: elements.slice(from as number | undefined, to as number | undefined) };
    }
    const bounds = [start, stop, step ?? undefined].map((bound, i) =>
      bound === undefined
        ? i === 2
          ? this.#constant(1, IntType)
          : this.#constant(null, NoneType)
        : this.#value(this.#expression(bound)),
    );
    const dimension = type.kind === "TensorType" ? [this.#constant(0, IntType)] : [];
    return this.#call("aten::slice", [value, ...dimension, ...bounds]);
  }

  #tupleIndex(value: Value, index: number): Value {
    const { type, node } = value;
    const element = type.kind === "TupleType" ? type.elements[index] : undefined;
    if (element === undefined) return this.#fail(`${printType(type)} has no element ${index}`);
    if (node.kind === "prim::TupleConstruct") return node.input(index);
    return this.#insert("prim::TupleIndex", [value, this.#constant(index, IntType)], [element]).output();
  }

  #list(elements: readonly Expression[], hint: Type | undefined): Sugared {
    const wanted = hint?.kind === "OptionalType" ? hint.element : hint;
    const element = wanted?.kind === "ListType" ? wanted.element : undefined;
    if (elements.length === 0 && element === undefined) return { kind: "emptyList" };
    const values = elements.map((item) => this.#value(this.#expression(item, element)));
    const type = element ?? unifyAll(values.map((value) => value.type)) ?? this.#unionOf(values);
    return this.#makeList(values, type);
  }

  #unionOf(values: readonly Value[]): Type {
    const members: Type[] = [];
    for (const { type } of values) if (!members.some((member) => sameType(member, type))) members.push(type);
    return { kind: "UnionType", members };
  }

  #makeList(values: readonly Value[], element: Type): Value {
    return this.#insert("prim::ListConstruct", values, [ListType(element)]).output();
  }

  #dict({ keys, values }: Expression & { kind: "Dict" }, hint: Type | undefined): Sugared {
    const wanted = hint?.kind === "OptionalType" ? hint.element : hint;
    const known = wanted?.kind === "DictType" ? wanted : undefined;
    const inputs: Value[] = [];
    for (const [i, key] of keys.entries()) {
      inputs.push(this.#value(this.#expression(key, known?.key)));
      inputs.push(this.#value(this.#expression(values[i] as Expression, known?.value)));
    }
    const types = inputs.map((value) => value.type);
    const type: Type = known ?? {
      kind: "DictType",
      key: unifyAll(types.filter((_, i) => i % 2 === 0)) ?? StringType,
      value: unifyAll(types.filter((_, i) => i % 2 === 1)) ?? TensorType,
    };
    return this.#insert("prim::DictConstruct", inputs, [type]).output();
  }

  #unary(expression: Expression & { kind: "Unary" }): Sugared {
    const known = this.#unit.constant(expression, this.#source);
    if (typeof known === "number") {
      const { operand } = expression;
      return this.#constant(known, operand.kind === "Number" && operand.type === "int" ? IntType : FloatType);
    }
    if (expression.operator === "not") {
      const condition = this.#condition(expression);
      return typeof condition === "boolean" ? this.#constant(condition, BoolType) : condition;
    }
    const operand = this.#expression(expression.operand);
    if (expression.operator === "+") return operand;
    return this.#call(expression.operator === "-" ? "aten::neg" : "aten::bitwise_not", [this.#value(operand)]);
  }

  #binary(expression: Expression & { kind: "Binary" }): Sugared {
    const { operator, left, right } = expression;
    if (operator === "and" || operator === "or") {
      const stop = operator === "or";
      return this.#choice(
        this.#condition(left),
        () => (stop ? this.#constant(true, BoolType) : this.#conditionValue(right)),
        () => (stop ? this.#conditionValue(right) : this.#constant(false, BoolType)),
      );
    }
    if (operator === "is" || operator === "is not") {
      const known = this.#comparesWithNone(expression);
      if (known !== undefined) return this.#constant(known, BoolType);
    }
    const a = this.#value(this.#expression(left));
    const b = this.#value(this.#expression(right));
    if (operator === "in" || operator === "not in") {
      const contains = this.#callValue("aten::__contains__", b, a);
      return operator === "in" ? contains : this.#call("aten::__not__", [contains]);
    }
    return this.#call(this.#operatorName(operator, a), [a, b]);
  }

  #operatorName(operator: BinaryOperator, left: Value): string {
    if (operator === "and" || operator === "or" || operator === "in" || operator === "not in") {
      return this.#fail(`'${operator}' is not expected here`);
    }
    if (operator === "//" && left.type.kind === "TensorType") return "aten::floor_divide";
    return OPERATORS[operator];
  }

  #comprehension({ element, target, iterable, condition }: Expression & { kind: "Comprehension" }): Sugared {
    const list = this.#insert("prim::ListConstruct", [], [ListType(TensorType)]).output();
    const body: Statement[] = [];
    let type: Type | undefined;
    const outer = this.#frame;
    this.#frame = new Frame(outer);
    const sequence = this.#value(this.#expression(iterable));
    this.#loop(body, this.#callValue("aten::len", sequence), (index) => {
      this.#assign(target, this.#call("aten::__getitem__", [sequence, index]));
      this.#branches(
        condition === undefined ? true : this.#condition(condition),
        () => {
          const value = this.#value(this.#expression(element));
          type = value.type;
          list.type = ListType(type);
          this.#call("aten::append", [list, value]);
        },
        () => {},
      );
    });
    this.#frame = outer;
    return list;
  }

  // Calls

  #callExpression(callee: Expression, args: readonly Expression[], keywords: readonly Keyword[], at: number): Sugared {
    const target = this.#expression(callee);
    if (!(target instanceof Value)) {
      if (target.kind === "form") return this.#form(target.name, args, at);
      if (target.kind === "new") {
        return this.#insert("prim::CreateObject", [], [this.#unit.typeOf(target.info)]).output();
      }
      if (target.kind === "operator" && target.name === "aten::wait" && args.length === 1) {
        // A forked call has been made in place.
        return this.#expression(args[0] as Expression);
      }
      if (target.kind === "operator" && target.name === "aten::device" && args[0]?.kind === "String") {
        const [name, index] = args;
        const number = index === undefined ? undefined : this.#unit.constant(index, this.#source);
        const device = new Device(number === undefined ? name.value : `${name.value}:${number}`);
        return this.#constant(device, DeviceObjType);
      }
    }
    const values = args.flatMap((argument): Sugared[] => {
      if (argument.kind !== "Starred") return [this.#expression(argument)];
      const value = this.#value(this.#expression(argument.value));
      if (value.type.kind !== "TupleType") return this.#fail("only a tuple's elements can be passed with *");
      return [...this.#unpack(value, value.type.elements.length)];
    });
    const kwargs = new Map(keywords.map(({ name, value }) => [name, this.#expression(value)]));
    this.#at = at;
    return this.#invoke(target, values, kwargs);
  }

  #invoke(target: Sugared, args: readonly Sugared[], kwargs: ReadonlyMap<string, Sugared>): Sugared {
    if (target instanceof Value) {
      if (target.type.kind === "ClassType") return this.#invoke(this.#valueAttribute(target, "forward"), args, kwargs);
      return this.#fail(`a ${printType(target.type)} cannot be called`);
    }
    switch (target.kind) {
      case "operator":
        return this.#call(target.name, args, kwargs, target.self);
      case "cast": {
        const [argument] = args;
        if (argument === undefined || args.length !== 1) return this.#call(target.operator, args, kwargs);
        const value = this.#value(argument);
        return isSubtype(value.type, target.type) ? value : this.#call(target.operator, [value]);
      }
      case "function":
        return this.#callFunction(target.info, args, kwargs);
      case "method":
        return this.#callMethod(target, args, kwargs);
      case "class":
        return this.#construct(target.info, args, kwargs);
      case "closure":
        return this.#callClosure(target);
      case "module":
        return this.#fail(`the archive holds no ${target.path}`);
      default:
        return this.#fail("this cannot be called");
    }
  }

  #form(name: string, args: readonly Expression[], at: number): Sugared {
    const [first, second] = args;
    const need = (count: number): void => {
      if (args.length !== count) this.#fail(`${name} takes ${count} arguments, not ${args.length}`);
    };
    switch (name) {
      case "annotate": {
        need(2);
        const type = this.#unit.resolveType(first as Expression, this.#source);
        const result = this.#convertTo(type, this.#value(this.#expression(second as Expression, type), type));
        if (!isSubtype(result.type, type)) this.#fail(`a ${printType(result.type)} is no ${printType(type)}`);
        return result;
      }
      case "uninitialized": {
        need(1);
        const type = this.#unit.resolveType(first as Expression, this.#source);
        return this.#insert("prim::Uninitialized", [], [type]).output();
      }
      case "unchecked_cast": {
        need(2);
        const type = this.#unit.resolveType(first as Expression, this.#source);
        const value = this.#value(this.#expression(second as Expression));
        this.#at = at;
        return this.#insert("prim::unchecked_cast", [value], [type]).output();
      }
      case "unchecked_unwrap_optional": {
        need(1);
        const value = this.#value(this.#expression(first as Expression));
        if (value.type.kind !== "OptionalType") return value;
        return this.#insert("prim::unchecked_unwrap_optional", [value], [value.type.element]).output();
      }
      case "getattr": {
        if (second?.kind !== "String") return this.#fail("getattr takes an object and a name in quotes");
        return this.#attribute(this.#expression(first as Expression), second.value);
      }
      case "hasattr": {
        if (second?.kind !== "String") return this.#fail("hasattr takes an object and a name in quotes");
        const { type } = this.#value(this.#expression(first as Expression));
        const known =
          type.kind === "ClassType" &&
          (this.#unit.attributeType(type.name, second.value) !== undefined ||
            this.#unit.findClass(type.name)?.methods.has(second.value) === true);
        return this.#constant(known, BoolType);
      }
      case "isinstance":
        need(2);
        return this.#isInstance(this.#value(this.#expression(first as Expression)), second as Expression);
      case "fork":
      case "awaitable": {
        const target = this.#expression(first as Expression);
        const values = args.slice(1).map((argument) => this.#expression(argument));
        return this.#invoke(target, values, new Map());
      }
      case "print": {
        const values = args.map((argument) => this.#value(this.#expression(argument)));
        this.#insert("prim::Print", values, []);
        return this.#constant(null, NoneType);
      }
      default:
        return this.#unsupported(at, `${name}() here`);
    }
  }

  #isInstance(value: Value, candidates: Expression): Sugared {
    const list = candidates.kind === "Tuple" || candidates.kind === "List" ? candidates.elements : [candidates];
    const types = list.map((candidate) => this.#unit.resolveType(candidate, this.#source));
    const { type } = value;
    if (types.some((candidate) => isSubtype(type, candidate))) return this.#constant(true, BoolType);
    const possible = types.some(
      (candidate) => isSubtype(candidate, type) || (candidate.kind === "ListType" && type.kind === "AnyType"),
    );
    if (!possible) return this.#constant(false, BoolType);
    const node = this.#insert("prim::isinstance", [value], [BoolType]);
    node.attributes.set("types", types.map(printType));
    return node.output();
  }

  /** A call of an operator: the overload is chosen by the arguments' types. */
  #call(
    name: string,
    args: readonly Sugared[],
    kwargs: ReadonlyMap<string, Sugared> = NO_KEYWORDS,
    self?: Value,
  ): Sugared {
    const call = {
      args: args.map((value) => this.#operand(value)),
      kwargs: new Map([...kwargs].map(([key, value]) => [key, this.#operand(value)])),
      self: self === undefined ? undefined : this.#operand(self),
    };
    const known = findSchemas(name);
    if (known.length === 0) return this.#callUnknown(name, self === undefined ? args : [self, ...args], kwargs);
    const schemas = known.map((schema) => this.#upgrader(schema)?.schema ?? schema);
    const builtin = findBuiltin(name);
    if (builtin !== undefined) schemas.push(builtin.schema);
    const match = matchSchemas(schemas, call);
    if (match === undefined) return this.#failMatch(name, schemas, call);
    const inputs = match.inputs.map((input) => this.#input(input));
    if (builtin !== undefined && match.schema === builtin.schema) return this.#inline(builtin.function, inputs);
    const schema = known[schemas.indexOf(match.schema)] as FunctionSchema;
    const upgrader = this.#upgrader(schema);
    if (upgrader !== undefined) return this.#inline(upgrader.function, inputs);
    const node = this.#insert(name, inputs, match.returns);
    node.schema = schema;
    if (node.outputs.length === 1) return node.output();
    return { kind: "tuple", elements: node.outputs };
  }

  /** Built-in functions are written in today's operators. */
  #upgrader(schema: FunctionSchema): ReturnType<typeof findUpgrader> {
    return this.#source === BUILTIN_SOURCE ? undefined : findUpgrader(schema, this.#unit.version);
  }

  #callValue(name: string, ...args: Value[]): Value {
    return this.#value(this.#call(name, args));
  }

  /** A user's operator without a schema stays in the graph, so that the support report can name it. */
  #callUnknown(name: string, args: readonly Sugared[], kwargs: ReadonlyMap<string, Sugared>): Sugared {
    if (name.startsWith("aten::") || name.startsWith("prim::")) {
      return this.#fail(`there is no operator ${name}`, "The file may have been saved by a PyTorch newer than 2.11.");
    }
    const values = [...args, ...kwargs.values()].map((value) => this.#value(value));
    return this.#insert(name, values, [TensorType]).output();
  }

  #callFunction(info: FunctionInfo, args: readonly Sugared[], kwargs: ReadonlyMap<string, Sugared>): Sugared {
    const { match, inputs } = this.#matchOwn(info, undefined, args, kwargs);
    const name = info.definition.name;
    const type: Type = { kind: "FunctionType", name: info.qualifiedName };
    const callee = this.#pooled(`function ${info.qualifiedName}`, () => {
      const node = this.#graph.createNode("prim::Constant", [], [type]);
      node.attributes.set("name", name);
      return node;
    });
    return this.#insert("prim::CallFunction", [callee, ...inputs], match.returns).output();
  }

  #callMethod(
    { object, className, name }: Special<"method">,
    args: readonly Sugared[],
    kwargs: ReadonlyMap<string, Sugared>,
  ): Sugared {
    const info = this.#unit.findClass(className)?.methods.get(name);
    let inputs: readonly Value[];
    let returns: readonly Type[];
    if (info !== undefined) {
      const own = this.#matchOwn(info, object, args, kwargs);
      inputs = own.inputs;
      returns = own.match.returns;
    } else {
      // A C++ class: its code is not in the archive.
      const type = this.#unit.attributeType(className, name) ?? TensorType;
      inputs = [object, ...args, ...kwargs.values()].map((value) => this.#value(value));
      returns = [type];
    }
    const node = this.#insert("prim::CallMethod", inputs, returns);
    node.attributes.set("name", name);
    return node.output();
  }

  #matchOwn(
    info: FunctionInfo,
    self: Value | undefined,
    args: readonly Sugared[],
    kwargs: ReadonlyMap<string, Sugared>,
  ): { match: Match<CallArgument>; inputs: readonly Value[] } {
    const signature = this.#unit.signature(info);
    const call = {
      args: args.map((value) => this.#operand(value)),
      kwargs: new Map([...kwargs].map(([key, value]) => [key, this.#operand(value)])),
      self: self === undefined ? undefined : this.#operand(self),
    };
    const match = matchSchemas([signature], call);
    if (match === undefined) return this.#failMatch(info.qualifiedName, [signature], call);
    return { match, inputs: match.inputs.map((input) => this.#input(input)) };
  }

  #construct(info: ClassInfo, args: readonly Sugared[], kwargs: ReadonlyMap<string, Sugared>): Sugared {
    const type = this.#unit.typeOf(info);
    if (type.kind === "TupleType") {
      const { attributes } = info.definition;
      const elements = type.elements.map((element, i) => {
        const field = attributes[i];
        const given = args[i] ?? kwargs.get(field?.name ?? "");
        if (given !== undefined) return this.#convertTo(element, this.#value(given, element));
        if (field?.value === undefined) return this.#fail(`${info.definition.name} needs '${field?.name}'`);
        return this.#convertTo(element, this.#value(this.#expression(field.value, element), element));
      });
      return this.#insert("prim::TupleConstruct", elements, [type]).output();
    }
    const object = this.#insert("prim::CreateObject", [], [type]).output();
    if (info.methods.has("__init__")) {
      this.#callMethod({ kind: "method", object, className: info.qualifiedName, name: "__init__" }, args, kwargs);
    }
    return object;
  }

  /** A nested function takes no arguments: it sees the variables around it. */
  #callClosure({ body, frame }: Special<"closure">): Sugared {
    const outer = this.#frame;
    this.#frame = new Frame(frame);
    const result = this.#body(body);
    this.#frame = outer;
    return result;
  }

  /** Compiles a built-in function in place of a call. */
  #inline(name: string, inputs: readonly Value[]): Sugared {
    builtinFunctions ??= parseFile(BUILTIN_SOURCE).functions;
    const definition = builtinFunctions.get(name);
    if (definition === undefined) return this.#fail(`there is no built-in function ${name}`);
    const [source, frame, at] = [this.#source, this.#frame, this.#at];
    // What is compiled in place comes from where the call does.
    const outermost = this.#inlinedAt === undefined;
    this.#inlinedAt ??= this.#range();
    this.#source = BUILTIN_SOURCE;
    this.#frame = new Frame();
    for (const [i, parameter] of definition.parameters.entries()) {
      this.#frame.variables.set(parameter.name, inputs[i] as Value);
    }
    const result = this.#body(definition.body);
    if (outermost) this.#inlinedAt = undefined;
    [this.#source, this.#frame, this.#at] = [source, frame, at];
    return result;
  }

  #failMatch(
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
    return this.#fail(
      `no overload of ${name} takes (${types.join(", ")})`,
      [...new Set(reasons)].slice(0, 4).join("; "),
    );
  }

  #operand(value: Sugared): CallArgument {
    if (!(value instanceof Value) && value.kind === "emptyList") {
      return { value, type: ListType(TensorType), emptyList: true };
    }
    const materialised = this.#value(value);
    return { value: materialised, type: materialised.type };
  }

  #input(input: Input<CallArgument>): Value {
    switch (input.kind) {
      case "default":
        return this.#default(input.argument);
      case "list":
        return this.#makeList(
          input.operands.map(({ value }, i) => this.#convert(input.conversions[i] as Conversion, value)),
          input.element,
        );
      case "operand":
        return this.#convert(input.conversion, input.operand.value);
    }
  }

  #default({ default: value = null, type: declared, size }: Argument): Value {
    const type = declared.kind === "OptionalType" ? declared.element : declared;
    if (value === null) return this.#constant(null, NoneType);
    // `int[2] stride=1`.
    if (type.kind === "ListType" && !Array.isArray(value) && size !== undefined) {
      return this.#constant(new Array<Constant>(size).fill(value), type);
    }
    if (type.kind === "NumberType" && typeof value === "number") {
      return this.#constant(value, Number.isInteger(value) ? IntType : FloatType);
    }
    return this.#constant(value, type);
  }

  #convertTo(type: Type, value: Value): Value {
    const { conversion } = convert(type, value, true);
    return this.#convert(conversion, value);
  }

  #convert(conversion: Conversion, operand: Sugared): Value {
    switch (conversion.kind) {
      case "same":
        return this.#value(operand);
      case "repeat": {
        const value = this.#value(operand);
        return this.#makeList(new Array<Value>(conversion.times).fill(value), value.type);
      }
      case "emptyList":
        return this.#makeList([], conversion.element);
      case "tupleToList": {
        const value = this.#value(operand);
        const count = (value.type as { elements: readonly Type[] }).elements.length;
        const elements = this.#unpack(value, count).map((element) => this.#value(element));
        return this.#makeList(elements, conversion.element);
      }
      case "tuple": {
        const elements = this.#unpack(operand, conversion.elements.length).map((element, i) =>
          this.#convert(conversion.elements[i] as Conversion, element),
        );
        return this.#tuple(elements);
      }
      case "call":
        return this.#callValue(conversion.operator, this.#value(operand));
    }
  }

  // Nodes

  /** A value of the graph for what an expression gave. `hint` is the type that an empty list is to have. */
  #value(sugared: Sugared, hint?: Type): Value {
    if (sugared instanceof Value) return sugared;
    switch (sugared.kind) {
      case "tuple": {
        const hints = hint?.kind === "TupleType" ? hint.elements : [];
        return this.#tuple(sugared.elements.map((element, i) => this.#value(element, hints[i])));
      }
      case "emptyList":
        return this.#makeList([], hint?.kind === "ListType" ? hint.element : TensorType);
      case "module":
        return this.#fail(`the archive holds no ${sugared.path}`);
      default:
        return this.#fail(`this is no value (${sugared.kind})`);
    }
  }

  #tuple(elements: readonly Value[]): Value {
    const type: Type = { kind: "TupleType", elements: elements.map((element) => element.type) };
    return this.#insert("prim::TupleConstruct", elements, [type]).output();
  }

  #insert(kind: string, inputs: readonly Value[], outputs: readonly Type[]): Node {
    const node = this.#graph.createNode(kind, inputs, outputs);
    node.sourceRange = this.#range();
    (this.#scopes.at(-1) as Scope).block.appendNode(node);
    return node;
  }

  #range(): SourceRange {
    return this.#inlinedAt ?? this.#findRange(this.#source, this.#at);
  }

  /** A `prim::Constant`; equal ones that can be seen from here are one. */
  #constant(value: Constant, type: Type): Value {
    const key =
      value === null
        ? "None"
        : typeof value === "object"
          ? value instanceof Device
            ? `device ${value.name}`
            : Array.isArray(value) && value.every((item) => typeof item !== "object")
              ? `${printType(type)} ${value.map(String).join()}`
              : value
          : `${printType(type)} ${Object.is(value, -0) ? "-0" : String(value)}`;
    return this.#pooled(key, () => this.#graph.createConstant(value, value === null ? NoneType : type));
  }

  #pooled(key: string | Constant, create: () => Node): Value {
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      const known = this.#scopes[i]?.constants.get(key);
      if (known !== undefined) return known;
    }
    const scope = this.#scopes.at(-1) as Scope;
    const node = create();
    node.sourceRange = this.#range();
    scope.block.appendNode(node);
    scope.constants.set(key, node.output());
    return node.output();
  }

  #enter(block: Block): Scope {
    const scope = { block, constants: new Map<string | Constant, Value>() };
    this.#scopes.push(scope);
    return scope;
  }

  #leave(): void {
    this.#scopes.pop();
  }

  #fail(message: string, hint?: string): never {
    return this.#source.fail(this.#at, message, hint);
  }

  #unsupported(at: number, what: string): never {
    return this.#source.fail(at, `${what} is not supported`, "PyTorch does not write this form into archives.");
  }
}

const NO_KEYWORDS: ReadonlyMap<string, Sugared> = new Map();

/**
 * Gives a value the name of the variable it is assigned to, as PyTorch does: the first that is no `_12`. A constant
 * stands for every equal one, so a name would mislead.
 */
function nameValue(value: Value, name: string): void {
  if (value.debugName !== undefined || value.node.kind === "prim::Constant" || /^_\d*$/.test(name)) return;
  value.debugName = name;
}

function typeOfConstant(value: Constant): Type {
  if (value === null) return NoneType;
  if (typeof value === "boolean") return BoolType;
  if (typeof value === "string") return StringType;
  if (typeof value === "number") return Number.isInteger(value) ? IntType : FloatType;
  if (value instanceof Device) return DeviceObjType;
  if (Array.isArray(value)) return ListType(unifyAll(value.map(typeOfConstant)) ?? TensorType);
  return TensorType;
}
