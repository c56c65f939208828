import type { Command } from "commander";
import { TrtorchError } from "../../util/errors.js";
import { formatTable } from "../../util/format.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { addExecutableOptions, describeTarget, type ExecutableOptions, openTarget, targetKind } from "../executable.js";
import { wholeNumber } from "../options.js";

interface BenchCommandOptions extends ExecutableOptions {
  readonly warmup: number;
  readonly iterations: number;
  readonly graph?: boolean;
  readonly json?: boolean;
}

export function defineBench(program: Command, context: CliContext, run: Wrap): void {
  const command = program
    .command("bench")
    .description("how long an engine takes, or a model on the CPU reference")
    .argument("<target>", "an engine, a .ts or a .pt2");
  addExecutableOptions(command)
    .option("--iterations <n>", "executions that are timed", wholeNumber(1), 100)
    .option("--warmup <n>", "executions before them", wholeNumber(0), 10)
    .option("--graph", "as a CUDA graph, which spares launching each kernel")
    .option("--json", "as JSON; times in milliseconds")
    .action(run((target: string, options: BenchCommandOptions) => bench(target, options, context)));
}

async function bench(target: string, options: BenchCommandOptions, context: CliContext): Promise<ExitCode> {
  const { warmup, iterations, graph = false } = options;
  if (graph && (await targetKind(target, context)) === "model") {
    throw new TrtorchError("usage", `--graph is for engines: ${target} is a model, which runs on the CPU`);
  }
  const { kind, executable, inputs } = await openTarget(target, options, context);
  try {
    const { summarizeTimes } = await import("../../worker/latency.js");
    const { times, usedGraph } = await executable.bench(inputs, { warmup, iterations, graph });
    const latency = summarizeTimes(times);
    const clock = kind === "engine" ? "CUDA events" : "host";
    const shapes = executable.inputs.map(({ name }) => ({ name, dims: inputs[name]?.sizes ?? [] }));
    if (options.json === true) {
      const result = { target, place: executable.place, inputs: shapes, warmup, clock, graph: usedGraph, ...latency };
      context.stdout(`${JSON.stringify(result, null, 2)}\n`);
      return 0;
    }
    const milliseconds = (["mean", "min", "p50", "p90", "p95", "p99", "max"] as const).map((key) => [
      `  ${key}`,
      `${latency[key].toPrecision(4)} ms`,
    ]);
    const how = usedGraph
      ? ", as a CUDA graph"
      : graph
        ? ", without a graph: the engine cannot be captured as one"
        : "";
    const from =
      kind === "engine" ? "between CUDA events; copies from and to the host are not in it" : "by the host's clock";
    context.stdout(
      [
        describeTarget(target, executable),
        ...shapes.map(({ name, dims }) => `  input ${name} [${dims.join(", ")}]`),
        `${iterations} executions after ${warmup} to warm up${how}, ${from}`,
        formatTable([...milliseconds, ["  throughput", `${latency.throughput.toPrecision(4)} executions a second`]]),
        "",
      ].join("\n"),
    );
    return 0;
  } finally {
    await executable.dispose();
  }
}
