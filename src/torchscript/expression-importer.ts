import { Device } from "../ir/constant.js";
import { constantOf, Value } from "../ir/graph.js";
import { isSubtype, unifyAll, unifyTypes } from "../ir/subtype.js";
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
import { CallImporter } from "./call-importer.js";
import { CASTS, FORMS, FUNCTIONS, OPERATORS } from "./python-names.js";
import { Frame, type Sugared } from "./sugared.js";

/** Expressions: names, literals, containers, conditions, and the forms that look like calls. */
export abstract class ExpressionImporter extends CallImporter {
  protected abstract assign(target: Expression, result: Sugared): void;
  protected abstract branches(condition: boolean | Value, then: () => void, otherwise: () => void): void;
  protected abstract loop(body: readonly Statement[], tripCount: Value, start: (index: Value) => void): void;

  /** A `prim::If` with one result: a conditional expression. */
  protected choice(condition: boolean | Value, then: () => Sugared, otherwise: () => Sugared): Sugared {
    if (typeof condition === "boolean") return condition ? then() : otherwise();
    const node = this.insert("prim::If", [condition], []);
    const outer = this.frame;
    const types = [then, otherwise].map((emit) => {
      const { block } = this.enter(node.addBlock());
      this.frame = new Frame(outer);
      const value = this.value(emit());
      this.leave();
      this.frame = outer;
      block.registerOutput(value);
      return value.type;
    });
    const type = unifyTypes(types[0] as Type, types[1] as Type);
    if (type === undefined) return this.fail(`the branches give ${types.map(printType).join(" and ")}`);
    return node.addOutput(type);
  }

  protected conditionValue(test: Expression): Value {
    const condition = this.condition(test);
    return typeof condition === "boolean" ? this.constant(condition, BoolType) : condition;
  }

  /** A condition's outcome where it is known from types and literals alone. */
  protected condition(test: Expression): boolean | Value {
    if (test.kind === "Literal") return test.value === true;
    if (test.kind === "Unary" && test.operator === "not") {
      const operand = this.condition(test.operand);
      return typeof operand === "boolean" ? !operand : this.callValue("aten::__not__", operand);
    }
    if (test.kind === "Binary" && (test.operator === "is" || test.operator === "is not")) {
      const known = this.comparesWithNone(test);
      if (known !== undefined) return known;
    }
    const value = this.value(this.expression(test));
    const known = constantOf(value);
    if (typeof known === "boolean") return known;
    return value.type.kind === "BoolType" ? value : this.callValue("aten::Bool", value);
  }

  /** `x is None` where the type of `x` says it. */
  protected comparesWithNone({ left, right, operator }: Expression & { kind: "Binary" }): boolean | undefined {
    if (right.kind !== "Literal" || right.value !== null) return undefined;
    const { type } = this.value(this.expression(left));
    if (type.kind === "NoneType") return operator === "is";
    return type.kind === "OptionalType" || type.kind === "AnyType" ? undefined : operator !== "is";
  }

  protected expression(expression: Expression, hint?: Type): Sugared {
    const before = this.at;
    this.at = expression.at;
    const result = this.evaluate(expression, hint);
    this.at = before;
    return result;
  }

  protected evaluate(expression: Expression, hint: Type | undefined): Sugared {
    switch (expression.kind) {
      case "Name":
        return this.lookUp(expression.name);
      case "Number":
        if (expression.type === "int") return this.constant(expression.value, IntType);
        if (expression.type === "float") return this.constant(expression.value, FloatType);
        return this.call("aten::Complex", [this.constant(0, FloatType), this.constant(expression.value, FloatType)]);
      case "String":
        return this.constant(expression.value, StringType);
      case "Literal":
        return this.constant(expression.value, expression.value === null ? NoneType : BoolType);
      case "Attribute":
        return this.attribute(this.expression(expression.object), expression.name);
      case "Call":
        return this.callExpression(expression.callee, expression.args, expression.keywords, expression.at);
      case "Subscript":
        return this.subscript(expression.object, expression.index);
      case "Tuple": {
        const hints = hint?.kind === "TupleType" ? hint.elements : [];
        return { kind: "tuple", elements: expression.elements.map((e, i) => this.expression(e, hints[i])) };
      }
      case "List":
        return this.list(expression.elements, hint);
      case "Dict":
        return this.dict(expression, hint);
      case "Unary":
        return this.unary(expression);
      case "Binary":
        return this.binary(expression);
      case "Conditional":
        return this.choice(
          this.condition(expression.test),
          () => this.expression(expression.value, hint),
          () => this.expression(expression.otherwise, hint),
        );
      case "Comprehension":
        return this.comprehension(expression);
      case "Slice":
      case "Starred":
      case "Ellipsis":
        return this.unsupported(expression.at, `a ${expression.kind.toLowerCase()} here`);
    }
  }

