import { type Constant, constantKey } from "../ir/constant.js";
import { type Block, Graph, type Node, type SourceRange, Value } from "../ir/graph.js";
import { ListType, NoneType, TensorType, type Type } from "../ir/type.js";
import type { Source } from "./source.js";
import { Frame, type Sugared } from "./sugared.js";
import type { CompilationUnit, FunctionInfo } from "./unit.js";

/** Finds the user's source of a place in a file of the archive. */
export type FindRange = (source: Source, offset: number) => SourceRange;

/** A block under construction with the constants that stand in it. */
export interface Scope {
  readonly block: Block;
  readonly constants: Map<unknown, Value>;
}

/** Makes the nodes of a function's graph where its code is being read: the lowest layer of the importer. */
export abstract class GraphBuilder {
  protected readonly unit: CompilationUnit;
  protected source: Source;
  protected readonly graph: Graph;
  protected frame = new Frame();
  /** Where in the source the node now being made comes from. */
  protected at = 0;
  /** The call in whose place a built-in function is being compiled: its nodes come from there. */
  protected inlinedAt: SourceRange | undefined;
  readonly #findRange: FindRange;
  readonly #scopes: Scope[];

  constructor(unit: CompilationUnit, info: FunctionInfo, findRange: FindRange) {
    this.unit = unit;
    this.source = info.source;
    this.#findRange = findRange;
    this.graph = new Graph(info.qualifiedName);
    this.#scopes = [{ block: this.graph.block, constants: new Map() }];
  }

  /** A value of the graph for what an expression gave. `hint` is the type that an empty list is to have. */
  protected value(sugared: Sugared, hint?: Type): Value {
    if (sugared instanceof Value) return sugared;
    switch (sugared.kind) {
      case "tuple": {
        const hints = hint?.kind === "TupleType" ? hint.elements : [];
        return this.tuple(sugared.elements.map((element, i) => this.value(element, hints[i])));
      }
      case "emptyList":
        return this.makeList([], hint?.kind === "ListType" ? hint.element : TensorType);
      case "module":
        return this.fail(`the archive holds no ${sugared.path}`);
      default:
        return this.fail(`this is no value (${sugared.kind})`);
    }
  }

  protected tuple(elements: readonly Value[]): Value {
    const type: Type = { kind: "TupleType", elements: elements.map((element) => element.type) };
    return this.insert("prim::TupleConstruct", elements, [type]).output();
  }

  protected makeList(values: readonly Value[], element: Type): Value {
    return this.insert("prim::ListConstruct", values, [ListType(element)]).output();
  }

  protected insert(kind: string, inputs: readonly Value[], outputs: readonly Type[]): Node {
    const node = this.graph.createNode(kind, inputs, outputs);
    node.sourceRange = this.range();
    (this.#scopes.at(-1) as Scope).block.appendNode(node);
    return node;
  }

  protected range(): SourceRange {
    return this.inlinedAt ?? this.#findRange(this.source, this.at);
  }

  /** A `prim::Constant`; equal ones that can be seen from here are one. */
  protected constant(value: Constant, type: Type): Value {
    return this.pooled(constantKey(value, type), () =>
      this.graph.createConstant(value, value === null ? NoneType : type),
    );
  }

  protected pooled(key: unknown, create: () => Node): Value {
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      const known = this.#scopes[i]?.constants.get(key);
      if (known !== undefined) return known;
    }
    const scope = this.#scopes.at(-1) as Scope;
    const node = create();
    node.sourceRange = this.range();
    scope.block.appendNode(node);
    scope.constants.set(key, node.output());
    return node.output();
  }

  protected enter(block: Block): Scope {
    const scope = { block, constants: new Map<unknown, Value>() };
    this.#scopes.push(scope);
    return scope;
  }

  protected leave(): void {
    this.#scopes.pop();
  }

  protected fail(message: string, hint?: string): never {
    return this.source.fail(this.at, message, hint);
  }

  protected unsupported(at: number, what: string): never {
    return this.source.fail(at, `${what} is not supported`, "PyTorch does not write this form into archives.");
  }
}

/**
 * Gives a value the name of the variable it is assigned to, as PyTorch does: the first that is no `_12`. A constant
 * stands for every equal one, so a name would mislead.
 */
export function nameValue(value: Value, name: string): void {
  if (value.debugName !== undefined || value.node.kind === "prim::Constant" || /^_\d*$/.test(name)) return;
  value.debugName = name;
}
