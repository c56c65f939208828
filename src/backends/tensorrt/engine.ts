import { Tensor } from "../../ir/tensor.js";
import { DATA_TYPES, type DataType } from "../../network/enums.js";
import type { ProgramRange } from "../../network/program.js";
import { scalarTypeOf } from "../../network/weights.js";
import { TrtorchError } from "../../util/errors.js";
import { mapFile } from "../../util/mapped-file.js";
import { findAddon } from "../../util/native-addon.js";
import {
  type BuildEvent,
  type EngineHandle,
  fromNative,
  type NativeEngineTensor,
  type NativeExecution,
  type TensorRTAddon,
  tensorrtAddon,
} from "./addon.js";
import { FLAVOURS, type Flavour } from "./flavour.js";
import { findLibrary } from "./library.js";
import { readPlanHeader } from "./plan-header.js";

export interface LoadOptions {
  /** The TensorRT that built the engine; else what the engine itself says. */
  readonly flavour?: Flavour;
  /** The library's file or folder. */
  readonly library?: string;
  /** A GPU's number among those that CUDA shows, or its UUID. Default: the first. */
  readonly device?: number | string;
  /** Version-compatible engines hold host code, which loading runs: only for engines that you trust. */
  readonly allowHostCode?: boolean;
  /** Log lines of the library. */
  readonly onEvent?: (event: BuildEvent) => void;
}

/** An input or output of an engine. */
export interface EngineTensor {
  readonly name: string;
  readonly type: DataType;
  /** -1 where the size is known only at run time. */
  readonly dims: readonly number[];
  /** For an input: the dims it may have, an optimization profile each. */
  readonly profiles: readonly ProgramRange[];
  /** For an input whose values are sizes of other tensors: those it may have, an optimization profile each; else empty. */
  readonly values: readonly ProgramRange[];
}

export interface ExecuteOptions {
  /** Repeat the work as a CUDA graph, which spares launching each kernel. */
  readonly graph?: boolean;
}

export interface BenchOptions extends ExecuteOptions {
  /** Executions before the timed ones; default 10. */
  readonly warmup?: number;
  /** At least 1. */
  readonly iterations: number;
}

export interface BenchResult {
  /** Milliseconds on the GPU between CUDA events, one an iteration; copies from and to the host are not in it. */
  readonly times: Float32Array;
  /** False also where a graph was asked for and the engine cannot be captured. */
  readonly usedGraph: boolean;
  readonly outputs: Readonly<Record<string, Tensor>>;
}

/**
 * Loads an engine, from a file or from memory, onto a GPU.
 *
 * Rejects with `missing-library` where there is no driver, GPU or TensorRT, and with `library` where the engine is of
 * another release or for another kind of GPU; the message has the library's own words.
 */
export async function loadEngine(source: string | Uint8Array, options: LoadOptions = {}): Promise<Engine> {
  const bytes = typeof source === "string" ? mapFile(source) : source;
  const header = readPlanHeader(bytes);
  const flavour = options.flavour ?? header?.flavour;
  const failures: unknown[] = [];
  for (const tried of flavour === undefined ? availableFlavours() : [flavour]) {
    try {
      return await load(bytes, tried, options);
    } catch (error) {
      failures.push(fromNative(error));
    }
  }
  const [first] = failures;
  if (!(first instanceof TrtorchError) || (first.code !== "library" && failures.length === 1)) throw first;
  throw new TrtorchError(first.code, failures.map((error) => (error as Error).message).join("\n"), {
    hint:
      header === undefined
        ? "The file does not begin as an engine does."
        : `The engine was built by ${header.product} ${header.version}; it needs that release, and the kind of GPU that it was built for.`,
    cause: first,
  });
}

async function load(bytes: Uint8Array, flavour: Flavour, options: LoadOptions): Promise<Engine> {
  const addon = tensorrtAddon(flavour);
  const path = findLibrary(flavour, options.library);
  const { handle, device, tensors } = await addon.loadEngine(
    path,
    bytes,
    { device: String(options.device ?? 0), allowHostCode: options.allowHostCode ?? false },
    options.onEvent ?? (() => {}),
  );
  return new Engine(addon, handle, device, tensors);
}

function availableFlavours(): Flavour[] {
  const available = FLAVOURS.filter((flavour) => {
    try {
      findLibrary(flavour);
      return findAddon(`trtorch_${flavour}`) !== undefined;
    } catch {
      return false;
    }
  });
  // With none, the error of the first says what is missing.
  return available.length > 0 ? available : ["rtx"];
}

/** An engine on a GPU. Freed when collected, or at once by {@link Engine.dispose}. */
export class Engine {
  readonly flavour: Flavour;
  /** `NVIDIA H200 (sm_90)`. */
  readonly device: string;
  readonly inputs: readonly EngineTensor[];
  readonly outputs: readonly EngineTensor[];
  readonly #addon: TensorRTAddon;
  readonly #handle: EngineHandle;
  /** An engine has one execution context: calls wait for each other here rather than in a thread. */
  #last: Promise<unknown> = Promise.resolve();

