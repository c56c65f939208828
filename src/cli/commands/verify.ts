import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import type { Tensor } from "../../ir/tensor.js";
import { type ErrorBin, type OutputComparison, PRECISIONS, type Precision, type Tolerance } from "../../plan/job.js";
import { TrtorchError } from "../../util/errors.js";
import { formatErrors } from "../../util/format.js";
import type { Executable, Tensors } from "../../worker/executable.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import {
  addExecutableOptions,
  chooseInputs,
  describeTarget,
  type ExecutableOptions,
  openEngine,
  openModel,
  openRecording,
  readRecording,
  recordedInputs,
  recordedTensors,
  type TargetKind,
  targetKind,
} from "../executable.js";
import { tolerance } from "../options.js";

interface VerifyOptions extends ExecutableOptions {
  readonly golden?: string;
  readonly model?: string;
  readonly rtol?: number;
  readonly atol?: number;
  readonly json?: boolean;
}

export function defineVerify(program: Command, context: CliContext, run: Wrap): void {
  const command = program
    .command("verify")
    .description("whether an engine, or a model at a lower precision, gives the right numbers")
    .argument("<target>", "an engine, a .ts or a .pt2");
  addExecutableOptions(command)
    .option("--golden <file>", "a .npz with in0… and out0… to compare with")
    .option("--model <file>", "the model whose fp32 CPU reference to compare with (default: a target that is a model)")
    .option("--rtol <x>", "max|error| <= atol + rtol * (1 + max|ref|); default: the precision's own", tolerance)
    .option("--atol <x>", "default: 0", tolerance)
    .option("--json", "as JSON; numbers that are not finite are null")
    .action(run((target: string, options: VerifyOptions) => verify(target, options, context)));
}

async function verify(target: string, options: VerifyOptions, context: CliContext): Promise<ExitCode> {
  const kind = await targetKind(target, context);
  checkReference(target, kind, options);
  const golden = options.golden === undefined ? null : await openRecording(options.golden, context);
  const recording = golden ?? (await readRecording(options, context));
  const executable =
    kind === "engine"
      ? await openEngine(target, options, context)
      : await openModel(target, options, recording && recordedInputs(recording.arrays), context);
  try {
    const inputs = await chooseInputs(executable, recording, options);
    const actual = await executable.execute(inputs);
    const expected =
      golden === null
        ? await referenceOutputs(options.model ?? target, options, inputs, executable, context)
        : await recordedTensors(golden, executable.outputs, "out");
    const { compareAll } = await import("../../worker/comparison.js");
    const limits = await chooseTolerance(resolve(context.cwd, target), options);
    const outputs = compareAll(executable.outputs, actual, expected, limits);
    const passed = outputs.every((output) => output.passed);
    const reference = golden?.file ?? `${options.model ?? target} in fp32 on the CPU`;
    if (options.json === true) {
      const result = { target, place: executable.place, reference, tolerance: limits, passed, outputs };
      context.stdout(`${JSON.stringify(result, null, 2)}\n`);
    } else {
      context.stdout(
        [
          `${describeTarget(target, executable)}, beside ${reference}`,
          ...outputs.flatMap(describeOutput),
          passed ? "passed" : `failed: ${outputs.flatMap(({ output, passed }) => (passed ? [] : output)).join(", ")}`,
          "",
        ].join("\n"),
      );
    }
    return passed ? 0 : 1;
  } finally {
    await executable.dispose();
  }
}

/** Something to compare with, which is not the target itself. */
function checkReference(target: string, kind: TargetKind, options: VerifyOptions): void {
  if (options.golden !== undefined) {
    for (const [name, given] of [
      ["--model", options.model !== undefined],
      ["--input with a .npz", options.input.some((input) => input.endsWith(".npz"))],
    ] as const) {
      if (given) throw new TrtorchError("usage", `${name} and --golden are given`, { hint: "one or the other" });
    }
    return;
  }
  if (options.model !== undefined) return;
  if (kind === "engine") {
    throw new TrtorchError("usage", `there is nothing to compare ${target} with`, {
      hint: "Give --golden io.npz with recorded outputs, or --model with the model that it was built of.",
    });
  }
  if ((options.precision ?? "fp32") === "fp32") {
    throw new TrtorchError("usage", `${target} in fp32 on the CPU is the reference itself`, {
      hint: "Give --golden io.npz with recorded outputs, or a lower --precision to compare with fp32.",
    });
  }
}

