import { sameType, type Type } from "./type.js";

/**
 * May a value of one type stand where another is asked for? PyTorch's `isSubtypeOf`: containers that can be written to are
 * invariant. Classes have no hierarchy in archives; an interface takes every module.
 */
export function isSubtype(type: Type, of: Type): boolean {
  if (of.kind === "AnyType" || sameType(type, of)) return true;
  if (type.kind === "UnionType") return type.members.every((member) => isSubtype(member, of));
  switch (of.kind) {
    case "TensorType":
      return type.kind === "TensorType";
    case "NumberType":
      return type.kind === "IntType" || type.kind === "FloatType" || type.kind === "ComplexType";
    case "OptionalType":
      return type.kind === "NoneType" || isSubtype(unwrapOptional(type), of.element);
    case "UnionType":
      return of.members.some((member) => isSubtype(type, member));
    case "ListType":
      // A schema may say Any[] for its lists and the like.
      return type.kind === "ListType" && (of.element.kind === "AnyType" || sameType(type.element, of.element));
    case "TupleType":
      return (
        type.kind === "TupleType" &&
        type.elements.length === of.elements.length &&
        (of.name === undefined || type.name === of.name) &&
        type.elements.every((element, i) => isSubtype(element, of.elements[i] as Type))
      );
    case "FutureType":
      return isSubtype(type.kind === "FutureType" ? type.element : type, of.element);
    case "InterfaceType":
      return type.kind === "ClassType" || type.kind === "InterfaceType";
    default:
      return false;
  }
}

/** The narrowest type that both are of; undefined where they have nothing in common. */
export function unifyTypes(a: Type, b: Type): Type | undefined {
  if (isSubtype(a, b)) return b;
  if (isSubtype(b, a)) return a;
  if (a.kind === "NoneType" || b.kind === "NoneType") {
    const element = a.kind === "NoneType" ? b : a;
    return element.kind === "OptionalType" ? element : { kind: "OptionalType", element };
  }
  if (a.kind === "OptionalType" || b.kind === "OptionalType") {
    const element = unifyTypes(unwrapOptional(a), unwrapOptional(b));
    return element === undefined ? undefined : { kind: "OptionalType", element };
  }
  if (a.kind === "TupleType" && b.kind === "TupleType" && a.elements.length === b.elements.length) {
    const elements = a.elements.map((element, i) => unifyTypes(element, b.elements[i] as Type));
    return elements.includes(undefined) ? undefined : { kind: "TupleType", elements: elements as Type[] };
  }
  return undefined;
}

/** {@link unifyTypes} of all; undefined for none. */
export function unifyAll(types: readonly Type[]): Type | undefined {
  let unified: Type | undefined = types[0];
  for (const type of types.slice(1)) {
    if (unified === undefined) return undefined;
    unified = unifyTypes(unified, type);
  }
  return unified;
}

export function unwrapOptional(type: Type): Type {
  return type.kind === "OptionalType" ? type.element : type;
}

/** Is there a type variable in it, as in the `t[]` of a schema? */
export function hasVariable(type: Type): boolean {
  switch (type.kind) {
    case "VarType":
      return true;
    case "ListType":
    case "OptionalType":
    case "FutureType":
      return hasVariable(type.element);
    case "TupleType":
      return type.elements.some(hasVariable);
    case "DictType":
      return hasVariable(type.key) || hasVariable(type.value);
    default:
      return false;
  }
}