  /** @internal Use {@link loadEngine}. */
  constructor(addon: TensorRTAddon, handle: EngineHandle, device: string, tensors: readonly NativeEngineTensor[]) {
    this.#addon = addon;
    this.#handle = handle;
    this.flavour = addon.flavour;
    this.device = device;
    const made = tensors.map(({ isInput, type, ...tensor }) => ({
      isInput,
      tensor: { ...tensor, type: DATA_TYPES[type] as DataType },
    }));
    this.inputs = made.filter(({ isInput }) => isInput).map(({ tensor }) => tensor);
    this.outputs = made.filter(({ isInput }) => !isInput).map(({ tensor }) => tensor);
  }

  /**
   * Outputs by name for inputs by name. Numbers of another dtype than the input's are converted to it.
   *
   * Rejects with `mismatch` for missing inputs, and for dims or sizes outside every optimization profile.
   */
  async execute(
    inputs: Readonly<Record<string, Tensor>>,
    options: ExecuteOptions = {},
  ): Promise<Record<string, Tensor>> {
    const { outputs } = await this.#run(inputs, { warmup: 0, iterations: 1, graph: options.graph ?? false });
    return toTensors(outputs);
  }

  /** Executes again and again on the same inputs, timing each. */
  async bench(inputs: Readonly<Record<string, Tensor>>, options: BenchOptions): Promise<BenchResult> {
    const { warmup = 10, iterations, graph = false } = options;
    const { outputs, times, usedGraph } = await this.#run(inputs, {
      warmup,
      iterations: Math.max(iterations, 1),
      graph,
    });
    return { times, usedGraph, outputs: toTensors(outputs) };
  }

  /** Frees the engine's memory as soon as what runs has ended. */
  async dispose(): Promise<void> {
    await this.#last;
    this.#addon.disposeEngine(this.#handle);
  }

  async #run(
    inputs: Readonly<Record<string, Tensor>>,
    options: { warmup: number; iterations: number; graph: boolean },
  ): Promise<NativeExecution> {
    const values = this.inputs.map(({ name }) => {
      const value = inputs[name];
      if (value !== undefined) return value;
      throw new TrtorchError("mismatch", `there is no value for the input ${name}`, {
        hint: `Inputs: ${this.inputs.map(({ name }) => name).join(", ")}.`,
      });
    });
    const profile = this.#chooseProfile(values);
    const bytes = this.inputs.map((input, i) => toBytes(input, values[i] as Tensor));
    const run = this.#last.then(() => this.#addon.executeEngine(this.#handle, bytes, { profile, ...options }));
    this.#last = run.catch(() => {});
    return run.catch((error: unknown) => {
      throw fromNative(error);
    });
  }

  /** The first profile that all dims, and all values that are sizes, fit in. */
  #chooseProfile(values: readonly Tensor[]): number {
    const given = this.inputs.map((input, i) => {
      const { sizes } = values[i] as Tensor;
      return { input, sizes, numbers: input.values.length === 0 ? [] : [...(values[i] as Tensor).toNumbers()] };
    });
    const takes = ({ input, sizes, numbers }: (typeof given)[number], profile: number): boolean =>
      fits(input.profiles[profile], sizes) && (input.values.length === 0 || fits(input.values[profile], numbers));
    const profiles = Array.from({ length: this.inputs[0]?.profiles.length ?? 1 }, (_, profile) => profile);
    const found = profiles.find((profile) => given.every((one) => takes(one, profile)));
    if (found !== undefined) return found;
    const wrong = given.find((one) => !profiles.some((profile) => takes(one, profile)));
    if (wrong === undefined) {
      throw new TrtorchError("mismatch", "no optimization profile of the engine takes these inputs together");
    }
    const { input, sizes, numbers } = wrong;
    const wrongDims = !input.profiles.some((range) => fits(range, sizes));
    const ranges = wrongDims ? input.profiles : input.values;
    throw new TrtorchError(
      "mismatch",
      `input ${input.name} ${wrongDims ? `is [${sizes}]` : `holds [${numbers}]`}, which the engine was not built for`,
      { hint: `It takes ${[...new Set(ranges.map(({ min, max }) => `[${min}] to [${max}]`))].join(", or ")}.` },
    );
  }
}

function fits(range: ProgramRange | undefined, numbers: readonly number[]): boolean {
  return (
    range !== undefined &&
    range.min.length === numbers.length &&
    numbers.every((number, i) => number >= (range.min[i] ?? 0) && number <= (range.max[i] ?? 0))
  );
}

function toBytes(input: EngineTensor, value: Tensor): { name: string; dims: readonly number[]; data: Uint8Array } {
  const dtype = scalarTypeOf(input.type);
  const same = value.dtype === dtype ? value : Tensor.of(dtype, value.sizes, value.toNumbers());
  return { name: input.name, dims: value.sizes, data: same.contiguousBytes() };
}

function toTensors(outputs: NativeExecution["outputs"]): Record<string, Tensor> {
  return Object.fromEntries(
    outputs.map(({ name, type, dims, data }) => [
      name,
      Tensor.from(scalarTypeOf(DATA_TYPES[type] as DataType), dims, data),
    ]),
  );
}