  protected lookUp(name: string): Sugared {
    const variable = this.frame.get(name);
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
        return this.constant(Infinity, FloatType);
      case "nan":
        return this.constant(Number.NaN, FloatType);
    }
    const cast = CASTS[name];
    if (cast !== undefined) return { kind: "cast", ...cast };
    if (FORMS.has(name)) return { kind: "form", name };
    const operator = FUNCTIONS[name];
    return operator === undefined ? this.fail(`'${name}' is not defined`) : { kind: "operator", name: operator };
  }

  protected subscript(object: Expression, index: Expression): Sugared {
    const base = this.expression(object);
    if (!(base instanceof Value) && base.kind === "tuple") {
      const at = this.unit.constant(index, this.source);
      const element = typeof at === "number" ? base.elements.at(at) : undefined;
      if (element !== undefined) return element;
    }
    const value = this.value(base);
    const { type } = value;
    if (index.kind === "Slice") return this.slice(value, index);
    if (type.kind === "TupleType") {
      const at = this.unit.constant(index, this.source);
      if (typeof at === "number") return this.tupleIndex(value, at < 0 ? at + type.elements.length : at);
      const element = unifyAll(type.elements);
      const position = this.value(this.expression(index));
      if (element === undefined) return this.fail("this tuple's elements differ in type: its index must be a literal");
      return this.insert("prim::TupleIndex", [value, position], [element]).output();
    }
    const position = this.value(this.expression(index));
    if (type.kind === "ClassType") return this.invoke(this.valueAttribute(value, "__getitem__"), [position], new Map());
    if (type.kind === "TensorType") {
      return this.call("aten::select", [value, this.constant(0, IntType), position]);
    }
    return this.call("aten::__getitem__", [value, position]);
  }

  protected slice(value: Value, { start, stop, step }: Expression & { kind: "Slice" }): Sugared {
    const { type } = value;
    if (type.kind === "TupleType") {
      const [from, to, by] = [start, stop, step].map((bound) =>
        bound === undefined ? undefined : this.unit.constant(bound, this.source),
      );
      if ([from, to].some((bound) => bound !== undefined && typeof bound !== "number") || (by ?? 1) !== 1) {
        return this.fail("a tuple's slice takes literals and no step");
      }
      const elements = this.unpack(value, type.elements.length);
      return { kind: "tuple", elements: elements.slice(from as number | undefined, to as number | undefined) };
    }
    const bounds = [start, stop, step ?? undefined].map((bound, i) =>
      bound === undefined
        ? i === 2
          ? this.constant(1, IntType)
          : this.constant(null, NoneType)
        : this.value(this.expression(bound)),
    );
    const dimension = type.kind === "TensorType" ? [this.constant(0, IntType)] : [];
    return this.call("aten::slice", [value, ...dimension, ...bounds]);
  }

  protected list(elements: readonly Expression[], hint: Type | undefined): Sugared {
    const wanted = hint?.kind === "OptionalType" ? hint.element : hint;
    const element = wanted?.kind === "ListType" ? wanted.element : undefined;
    if (elements.length === 0 && element === undefined) return { kind: "emptyList" };
    const values = elements.map((item) => this.value(this.expression(item, element)));
    const type = element ?? unifyAll(values.map((value) => value.type)) ?? this.unionOf(values);
    return this.makeList(values, type);
  }

  protected unionOf(values: readonly Value[]): Type {
    const members: Type[] = [];
    for (const { type } of values) if (!members.some((member) => sameType(member, type))) members.push(type);
    return { kind: "UnionType", members };
  }

  protected dict({ keys, values }: Expression & { kind: "Dict" }, hint: Type | undefined): Sugared {
    const wanted = hint?.kind === "OptionalType" ? hint.element : hint;
    const known = wanted?.kind === "DictType" ? wanted : undefined;
    const inputs: Value[] = [];
    for (const [i, key] of keys.entries()) {
      inputs.push(this.value(this.expression(key, known?.key)));
      inputs.push(this.value(this.expression(values[i] as Expression, known?.value)));
    }
    const types = inputs.map((value) => value.type);
    const type: Type = known ?? {
      kind: "DictType",
      key: unifyAll(types.filter((_, i) => i % 2 === 0)) ?? StringType,
      value: unifyAll(types.filter((_, i) => i % 2 === 1)) ?? TensorType,
    };
    return this.insert("prim::DictConstruct", inputs, [type]).output();
  }

  protected unary(expression: Expression & { kind: "Unary" }): Sugared {
    const known = this.unit.constant(expression, this.source);
    if (typeof known === "number") {
      const { operand } = expression;
      return this.constant(known, operand.kind === "Number" && operand.type === "int" ? IntType : FloatType);
    }
    if (expression.operator === "not") {
      const condition = this.condition(expression);
      return typeof condition === "boolean" ? this.constant(condition, BoolType) : condition;
    }
    const operand = this.expression(expression.operand);
    if (expression.operator === "+") return operand;
    return this.call(expression.operator === "-" ? "aten::neg" : "aten::bitwise_not", [this.value(operand)]);
  }

  protected binary(expression: Expression & { kind: "Binary" }): Sugared {
    const { operator, left, right } = expression;
    if (operator === "and" || operator === "or") {
      const stop = operator === "or";
      return this.choice(
        this.condition(left),
        () => (stop ? this.constant(true, BoolType) : this.conditionValue(right)),
        () => (stop ? this.conditionValue(right) : this.constant(false, BoolType)),
      );
    }
    if (operator === "is" || operator === "is not") {
      const known = this.comparesWithNone(expression);
      if (known !== undefined) return this.constant(known, BoolType);
    }
    const a = this.value(this.expression(left));
    const b = this.value(this.expression(right));
    if (operator === "in" || operator === "not in") {
      const contains = this.callValue("aten::__contains__", b, a);
      return operator === "in" ? contains : this.call("aten::__not__", [contains]);
    }
    return this.call(this.operatorName(operator, a), [a, b]);
  }

  protected operatorName(operator: BinaryOperator, left: Value): string {
    if (operator === "and" || operator === "or" || operator === "in" || operator === "not in") {
      return this.fail(`'${operator}' is not expected here`);
    }
    if (operator === "//" && left.type.kind === "TensorType") return "aten::floor_divide";
    return OPERATORS[operator];
  }

  protected comprehension({ element, target, iterable, condition }: Expression & { kind: "Comprehension" }): Sugared {
    const list = this.insert("prim::ListConstruct", [], [ListType(TensorType)]).output();
    const body: Statement[] = [];
    let type: Type | undefined;
    const outer = this.frame;
    this.frame = new Frame(outer);
    const sequence = this.value(this.expression(iterable));
    this.loop(body, this.callValue("aten::len", sequence), (index) => {
      this.assign(target, this.call("aten::__getitem__", [sequence, index]));
      this.branches(
        condition === undefined ? true : this.condition(condition),
        () => {
          const value = this.value(this.expression(element));
          type = value.type;
          list.type = ListType(type);
          this.call("aten::append", [list, value]);
        },
        () => {},
      );
    });
    this.frame = outer;
    return list;
  }

  protected callExpression(
    callee: Expression,
    args: readonly Expression[],
    keywords: readonly Keyword[],
    at: number,
  ): Sugared {
    const target = this.expression(callee);
    if (!(target instanceof Value)) {
      if (target.kind === "form") return this.form(target.name, args, at);
      if (target.kind === "new") {
        return this.insert("prim::CreateObject", [], [this.unit.typeOf(target.info)]).output();
      }
      if (target.kind === "operator" && target.name === "aten::wait" && args.length === 1) {
        // A forked call has been made in place.
        return this.expression(args[0] as Expression);
      }
      if (target.kind === "operator" && target.name === "aten::device" && args[0]?.kind === "String") {
        const [name, index] = args;
        const number = index === undefined ? undefined : this.unit.constant(index, this.source);
        const device = new Device(number === undefined ? name.value : `${name.value}:${number}`);
        return this.constant(device, DeviceObjType);
      }
    }
    const values = args.flatMap((argument): Sugared[] => {
      if (argument.kind !== "Starred") return [this.expression(argument)];
      const value = this.value(this.expression(argument.value));
      if (value.type.kind !== "TupleType") return this.fail("only a tuple's elements can be passed with *");
      return [...this.unpack(value, value.type.elements.length)];
    });
    const kwargs = new Map(keywords.map(({ name, value }) => [name, this.expression(value)]));
    this.at = at;
    return this.invoke(target, values, kwargs);
  }

  protected form(name: string, args: readonly Expression[], at: number): Sugared {
    const [first, second] = args;
    const need = (count: number): void => {
      if (args.length !== count) this.fail(`${name} takes ${count} arguments, not ${args.length}`);
    };
    switch (name) {
      case "annotate": {
        need(2);
        const type = this.unit.resolveType(first as Expression, this.source);
        if (second?.kind === "Call" && second.callee.kind === "Attribute" && second.callee.name === "tolist") {
          return this.toList(this.value(this.expression(second.callee.object)), type);
        }
        const result = this.convertTo(type, this.value(this.expression(second as Expression, type), type));
        if (!isSubtype(result.type, type)) this.fail(`a ${printType(result.type)} is no ${printType(type)}`);
        return result;
      }
      case "uninitialized": {
        need(1);
        const type = this.unit.resolveType(first as Expression, this.source);
        return this.insert("prim::Uninitialized", [], [type]).output();
      }
      case "unchecked_cast": {
        need(2);
        const type = this.unit.resolveType(first as Expression, this.source);
        const value = this.value(this.expression(second as Expression));
        this.at = at;
        return this.insert("prim::unchecked_cast", [value], [type]).output();
      }
      case "unchecked_unwrap_optional": {
        need(1);
        const value = this.value(this.expression(first as Expression));
        if (value.type.kind !== "OptionalType") return value;
        return this.insert("prim::unchecked_unwrap_optional", [value], [value.type.element]).output();
      }
      case "getattr": {
        if (second?.kind !== "String") return this.fail("getattr takes an object and a name in quotes");
        return this.attribute(this.expression(first as Expression), second.value);
      }
      case "hasattr": {
        if (second?.kind !== "String") return this.fail("hasattr takes an object and a name in quotes");
        const { type } = this.value(this.expression(first as Expression));
        const known =
          type.kind === "ClassType" &&
          (this.unit.attributeType(type.name, second.value) !== undefined ||
            this.unit.findClass(type.name)?.methods.has(second.value) === true);
        return this.constant(known, BoolType);
      }
      case "isinstance":
        need(2);
        return this.isInstance(this.value(this.expression(first as Expression)), second as Expression);
      case "fork":
      case "awaitable": {
        const target = this.expression(first as Expression);
        const values = args.slice(1).map((argument) => this.expression(argument));
        return this.invoke(target, values, new Map());
      }
      case "print": {
        const values = args.map((argument) => this.value(this.expression(argument)));
        this.insert("prim::Print", values, []);
        return this.constant(null, NoneType);
      }
      default:
        return this.unsupported(at, `${name}() here`);
    }
  }

  /** `annotate(List[float], x.tolist())`: only the annotation says how deep the lists are, and of what. */
  protected toList(tensor: Value, type: Type): Value {
    let element = type;
    let depth = 0;
    for (; element.kind === "ListType"; depth++) element = element.element;
    const kind = ["IntType", "FloatType", "BoolType", "ComplexType"].indexOf(element.kind);
    if (kind < 0) this.fail(`tolist() gives no ${printType(type)}`);
    const inputs = [tensor, this.constant(depth, IntType), this.constant(kind, IntType)];
    return this.insert("prim::tolist", inputs, [type]).output();
  }

  protected isInstance(value: Value, candidates: Expression): Sugared {
    const list = candidates.kind === "Tuple" || candidates.kind === "List" ? candidates.elements : [candidates];
    const { type } = value;
    const members = membersOf(type);
    const names: string[] = [];
    for (const candidate of list) {
      // `list` and `tuple` stand for those of any elements.
      const kind = candidate.kind === "Name" ? ANY_OF_KIND[candidate.name] : undefined;
      if (kind !== undefined) {
        if (members.every((member) => member.kind === kind)) return this.constant(true, BoolType);
        if (members.some((member) => member.kind === kind || member.kind === "AnyType")) {
          names.push((candidate as { name: string }).name);
        }
        continue;
      }
      const asked = this.unit.resolveType(candidate, this.source);
      if (isSubtype(type, asked)) return this.constant(true, BoolType);
      const isPossible = isSubtype(asked, type) || (asked.kind === "ListType" && type.kind === "AnyType");
      if (isPossible) names.push(printType(asked));
    }
    if (names.length === 0) return this.constant(false, BoolType);
    const node = this.insert("prim::isinstance", [value], [BoolType]);
    node.attributes.set("types", names);
    return node.output();
  }
}

const ANY_OF_KIND: Readonly<Record<string, Type["kind"]>> = { list: "ListType", tuple: "TupleType" };

/** What a value of the type may be, one by one. */
function membersOf(type: Type): readonly Type[] {
  if (type.kind === "OptionalType") return [NoneType, ...membersOf(type.element)];
  return type.kind === "UnionType" ? type.members.flatMap(membersOf) : [type];
}
