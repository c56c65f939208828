import type { Graph } from "../ir/graph.js";
import { Value } from "../ir/graph.js";
import { INT64_MAX } from "../ir/int64.js";
import { findSchemas } from "../ir/operators.js";
import { isSubtype, unifyTypes } from "../ir/subtype.js";
import { BoolType, IntType, NoneType, printType, StringType, type Type } from "../ir/type.js";
import type { Expression, Statement } from "./ast.js";
import { assignedNames } from "./ast-names.js";
import { removeDeadNodes } from "./dead-nodes.js";
import { ExpressionImporter } from "./expression-importer.js";
import { type FindRange, nameValue, type Scope } from "./graph-builder.js";
import { Frame, type Sugared } from "./sugared.js";
import type { CompilationUnit, FunctionInfo } from "./unit.js";

/**
 * Compiles a function to the graph that `torch.jit.load` makes of it: constants pooled, tuples that are taken apart
 * at once removed, calls of methods and functions left as `prim::CallMethod` and `prim::CallFunction`.
 * Throws a TrtorchError of code `parse` or `unsupported` that points at the line of the archive's code.
 */
export function importFunction(unit: CompilationUnit, info: FunctionInfo, findRange: FindRange): Graph {
  return new FunctionImporter(unit, info, findRange).function(info);
}

/** Statements: assignments, and the blocks of ifs and loops with the variables that leave them. */
class FunctionImporter extends ExpressionImporter {
  function(info: FunctionInfo): Graph {
    const { definition } = info;
    const signature = this.unit.signature(info);
    for (const [i, argument] of signature.arguments.entries()) {
      const name = definition.parameters[i]?.name as string;
      const input = this.graph.addInput(name, argument.type);
      if (argument.default !== undefined) this.graph.defaults.set(input, argument.default);
      this.frame.variables.set(name, input);
    }
    const result = this.body(definition.body);
    this.at = definition.body.at(-1)?.at ?? definition.at;
    const declared = definition.returns === undefined ? undefined : signature.returns[0]?.type;
    let value = this.value(result);
    if (declared !== undefined) {
      value = this.convertTo(declared, value);
      if (!isSubtype(value.type, declared)) {
        this.fail(`${definition.name} returns ${printType(value.type)}, but declares ${printType(declared)}`);
      }
    }
    this.graph.registerOutput(value);
    removeDeadNodes(this.graph.block);
    return this.graph;
  }

  /** A function's body; the value it returns. */
  protected override body(statements: readonly Statement[]): Sugared {
    for (const statement of statements) {
      if (statement.kind === "Return") return this.returned(statement.value);
      const outcome = this.statement(statement);
      if (outcome !== undefined) return outcome;
    }
    return this.constant(null, NoneType);
  }

  protected returned(value: Expression | undefined): Sugared {
    return value === undefined ? this.constant(null, NoneType) : this.expression(value);
  }

  protected block(statements: readonly Statement[]): void {
    for (const statement of statements) {
      if (statement.kind === "Return") this.unsupported(statement.at, "a return inside an if or a loop");
      if (this.statement(statement) !== undefined) this.unsupported(statement.at, "a return inside an if or a loop");
    }
  }

  /** Gives a value where the statement, an `if` whose outcome is known, returns. */
  protected statement(statement: Statement): Sugared | undefined {
    this.at = statement.at;
    switch (statement.kind) {
      case "Expression":
        this.expression(statement.value);
        return undefined;
      case "Assign":
        this.assignment(statement);
        return undefined;
      case "AugmentedAssign": {
        const left = this.value(this.expression(statement.target));
        const right = this.value(this.expression(statement.value));
        this.at = statement.at;
        const operator = this.operatorName(statement.operator, left);
        const inplace = left.type.kind === "TensorType" && findSchemas(`${operator}_`).length > 0;
        const addToList = left.type.kind === "ListType" && operator === "aten::add";
        this.assign(statement.target, this.call(inplace || addToList ? `${operator}_` : operator, [left, right]));
        return undefined;
      }
      case "If":
        return this.emitIf(statement);
      case "While":
        this.loop(statement.body, undefined, undefined, statement.test);
        return undefined;
      case "For":
        this.emitFor(statement);
        return undefined;
      case "With": {
        const contexts = statement.items.map(({ context, target }) => {
          const object = this.value(this.expression(context));
          const entered = this.enterContext(object);
          if (target !== undefined) this.assign(target, entered);
          return object;
        });
        this.block(statement.body);
        this.at = statement.at;
        for (const object of contexts.reverse()) this.exitContext(object);
        return undefined;
      }
      case "Raise": {
        const { value } = statement;
        const message = value?.kind === "Call" ? value.args[0] : value;
        const text = message === undefined ? this.constant("", StringType) : this.value(this.expression(message));
        this.at = statement.at;
        this.call("prim::RaiseException", [text.type.kind === "StringType" ? text : this.callValue("aten::str", text)]);
        return undefined;
      }
      case "Assert": {
        const condition = this.condition(statement.test);
        const message = statement.message;
        this.branches(
          condition,
          () => {},
          () => {
            const text =
              message === undefined
                ? this.constant("AssertionError: ", StringType)
                : this.value(this.expression(message));
            this.call("prim::RaiseException", [text]);
          },
        );
        return undefined;
      }
      case "Delete":
        for (const target of statement.targets) {
          if (target.kind === "Name") this.frame.variables.delete(target.name);
          else if (target.kind === "Subscript") {
            const object = this.value(this.expression(target.object));
            this.call("aten::Delete", [object, this.value(this.expression(target.index))]);
          } else this.unsupported(target.at, "this del");
        }
        return undefined;
      case "Function":
        this.frame.variables.set(statement.name, { kind: "closure", body: statement.body, frame: this.frame });
        return undefined;
      case "Pass":
        return undefined;
      case "Return":
        return this.returned(statement.value);
      case "Break":
      case "Continue":
        return this.unsupported(statement.at, `a ${statement.kind.toLowerCase()}`);
    }
  }

