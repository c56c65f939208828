import type { ScalarType } from "./scalar-type.js";

/** PyTorch's JIT types, as far as archives, schemas and printed graphs contain them. */
export type Type =
  | {
      readonly kind: "TensorType";
      readonly dtype?: ScalarType;
      readonly sizes?: readonly (number | null)[];
      /** Whether it is laid out row by row, where the strides are known. */
      readonly isContiguous?: boolean;
    }
  | { readonly kind: "IntType" }
  | { readonly kind: "FloatType" }
  | { readonly kind: "BoolType" }
  | { readonly kind: "ComplexType" }
  | { readonly kind: "StringType" }
  | { readonly kind: "NoneType" }
  | { readonly kind: "DeviceObjType" }
  | { readonly kind: "StreamObjType" }
  | { readonly kind: "GeneratorType" }
  /** `Scalar` in schemas: an int, float, bool or complex. */
  | { readonly kind: "NumberType" }
  | { readonly kind: "AnyType" }
  | { readonly kind: "ListType"; readonly element: Type }
  | { readonly kind: "OptionalType"; readonly element: Type }
  | { readonly kind: "FutureType"; readonly element: Type }
  | {
      readonly kind: "TupleType";
      readonly elements: readonly Type[];
      readonly name?: string;
      readonly fields?: readonly string[];
    }
  | { readonly kind: "DictType"; readonly key: Type; readonly value: Type }
  | { readonly kind: "UnionType"; readonly members: readonly Type[] }
  /** A module, a plain class or a custom C++ class, by qualified name (`__torch__.torchvision.models.resnet.ResNet`). */
  | { readonly kind: "ClassType"; readonly name: string }
  | { readonly kind: "InterfaceType"; readonly name: string }
  | { readonly kind: "EnumType"; readonly name: string }
  /** A function by qualified name, as `prim::Constant[name="f"]` makes. */
  | { readonly kind: "FunctionType"; readonly name: string }
  /** A type variable of a schema: `t`, `t1`. */
  | { readonly kind: "VarType"; readonly name: string };

export const TensorType: Type = { kind: "TensorType" };
export const IntType: Type = { kind: "IntType" };
export const FloatType: Type = { kind: "FloatType" };
export const BoolType: Type = { kind: "BoolType" };
export const ComplexType: Type = { kind: "ComplexType" };
export const StringType: Type = { kind: "StringType" };
export const NoneType: Type = { kind: "NoneType" };
export const DeviceObjType: Type = { kind: "DeviceObjType" };
export const GeneratorType: Type = { kind: "GeneratorType" };
export const NumberType: Type = { kind: "NumberType" };
export const AnyType: Type = { kind: "AnyType" };
export const ListType = (element: Type): Type => ({ kind: "ListType", element });
export const OptionalType = (element: Type): Type => ({ kind: "OptionalType", element });
export const TupleType = (elements: readonly Type[]): Type => ({ kind: "TupleType", elements });
export const DictType = (key: Type, value: Type): Type => ({ kind: "DictType", key, value });
export const ClassType = (name: string): Type => ({ kind: "ClassType", name });

/** The types that PyTorch writes as one name, in schemas, in graphs and in TorchScript. */
export const SIMPLE_TYPES: Readonly<Record<string, Type>> = {
  Tensor: TensorType,
  int: IntType,
  SymInt: IntType,
  float: FloatType,
  SymFloat: FloatType,
  bool: BoolType,
  SymBool: BoolType,
  complex: ComplexType,
  str: StringType,
  Scalar: NumberType,
  number: NumberType,
  NoneType,
  None: NoneType,
  Any: AnyType,
  Device: DeviceObjType,
  Generator: GeneratorType,
  // Enumerations of the C++ API that TorchScript writes as ints.
  ScalarType: IntType,
  Layout: IntType,
  MemoryFormat: IntType,
  DeviceIndex: IntType,
  QScheme: IntType,
  Dimname: StringType,
  DimnameList: { kind: "ListType", element: StringType },
  Function: { kind: "FunctionType", name: "" },
  Storage: ClassType("Storage"),
  Stream: { kind: "StreamObjType" },
  AnyListType: { kind: "ListType", element: AnyType },
  AnyClassType: AnyType,
  AnyEnumType: AnyType,
  AnyTupleType: AnyType,
  Capsule: ClassType("Capsule"),
};

/** As PyTorch prints the type in a graph: `Tensor`, `int[]`, `Tensor?`, `(int, Tensor)`, `Dict(str, Tensor)`. */
export function printType(type: Type): string {
  switch (type.kind) {
    case "TensorType":
      return "Tensor";
    case "IntType":
      return "int";
    case "FloatType":
      return "float";
    case "BoolType":
      return "bool";
    case "ComplexType":
      return "complex";
    case "StringType":
      return "str";
    case "NoneType":
      return "NoneType";
    case "DeviceObjType":
      return "Device";
    case "StreamObjType":
      return "Stream";
    case "GeneratorType":
      return "Generator";
    case "NumberType":
      return "Scalar";
    case "AnyType":
      return "Any";
    case "ListType":
      return `${printType(type.element)}[]`;
    case "OptionalType":
      return `${printType(type.element)}?`;
    case "FutureType":
      return `Future[${printType(type.element)}]`;
    case "TupleType":
      return type.name !== undefined && type.fields !== undefined
        ? `NamedTuple(${type.elements.map((element, i) => `${type.fields?.[i]} : ${printType(element)}`).join(", ")})`
        : `(${type.elements.map(printType).join(", ")})`;
    case "DictType":
      return `Dict(${printType(type.key)}, ${printType(type.value)})`;
    case "UnionType":
      return `Union(${type.members.map(printType).join(", ")})`;
    case "ClassType":
      return type.name;
    case "InterfaceType":
      return `InterfaceType<${type.name.split(".").pop()}>`;
    case "EnumType":
      return `Enum<${type.name}>`;
    case "FunctionType":
      return "Function";
    case "VarType":
      return type.name;
  }
}

export function sameType(a: Type, b: Type): boolean {
  return a === b || (a.kind === b.kind && printType(a) === printType(b));
}
