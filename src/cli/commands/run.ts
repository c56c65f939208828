import { resolve } from "node:path";
import type { Command } from "commander";
import type { Tensor } from "../../ir/tensor.js";
import { formatTable } from "../../util/format.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { addExecutableOptions, describeTarget, type ExecutableOptions, openTarget } from "../executable.js";
import { displayPath } from "../project.js";

interface RunOptions extends ExecutableOptions {
  readonly output?: string;
  readonly json?: boolean;
}

/** A tensor in a few numbers; null where it has no finite ones. */
interface TensorSummary {
  readonly name: string;
  readonly dtype: string;
  readonly dims: readonly number[];
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  readonly nan: number;
}

export function defineRun(program: Command, context: CliContext, run: Wrap): void {
  const command = program
    .command("run")
    .description("execute an engine, or a model on the CPU reference")
    .argument("<target>", "an engine, a .ts or a .pt2");
  addExecutableOptions(command)
    .option("-o, --output <file>", "a .npz for in0, … and out0, …: also a golden file")
    .option("--json", "what went in and came out, in a few numbers, as JSON")
    .action(run((target: string, options: RunOptions) => execute(target, options, context)));
}

async function execute(target: string, options: RunOptions, context: CliContext): Promise<ExitCode> {
  const { executable, inputs } = await openTarget(target, options, context);
  try {
    const outputs = await executable.execute(inputs);
    const given = executable.inputs.map(({ name }): [string, Tensor] => [name, inputs[name] as Tensor]);
    const made = executable.outputs.map((name): [string, Tensor] => [name, outputs[name] as Tensor]);
    const file = options.output === undefined ? null : resolve(context.cwd, options.output);
    if (file !== null) {
      const { writeNpz } = await import("../../util/npz.js");
      await writeNpz(file, [
        ...given.map(([, tensor], i) => [`in${i}`, tensor] as const),
        ...made.map(([, tensor], i) => [`out${i}`, tensor] as const),
      ]);
    }
    const summary = { inputs: given.map(summarize), outputs: made.map(summarize) };
    if (options.json === true) {
      const result = { target, place: executable.place, ...summary, output: file };
      context.stdout(`${JSON.stringify(result, null, 2)}\n`);
      return 0;
    }
    const rows = [
      ...summary.inputs.map((tensor) => row("input", tensor)),
      ...summary.outputs.map((tensor) => row("output", tensor)),
    ];
    context.stdout(`${describeTarget(target, executable)}\n${formatTable(rows)}\n`);
    if (file !== null) context.stdout(`wrote ${displayPath(file, context)}\n`);
    return 0;
  } finally {
    await executable.dispose();
  }
}

function summarize([name, tensor]: readonly [string, Tensor]): TensorSummary {
  let [min, max, sum, count, nan] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0, 0];
  for (const value of tensor.toNumbers()) {
    if (Number.isNaN(value)) nan++;
    if (!Number.isFinite(value)) continue;
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    count++;
  }
  const known = <T>(value: T): T | null => (count === 0 ? null : value);
  const { dtype, sizes: dims } = tensor;
  return { name, dtype, dims, min: known(min), max: known(max), mean: known(sum / count), nan };
}

function row(title: string, { name, dtype, dims, min, max, mean, nan }: TensorSummary): string[] {
  const numbers =
    min === null || max === null || mean === null
      ? []
      : [`${min.toPrecision(4)} to ${max.toPrecision(4)}`, `mean ${mean.toPrecision(4)}`];
  return [`  ${title}`, name, dtype, `[${dims.join(", ")}]`, ...numbers, ...(nan > 0 ? [`${nan} NaN`] : [])];
}
