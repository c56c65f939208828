import type { Node } from "../ir/graph.js";
import { type FunctionSchema, operatorName, parseSchema } from "../ir/schema.js";
import { TrtorchError } from "../util/errors.js";
import type { ConversionContext } from "./context.js";
import type { ArgumentsOf, ReturnOf } from "./schema-types.js";
import type { IValue } from "./values.js";

/** Where a converter works and where it does not, in words for reports and docs. */
export interface ConverterNotes {
  readonly limits?: string;
}

/** Turns nodes of one operator into layers, or into values known at build time. */
export interface Converter {
  readonly role: "converter" | "evaluator";
  readonly schema: FunctionSchema;
  readonly notes: ConverterNotes;
  readonly convert: (ctx: ConversionContext, args: Record<string, unknown>) => unknown;
}

/**
 * What an operator with a converter for real tensors does with complex ones, on their parts. `onReal` is that converter, for
 * other arguments.
 */
export interface ComplexForm {
  /** `aten::mul.Tensor`. */
  readonly complex: string;
  readonly convert: (
    ctx: ConversionContext,
    args: Record<string, unknown>,
    onReal: (args: Record<string, unknown>) => unknown,
  ) => unknown;
}

/** Evaluates nodes without a schema of their own, such as `prim::ListConstruct`: values in, a value an output out. */
export interface NodeEvaluator {
  readonly kind: string;
  readonly evaluate: (ctx: ConversionContext, node: Node, inputs: readonly IValue[]) => readonly IValue[];
}

/**
 * Declares a converter. The arguments' types follow from the schema's text; so does what must be returned.
 *
 * ```ts
 * export const relu = converter("aten::relu(Tensor self) -> Tensor", (ctx, { self }) =>
 *   ctx.network.addActivation(self.tensor, "kRELU"));
 * ```
 */
export function converter<const S extends string, const R extends ReturnOf<S>>(
  schema: S,
  convert: (ctx: ConversionContext, args: ArgumentsOf<S>) => R,
  notes: ConverterNotes = {},
): Converter {
  return { role: "converter", schema: parseSchema(schema), notes, convert: convert as Converter["convert"] };
}

/** Declares an operator that is computed at build time: arithmetic on sizes, lists, metadata of tensors. */
export function evaluator<const S extends string, const R extends ReturnOf<S>>(
  schema: S,
  convert: (ctx: ConversionContext, args: ArgumentsOf<S>) => R,
): Converter {
  return { role: "evaluator", schema: parseSchema(schema), notes: {}, convert: convert as Converter["convert"] };
}

/** An operator that shall have no converter although a built-in one exists: see {@link withoutConverter}. */
export interface WithoutConverter {
  readonly role: "none";
  /** `aten::flatten.using_ints`. */
  readonly operator: string;
}

/**
 * Takes a built-in converter out of the registry. The operator then stays with Torch or, where `fallback` is false, fails the job.
 *
 * ```ts
 * export const flatten = withoutConverter("aten::flatten.using_ints");
 * ```
 */
export function withoutConverter(operator: string): WithoutConverter {
  return { role: "none", operator };
}

export function nodeEvaluator(kind: string, evaluate: NodeEvaluator["evaluate"]): NodeEvaluator {
  return { kind, evaluate };
}

export function isConverter(value: unknown): value is Converter {
  return typeof value === "object" && value !== null && "role" in value && "schema" in value && "convert" in value;
}

function isWithoutConverter(value: unknown): value is WithoutConverter {
  return typeof value === "object" && value !== null && "role" in value && value.role === "none";
}

function isComplexForm(value: unknown): value is ComplexForm {
  return typeof value === "object" && value !== null && "complex" in value && "convert" in value;
}

export function isNodeEvaluator(value: unknown): value is NodeEvaluator {
  return typeof value === "object" && value !== null && "kind" in value && "evaluate" in value;
}

/** Which converter is for which operator. Registering a name again replaces it: a user's converter wins. */
export class Registry {
  readonly #converters = new Map<string, Converter>();
  readonly #nodeEvaluators = new Map<string, NodeEvaluator>();
  readonly #complexForms = new Map<string, ComplexForm>();
  /** The module each operator's converter came from, for docs and messages. */
  readonly #origins = new Map<string, string>();