  /**
   * A context's methods are calls like all others, where PyTorch leaves them to `prim::Enter` and `prim::Exit`. Those
   * remain for classes of C++ and for PyTorch's own, `no_grad` and the profiler's: an engine has no such modes.
   */
  protected enterContext(object: Value): Sugared {
    const method = this.contextMethod(object, "__enter__");
    if (method === undefined || isOfPyTorch(method)) {
      const type = method === undefined ? undefined : this.unit.signature(method).returns[0]?.type;
      return this.insert("prim::Enter", [object], [type ?? NoneType]).output();
    }
    return this.invoke(this.valueAttribute(object, "__enter__"), [], new Map());
  }

  protected exitContext(object: Value): void {
    const method = this.contextMethod(object, "__exit__");
    if (method === undefined || isOfPyTorch(method)) {
      this.insert("prim::Exit", [object], []);
      return;
    }
    // An exception ends the whole method, so there is never one to tell of.
    const none = this.constant(null, NoneType);
    this.invoke(this.valueAttribute(object, "__exit__"), [none, none, none], new Map());
  }

  protected contextMethod({ type }: Value, name: string): FunctionInfo | undefined {
    return type.kind === "ClassType" ? this.unit.findClass(type.name)?.methods.get(name) : undefined;
  }

  protected assignment({ targets, annotation, value, at }: Statement & { kind: "Assign" }): void {
    const type = annotation === undefined ? undefined : this.unit.resolveType(annotation, this.source);
    const [first] = targets;
    if (type !== undefined && first?.kind === "Name") this.frame.declared.set(first.name, type);
    if (value === undefined) return;
    let result = this.expression(value, type);
    this.at = at;
    if (type !== undefined) {
      const converted = this.convertTo(type, this.value(result, type));
      if (!isSubtype(converted.type, type)) {
        this.fail(`a ${printType(converted.type)} is assigned to a variable of type ${printType(type)}`);
      }
      result = converted;
    }
    for (const target of targets) this.assign(target, result);
  }

  protected override assign(target: Expression, result: Sugared): void {
    switch (target.kind) {
      case "Name": {
        let value = result;
        if (!(value instanceof Value) && (value.kind === "tuple" || value.kind === "emptyList"))
          value = this.value(value);
        if (value instanceof Value) nameValue(value, target.name);
        this.frame.variables.set(target.name, value);
        return;
      }
      case "Tuple":
      case "List": {
        const values = this.unpack(result, target.elements.length);
        for (const [i, element] of target.elements.entries()) this.assign(element, values[i] as Sugared);
        return;
      }
      case "Attribute": {
        const object = this.value(this.expression(target.object));
        if (object.type.kind !== "ClassType") this.fail(`${printType(object.type)} has no attributes to assign to`);
        const type = this.unit.attributeType((object.type as { name: string }).name, target.name);
        const value = this.value(result);
        this.at = target.at;
        const node = this.insert(
          "prim::SetAttr",
          [object, type === undefined ? value : this.convertTo(type, value)],
          [],
        );
        node.attributes.set("name", target.name);
        return;
      }
      case "Subscript": {
        const object = this.value(this.expression(target.object));
        const index = this.value(this.expression(target.index));
        this.call("aten::_set_item", [object, index, this.value(result)]);
        return;
      }
      default:
        this.unsupported(target.at, "an assignment to this");
    }
  }

  protected emitIf({ test, body, otherwise, at }: Statement & { kind: "If" }): Sugared | undefined {
    const condition = this.condition(test);
    this.at = at;
    if (typeof condition === "boolean") {
      for (const statement of condition ? body : otherwise) {
        const outcome = this.statement(statement);
        if (outcome !== undefined) return outcome;
      }
      return undefined;
    }
    const thenReturn = body.at(-1);
    const otherwiseReturn = otherwise.at(-1);
    if (thenReturn?.kind === "Return" && otherwiseReturn?.kind === "Return") {
      return this.choice(
        condition,
        () => this.body(body),
        () => this.body(otherwise),
      );
    }
    this.branches(
      condition,
      () => this.block(body),
      () => this.block(otherwise),
    );
    return undefined;
  }

