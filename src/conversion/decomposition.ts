import { TupleValue } from "../ir/constant.js";
import type { Graph } from "../ir/graph.js";
import { type ScalarType, scalarTypeCode } from "../ir/scalar-type.js";
import { type Argument, operatorName, parseSchema } from "../ir/schema.js";
import { NoneType } from "../ir/type.js";
import { importFunction } from "../torchscript/importer.js";
import { Source } from "../torchscript/source.js";
import { printSourceType } from "../torchscript/source-writer.js";
import { CompilationUnit } from "../torchscript/unit.js";
import type { ConversionContext } from "./context.js";
import { Interpreter } from "./convert.js";
import type { Converter, ConverterNotes } from "./registry.js";
import type { IValue } from "./values.js";

/**
 * Declares what an operator does by other operators: the body of a TorchScript function of the schema's arguments, in the
 * form that archives have it. `torch.` leads the names of PyTorch's operators, `ops.ns.` those of others; a body returns once,
 * at its end. Whether an argument is None is known, and `if x is None:` takes one branch.
 *
 * ```ts
 * export const swish = decomposition("my::swish(Tensor x, float beta=1.) -> Tensor", "return x * torch.sigmoid(x * beta)");
 * ```
 */
export function decomposition(schema: string, body: string, notes: ConverterNotes = {}): Converter {
  const parsed = parseSchema(schema);
  const name = operatorName(parsed);
  const text = indent(body);
  /** By which arguments are None. */
  const graphs = new Map<string, Graph>();
  return {
    role: "converter",
    schema: parsed,
    notes,
    convert(ctx: ConversionContext, args: Record<string, unknown>): unknown {
      const values = parsed.arguments.map((argument) => ivalueOf(argument, args[argument.name]));
      const given = values.map((value) => value !== null);
      const key = given.join();
      const graph = graphs.get(key) ?? compile(name, parsed.arguments, given, text);
      graphs.set(key, graph);
      graph.inputs.forEach((input, i) => {
        ctx.associateValueAndIValue(input, values[i] as IValue);
      });
      const [result] = new Interpreter(ctx, ctx.node).runBlock(graph.block);
      return result instanceof TupleValue ? result.elements : result;
    },
  };
}

/** The graph of a function with that body. Throws a TrtorchError of code `parse` that points at the line of the body. */
function compile(name: string, parameters: readonly Argument[], given: readonly boolean[], body: string): Graph {
  const annotated = parameters.map((parameter, i) => {
    const type = parameter.type.kind === "OptionalType" ? parameter.type.element : parameter.type;
    return `${parameter.name}: ${printSourceType(given[i] === true ? type : NoneType)}`;
  });
  // The signature is a line of its own, before the body's first.
  const source = Source.fromText(name, `def decomposed(${annotated.join(", ")}) -> Any:\n${body}\n`);
  const unit = new CompilationUnit(() => source, [], Number.POSITIVE_INFINITY);
  const info = unit.find("decomposition.decomposed");
  if (info?.kind !== "function") return source.fail(0, "a decomposition is the body of a function");
  return importFunction(unit, info, (_, offset) => source.location(offset));
}

/** An argument as the schema's converters read it, as the value of a graph that it was read from. */
function ivalueOf({ spelling }: Argument, argument: unknown): IValue {
  if (typeof argument === "string" && spelling.startsWith("ScalarType")) return scalarTypeCode(argument as ScalarType);
  return (argument ?? null) as IValue;
}

/** The body's lines, two spaces further in than the function's head, whatever they had in common. */
function indent(body: string): string {
  const lines = body.replace(/^\n+|\s+$/g, "").split("\n");
  const common = Math.min(...lines.filter((line) => line.trim() !== "").map((line) => line.search(/\S/)));
  return lines.map((line) => `  ${line.slice(common)}`).join("\n");
}
