import { DATA_TYPES, type DataType } from "../../network/enums.js";
import type { ITensor } from "../../network/layers.js";
import type { Network } from "../../network/network.js";
import { type NetworkProgram, type ProgramRange, toProgram, translate } from "../../network/program.js";
import { indexOfChoice } from "../../util/choice.js";
import { TrtorchError } from "../../util/errors.js";
import { type BuildEvent, fromNative, type NativeBuildOptions, tensorrtAddon } from "./addon.js";
import { type Flavour, RTX_COMPUTE_CAPABILITIES } from "./flavour.js";
import { findLibrary } from "./library.js";

export type { BuildEvent } from "./addon.js";
export { discoverDevices, listDevices } from "./addon.js";
export {
  type BenchOptions,
  type BenchResult,
  Engine,
  type EngineTensor,
  type ExecuteOptions,
  type LoadOptions,
  loadEngine,
} from "./engine.js";
export { FLAVOURS, type Flavour } from "./flavour.js";
export { findLibrary } from "./library.js";
export { type PlanHeader, readPlanHeader } from "./plan-header.js";

export const LOG_LEVELS = ["error", "warning", "info", "debug"] as const;
export const HARDWARE_COMPATIBILITY = ["none", "ampere_plus", "same_compute_capability"] as const;
export const PROFILING_VERBOSITY = ["layer_names_only", "none", "detailed"] as const;

/** Settings of TensorRT's builder. What is absent or null keeps the library's default. */
export interface EngineOptions {
  /** Bytes of GPU memory that a layer may use while it runs. */
  readonly workspace?: number | null;
  /** 0 (quickest build) to 5 (fastest engine). */
  readonly optimizationLevel?: number | null;
  readonly avgTimingIterations?: number | null;
  readonly maxAuxStreams?: number | null;
  /** Lets fp32 products round their inputs to 19 bits; the library's default is true. */
  readonly tf32?: boolean;
  readonly sparsity?: boolean;
  readonly refit?: boolean;
  readonly stripPlan?: boolean;
  readonly versionCompatible?: boolean;
  /** Of a version-compatible engine: what runs it is a lean runtime, which it does not hold. */
  readonly excludeLeanRuntime?: boolean;
  readonly hardwareCompatible?: (typeof HARDWARE_COMPATIBILITY)[number];
  readonly profilingVerbosity?: (typeof PROFILING_VERBOSITY)[number];
  readonly dla?: { readonly core: number; readonly gpuFallback: boolean } | null;
  /** Optimization profiles after the one that the inputs' own ranges make: a range for each input, in order. */
  readonly profiles?: readonly { readonly inputs: readonly ProgramRange[] }[];
}

export interface BuildRequest {
  readonly flavour: Flavour;
  /**
   * `rtx`: the compute capabilities of one engine, as `sm_86` or 86; empty: left to the library. The full TensorRT builds
   * for the GPU of this machine, and takes none.
   */
  readonly targets?: readonly (string | number)[];
  readonly options?: EngineOptions;
  /** The library's file or folder; else it is looked for. */
  readonly library?: string | undefined;
  /** The timing cache of earlier builds; empty: start one. One that does not fit is dropped with a warning. */
  readonly timingCache?: Uint8Array | null;
  /** Lines less important than this are not handed on. Default `warning`. */
  readonly logLevel?: (typeof LOG_LEVELS)[number];
  readonly onEvent?: (event: BuildEvent) => void;
  /** Aborting stops the build at the library's next step; the promise rejects with code `cancelled`. */
  readonly signal?: AbortSignal | undefined;
}

export interface EngineResult {
  /** The library's own memory, freed when collected. */
  readonly engine: Buffer;
  /** The timing cache after the build; null where none was asked for, or the library has none (TensorRT-RTX). */
  readonly timingCache: Buffer | null;
  readonly library: { readonly name: "TensorRT" | "TensorRT-RTX"; readonly version: string; readonly path: string };
  /** Milliseconds in the library. */
  readonly duration: number;
}

