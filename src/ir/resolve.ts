import type { Node } from "./graph.js";
import type { Argument, FunctionSchema } from "./schema.js";
import { hasVariable, isSubtype, unwrapOptional } from "./subtype.js";
import type { Type } from "./type.js";

/**
 * Which of an operator's overloads a node calls, by the number and the types of its inputs, as PyTorch matches nodes
 * of a graph with its operator table: the first that fits. Where none fits strictly, the nearest: trailing arguments may be missing and types may be what TorchScript
 * converts implicitly, as in an older spelling of an operator or IR written by hand.
 */
export function resolveSchema(node: Node, candidates: readonly FunctionSchema[]): FunctionSchema | undefined {
  let best: FunctionSchema | undefined;
  let bestScore = Number.POSITIVE_INFINITY;
  for (const schema of candidates) {
    const score = distance(node, schema);
    if (score < bestScore) {
      best = schema;
      bestScore = score;
      if (score === 0) break;
    }
  }
  return best;
}

/** What a missing argument costs, and what an implicit conversion. */
const MISSING = 1;
const CONVERSION = 100;

/** Infinity where the node cannot be a call of the schema. */
function distance(node: Node, schema: FunctionSchema): number {
  const { arguments: formals } = schema;
  const actuals = node.inputs;
  if (actuals.length > formals.length && !schema.isVararg) return Number.POSITIVE_INFINITY;
  let score = 0;
  const variables = new Map<string, Type>();
  for (const [i, formal] of formals.entries()) {
    const actual = actuals[i]?.type;
    if (actual === undefined) {
      if (!formal.hasDefault) return Number.POSITIVE_INFINITY;
      score += MISSING;
      continue;
    }
    // "Any" of a schema's AnyEnumType is any enum.
    if (formal.spelling === "AnyEnumType" && actual.kind !== "EnumType") return Number.POSITIVE_INFINITY;
    const expected = bind(formal.type, actual, variables);
    if (expected === undefined) return Number.POSITIVE_INFINITY;
    if (isSubtype(actual, expected)) continue;
    if (isConvertible(actual, formal, expected)) score += CONVERSION;
    else return Number.POSITIVE_INFINITY;
  }
  return score;
}

/** The formal type with its type variables replaced by what `actual` binds them to; undefined where the forms differ. */
function bind(formal: Type, actual: Type, variables: Map<string, Type>): Type | undefined {
  switch (formal.kind) {
    case "VarType": {
      const bound = variables.get(formal.name);
      if (bound === undefined) variables.set(formal.name, actual);
      return bound ?? actual;
    }
    case "ListType": {
      if (!hasVariable(formal)) return formal;
      if (actual.kind !== "ListType") return undefined;
      const element = bind(formal.element, actual.element, variables);
      return element && { kind: "ListType", element };
    }
    case "OptionalType": {
      if (!hasVariable(formal)) return formal;
      if (actual.kind === "NoneType") return actual;
      const element = bind(formal.element, actual.kind === "OptionalType" ? actual.element : actual, variables);
      return element && { kind: "OptionalType", element };
    }
    case "FutureType": {
      if (actual.kind !== "FutureType") return undefined;
      const element = bind(formal.element, actual.element, variables);
      return element && { kind: "FutureType", element };
    }
    case "DictType": {
      if (actual.kind !== "DictType") return undefined;
      const key = bind(formal.key, actual.key, variables);
      const value = bind(formal.value, actual.value, variables);
      return key && value && { kind: "DictType", key, value };
    }
    case "TupleType": {
      if (!hasVariable(formal)) return formal;
      if (actual.kind !== "TupleType" || actual.elements.length !== formal.elements.length) return undefined;
      const elements: Type[] = [];
      for (const [i, element] of formal.elements.entries()) {
        const bound = bind(element, actual.elements[i] as Type, variables);
        if (bound === undefined) return undefined;
        elements.push(bound);
      }
      return { kind: "TupleType", elements };
    }
    default:
      return formal;
  }
}

/** What TorchScript accepts beyond subtypes when it compiles a call: number for number, Tensor for number, one for `int[2]`. */
function isConvertible(actual: Type, formal: Argument, expected: Type): boolean {
  const target = unwrapOptional(expected);
  // After a check against None, printed IR of older versions keeps the Optional.
  const source = unwrapOptional(actual);
  if (isSubtype(source, target)) return true;
  switch (target.kind) {
    case "IntType":
      return source.kind === "TensorType" || source.kind === "BoolType";
    case "FloatType":
    case "ComplexType":
    case "NumberType":
      return ["TensorType", "IntType", "FloatType", "BoolType", "NumberType"].includes(source.kind);
    case "BoolType":
      return source.kind === "TensorType";
    case "DeviceObjType":
      return source.kind === "StringType";
    case "TensorType":
      return ["IntType", "FloatType", "BoolType", "NumberType"].includes(source.kind);
    case "ListType":
      if (source.kind === "ListType") {
        return (
          isSubtype(source.element, target.element) ||
          (target.element.kind === "FloatType" && source.element.kind === "IntType")
        );
      }
      if (source.kind === "TupleType") return source.elements.every((element) => isSubtype(element, target.element));
      return formal.size !== undefined && isSubtype(source, target.element);
    default:
      return false;
  }
}