/** What the model gives in fp32 on the CPU for the target's inputs, in the order of the target's outputs. */
async function referenceOutputs(
  model: string,
  options: VerifyOptions,
  inputs: Tensors,
  target: Executable,
  context: CliContext,
): Promise<Tensor[]> {
  const kind = await targetKind(model, context);
  if (kind === "engine") throw new TrtorchError("usage", `--model names ${model}, which is an engine`);
  const values = target.inputs.map(({ name }) => inputs[name] as Tensor);
  const reference = await openModel(model, { ...options, precision: "fp32" }, values, context);
  try {
    checkCount("inputs", model, reference.inputs.length, target.inputs.length);
    checkCount("outputs", model, reference.outputs.length, target.outputs.length);
    // Tensors of one method have other names where it was exported otherwise.
    const outputs = await reference.execute(
      Object.fromEntries(reference.inputs.map(({ name }, i) => [name, inputs[name] ?? (values[i] as Tensor)])),
    );
    return target.outputs.map((name, i) => outputs[name] ?? (outputs[reference.outputs[i] as string] as Tensor));
  } finally {
    await reference.dispose();
  }
}

function checkCount(what: string, model: string, count: number, wanted: number): void {
  if (count === wanted) return;
  throw new TrtorchError("mismatch", `${model} has ${count} ${what}, the target has ${wanted}`, {
    hint: "Is it the model that the target was built of?",
  });
}

/** The precision's tolerance: the one given, else that of the manifest which a build writes beside an engine. */
async function chooseTolerance(target: string, options: VerifyOptions): Promise<Tolerance> {
  const { DEFAULT_TOLERANCE } = await import("../../plan/job.js");
  const precision = options.precision ?? (await manifestPrecision(dirname(target))) ?? "fp32";
  const { rtol, atol } = DEFAULT_TOLERANCE[precision];
  return { rtol: options.rtol ?? rtol, atol: options.atol ?? atol };
}

async function manifestPrecision(folder: string): Promise<Precision | undefined> {
  const manifest = await readFile(join(folder, "manifest.json"), "utf8")
    .then((text) => JSON.parse(text) as { precision?: unknown } | null)
    .catch(() => null);
  return PRECISIONS.find((precision) => precision === manifest?.precision);
}

function describeOutput(output: OutputComparison): string[] {
  const { output: name, dims, nan, referenceNan, histogram } = output;
  const [max, allowed, mean, cosine] = formatErrors(output);
  const lines = [
    `  ${name} [${dims.join(", ")}]: max error ${max} (allowed ${allowed}), mean ${mean}, cosine ${cosine}, ${nan === 0 ? "no" : nan} NaN`,
  ];
  if (referenceNan !== nan) lines.push(`    the reference has ${referenceNan} NaN`);
  const first = histogram.findIndex(({ count }) => count > 0);
  const last = histogram.findLastIndex(({ count }) => count > 0);
  const shown = first < 0 ? [] : histogram.slice(first, last + 1);
  const most = Math.max(...shown.map(({ count }) => count));
  const width = String(most).length;
  for (const bin of shown) {
    const bar = "#".repeat(Math.ceil((bin.count / most) * 40));
    lines.push(`    ${binName(bin).padEnd(7)}  ${String(bin.count).padStart(width)}  ${bar}`.trimEnd());
  }
  return lines;
}

function binName({ below }: ErrorBin): string {
  if (below === null) return "more";
  return below === 0 ? "equal" : `< ${below.toExponential(0)}`;
}