/**
 * Builds an engine from a network, off the main thread. Rejects with `missing-library`, `library` (the library refused:
 * the message has its own last error lines), `unsupported` or `cancelled`.
 */
export async function buildEngine(network: Network | NetworkProgram, request: BuildRequest): Promise<EngineResult> {
  const program = "addInput" in network ? toProgram(network) : network;
  if (request.signal?.aborted) throw new TrtorchError("cancelled", "the build was cancelled");
  const addon = tensorrtAddon(request.flavour);
  const path = findLibrary(request.flavour, request.library);
  const options = nativeOptions(request);
  try {
    const version = await addon.libraryVersion(path);
    const start = performance.now();
    const task = addon.build(path, program, options, request.onEvent ?? (() => {}));
    const cancel = () => task.cancel();
    request.signal?.addEventListener("abort", cancel, { once: true });
    if (request.signal?.aborted) cancel();
    const { engine, timingCache } = await task.promise.finally(() =>
      request.signal?.removeEventListener("abort", cancel),
    );
    const name = request.flavour === "rtx" ? "TensorRT-RTX" : "TensorRT";
    return { engine, timingCache, library: { name, version, path }, duration: performance.now() - start };
  } catch (error) {
    throw explain(fromNative(error), request, program);
  }
}

/** Adds what the library's own words do not say. */
function explain(error: unknown, request: BuildRequest, program: NetworkProgram): unknown {
  if (!(error instanceof TrtorchError) || error.code !== "library") return error;
  const hint = whatToDo(error.message, request, program);
  return hint === undefined ? error : new TrtorchError(error.code, error.message, { hint, cause: error });
}

function whatToDo(
  message: string,
  { flavour, options = {} }: BuildRequest,
  { layers }: NetworkProgram,
): string | undefined {
  // Workers are started so; this is a process that somebody else started.
  if (message.includes("libnvinfer_builder_resource"))
    return "TensorRT opens this library by its name alone: start the process with its folder in LD_LIBRARY_PATH.";
  if (message.includes("libnvinfer_lean"))
    return "Put the lean runtime of the same release of TensorRT beside libnvinfer.";
  if (flavour !== "rtx") return undefined;
  if (options.refit || options.stripPlan) return "With refit or strip_plan, TensorRT-RTX needs a GPU while it builds.";
  if (message.includes("Myelin") && layers.some(({ type }) => type === "kCONDITION" || type === "kTRIP_LIMIT"))
    return "TensorRT-RTX's builder fails on some conditionals and loops: fix sizes that are ranges in inputs:, leave the branch or loop to Torch (fallback:), or build with backend: tensorrt.";
  return undefined;
}

/** The version of the library that would build, as `1.7.1`. Rejects with `missing-library` where there is none. */
export async function libraryVersion(flavour: Flavour, library?: string): Promise<string> {
  try {
    return await tensorrtAddon(flavour).libraryVersion(findLibrary(flavour, library));
  } catch (error) {
    throw fromNative(error);
  }
}

/**
 * What either of two timing caches knows. Rejects with `library` where one is damaged, or of another GPU or library; with
 * `unsupported` for TensorRT-RTX, which has none.
 */
export async function combineTimingCaches(flavour: Flavour, kept: Uint8Array, added: Uint8Array): Promise<Buffer> {
  try {
    return await tensorrtAddon(flavour).combineTimingCaches(findLibrary(flavour), kept, added);
  } catch (error) {
    throw fromNative(error);
  }
}

/** A tensor of the network as the library sees it: -1 for a dim known only at run time. */
export interface TensorDescription {
  readonly tensor: ITensor;
  readonly type: DataType;
  readonly dims: readonly number[];
}

