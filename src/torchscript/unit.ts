import { type Constant, Device, EnumValue, TupleValue } from "../ir/constant.js";
import type { Argument, FunctionSchema } from "../ir/schema.js";
import {
  AnyType,
  BoolType,
  ClassType,
  DeviceObjType,
  IntType,
  ListType,
  NoneType,
  OptionalType,
  printType,
  SIMPLE_TYPES,
  TensorType,
  type Type,
} from "../ir/type.js";
import type { ClassDef, Expression, File, FunctionDef } from "./ast.js";
import { parseFile } from "./parser.js";
import type { Source } from "./source.js";

/** A function or method with the file it stands in. */
export interface FunctionInfo {
  readonly kind: "function";
  /** `__torch__.torch.nn.functional.relu`; for a method `__torch__.M.forward`. */
  readonly qualifiedName: string;
  readonly source: Source;
  readonly definition: FunctionDef;
  /** The class whose method it is. */
  readonly selfType: Type | undefined;
}

export interface ClassInfo {
  readonly kind: "class";
  readonly qualifiedName: string;
  readonly source: Source;
  readonly definition: ClassDef;
  readonly methods: ReadonlyMap<string, FunctionInfo>;
}

/** In TorchScript a list or tuple of anything has a name of its own. */
const NAMED_TYPES: Readonly<Record<string, Type>> = { ...SIMPLE_TYPES, List: ListType(AnyType), Tuple: AnyType };

/**
 * Methods and attributes of C++ classes that modules hold: their code is not in archives, so what they return has to
 * be known. A method's type has parentheses here.
 */
const CUSTOM_CLASS_MEMBERS: ReadonlyMap<string, ReadonlyMap<string, Type>> = new Map([
  ["LinearPackedParamsBase", new Map([["unpack", packed()]])],
  ...["Conv2dPackedParamsBase", "Conv3dPackedParamsBase"].map((name): [string, ReadonlyMap<string, Type>] => [
    name,
    new Map<string, Type>([
      ["unpack", packed()],
      ["stride", ListType(IntType)],
      ["padding", ListType(IntType)],
      ["output_padding", ListType(IntType)],
      ["dilation", ListType(IntType)],
      ["groups", IntType],
      ["transpose", BoolType],
    ]),
  ]),
  [
    "EmbeddingPackedParamsBase",
    new Map<string, Type>([
      ["embeddingbag_unpack", TensorType],
      ["bit_rate", IntType],
      ["version", IntType],
    ]),
  ],
]);

function packed(): Type {
  return { kind: "TupleType", elements: [TensorType, OptionalType(TensorType)] };
}

/** All code of an archive, parsed file by file when something of it is asked for. */
export class CompilationUnit {
  readonly #read: (file: string) => Source | undefined;
  /** `CONSTANTS.cN`. */
  readonly constants: readonly Constant[];
  /** The archive's file format version. */
  readonly version: number;
  readonly #concreteTypeOf: (className: string, attribute: string) => string | undefined;
  readonly #files = new Map<string, { source: Source; file: File } | undefined>();
  readonly #definitions = new Map<string, FunctionInfo | ClassInfo | undefined>();
  readonly #signatures = new WeakMap<FunctionDef, FunctionSchema>();
  readonly #attributes = new Map<string, ReadonlyMap<string, Type>>();
  readonly #types = new WeakMap<ClassDef, Type>();

  /**
   * `read` gives a member of the archive; `concreteTypeOf` the class of the objects that an attribute declared as an
   * interface holds, where they are all of one.
   */
  constructor(
    read: (file: string) => Source | undefined,
    constants: readonly Constant[],
    version: number,
    concreteTypeOf: (className: string, attribute: string) => string | undefined = () => undefined,
  ) {
    this.#read = read;
    this.constants = constants;
    this.version = version;
    this.#concreteTypeOf = concreteTypeOf;
  }

  /** The class or function with that name, `__torch__.torch.nn.functional.relu`. */
  find(qualifiedName: string): FunctionInfo | ClassInfo | undefined {
    if (this.#definitions.has(qualifiedName)) return this.#definitions.get(qualifiedName);
    const found = this.#find(qualifiedName);
    this.#definitions.set(qualifiedName, found);
    return found;
  }

  #find(qualifiedName: string): FunctionInfo | ClassInfo | undefined {
    const dot = qualifiedName.lastIndexOf(".");
    if (dot < 0) return undefined;
    const parsed = this.#file(`code/${qualifiedName.slice(0, dot).replaceAll(".", "/")}.py`);
    if (parsed === undefined) return undefined;
    const { source, file } = parsed;
    const name = qualifiedName.slice(dot + 1);
    const definition = file.functions.get(name);
    if (definition !== undefined) {
      return { kind: "function", qualifiedName, source, definition, selfType: undefined };
    }
    const found = file.classes.get(name);
    if (found === undefined) return undefined;
    const selfType = ClassType(qualifiedName);
    const methods = new Map(
      found.methods.map((method): [string, FunctionInfo] => [
        method.name,
        { kind: "function", qualifiedName: `${qualifiedName}.${method.name}`, source, definition: method, selfType },
      ]),
    );
    return { kind: "class", qualifiedName, source, definition: found, methods };
  }

