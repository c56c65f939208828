import { BoolType, ComplexType, FloatType, IntType, StringType, type Type } from "../ir/type.js";
import type { BinaryOperator } from "./ast.js";

/** `int(x)` and the like: an operator that is not needed where `x` is of the type already. */
export const CASTS: Readonly<Record<string, { readonly operator: string; readonly type: Type }>> = {
  int: { operator: "aten::Int", type: IntType },
  float: { operator: "aten::Float", type: FloatType },
  bool: { operator: "aten::Bool", type: BoolType },
  complex: { operator: "aten::Complex", type: ComplexType },
  str: { operator: "aten::str", type: StringType },
};

/** Names with rules of their own. */
export const FORMS: ReadonlySet<string> = new Set([
  "annotate",
  "uninitialized",
  "unchecked_cast",
  "unchecked_unwrap_optional",
  "getattr",
  "hasattr",
  "isinstance",
  "fork",
  "awaitable",
  "range",
  "print",
]);

/** Python's built-in functions, by the operators that they are. */
export const FUNCTIONS: Readonly<Record<string, string>> = {
  len: "aten::len",
  abs: "prim::abs",
  min: "prim::min",
  max: "prim::max",
  sorted: "aten::sorted",
  any: "aten::any",
  all: "aten::all",
  sum: "aten::sum",
  round: "aten::round",
  list: "aten::list",
  dict: "aten::dict",
  divmod: "aten::divmod",
  pow: "aten::pow",
  ord: "aten::ord",
  chr: "aten::chr",
  hex: "aten::hex",
  oct: "aten::oct",
  bin: "aten::bin",
  hash: "aten::hash",
};

export const OPERATORS: Readonly<Record<Exclude<BinaryOperator, "and" | "or" | "in" | "not in">, string>> = {
  "==": "aten::eq",
  "!=": "aten::ne",
  "<": "aten::lt",
  "<=": "aten::le",
  ">": "aten::gt",
  ">=": "aten::ge",
  is: "aten::__is__",
  "is not": "aten::__isnot__",
  "|": "aten::__or__",
  "^": "aten::__xor__",
  "&": "aten::__and__",
  "<<": "aten::__lshift__",
  ">>": "aten::__rshift__",
  "+": "aten::add",
  "-": "aten::sub",
  "*": "aten::mul",
  "/": "aten::div",
  "//": "aten::floordiv",
  "%": "aten::remainder",
  "@": "aten::matmul",
  "**": "aten::pow",
};

/** What Python reads as attributes of a tensor. */
export const TENSOR_ATTRIBUTES: Readonly<Record<string, string>> = {
  shape: "aten::size",
  dtype: "prim::dtype",
  device: "prim::device",
  layout: "prim::layout",
  is_cuda: "prim::is_cuda",
  requires_grad: "prim::requires_grad",
  data: "prim::data",
  T: "aten::numpy_T",
  mT: "aten::mT",
};
