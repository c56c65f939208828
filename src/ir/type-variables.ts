import { hasVariable, unifyAll, unifyTypes } from "./subtype.js";
import type { Type } from "./type.js";

/** What the type variables of a schema (the `t` of `t[]`) stand for in one call, as its arguments tell. */
export class TypeVariables {
  readonly #known = new Map<string, Type>();

  /** The formal type of an argument, its variables being what the actual type says; undefined where the forms differ. */
  bind(formal: Type, actual: Type): Type | undefined {
    return !hasVariable(formal) || this.#bind(formal, actual) ? this.evaluate(formal) : undefined;
  }

  /** A variable that several arguments name stands for the narrowest type that takes them all. */
  #bind(formal: Type, actual: Type): boolean {
    switch (formal.kind) {
      case "VarType": {
        const known = this.#known.get(formal.name);
        const type = known === undefined ? actual : unifyTypes(known, actual);
        if (type === undefined) return false;
        this.#known.set(formal.name, type);
        return true;
      }
      case "ListType": {
        if (actual.kind === "ListType") return this.#bind(formal.element, actual.element);
        if (actual.kind !== "TupleType") return false;
        const element = unifyAll(actual.elements);
        return element !== undefined && this.#bind(formal.element, element);
      }
      case "OptionalType":
        // None alone does not say of what it is an Optional.
        if (actual.kind === "NoneType") return false;
        return this.#bind(formal.element, actual.kind === "OptionalType" ? actual.element : actual);
      case "FutureType":
        // Forked calls are made in place, so a future is its value.
        return this.#bind(formal.element, actual.kind === "FutureType" ? actual.element : actual);
      case "DictType":
        return (
          actual.kind === "DictType" && this.#bind(formal.key, actual.key) && this.#bind(formal.value, actual.value)
        );
      case "TupleType":
        return (
          actual.kind === "TupleType" &&
          actual.elements.length === formal.elements.length &&
          formal.elements.every((element, i) => this.#bind(element, actual.elements[i] as Type))
        );
      default:
        return true;
    }
  }

  /** A type with what its variables stand for; undefined where one is not known. */
  evaluate(type: Type): Type | undefined {
    if (!hasVariable(type)) return type;
    switch (type.kind) {
      case "VarType":
        return this.#known.get(type.name);
      case "ListType":
      case "OptionalType":
      case "FutureType": {
        const element = this.evaluate(type.element);
        return element && { kind: type.kind, element };
      }
      case "DictType": {
        const key = this.evaluate(type.key);
        const value = this.evaluate(type.value);
        return key && value && { kind: "DictType", key, value };
      }
      case "TupleType": {
        const elements = type.elements.map((element) => this.evaluate(element));
        return elements.includes(undefined) ? undefined : { ...type, elements: elements as Type[] };
      }
      default:
        return type;
    }
  }
}
