import { findSchemas } from "../ir/operators.js";
import type { FunctionSchema } from "../ir/schema.js";
import { BoolType, FloatType, IntType, NumberType, type Type } from "../ir/type.js";

/** Arithmetic on sizes: Python's functions on numbers, by the TorchScript operators that do the same. */
const OPERATORS: ReadonlyMap<string, string> = new Map([
  ["_operator.add", "aten::add"],
  ["_operator.sub", "aten::sub"],
  ["_operator.mul", "aten::mul"],
  ["_operator.floordiv", "aten::floordiv"],
  ["_operator.truediv", "aten::div"],
  ["_operator.mod", "aten::remainder"],
  ["_operator.pow", "aten::pow"],
  ["_operator.neg", "aten::neg"],
  ["_operator.eq", "aten::eq"],
  ["_operator.ne", "aten::ne"],
  ["_operator.lt", "aten::lt"],
  ["_operator.le", "aten::le"],
  ["_operator.gt", "aten::gt"],
  ["_operator.ge", "aten::ge"],
  ["_operator.and_", "aten::__and__"],
  ["_operator.or_", "aten::__or__"],
  ["_operator.lshift", "aten::__lshift__"],
  ["_operator.rshift", "aten::__rshift__"],
  ["math.trunc", "aten::Int"],
  ["math.ceil", "aten::ceil"],
  ["math.floor", "aten::floor"],
  ["math.sqrt", "aten::sqrt"],
  ["torch.sym_sqrt", "aten::sqrt"],
  ["torch._sym_sqrt", "aten::sqrt"],
  ["torch.sym_max", "prim::max"],
  ["torch.sym_min", "prim::min"],
  ["torch.sym_int", "aten::Int"],
  ["torch.sym_float", "aten::Float"],
  ["torch.sym_not", "aten::__not__"],
  ["_operator.pos", ""],
  ["torch.sym_ite", "prim::If"],
]);

/** The operator's name, empty for the identity, `prim::If` for a choice; undefined when it is none of numbers. */
export function scalarOperator(target: string): string | undefined {
  // Releases differ in the module that they name: torch.fx.experimental.sym_node.sym_sqrt, torch.sym_sqrt.
  return OPERATORS.get(target) ?? OPERATORS.get(target.replace(/^torch\.fx\.experimental\.sym_node\._?/, "torch."));
}

/**
 * The overload for numbers of these types, with the result that Python has: `int ** int` is an int, `int / int` a
 * float.
 */
export function scalarSchema(name: string, types: readonly Type[], result: Type): FunctionSchema | undefined {
  const fits = (schema: FunctionSchema, same: (parameter: Type, given: Type) => boolean): boolean =>
    schema.arguments.length === types.length &&
    schema.returns[0]?.type.kind === result.kind &&
    schema.arguments.every((argument, i) => same(argument.type, types[i] as Type));
  const schemas = findSchemas(name);
  return (
    schemas.find((schema) => fits(schema, (parameter, given) => parameter.kind === given.kind)) ??
    schemas.find((schema) => fits(schema, (parameter, given) => parameter === NumberType && given !== BoolType)) ??
    schemas.find((schema) => fits(schema, (parameter, given) => parameter === IntType && given === BoolType)) ??
    schemas.find(
      (schema) => schema.arguments.every((argument) => argument.type === FloatType) && fits(schema, () => true),
    )
  );
}
