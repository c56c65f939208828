import { basename, resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { ModelConfig } from "../config/config.js";
import { PRECISION_NAMES } from "../config/names.js";
import type { Tensor } from "../ir/tensor.js";
import type { Network } from "../network/network.js";
import type { ProgramRange } from "../network/program.js";
import type { Backend, Precision } from "../plan/job.js";
import { TrtorchError } from "../util/errors.js";
import { isZip } from "../util/zip.js";
import type { Executable, ExecutableInput, Tensors } from "../worker/executable.js";
import type { CliContext } from "./context.js";
import { readHead } from "./file-head.js";
import { repeat, wholeNumber } from "./options.js";
import { ConfigError, loadProject } from "./project.js";

/** Options of every command that executes something. */
export interface ExecutableOptions {
  /** Shapes, and a `.npz` with values. */
  readonly input: string[];
  readonly seed: number;
  readonly shape: keyof ProgramRange;
  readonly profile: number;
  readonly precision?: Precision;
  readonly method?: string;
  readonly converters: string[];
  readonly device: string;
  readonly library?: string;
  readonly allowHostCode?: boolean;
}

/** Where values of inputs, and perhaps outputs, come from. */
export interface Recording {
  readonly file: string;
  readonly arrays: ReadonlyMap<string, Tensor>;
}

export type TargetKind = "engine" | "model";

/** Options of every command that makes up inputs where none are recorded. */
export function addSampleOptions(command: Command): Command {
  return command
    .option("--seed <n>", "of the random inputs where no values are given", wholeNumber(0), 0)
    .addOption(
      new Option("--shape <which>", "of the shapes that inputs may have").choices(["min", "opt", "max"]).default("opt"),
    );
}

export function addExecutableOptions(command: Command): Command {
  command.option(
    "--input <spec>",
    "a .npz with values (in0, in1, … or by name), or an input's shape: x=1x3x224x224, or a range as in build",
    repeat,
    [],
  );
  return addSampleOptions(command)
    .option("--profile <n>", "the engine's optimization profile that has the shapes", wholeNumber(0), 0)
    .option("--precision <name>", "fp32, fp16, bf16: of a model, and for the tolerance of verify", precision)
    .option("--method <name>", "of a model (default: forward)")
    .option("--converters <file>", "files with converters for operators", repeat, [])
    .option("--device <gpu>", "a GPU's number or UUID", "0")
    .option("--library <path>", "the TensorRT library, or its folder")
    .option("--allow-host-code", "run the host code in version-compatible engines: only for engines that you trust");
}

function precision(text: string): Precision {
  const found = (PRECISION_NAMES as Readonly<Record<string, Precision>>)[text];
  if (found !== undefined) return found;
  throw new InvalidArgumentError("It is one of fp32, fp16, bf16.");
}

/** @throws TrtorchError `usage` for what is neither an engine nor a model */
export async function targetKind(target: string, context: CliContext): Promise<TargetKind> {
  const { head } = await readHead(resolve(context.cwd, target), target);
  if (isZip(head)) return "model";
  const { readPlanHeader } = await import("../backends/tensorrt/plan-header.js");
  if (readPlanHeader(head) !== undefined || /\.(engine|plan|trt)$/.test(target)) return "engine";
  throw new TrtorchError("usage", `${target} is no engine and no model`, {
    hint: target.endsWith(".onnx")
      ? "Name the model that the ONNX file was made of: it runs on the same CPU reference."
      : "its first bytes are those of neither",
  });
}

/** The values that `--input` names; null where inputs are to be random. */
export async function readRecording(options: ExecutableOptions, context: CliContext): Promise<Recording | null> {
  const [file, another] = options.input.filter(isRecording);
  if (another !== undefined) throw new TrtorchError("usage", "there is more than one .npz with inputs");
  return file === undefined ? null : openRecording(file, context);
}

export async function openRecording(file: string, context: CliContext): Promise<Recording> {
  const path = resolve(context.cwd, file);
  await readHead(path, file);
  const { readNpz } = await import("../util/npz.js");
  return { file, arrays: readNpz(path) };
}

/** Loads an engine, with the shapes that the command line asks for. */
export async function openEngine(target: string, options: ExecutableOptions, context: CliContext): Promise<Executable> {
  const [{ loadEngine }, { engineExecutable }] = await Promise.all([
    import("../backends/tensorrt/engine.js"),
    import("../worker/executable.js"),
  ]);
  const { device, library, allowHostCode = false, profile } = options;
  const engine = await loadEngine(resolve(context.cwd, target), {
    device,
    allowHostCode,
    ...(library !== undefined && { library: resolve(context.cwd, library) }),
  });
  try {
    const executable = engineExecutable(engine, profile);
    return { ...executable, inputs: await withShapes(executable.inputs, options) };
  } catch (error) {
    await engine.dispose();
    throw error;
  }
}

/**
 * Prepares a model for the CPU. The shapes of a TorchScript file's inputs are those of `--input`, else those of `values`, in the
 * method's order.
 */
export async function openModel(
  target: string,
  options: ExecutableOptions,
  values: Iterable<Tensor> | null,
  context: CliContext,
): Promise<Executable> {
  const config = await modelConfig(target, options, values, context);
  const [network, { applyPrecision }, { cpuExecutable }] = await Promise.all([
    convertConfigured(config, "onnxruntime"),
    import("../network/precision.js"),
    import("../worker/executable.js"),
  ]);
  const { precision = "fp32" } = options;
  return cpuExecutable(applyPrecision(network, precision).network, precision);
}

/** The network of a model of the config, in the model's own types. */
export async function convertConfigured(model: ModelConfig, backend: Backend): Promise<Network> {
  const [{ capabilitiesOf, convertModel }, { loadRegistry }, { loadModel }] = await Promise.all([
    import("../worker/convert-model.js"),
    import("../worker/custom-converters.js"),
    import("../worker/model.js"),
  ]);
  const registry = await loadRegistry(model.converters);
  const { network } = await convertModel(loadModel(model.source, { mutatedBuffers: model.mutatedBuffers }), {
    method: model.method,
    inputs: model.inputs,
    registry,
    capabilities: capabilitiesOf(backend),
  });
  return network;
}

async function modelConfig(
  target: string,
  options: ExecutableOptions,
  values: Iterable<Tensor> | null,
  context: CliContext,
): Promise<ModelConfig> {
  const specs = options.input.filter((input) => !isRecording(input));
  // A torch.export program says itself what its inputs are.
  const implied = target.endsWith(".pt2") ? [] : Array.from(values ?? [], specOf);
  if (specs.length + implied.length === 0 && !target.endsWith(".pt2")) {
    throw new TrtorchError("usage", `${target} does not hold the shapes of its inputs, as no TorchScript file does`, {
      hint: "Give --input 1x3x224x224, one for each, or --input io.npz with values as in0, in1, …",
    });
  }
  const { models } = await loadProject(
    [target],
    {
      input: specs.length > 0 ? specs : implied,
      precision: [],
      target: [],
      emit: [],
      converters: options.converters,
      backend: "onnxruntime",
      ...(options.method !== undefined && { method: options.method }),
    },
    context,
  );
  const [model, another] = models as [ModelConfig, ...ModelConfig[]];
  if (another === undefined) return model;
  throw new TrtorchError("usage", `${target} stands for several files`, { hint: "name one" });
}

function specOf(tensor: Tensor): string {
  return `${tensor.sizes.join("x") || "scalar"}@${tensor.dtype}`;
}

/** The inputs with the shapes of `--input` in the place of the engine's own. */
async function withShapes(
  inputs: readonly ExecutableInput[],
  options: ExecutableOptions,
): Promise<readonly ExecutableInput[]> {
  const specs = options.input.filter((input) => !isRecording(input));
  if (specs.length === 0) return inputs;
  const { parseInput } = await import("../config/command-line.js");
  const shapes = new Map<string, ProgramRange>();
  for (const [i, text] of specs.entries()) {
    const parsed = parseInput(text, { name: "--input", text }, 0);
    if (!parsed.ok) throw new ConfigError(parsed.error);
    const { name = inputs[i]?.name, shape, min, opt, max } = parsed.value as InputShapes;
    if (name === undefined || !inputs.some((input) => input.name === name)) {
      throw new TrtorchError("usage", `the engine has no input for ${text}`, {
        hint: `Its inputs are ${inputs.map((input) => input.name).join(", ")}.`,
      });
    }
    const fixed = shape ?? [];
    shapes.set(name, { min: min ?? fixed, opt: opt ?? fixed, max: max ?? fixed });
  }
  return inputs.map((input) => ({ ...input, shape: shapes.get(input.name) ?? input.shape }));
}

/** What `--input` can say of shapes: one, or three. */
interface InputShapes {
  readonly name?: string;
  readonly shape?: readonly number[];
  readonly min?: readonly number[];
  readonly opt?: readonly number[];
  readonly max?: readonly number[];
}

/** The recording's values for the inputs, or random ones. */
export async function chooseInputs(
  executable: Executable,
  recording: Recording | null,
  options: ExecutableOptions,
): Promise<Tensors> {
  if (recording === null) {
    const { sampleInputs } = await import("../worker/sample-inputs.js");
    return sampleInputs(executable.inputs, options);
  }
  const names = executable.inputs.map(({ name }) => name);
  const tensors = await recordedTensors(recording, names, "in");
  return Object.fromEntries(names.map((name, i) => [name, tensors[i] as Tensor]));
}

/** Arrays by the tensors' names, else as `in0`, `in1`, ... or `out0`, ... */
export async function recordedTensors(
  { file, arrays }: Recording,
  names: readonly string[],
  prefix: "in" | "out",
): Promise<Tensor[]> {
  const { entry } = await import("../worker/golden.js");
  return names.map((name, i) => arrays.get(name) ?? entry(arrays, file, `${prefix}${i}`));
}

/** The arrays `in0`, `in1`, ... of a recording: a TorchScript file's inputs have their shapes. */
export function recordedInputs(arrays: Recording["arrays"]): Tensor[] {
  const tensors: Tensor[] = [];
  for (let i = 0; ; i++) {
    const tensor = arrays.get(`in${i}`);
    if (tensor === undefined) return tensors;
    tensors.push(tensor);
  }
}

/** Loads what the target is, and gives it inputs; `run` and `bench` need no more. */
export async function openTarget(
  target: string,
  options: ExecutableOptions,
  context: CliContext,
): Promise<{ readonly kind: TargetKind; readonly executable: Executable; readonly inputs: Tensors }> {
  const kind = await targetKind(target, context);
  const recording = await readRecording(options, context);
  const executable =
    kind === "engine"
      ? await openEngine(target, options, context)
      : await openModel(target, options, recording && recordedInputs(recording.arrays), context);
  return { kind, executable, inputs: await chooseInputs(executable, recording, options) };
}

/** `lenet.ts, fp32 in onnxruntime on the CPU`. */
export function describeTarget(target: string, { place }: Executable): string {
  return `${basename(target)}, ${place}`;
}

function isRecording(input: string): boolean {
  return input.endsWith(".npz");
}
