import type { Value } from "../ir/graph.js";
import type { Type } from "../ir/type.js";
import type { Statement } from "./ast.js";
import type { Operand } from "./matching.js";
import type { ClassInfo, FunctionInfo } from "./unit.js";

/** What a name or an expression stands for: a value of the graph, or something that only the compiler knows. */
export type Sugared =
  | Value
  /** Several results that nobody has asked for as a tuple. */
  | { readonly kind: "tuple"; readonly elements: readonly Sugared[] }
  | { readonly kind: "emptyList" }
  /** `torch` and `ops.X`, whose members are operators of a namespace. */
  | { readonly kind: "operators"; readonly namespace: string }
  | { readonly kind: "ops" }
  | { readonly kind: "constants" }
  /** A stretch of `__torch__.torch.nn` that is no class and no function yet. */
  | { readonly kind: "module"; readonly path: string }
  | { readonly kind: "operator"; readonly name: string; readonly self?: Value }
  /** `int(x)`: nothing to do where `x` is one. */
  | { readonly kind: "cast"; readonly operator: string; readonly type: Type }
  /** Something with rules of its own: `annotate`, `isinstance`. */
  | { readonly kind: "form"; readonly name: string }
  | { readonly kind: "function"; readonly info: FunctionInfo }
  | { readonly kind: "class"; readonly info: ClassInfo }
  | { readonly kind: "new"; readonly info: ClassInfo }
  | { readonly kind: "method"; readonly object: Value; readonly className: string; readonly name: string }
  | { readonly kind: "closure"; readonly body: readonly Statement[]; readonly frame: Frame };

export type Special<K> = Extract<Sugared, { readonly kind: K }>;

/** An argument of a call. */
export interface CallArgument extends Operand {
  readonly value: Sugared;
}

/** The variables of a block; those of the blocks around it are seen through it. */
export class Frame {
  readonly variables = new Map<string, Sugared>();
  /** Types that variables were declared with. */
  readonly declared = new Map<string, Type>();
  readonly parent: Frame | undefined;

  constructor(parent?: Frame) {
    this.parent = parent;
  }

  get(name: string): Sugared | undefined {
    for (let frame: Frame | undefined = this; frame !== undefined; frame = frame.parent) {
      const value = frame.variables.get(name);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  declaredType(name: string): Type | undefined {
    for (let frame: Frame | undefined = this; frame !== undefined; frame = frame.parent) {
      const type = frame.declared.get(name);
      if (type !== undefined) return type;
      if (frame.variables.has(name)) return undefined;
    }
    return undefined;
  }
}
