import type { Command } from "commander";
import type { ModelConfig } from "../../config/config.js";
import type { Network } from "../../network/network.js";
import { type Precision, type Tolerance, worstOutput } from "../../plan/job.js";
import { TrtorchError } from "../../util/errors.js";
import { count, formatErrors, formatTable } from "../../util/format.js";
import type { ExecutableInput } from "../../worker/executable.js";
import type { Fp32Search, Measurement } from "../../worker/fp32-search.js";
import type { Reference } from "../../worker/golden.js";
import type { SampleOptions } from "../../worker/sample-inputs.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { addSampleOptions, convertConfigured } from "../executable.js";
import { collect, tolerance } from "../options.js";
import { addModelOptions, displayPath, loadProject, type ProjectOptions } from "../project.js";

interface PrecisionOptions extends ProjectOptions, SampleOptions {
  readonly filter: string[];
  readonly rtol?: number;
  readonly atol?: number;
  readonly wholeOperators?: boolean;
  readonly json?: boolean;
}

type Reduced = Exclude<Precision, "fp32">;

interface PrecisionResult {
  readonly precision: Reduced;
  readonly tolerance: Tolerance;
  /** The config's own fp32_ops; null where it has none. */
  readonly configured: Measurement | null;
  readonly search: Fp32Search;
  /** Networks that were run. */
  readonly networks: number;
}

interface ModelResult {
  readonly model: string;
  /** What was compared with, in words. */
  readonly reference: string;
  readonly fp32: Measurement;
  readonly precisions: readonly PrecisionResult[];
  /** For the config: what all precisions need together; null where one of them has no set. */
  readonly fp32Ops: readonly string[] | null;
}

export function definePrecision(program: Command, context: CliContext, run: Wrap): void {
  const command = program
    .command("precision")
    .description("how far off fp16 and bf16 are on the CPU reference, and which operators must stay fp32")
    .argument("[models...]", "model files, instead of a config");
  addSampleOptions(addModelOptions(command))
    .option("--filter <pattern>", "only models by name; * for anything, ! to leave out", collect, [])
    .option(
      "--rtol <x>",
      "max|error| <= atol + rtol * (1 + max|ref|); default: the config's, or the precision's own",
      tolerance,
    )
    .option("--atol <x>", "default: the config's, or 0", tolerance)
    .option("--whole-operators", "name operators for the whole model, not those of single modules")
    .option("--json", "as JSON; numbers that are not finite are null")
    .action(run((models: string[], options: PrecisionOptions) => precision(models, options, context)));
}

async function precision(files: readonly string[], options: PrecisionOptions, context: CliContext): Promise<ExitCode> {
  const config = await loadProject(files, options, context);
  const { filterByName } = await import("../../plan/select.js");
  const results: (ModelResult | { model: string; error: string })[] = [];
  for (const model of filterByName(config.models, options.filter, "model", ({ name }) => [name])) {
    const result = await examine(model, options, context);
    results.push(result);
    if (options.json !== true)
      context.stdout("error" in result ? `${result.model}: ${result.error}\n` : describe(result));
  }
  if (options.json === true) context.stdout(`${JSON.stringify({ models: results }, null, 2)}\n`);
  return results.every((result) => !("error" in result) && result.fp32Ops !== null) ? 0 : 1;
}

/** One model that cannot be read or run does not hide what can be said of the others. */
async function examine(
  model: ModelConfig,
  options: PrecisionOptions,
  context: CliContext,
): Promise<ModelResult | { model: string; error: string }> {
  try {
    return await search(model, options, context);
  } catch (error) {
    if (!(error instanceof TrtorchError) || error.code === "internal") throw error;
    return { model: model.name, error: error.message };
  }
}

async function search(model: ModelConfig, options: PrecisionOptions, context: CliContext): Promise<ModelResult> {
  const { measurePrecision, searchFp32Ops } = await import("../../worker/fp32-search.js");
  const { DEFAULT_TOLERANCE } = await import("../../plan/job.js");
  const network = await convertConfigured(model, model.backend);
  const reference = await referenceOf(network, model, options);
  const limits = (precision: Precision): Tolerance => ({
    ...DEFAULT_TOLERANCE[precision],
    ...model.tolerance,
    ...(options.rtol !== undefined && { rtol: options.rtol }),
    ...(options.atol !== undefined && { atol: options.atol }),
  });
  const fp32 = await measurePrecision(network, "fp32", [], reference, limits("fp32"));
  const reduced = model.precisions.filter((precision) => precision !== "fp32");
  const precisions: PrecisionResult[] = [];
  for (const precision of reduced.length > 0 ? reduced : REDUCED) {
    const tolerance = limits(precision);
    const progress = new Progress(`${model.name}, ${precision}`, context);
    const found = await searchFp32Ops(network, precision, reference, {
      tolerance,
      wholeOperators: options.wholeOperators === true,
      onMeasured: () => progress.step(),
    });
    const { fp32Ops } = model.builder;
    const configured =
      fp32Ops.length === 0 ? null : await measurePrecision(network, precision, fp32Ops, reference, tolerance);
    progress.end();
    precisions.push({ precision, tolerance, configured, search: found, networks: progress.steps });
  }
  return {
    model: model.name,
    reference:
      model.golden === null
        ? `its own fp32 numbers for random inputs (seed ${options.seed})`
        : displayPath(model.golden, context),
    fp32,
    precisions,
    fp32Ops: await unite(precisions, (precision, fp32Ops) =>
      measurePrecision(network, precision, fp32Ops, reference, limits(precision)),
    ),
  };
}

