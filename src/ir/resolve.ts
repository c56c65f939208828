import type { Node } from "./graph.js";
import type { Argument, FunctionSchema } from "./schema.js";
import { isSubtype, unwrapOptional } from "./subtype.js";
import type { Type } from "./type.js";
import { TypeVariables } from "./type-variables.js";

/**
 * Which of an operator's overloads a node calls, by the number and the types of its inputs, as PyTorch matches nodes
 * of a graph with its operator table: the first that fits. Where none fits strictly, the nearest: trailing arguments may
 * be missing and types may be what TorchScript converts implicitly, as in an older spelling of an operator or IR written
 * by hand.
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
  const variables = new TypeVariables();
  for (const [i, formal] of formals.entries()) {
    const actual = actuals[i]?.type;
    if (actual === undefined) {
      if (!formal.hasDefault) return Number.POSITIVE_INFINITY;
      score += MISSING;
      continue;
    }
    // "Any" of a schema's AnyEnumType is any enum.
    if (formal.spelling === "AnyEnumType" && actual.kind !== "EnumType") return Number.POSITIVE_INFINITY;
    const expected = variables.bind(formal.type, actual);
    if (expected === undefined) return Number.POSITIVE_INFINITY;
    if (isSubtype(actual, expected)) continue;
    if (isConvertible(actual, formal, expected)) score += CONVERSION;
    else return Number.POSITIVE_INFINITY;
  }
  return score;
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