  /** A `prim::If` whose results are the variables that either branch assigns and both have. */
  protected override branches(condition: boolean | Value, then: () => void, otherwise: () => void): void {
    if (typeof condition === "boolean") {
      if (condition) then();
      else otherwise();
      return;
    }
    const node = this.insert("prim::If", [condition], []);
    const outer = this.frame;
    const arms = [then, otherwise].map((emit) => {
      const scope = this.enter(node.addBlock());
      this.frame = new Frame(outer);
      emit();
      const frame = this.frame;
      this.leave();
      this.frame = outer;
      const raises = [...scope.block.nodes()].some((inner) => inner.kind === "prim::RaiseException");
      return { scope, frame, raises };
    });
    const [a, b] = arms as [(typeof arms)[0], (typeof arms)[0]];
    const names = new Set([...a.frame.variables.keys(), ...b.frame.variables.keys()]);
    for (const name of names) {
      let left = a.frame.get(name);
      let right = b.frame.get(name);
      // What a branch that raises would have assigned does not matter.
      if (left === undefined && a.raises && right instanceof Value) left = this.uninitialized(a.scope, right.type);
      if (right === undefined && b.raises && left instanceof Value) right = this.uninitialized(b.scope, left.type);
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

  protected uninitialized(scope: Scope, type: Type): Value {
    return scope.block.appendNode(this.graph.createNode("prim::Uninitialized", [], [type])).output();
  }

  protected emitFor({ target, iterable, body, at }: Statement & { kind: "For" }): void {
    if (iterable.kind === "Call" && iterable.callee.kind === "Name" && iterable.callee.name === "range") {
      const bounds = iterable.args.map((bound) => this.convertTo(IntType, this.value(this.expression(bound))));
      const [first, stop, step = this.constant(1, IntType)] = bounds;
      if (first === undefined) this.fail("range() takes at least one argument");
      this.at = at;
      if (stop === undefined) this.loop(body, first, (index) => this.assign(target, index));
      else {
        const length = this.value(this.call("aten::__range_length", [first, stop, step]));
        this.loop(body, length, (index) => {
          this.assign(target, this.call("aten::__derive_index", [index, first, step]));
        });
      }
      return;
    }
    const sequence = this.value(this.expression(iterable));
    this.at = at;
    if (sequence.type.kind === "TupleType") {
      // A tuple's elements may be of several types: the loop is written out.
      for (const element of this.unpack(sequence, sequence.type.elements.length)) {
        this.assign(target, element);
        this.block(body);
      }
      return;
    }
    const list = sequence.type.kind === "TensorType" ? this.callValue("aten::unbind", sequence) : sequence;
    const length = this.callValue("aten::len", list);
    this.loop(body, length, (index) => this.assign(target, this.call("aten::__getitem__", [list, index])));
  }

  /** A `prim::Loop`; the variables that its body assigns and that existed before are carried through it. */
  protected override loop(
    body: readonly Statement[],
    tripCount: Value | undefined,
    start?: (index: Value) => void,
    test?: Expression,
  ): void {
    const outer = this.frame;
    const carried = [...assignedNames(body)].flatMap((name) => {
      const value = outer.get(name);
      return value instanceof Value ? [{ name, value, type: outer.declaredType(name) ?? value.type }] : [];
    });
    const trips = tripCount ?? this.constant(INT64_MAX, IntType);
    const initial = test === undefined ? this.constant(true, BoolType) : this.conditionValue(test);
    const node = this.insert("prim::Loop", [trips, initial, ...carried.map(({ value }) => value)], []);
    const { block } = this.enter(node.addBlock());
    const index = block.addInput(IntType);
    this.frame = new Frame(outer);
    for (const { name, type } of carried) {
      const input = block.addInput(type);
      nameValue(input, name);
      this.frame.variables.set(name, input);
    }
    start?.(index);
    this.block(body);
    block.registerOutput(test === undefined ? this.constant(true, BoolType) : this.conditionValue(test));
    const inner = this.frame;
    this.leave();
    this.frame = outer;
    for (const { name, type } of carried) {
      const value = inner.get(name);
      if (!(value instanceof Value)) this.fail(`'${name}' has no value at the end of the loop`);
      block.registerOutput(value);
      const unified = unifyTypes(type, value.type);
      if (unified === undefined) {
        this.fail(`'${name}' is ${printType(type)} before the loop and ${printType(value.type)} after it`);
      }
      const output = node.addOutput(unified);
      nameValue(output, name);
      outer.variables.set(name, output);
    }
  }
}

function isOfPyTorch({ qualifiedName }: FunctionInfo): boolean {
  return qualifiedName.startsWith("__torch__.torch.");
}