  register(...entries: readonly (Converter | NodeEvaluator | ComplexForm)[]): this {
    for (const entry of entries) {
      if (isConverter(entry)) this.#converters.set(operatorName(entry.schema), entry);
      else if (isComplexForm(entry)) this.#complexForms.set(entry.complex, entry);
      else this.#nodeEvaluators.set(entry.kind, entry);
    }
    return this;
  }

  /**
   * Registers every converter a module exports, alone or in arrays. `origin` is the module's name for docs. With `unique`
   * none may replace another.
   */
  registerModule(module: Record<string, unknown>, origin: string, { unique = false } = {}): this {
    let found = 0;
    for (const exported of Object.values(module).flat()) {
      if (isWithoutConverter(exported)) {
        if (!this.#converters.has(exported.operator)) {
          throw new TrtorchError("config", `${origin}: there is no converter for "${exported.operator}" to leave out`, {
            hint: 'Name the operator with its overload, as reports do: "aten::flatten.using_ints".',
          });
        }
        this.unregister(exported.operator);
        found++;
        continue;
      }
      if (!isConverter(exported) && !isNodeEvaluator(exported) && !isComplexForm(exported)) continue;
      const [known, name] = isConverter(exported)
        ? [this.#converters, operatorName(exported.schema)]
        : isComplexForm(exported)
          ? [this.#complexForms, exported.complex]
          : [this.#nodeEvaluators, exported.kind];
      if (unique && known.has(name)) {
        throw new TrtorchError("internal", `${origin} registers ${name}, which ${this.#origins.get(name)} has already`);
      }
      this.register(exported);
      if (!isComplexForm(exported)) this.#origins.set(name, origin);
      found++;
    }
    if (found === 0) {
      throw new TrtorchError("config", `${origin} exports no converter`, {
        hint: 'Export the result of converter("ns::op(Tensor self) -> Tensor", (ctx, { self }) => ...).',
      });
    }
    return this;
  }

  unregister(name: string): void {
    this.#converters.delete(name);
    this.#nodeEvaluators.delete(name);
  }

  copy(): Registry {
    const copy = new Registry();
    for (const [name, entry] of this.#converters) copy.#converters.set(name, entry);
    for (const [kind, entry] of this.#nodeEvaluators) copy.#nodeEvaluators.set(kind, entry);
    for (const [name, entry] of this.#complexForms) copy.#complexForms.set(name, entry);
    for (const [name, origin] of this.#origins) copy.#origins.set(name, origin);
    return copy;
  }

  /**
   * By name and overload, as PyTorch's operator table is keyed: a schema whose arguments drifted between releases still
   * finds its converter, which reads arguments by name.
   */
  find(schema: FunctionSchema): Converter | undefined {
    return this.#converters.get(operatorName(schema)) ?? this.#converters.get(functionalName(schema));
  }

  findComplexForm({ schema }: Converter): ComplexForm | undefined {
    return this.#complexForms.get(operatorName(schema));
  }

  findEvaluator(kind: string): NodeEvaluator | undefined {
    return this.#nodeEvaluators.get(kind);
  }

  supports(node: Node): "converter" | "evaluator" | undefined {
    if (this.#nodeEvaluators.has(node.kind)) return "evaluator";
    return node.schema === undefined ? undefined : this.find(node.schema)?.role;
  }

  /** The module that handles the node: `converters/convolution`, or a user's file. */
  originOf(node: Node): string | undefined {
    if (this.#nodeEvaluators.has(node.kind)) return this.#origins.get(node.kind);
    const found = node.schema === undefined ? undefined : this.find(node.schema);
    return found === undefined ? undefined : this.#origins.get(operatorName(found.schema));
  }

  /** Every operator with a converter, sorted by name. */
  entries(): { name: string; converter: Converter; origin: string | undefined }[] {
    return [...this.#converters]
      .map(([name, converter]) => ({ name, converter, origin: this.#origins.get(name) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The operators that take complex tensors, beside those whose converters do so themselves, sorted. */
  complexForms(): string[] {
    return [...this.#complexForms.keys()].sort();
  }

  nodeKinds(): string[] {
    return [...this.#nodeEvaluators.keys()].sort();
  }
}

/** `aten::relu_` is converted as `aten::relu`: lowering has made sure that nobody sees the write. */
function functionalName(schema: FunctionSchema): string {
  const name = schema.name.endsWith("_") && !schema.name.endsWith("__") ? schema.name.slice(0, -1) : schema.name;
  return operatorName({ ...schema, name });
}
