import { type Command, Option } from "commander";
import type { ModelConfig } from "../../config/config.js";
import type { InputDeclaration, SupportReport } from "../../index.js";
import { describeProblem, type SourceLocation, TrtorchError } from "../../util/errors.js";
import { count, formatTable } from "../../util/format.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { addModelOptions, displayPath, loadProject, type ProjectOptions } from "../project.js";

interface CheckOptions extends ProjectOptions {
  readonly format?: "markdown";
  readonly json?: boolean;
}

export function defineCheck(program: Command, context: CliContext, run: Wrap): void {
  const command = program
    .command("check")
    .description("whether every operator can be converted, and what each becomes; needs no TensorRT")
    .argument("[models...]", "model files, instead of a config");
  addModelOptions(command)
    .addOption(new Option("--format <name>", "markdown: the whole support report").choices(["markdown"]))
    .option("--json", "the whole support report as JSON")
    .action(run((models: string[], options: CheckOptions) => check(models, options, context)));
}

async function check(files: readonly string[], options: CheckOptions, context: CliContext): Promise<ExitCode> {
  const config = await loadProject(files, options, context);
  const { renderMarkdown } = await import("../../artifacts/report.js");
  const reports: (SupportReport | Unreadable)[] = [];
  let supported = true;
  for (const model of config.models) {
    const result = await report(model);
    reports.push(result);
    supported &&= "error" in result ? false : result.supported;
    if (options.json === true) continue;
    if ("error" in result) context.stdout(describeUnreadable(result, context));
    else if (options.format === "markdown") context.stdout(`${renderMarkdown(result)}\n`);
    else context.stdout(describe(result));
  }
  if (options.json === true) context.stdout(`${JSON.stringify({ models: reports }, null, 2)}\n`);
  return supported ? 0 : 1;
}

/** A model that nothing can be said of, and why. */
interface Unreadable {
  readonly model: string;
  readonly error: string;
  readonly hint?: string;
  readonly location: SourceLocation;
}

/** One model that cannot be read does not hide what can be said of the others. */
async function report(model: ModelConfig): Promise<SupportReport | Unreadable> {
  const { checkMethodOperatorSupport, load } = await import("../../index.js");
  const { loadRegistry } = await import("../../worker/custom-converters.js");
  try {
    const registry = await loadRegistry(model.converters);
    return await checkMethodOperatorSupport(
      load(model.source, { mutatedBuffers: model.mutatedBuffers }),
      model.method,
      {
        name: model.name,
        registry,
        ...(model.backend !== "onnxruntime" && { backend: model.backend }),
        ...(model.inputs !== null && {
          inputs: model.inputs.map(
            ({ name, dtype, dims }): InputDeclaration => ({
              ...(name !== null && { name }),
              ...(dtype !== null && { dtype }),
              shape: dims,
            }),
          ),
        }),
      },
    );
  } catch (error) {
    if (!(error instanceof TrtorchError) || error.code === "internal") throw error;
    const { message, hint, location } = error;
    return {
      model: model.name,
      error: message,
      ...(hint !== undefined && { hint }),
      location: location ?? { file: model.source },
    };
  }
}

function describeUnreadable({ model, error, hint, location }: Unreadable, context: CliContext): string {
  const place = { ...location, file: displayPath(location.file, context) };
  return `${describeProblem({ message: `${model}: ${error}`, location: place, hint })}\n`;
}

function describe(report: SupportReport): string {
  const operators = report.operators.reduce((sum, operator) => sum + operator.count, 0);
  const layers = Object.values(report.layers).reduce((sum, number) => sum + number, 0);
  const size = `${count(operators, "operator")}, ${count(layers, "layer")}, ${report.parameters.elements} parameters`;
  if (report.supported) return `${report.model}: supported; ${size}\n`;
  const missing = report.operators.filter((operator) => operator.handledBy === null);
  const lines = [`${report.model}: not supported; ${size}`];
  if (report.problem !== null) lines.push(...report.problem.split("\n").map((line) => `  ${line}`));
  const rows = missing.map(({ operator, count: times, sources }) => [
    `  ${operator}`,
    `${times} x`,
    sources.slice(0, 3).join(", "),
  ]);
  if (rows.length > 0) lines.push("  no converter for:", formatTable(rows));
  return `${lines.join("\n")}\n`;
}
