/** The syntax of an archive's `code/` files. Every node carries `at`, its offset in the source. */

export type Expression =
  | { readonly kind: "Name"; readonly at: number; readonly name: string }
  | { readonly kind: "Number"; readonly at: number; readonly value: number; readonly type: "int" | "float" | "complex" }
  | { readonly kind: "String"; readonly at: number; readonly value: string }
  /** `None`, `True`, `False`. */
  | { readonly kind: "Literal"; readonly at: number; readonly value: null | boolean }
  | { readonly kind: "Ellipsis"; readonly at: number }
  | { readonly kind: "Attribute"; readonly at: number; readonly object: Expression; readonly name: string }
  | {
      readonly kind: "Call";
      readonly at: number;
      readonly callee: Expression;
      readonly args: readonly Expression[];
      readonly keywords: readonly Keyword[];
    }
  | { readonly kind: "Subscript"; readonly at: number; readonly object: Expression; readonly index: Expression }
  | {
      readonly kind: "Slice";
      readonly at: number;
      readonly start?: Expression;
      readonly stop?: Expression;
      readonly step?: Expression;
    }
  | { readonly kind: "Tuple"; readonly at: number; readonly elements: readonly Expression[] }
  | { readonly kind: "List"; readonly at: number; readonly elements: readonly Expression[] }
  | {
      readonly kind: "Dict";
      readonly at: number;
      readonly keys: readonly Expression[];
      readonly values: readonly Expression[];
    }
  | {
      readonly kind: "Comprehension";
      readonly at: number;
      readonly element: Expression;
      readonly target: Expression;
      readonly iterable: Expression;
      readonly condition?: Expression;
    }
  | { readonly kind: "Unary"; readonly at: number; readonly operator: UnaryOperator; readonly operand: Expression }
  | {
      readonly kind: "Binary";
      readonly at: number;
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: "Conditional";
      readonly at: number;
      readonly test: Expression;
      readonly value: Expression;
      readonly otherwise: Expression;
    }
  | { readonly kind: "Starred"; readonly at: number; readonly value: Expression };

export type UnaryOperator = "-" | "+" | "~" | "not";

export type BinaryOperator =
  | ("or" | "and" | "in" | "not in" | "is" | "is not")
  | ("==" | "!=" | "<" | "<=" | ">" | ">=")
  | ("|" | "^" | "&" | "<<" | ">>" | "+" | "-" | "*" | "/" | "//" | "%" | "@" | "**");

export interface Keyword {
  readonly name: string;
  readonly value: Expression;
}

export type Statement =
  | { readonly kind: "Expression"; readonly at: number; readonly value: Expression }
  | {
      readonly kind: "Assign";
      readonly at: number;
      /** `a = b = value` has two. */
      readonly targets: readonly Expression[];
      readonly annotation?: Expression;
      /** Absent in a declaration: `x : Tensor`. */
      readonly value?: Expression;
    }
  | {
      readonly kind: "AugmentedAssign";
      readonly at: number;
      readonly target: Expression;
      readonly operator: BinaryOperator;
      readonly value: Expression;
    }
  | { readonly kind: "Return"; readonly at: number; readonly value?: Expression }
  | {
      readonly kind: "If";
      readonly at: number;
      readonly test: Expression;
      readonly body: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly kind: "While"; readonly at: number; readonly test: Expression; readonly body: readonly Statement[] }
  | {
      readonly kind: "For";
      readonly at: number;
      readonly target: Expression;
      readonly iterable: Expression;
      readonly body: readonly Statement[];
    }
  | {
      readonly kind: "With";
      readonly at: number;
      readonly items: readonly { readonly context: Expression; readonly target?: Expression }[];
      readonly body: readonly Statement[];
    }
  | { readonly kind: "Raise"; readonly at: number; readonly value?: Expression }
  | { readonly kind: "Assert"; readonly at: number; readonly test: Expression; readonly message?: Expression }
  | { readonly kind: "Delete"; readonly at: number; readonly targets: readonly Expression[] }
  | { readonly kind: "Pass" | "Break" | "Continue"; readonly at: number }
  | FunctionDef;

export interface Parameter {
  readonly name: string;
  readonly at: number;
  readonly annotation?: Expression;
  readonly default?: Expression;
  readonly kwargOnly: boolean;
}

export interface FunctionDef {
  readonly kind: "Function";
  readonly at: number;
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly returns?: Expression;
  readonly body: readonly Statement[];
}

export interface AttributeDef {
  readonly name: string;
  readonly at: number;
  readonly annotation?: Expression;
  /** A `Final` constant's value, a NamedTuple field's default, an Enum member's value. */
  readonly value?: Expression;
}

export interface ClassDef {
  readonly kind: "Class";
  readonly at: number;
  readonly name: string;
  /** `Module`, `NamedTuple`, `Enum`, `ModuleInterface`, `Interface`; undefined for a plain class. */
  readonly base?: string;
  readonly parameters: readonly string[];
  readonly buffers: readonly string[];
  /** In the order of their declaration. */
  readonly attributes: readonly AttributeDef[];
  readonly methods: readonly FunctionDef[];
}

export interface File {
  readonly classes: ReadonlyMap<string, ClassDef>;
  readonly functions: ReadonlyMap<string, FunctionDef>;
}
