import type { Argument, FunctionSchema } from "../ir/schema.js";
import { isSubtype, unifyAll, unwrapOptional } from "../ir/subtype.js";
import { printType, type Type } from "../ir/type.js";
import { TypeVariables } from "../ir/type-variables.js";

/** What a call passes: only its type counts here. */
export interface Operand {
  readonly type: Type;
  /** `[]` without an annotation, which becomes a list of whatever is asked for. */
  readonly emptyList?: boolean;
}

/** What is to be done with an operand before it becomes an input. */
export type Conversion =
  | { readonly kind: "same" }
  /** `1` for `int[2]`. */
  | { readonly kind: "repeat"; readonly times: number }
  | { readonly kind: "emptyList"; readonly element: Type }
  | { readonly kind: "tupleToList"; readonly element: Type }
  | { readonly kind: "tuple"; readonly elements: readonly Conversion[]; readonly types: readonly Type[] }
  /** A call of an operator that takes the operand alone: `aten::IntImplicit`. */
  | { readonly kind: "call"; readonly operator: string; readonly type: Type };

export type Input<T> =
  | { readonly kind: "operand"; readonly operand: T; readonly conversion: Conversion }
  /** Trailing arguments gathered into a list: `x.view(2, 3)`. */
  | {
      readonly kind: "list";
      readonly operands: readonly T[];
      readonly conversions: readonly Conversion[];
      readonly element: Type;
    }
  | { readonly kind: "default"; readonly argument: Argument };

export interface Match<T> {
  readonly schema: FunctionSchema;
  readonly inputs: readonly Input<T>[];
  readonly returns: readonly Type[];
}

/** The arguments of a call. `self` fills the schema's argument of that name. */
export interface CallArguments<T extends Operand> {
  readonly self?: T | undefined;
  readonly args: readonly T[];
  readonly kwargs: ReadonlyMap<string, T>;
}

const SAME: Conversion = { kind: "same" };

/**
 * Chooses the overload of a call as PyTorch does: the first schema that takes the arguments as they are, else the
 * first that takes them with implicit conversions. Where none does, `reasons` receives a line for each.
 */
export function matchSchemas<T extends Operand>(
  schemas: readonly FunctionSchema[],
  call: CallArguments<T>,
  reasons?: string[],
): Match<T> | undefined {
  for (const allowConversions of [false, true]) {
    for (const schema of schemas) {
      const match = new Matcher(schema, call, allowConversions, allowConversions ? reasons : undefined).match();
      if (match !== undefined) return match;
    }
  }
  return undefined;
}

class Matcher<T extends Operand> {
  readonly #schema: FunctionSchema;
  readonly #call: CallArguments<T>;
  readonly #allow: boolean;
  readonly #reasons: string[] | undefined;
  /** What the schema's type variables stand for. */
  readonly #variables = new TypeVariables();

  constructor(schema: FunctionSchema, call: CallArguments<T>, allow: boolean, reasons: string[] | undefined) {
    this.#schema = schema;
    this.#call = call;
    this.#allow = allow;
    this.#reasons = reasons;
  }

  match(): Match<T> | undefined {
    const { args, kwargs } = this.#call;
    const schema = this.#schema;
    let { self } = this.#call;
    const inputs: Input<T>[] = [];
    let used = 0;
    let usedKeywords = 0;
    for (const [index, formal] of schema.arguments.entries()) {
      let operand: T | undefined;
      if (self !== undefined && formal.name === "self") {
        operand = self;
        self = undefined;
      } else if (!formal.kwargOnly && used < args.length) {
        if (this.#takesRest(index) && !this.#isListLike(args[used] as T, formal)) {
          const input = this.#gather(args.slice(used), formal);
          if (input === undefined) return undefined;
          used = args.length;
          inputs.push(input);
          continue;
        }
        operand = args[used++];
      } else {
        operand = kwargs.get(formal.name);
        // Python calls `input` what the operators call `self`.
        if (operand === undefined && formal.name === "self") operand = kwargs.get("input");
        if (operand !== undefined) usedKeywords++;
        else if (formal.hasDefault) {
          inputs.push({ kind: "default", argument: formal });
          continue;
        } else return this.#no(`argument '${formal.name}' is not given`);
      }
      const conversion = this.#argument(formal, operand as T);
      if (conversion === undefined) return undefined;
      inputs.push({ kind: "operand", operand: operand as T, conversion });
    }
    if (self !== undefined) return this.#no("it takes no 'self'");
    if (schema.isVararg) {
      for (; used < args.length; used++) {
        inputs.push({ kind: "operand", operand: args[used] as T, conversion: SAME });
      }
    }
    if (used < args.length) return this.#no(`it takes ${used} positional arguments, not ${args.length}`);
    if (usedKeywords < kwargs.size) {
      const unknown = [...kwargs.keys()].filter((name) => !schema.arguments.some((formal) => formal.name === name));
      return this.#no(`it takes no keyword ${unknown.map((name) => `'${name}'`).join(", ")}`);
    }
    return {
      schema,
      inputs,
      returns: schema.returns.map((result) => this.#variables.evaluate(result.type) ?? result.type),
    };
  }

  /** May all remaining positional arguments become this argument's list? */
  #takesRest(index: number): boolean {
    const formal = this.#schema.arguments[index] as Argument;
    if (!this.#allow || formal.size !== undefined) return false;
    const next = this.#schema.arguments[index + 1];
    if (next !== undefined && !next.kwargOnly) return false;
    const list = unwrapOptional(formal.type);
    return list.kind === "ListType" && list.element.kind !== "VarType";
  }

  #isListLike(operand: T, formal: Argument): boolean {
    const { type } = operand;
    return type.kind === "ListType" || type.kind === "NoneType" || convertibleToList(type, unwrapOptional(formal.type));
  }