  #file(path: string): { source: Source; file: File } | undefined {
    if (!this.#files.has(path)) {
      const source = this.#read(path);
      this.#files.set(path, source === undefined ? undefined : { source, file: parseFile(source) });
    }
    return this.#files.get(path);
  }

  findClass(qualifiedName: string): ClassInfo | undefined {
    const found = this.find(qualifiedName);
    return found?.kind === "class" ? found : undefined;
  }

  /** The type that a class defines: a ClassType, or what NamedTuples, Enums and interfaces are. */
  typeOf(info: ClassInfo): Type {
    let type = this.#types.get(info.definition);
    if (type === undefined) {
      type = this.#typeOf(info);
      this.#types.set(info.definition, type);
    }
    return type;
  }

  #typeOf({ qualifiedName: name, definition, source }: ClassInfo): Type {
    switch (definition.base) {
      case undefined:
      case "Module":
        return { kind: "ClassType", name };
      case "Enum":
        return { kind: "EnumType", name };
      case "Interface":
      case "ModuleInterface":
        return { kind: "InterfaceType", name };
      case "NamedTuple":
        return {
          kind: "TupleType",
          name,
          fields: definition.attributes.map((attribute) => attribute.name),
          elements: definition.attributes.map(({ annotation }) =>
            annotation === undefined ? TensorType : this.resolveType(annotation, source),
          ),
        };
      default:
        return source.fail(definition.at, `class ${definition.name} has the unknown base ${definition.base}`);
    }
  }

  /** The declared type of an attribute; that of the objects it holds where an interface is declared. */
  attributeType(className: string, attribute: string): Type | undefined {
    const custom = /^__torch__\.torch\.classes\.\w+\.(\w+)$/.exec(className);
    if (custom !== null) return CUSTOM_CLASS_MEMBERS.get(custom[1] as string)?.get(attribute);
    const type = this.#attributeTypes(className).get(attribute);
    if (type?.kind !== "InterfaceType") return type;
    const concrete = this.#concreteTypeOf(className, attribute);
    return concrete === undefined ? type : ClassType(concrete);
  }

  /** The attributes of a class with their types, without its `Final` constants. */
  #attributeTypes(className: string): ReadonlyMap<string, Type> {
    let types = this.#attributes.get(className);
    if (types === undefined) {
      const info = this.findClass(className);
      types = new Map(
        info?.definition.attributes.flatMap(({ name, annotation, value }): [string, Type][] =>
          annotation === undefined || value !== undefined ? [] : [[name, this.resolveType(annotation, info.source)]],
        ),
      );
      this.#attributes.set(className, types);
    }
    return types;
  }

  /** The value of a `Final` attribute. */
  constantAttribute(className: string, attribute: string): { value: Constant; type: Type } | undefined {
    const info = this.findClass(className);
    const found = info?.definition.attributes.find(({ name, value }) => name === attribute && value !== undefined);
    if (info === undefined || found?.value === undefined || found.annotation === undefined) return undefined;
    const value = this.constant(found.value, info.source);
    const type = this.resolveType(found.annotation, info.source);
    return value === undefined ? undefined : { value, type };
  }

  /** A member of an Enum class. */
  enumMember(info: ClassInfo, name: string): EnumValue | undefined {
    const member = info.definition.attributes.find((attribute) => attribute.name === name)?.value;
    const value = member === undefined ? undefined : this.constant(member, info.source);
    return value === undefined ? undefined : new EnumValue(info.qualifiedName, name, value);
  }

  /** A function's parameters and results as a schema; a method's begins with `self`. */
  signature({ definition, source, selfType, qualifiedName }: FunctionInfo): FunctionSchema {
    let schema = this.#signatures.get(definition);
    if (schema === undefined) {
      const list = definition.parameters.map(({ name, annotation, default: value, kwargOnly }, i): Argument => {
        const isSelf = i === 0 && selfType !== undefined;
        const type = annotation === undefined ? (isSelf ? selfType : TensorType) : this.resolveType(annotation, source);
        const constant = value === undefined ? undefined : this.constant(value, source);
        return {
          name: isSelf ? "self" : name,
          type,
          spelling: printType(type),
          kwargOnly,
          hasDefault: constant !== undefined,
          ...(constant === undefined ? {} : { default: constant }),
        };
      });
      const type = definition.returns === undefined ? TensorType : this.resolveType(definition.returns, source);
      schema = {
        name: qualifiedName,
        overload: "",
        arguments: list,
        returns: [{ name: "", type, spelling: printType(type), hasDefault: false, kwargOnly: false }],
        isVararg: false,
        isVarret: false,
      };
      this.#signatures.set(definition, schema);
    }
    return schema;
  }

  /** Reads a type annotation. */
  resolveType(annotation: Expression, source: Source): Type {
    const { kind, at } = annotation;
    if (kind === "Literal" && annotation.value === null) return NoneType;
    if (kind === "Name") {
      const type = NAMED_TYPES[annotation.name];
      return type ?? source.fail(at, `unknown type '${annotation.name}'`);
    }
    if (kind === "Attribute") {
      const name = dottedName(annotation);
      if (name === undefined) return source.fail(at, "this is no type");
      if (name === "torch.Tensor") return TensorType;
      if (name === "torch.device") return DeviceObjType;
      if (name.startsWith("__torch__.torch.classes.")) return ClassType(name);
      const info = this.findClass(name);
      return info === undefined ? source.fail(at, `the archive holds no class ${name}`) : this.typeOf(info);
    }
    if (kind === "Subscript" && annotation.object.kind === "Name") {
      const parameters = annotation.index.kind === "Tuple" ? annotation.index.elements : [annotation.index];
      const types = parameters.map((parameter) => this.resolveType(parameter, source));
      const first = types[0];
      switch (annotation.object.name) {
        case "Tuple":
          return { kind: "TupleType", elements: types };
        case "Union":
          return unionOf(types);
        case "Dict":
          if (types.length === 2) return { kind: "DictType", key: first as Type, value: types[1] as Type };
          break;
        default:
          if (first !== undefined && types.length === 1) {
            switch (annotation.object.name) {
              case "List":
                return ListType(first);
              case "Optional":
                return first.kind === "OptionalType" || first.kind === "NoneType" ? first : OptionalType(first);
              // A forked call is made in place: its future is its value.
              case "Future":
              case "Await":
              case "Final":
                return first;
            }
          }
      }
      return source.fail(at, `'${annotation.object.name}[...]' is no type with ${types.length} parameters`);
    }
    return source.fail(at, "this is no type");
  }

  /** The value of an expression that is written out; undefined when it has to be computed. */
  constant(expression: Expression, source: Source): Constant | undefined {
    switch (expression.kind) {
      case "Number":
        return expression.type === "complex" ? undefined : expression.value;
      case "String":
      case "Literal":
        return expression.value;
      case "Name":
        return expression.name === "inf" ? Infinity : expression.name === "nan" ? Number.NaN : undefined;
      case "Unary": {
        const operand = this.constant(expression.operand, source);
        return expression.operator === "-" && typeof operand === "number" ? -operand : undefined;
      }
      case "List":
      case "Tuple": {
        const elements = expression.elements.map((element) => this.constant(element, source));
        if (elements.includes(undefined)) return undefined;
        return expression.kind === "List" ? (elements as Constant[]) : new TupleValue(elements as Constant[]);
      }
      case "Dict": {
        const map = new Map<string | number | boolean, Constant>();
        for (const [i, key] of expression.keys.entries()) {
          const name = this.constant(key, source);
          const value = this.constant(expression.values[i] as Expression, source);
          if (value === undefined || !["string", "number", "boolean"].includes(typeof name)) return undefined;
          map.set(name as string | number | boolean, value);
        }
        return map;
      }
      case "Attribute": {
        const name = dottedName(expression);
        if (name === undefined) return undefined;
        const constant = /^CONSTANTS\.c(\d+)$/.exec(name);
        if (constant !== null) return this.constants[Number(constant[1])];
        const info = this.findClass(name.slice(0, name.lastIndexOf(".")));
        return info?.definition.base === "Enum" ? this.enumMember(info, expression.name) : undefined;
      }
      case "Call": {
        const name = dottedName(expression.callee);
        const [first, second] = expression.args;
        if (name === "annotate" && second !== undefined) return this.constant(second, source);
        if (name === "torch.device" && first?.kind === "String") return new Device(first.value);
        return undefined;
      }
      default:
        return undefined;
    }
  }
}

function unionOf(types: readonly Type[]): Type {
  const members = types.filter((type) => type.kind !== "NoneType");
  const [only] = members;
  const union: Type = members.length === 1 && only !== undefined ? only : { kind: "UnionType", members };
  return members.length === types.length ? union : OptionalType(union);
}

/** `a.b.c` of an expression that is nothing but names and dots. */
function dottedName(expression: Expression): string | undefined {
  if (expression.kind === "Name") return expression.name;
  if (expression.kind !== "Attribute") return undefined;
  const object = dottedName(expression.object);
  return object === undefined ? undefined : `${object}.${expression.name}`;
}
