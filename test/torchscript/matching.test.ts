import t from "tap";
import { findSchemas } from "../../src/ir/operators.js";
import { operatorName, parseSchema } from "../../src/ir/schema.js";
import { isSubtype, unifyTypes } from "../../src/ir/subtype.js";
import {
  BoolType,
  DictType,
  FloatType,
  IntType,
  ListType,
  NoneType,
  NumberType,
  OptionalType,
  printType,
  StringType,
  TensorType,
  TupleType,
  type Type,
} from "../../src/ir/type.js";
import { matchSchemas, type Operand } from "../../src/torchscript/matching.js";

const operand = (type: Type): Operand => ({ type });

function overload(name: string, args: readonly Type[], kwargs: Readonly<Record<string, Type>> = {}): string {
  const match = matchSchemas(findSchemas(name), {
    args: args.map(operand),
    kwargs: new Map(Object.entries(kwargs).map(([key, type]) => [key, operand(type)])),
  });
  if (match === undefined) return "none";
  return `${operatorName(match.schema)} -> ${match.returns.map(printType).join(", ")}`;
}

t.test("overloads by the arguments' types", async (t) => {
  t.equal(overload("aten::add", [TensorType, TensorType]), "aten::add.Tensor -> Tensor");
  t.equal(overload("aten::add", [TensorType, FloatType]), "aten::add.Scalar -> Tensor");
  t.equal(overload("aten::add", [IntType, IntType]), "aten::add.int -> int");
  t.equal(overload("aten::add", [IntType, FloatType]), "aten::add.int_float -> float");
  t.equal(overload("aten::add", [StringType, StringType]), "aten::add.str -> str");
  t.equal(overload("aten::add", [ListType(IntType), ListType(IntType)]), "aten::add.t -> int[]");
  t.equal(overload("aten::size", [TensorType]), "aten::size -> int[]");
  t.equal(overload("aten::size", [TensorType, IntType]), "aten::size.int -> int");
  t.equal(overload("aten::max", [TensorType, IntType]), "aten::max.dim -> Tensor, Tensor");
  t.equal(overload("aten::max", [TensorType, TensorType]), "aten::max.other -> Tensor");
  t.equal(overload("aten::eq", [StringType, StringType]), "aten::eq.str -> bool");
  t.equal(
    overload("aten::eq", [
      { kind: "EnumType", name: "E" },
      { kind: "EnumType", name: "E" },
    ]),
    "aten::eq.enum -> bool",
  );
  t.equal(overload("aten::len", [DictType(StringType, TensorType)]), "aten::len.Dict_str -> int");
  t.equal(overload("aten::__getitem__", [ListType(TupleType([IntType])), IntType]), "aten::__getitem__.t -> (int)");
  t.equal(overload("aten::__isnot__", [OptionalType(TensorType), NoneType]), "aten::__isnot__ -> bool");
});

t.test("keywords, defaults and their absence", async (t) => {
  const none = { dtype: NoneType, layout: NoneType, device: NoneType, pin_memory: BoolType };
  t.equal(overload("aten::full", [ListType(IntType), FloatType], none), "aten::full -> Tensor");
  t.equal(
    overload("aten::div", [TensorType, TensorType], { rounding_mode: StringType }),
    "aten::div.Tensor_mode -> Tensor",
  );
  t.equal(overload("aten::sum", [], { input: TensorType }), "aten::sum -> Tensor");
  t.equal(overload("aten::relu", [TensorType], { slope: FloatType }), "none");
  t.equal(overload("aten::linear", [TensorType]), "none");
});

t.test("implicit conversions come only after every overload failed without them", async (t) => {
  const plan = (name: string, ...args: Type[]): unknown =>
    matchSchemas(findSchemas(name), { args: args.map(operand), kwargs: new Map() })?.inputs.map((input) =>
      input.kind === "operand" ? input.conversion.kind : input.kind,
    );
  t.strictSame(plan("aten::view", TensorType, IntType, IntType), ["same", "list"]);
  t.strictSame(plan("aten::view", TensorType, TupleType([IntType, IntType])), ["same", "tupleToList"]);
  t.strictSame(plan("aten::select", TensorType, IntType, TensorType), ["same", "same", "call"]);
  t.strictSame(plan("aten::avg_pool2d", TensorType, IntType), [
    "same",
    "repeat",
    "default",
    "default",
    "default",
    "default",
    "default",
  ]);
  t.strictSame(plan("aten::dropout", TensorType, NumberType, BoolType), ["same", "call", "same"]);
});

t.test("varargs, and empty lists that become what is asked for", async (t) => {
  t.equal(overload("aten::format", [StringType, IntType, TensorType]), "aten::format -> str");
  const match = matchSchemas(findSchemas("aten::zeros"), {
    args: [{ type: ListType(TensorType), emptyList: true }],
    kwargs: new Map(),
  });
  t.strictSame(match?.inputs[0], {
    kind: "operand",
    operand: { type: ListType(TensorType), emptyList: true },
    conversion: { kind: "emptyList", element: IntType },
  });
});

t.test("reasons, one for each overload", async (t) => {
  const reasons: string[] = [];
  const schemas = [parseSchema("a::b(Tensor x, int n) -> Tensor"), parseSchema("a::b.none() -> Tensor")];
  t.equal(matchSchemas(schemas, { args: [operand(StringType)], kwargs: new Map() }, reasons), undefined);
  t.strictSame(reasons, ["argument 'x' takes Tensor, not str", "it takes 0 positional arguments, not 1"]);
});

t.test("subtypes and the types that branches share", async (t) => {
  t.ok(isSubtype(IntType, NumberType));
  t.notOk(isSubtype(BoolType, NumberType));
  t.ok(isSubtype(NoneType, OptionalType(IntType)));
  t.ok(isSubtype(TupleType([IntType, NoneType]), TupleType([NumberType, OptionalType(TensorType)])));
  t.notOk(isSubtype(ListType(IntType), ListType(NumberType)));
  const unified = (a: Type, b: Type): string | undefined => {
    const type = unifyTypes(a, b);
    return type && printType(type);
  };
  t.equal(unified(TensorType, NoneType), "Tensor?");
  t.equal(unified(OptionalType(IntType), IntType), "int?");
  t.equal(unified(TupleType([NoneType, IntType]), TupleType([TensorType, IntType])), "(Tensor?, int)");
  t.equal(unified(IntType, StringType), undefined);
});