  #gather(operands: readonly T[], formal: Argument): Input<T> | undefined {
    const { element } = unwrapOptional(formal.type) as { element: Type };
    const conversions: Conversion[] = [];
    for (const operand of operands) {
      const conversion = this.#fits(element, operand, formal.name);
      if (conversion === undefined) return undefined;
      conversions.push(conversion);
    }
    return { kind: "list", operands, conversions, element };
  }

  #argument(formal: Argument, operand: T): Conversion | undefined {
    if (formal.size !== undefined) {
      const list = unwrapOptional(formal.type);
      if (list.kind === "ListType" && isNumber(list.element) && isSubtype(operand.type, list.element)) {
        return { kind: "repeat", times: formal.size };
      }
    }
    // The schema parser reads these as Any; they take less.
    if (formal.spelling === "AnyEnumType" && operand.type.kind !== "EnumType")
      return this.#mismatch(formal.name, formal.spelling, operand);
    if (formal.spelling === "AnyListType" && operand.type.kind !== "ListType")
      return this.#mismatch(formal.name, formal.spelling, operand);
    if (formal.spelling === "AnyClassType" && operand.type.kind !== "ClassType")
      return this.#mismatch(formal.name, formal.spelling, operand);
    if (formal.spelling === "AnyListType") return SAME;
    return this.#fits(formal.type, operand, formal.name);
  }

  #fits(formal: Type, operand: T, name: string): Conversion | undefined {
    const variables = this.#variables;
    const concrete = operand.emptyList === true ? variables.evaluate(formal) : variables.bind(formal, operand.type);
    if (concrete === undefined) return this.#mismatch(name, printType(formal), operand);
    const { conversion, type } = convert(concrete, operand, this.#allow);
    return isSubtype(type, concrete) ? conversion : this.#mismatch(name, printType(concrete), operand);
  }

  #mismatch(name: string, expected: string, operand: Operand): undefined {
    return this.#no(() => `argument '${name}' takes ${expected}, not ${printType(operand.type)}`);
  }

  #no(reason: string | (() => string)): undefined {
    this.#reasons?.push(typeof reason === "string" ? reason : reason());
    return undefined;
  }
}

/** How a value of some type becomes one of another, and the type it then has: the caller checks whether that fits. */
export function convert(
  target: Type,
  operand: Operand,
  allowConversions: boolean,
): { conversion: Conversion; type: Type } {
  const { type } = operand;
  if (target.kind === "OptionalType" && type.kind !== "OptionalType" && type.kind !== "NoneType") {
    return convert(target.element, operand, allowConversions);
  }
  if (operand.emptyList === true && target.kind === "ListType") {
    return { conversion: { kind: "emptyList", element: target.element }, type: target };
  }
  if (type.kind === "TupleType") {
    const list = unwrapOptional(target);
    if (list.kind === "ListType" && convertibleToList(type, list)) {
      return { conversion: { kind: "tupleToList", element: list.element }, type: list };
    }
    if (target.kind === "TupleType" && target.elements.length === type.elements.length && !isSubtype(type, target)) {
      const parts = type.elements.map((element, i) =>
        convert(target.elements[i] as Type, { type: element }, allowConversions),
      );
      const types = parts.map((part) => part.type);
      const elements = parts.map((part) => part.conversion);
      return { conversion: { kind: "tuple", elements, types }, type: { kind: "TupleType", elements: types } };
    }
  }
  const operator = allowConversions ? implicitOperator(type, target) : undefined;
  if (operator !== undefined) return { conversion: { kind: "call", operator, type: target }, type: target };
  return { conversion: SAME, type };
}

/** The operator that makes one of the other type where PyTorch inserts it unasked. */
function implicitOperator(from: Type, to: Type): string | undefined {
  if (from.kind === "StringType" && to.kind === "DeviceObjType") return "aten::device";
  switch (from.kind) {
    case "TensorType":
      if (to.kind === "FloatType") return "aten::FloatImplicit";
      if (to.kind === "ComplexType") return "aten::ComplexImplicit";
      if (to.kind === "IntType") return "aten::IntImplicit";
      return to.kind === "NumberType" ? "aten::ScalarImplicit" : undefined;
    case "NumberType":
      if (to.kind === "FloatType") return "aten::Float";
      if (to.kind === "ComplexType") return "aten::Complex";
      return to.kind === "IntType" ? "aten::Int" : undefined;
    case "BoolType":
      if (to.kind === "FloatType") return "aten::Float";
      return to.kind === "IntType" || to.kind === "NumberType" ? "aten::Int" : undefined;
    default:
      return undefined;
  }
}

function isNumber(type: Type): boolean {
  return type.kind === "IntType" || type.kind === "FloatType";
}

/** A tuple whose elements are all of a list's element type may stand for that list. */
function convertibleToList(type: Type, list: Type): boolean {
  if (list.kind !== "ListType" || type.kind !== "TupleType") return false;
  if (list.element.kind === "VarType") return unifyAll(type.elements) !== undefined;
  return type.elements.every((element) => isSubtype(element, list.element));
}