const REDUCED: readonly Reduced[] = ["fp16", "bf16"];

/** The recorded inputs and outputs, which a build compares with too; else random inputs, and what fp32 makes of them. */
async function referenceOf(network: Network, { golden }: ModelConfig, options: SampleOptions): Promise<Reference> {
  if (golden !== null) {
    const { readGolden } = await import("../../worker/golden.js");
    return readGolden(golden, network);
  }
  const [{ cpuExecutable }, { sampleInputs }] = await Promise.all([
    import("../../worker/executable.js"),
    import("../../worker/sample-inputs.js"),
  ]);
  const executable = await cpuExecutable(network, "fp32");
  try {
    const inputs = sampleInputs(executable.inputs as readonly ExecutableInput[], options);
    const outputs = await executable.execute(inputs);
    return { inputs, outputs: Object.values(outputs) };
  } finally {
    await executable.dispose();
  }
}

/** A model's config has one list for all its precisions: it must serve each of them. */
async function unite(
  precisions: readonly PrecisionResult[],
  measure: (precision: Reduced, fp32Ops: readonly string[]) => Promise<Measurement>,
): Promise<readonly string[] | null> {
  const sets = precisions.map(({ search }) => search.found?.fp32Ops ?? null);
  if (sets.includes(null)) return null;
  const all = [...new Set(sets.flatMap((set) => set ?? []))];
  for (const [i, { precision }] of precisions.entries()) {
    if (sets[i]?.length !== all.length && !(await measure(precision, all)).passed) return null;
  }
  return all;
}

/** On a terminal: how many networks were run. */
class Progress {
  readonly #title: string;
  readonly #context: CliContext;
  steps = 0;

  constructor(title: string, context: CliContext) {
    this.#title = title;
    this.#context = context;
  }

  step(): void {
    this.steps++;
    this.#write(`${this.#title}: ${count(this.steps, "network")} measured`);
  }

  end(): void {
    this.#write("");
  }

  #write(text: string): void {
    if (this.#context.terminalRows !== null) this.#context.stderr(`\r\x1b[K${text}`);
  }
}

function describe({ model, reference, fp32, precisions, fp32Ops }: ModelResult): string {
  const rows = [
    ["  precision", "in fp32", "max error", "allowed", "mean error", "cosine", ""],
    row(fp32, "everything"),
    ...precisions.flatMap(({ search: { without, everything, found }, configured }) => [
      row(without, "nothing"),
      ...(configured === null ? [] : [row(configured, `fp32_ops of the config: ${configured.fp32Ops.join(", ")}`)]),
      ...(found === null && everything !== null ? [row(everything, "every operator")] : []),
      ...(found === null || found === without ? [] : [row(found, found.fp32Ops.join(", "))]),
    ]),
  ];
  const networks = precisions.reduce((sum, precision) => sum + precision.networks, 0);
  const lines = [
    `${model}, in onnxruntime on the CPU, beside ${reference}`,
    formatTable(rows),
    `${count(networks, "network")} measured`,
    ...verdict(precisions, fp32, fp32Ops),
  ];
  return `${lines.join("\n")}\n\n`;
}

function verdict(
  precisions: readonly PrecisionResult[],
  fp32: Measurement,
  fp32Ops: readonly string[] | null,
): string[] {
  const none = precisions.filter(({ search }) => search.found === null);
  const lines = none.map(
    ({ precision }) => `${precision}: no fp32_ops meet the tolerance: it is not met with every operator in fp32`,
  );
  if (none.length > 0) {
    const hint = fp32.passed
      ? "raise tolerance:, or build this model in fp32"
      : "fp32 itself is beyond its tolerance: was the golden file recorded with this model file, in eval mode?";
    return [...lines, `  hint: ${hint}`];
  }
  if (fp32Ops === null) {
    const each = precisions.map(
      ({ precision, search }) => `  # ${precision}\n  ${yamlLine(search.found?.fp32Ops ?? [])}`,
    );
    return ["no list serves all precisions; make two models of it in the config, with", ...each];
  }
  if (fp32Ops.length === 0) return ["no fp32_ops are needed"];
  return [yamlLine(fp32Ops)];
}

/** To be pasted into a model of the config. */
function yamlLine(fp32Ops: readonly string[]): string {
  return `fp32_ops: [${fp32Ops.map((name) => JSON.stringify(name)).join(", ")}]`;
}

function row({ precision, outputs, passed }: Measurement, inFp32: string): string[] {
  const worst = worstOutput(outputs);
  if (worst === null) return [`  ${precision}`, inFp32];
  return [`  ${precision}`, inFp32, ...formatErrors(worst), passed ? "within" : "beyond"];
}