/** Adds the network to the library without building it, and asks for every tensor's type and dims. */
export async function describeNetwork(
  network: Network,
  request: Pick<BuildRequest, "flavour" | "library" | "onEvent">,
): Promise<TensorDescription[]> {
  const { program, tensors } = translate(network);
  const addon = tensorrtAddon(request.flavour);
  const path = findLibrary(request.flavour, request.library);
  try {
    const described = await addon.describe(path, program, { logLevel: 2 }, request.onEvent ?? (() => {})).promise;
    return described.map(({ tensor, type, dims }) => ({
      tensor: tensors[tensor] as ITensor,
      type: DATA_TYPES[type] as DataType,
      dims,
    }));
  } catch (error) {
    throw fromNative(error);
  }
}

/** `sm_86` or 86, as a number. Throws `config` for another spelling. */
export function parseTarget(target: string | number): number {
  const capability = typeof target === "number" ? target : Number(/^sm_?(\d+)$/.exec(target)?.[1]);
  if (Number.isInteger(capability)) return capability;
  throw new TrtorchError("config", `'${target}' is no compute capability`, { hint: "Write sm_86, sm_89, sm_120, ..." });
}

function nativeOptions({
  flavour,
  targets = [],
  options = {},
  timingCache,
  logLevel = "warning",
}: BuildRequest): NativeBuildOptions {
  const computeCapabilities = targets.map(parseTarget);
  const unknown = computeCapabilities.find((capability) => !RTX_COMPUTE_CAPABILITIES.includes(capability));
  if (flavour === "rtx" && unknown !== undefined) {
    throw new TrtorchError("unsupported", `TensorRT-RTX builds no engine for sm_${unknown}`, {
      hint: `It knows ${RTX_COMPUTE_CAPABILITIES.map((known) => `sm_${known}`).join(", ")}.${
        unknown === 90 || unknown === 100
          ? " For data-center GPUs use the full TensorRT on a machine that has one."
          : ""
      }`,
    });
  }
  if (flavour === "rtx") refuseForRtx(options);
  return {
    // ILogger::Severity has two kinds of errors.
    logLevel: indexOfChoice("logLevel", logLevel, LOG_LEVELS) + 1,
    workspace: options.workspace ?? null,
    optimizationLevel: options.optimizationLevel ?? null,
    avgTimingIterations: options.avgTimingIterations ?? null,
    maxAuxStreams: options.maxAuxStreams ?? null,
    tf32: options.tf32 ?? true,
    sparsity: options.sparsity ?? false,
    refit: options.refit ?? false,
    stripPlan: options.stripPlan ?? false,
    versionCompatible: options.versionCompatible ?? false,
    excludeLeanRuntime: options.excludeLeanRuntime ?? false,
    hardwareCompatibility: indexOfChoice(
      "hardwareCompatible",
      options.hardwareCompatible ?? "none",
      HARDWARE_COMPATIBILITY,
    ),
    profilingVerbosity: indexOfChoice(
      "profilingVerbosity",
      options.profilingVerbosity ?? "layer_names_only",
      PROFILING_VERBOSITY,
    ),
    dlaCore: options.dla?.core ?? null,
    gpuFallback: options.dla?.gpuFallback ?? false,
    computeCapabilities,
    profiles: (options.profiles ?? []).map(({ inputs }) => inputs),
    timingCache: timingCache ?? null,
  };
}

/** Settings that TensorRT-RTX ignores, or fails on with a missing library. */
function refuseForRtx(options: EngineOptions): void {
  const refused = [
    options.versionCompatible ? "version_compatible" : undefined,
    (options.hardwareCompatible ?? "none") !== "none" ? "hardware_compatible" : undefined,
    options.dla ? "dla" : undefined,
  ].find((name) => name !== undefined);
  if (refused === undefined) return;
  throw new TrtorchError("unsupported", `TensorRT-RTX has no ${refused}`, {
    hint: "Its engines run on every GPU of the targets listed, with the TensorRT-RTX release that built them.",
  });
}
