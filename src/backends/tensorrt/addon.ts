import { isMainThread } from "node:worker_threads";
import type { NetworkProgram, ProgramRange } from "../../network/program.js";
import type { Device, DeviceDiscovery } from "../../plan/device.js";
import { type ErrorCode, TrtorchError } from "../../util/errors.js";
import { loadAddon } from "../../util/native-addon.js";
import { FLAVOUR_FACTS, type Flavour } from "./flavour.js";

/** What the library says while it works. */
export type BuildEvent =
  | { readonly type: "log"; readonly level: "error" | "warning" | "info" | "debug"; readonly line: string }
  | {
      readonly type: "progress";
      /** TensorRT's name of the phase. */
      readonly phase: string;
      /** The phase that this one is a part of. */
      readonly parent: string | null;
      /** Steps done: 0 at the start, `total` at the end. */
      readonly step: number;
      readonly total: number;
    };

/** Builder settings in TensorRT's own integers; what is absent or null keeps the library's default. */
export interface NativeBuildOptions {
  /** ILogger::Severity: 0 internal error … 4 verbose. */
  readonly logLevel: number;
  readonly workspace?: number | null;
  readonly optimizationLevel?: number | null;
  readonly avgTimingIterations?: number | null;
  readonly maxAuxStreams?: number | null;
  readonly tf32?: boolean;
  readonly sparsity?: boolean;
  readonly refit?: boolean;
  readonly stripPlan?: boolean;
  readonly versionCompatible?: boolean;
  readonly excludeLeanRuntime?: boolean;
  readonly hardwareCompatibility?: number;
  readonly profilingVerbosity?: number;
  readonly dlaCore?: number | null;
  readonly gpuFallback?: boolean;
  readonly computeCapabilities?: readonly number[];
  readonly profiles?: readonly (readonly ProgramRange[])[];
  readonly timingCache?: Uint8Array | null;
}

interface NativeTask<T> {
  readonly promise: Promise<T>;
  cancel(): void;
}

export interface DescribedTensor {
  /** The tensor's number in the program. */
  readonly tensor: number;
  readonly dims: readonly number[];
  readonly type: number;
}

/** An input or output of a loaded engine. */
export interface NativeEngineTensor {
  readonly name: string;
  readonly type: number;
  /** -1 where the size is known only at run time. */
  readonly dims: readonly number[];
  readonly isInput: boolean;
  /** For an input: its range, an optimization profile each. */
  readonly profiles: readonly ProgramRange[];
  /** For an input whose values are sizes: their range, an optimization profile each; else empty. */
  readonly values: readonly ProgramRange[];
}

export interface NativeExecution {
  readonly outputs: readonly {
    readonly name: string;
    readonly type: number;
    readonly dims: readonly number[];
    readonly data: Buffer;
  }[];
  /** Milliseconds on the GPU, one an iteration. */
  readonly times: Float32Array;
  readonly usedGraph: boolean;
}

/** The native side of an engine; see `native/src/runtime.h`. */
export interface EngineHandle {
  readonly __engine: never;
}

/** A `trtorch_<flavour>.node`. */
export interface TensorRTAddon {
  readonly flavour: Flavour;
  /** The release whose headers it was compiled with. */
  readonly headersVersion: string;
  libraryVersion(library: string): Promise<string>;
  build(
    library: string,
    program: NetworkProgram,
    options: NativeBuildOptions,
    onEvent: (event: BuildEvent) => void,
  ): NativeTask<{ engine: Buffer; timingCache: Buffer | null }>;
  describe(
    library: string,
    program: NetworkProgram,
    options: NativeBuildOptions,
    onEvent: (event: BuildEvent) => void,
  ): NativeTask<DescribedTensor[]>;
  combineTimingCaches(library: string, kept: Uint8Array, added: Uint8Array): Promise<Buffer>;
  loadEngine(
    library: string,
    bytes: Uint8Array,
    options: { readonly device: string; readonly allowHostCode: boolean },
    onEvent: (event: BuildEvent) => void,
  ): Promise<{ handle: EngineHandle; device: string; tensors: NativeEngineTensor[] }>;
  executeEngine(
    handle: EngineHandle,
    inputs: readonly { readonly name: string; readonly dims: readonly number[]; readonly data: Uint8Array }[],
    options: {
      readonly profile: number;
      readonly warmup: number;
      readonly iterations: number;
      readonly graph: boolean;
    },
  ): Promise<NativeExecution>;
  disposeEngine(handle: EngineHandle): void;
  /** Cancels all that runs and waits until no thread is in the library; for when the process exits, on its main thread. */
  stop(): void;
}

const loaded = new Map<Flavour, TensorRTAddon>();

interface CoreAddon {
  listDevices(): Promise<Device[]>;
}

/** Throws `missing-library` where the addon is not compiled for the flavour. */
export function tensorrtAddon(flavour: Flavour): TensorRTAddon {
  const known = loaded.get(flavour);
  if (known !== undefined) return known;
  const addon = loadAddon<TensorRTAddon>(`trtorch_${flavour}`);
  if (addon !== undefined) {
    loaded.set(flavour, addon);
    // `process.exit()` takes the library apart, whatever its threads are doing. A Worker's exit is none of the process:
    // the addon itself cancels what the Worker began, and waits for it.
    if (isMainThread) process.once("exit", () => addon.stop());
    return addon;
  }
  throw new TrtorchError(
    "missing-library",
    `the native addon for ${FLAVOUR_FACTS[flavour].product} (trtorch_${flavour}.node) is not compiled`,
    {
      hint:
        flavour === "rtx"
          ? "Run `trtorch-build setup`."
          : "Run `trtorch-build setup` with TENSORRT_ROOT pointing at the SDK, which has the headers.",
    },
  );
}

/** The machine's GPUs as CUDA shows them to this process; none where there is no driver or no addon. */
export const discoverDevices: DeviceDiscovery = async () => {
  try {
    return (await loadAddon<CoreAddon>("trtorch_core")?.listDevices()) ?? [];
  } catch {
    // Without a driver there is no GPU to use. `doctor` says why.
    return [];
  }
};

/** As {@link discoverDevices}, but rejects with what is missing. */
export async function listDevices(): Promise<Device[]> {
  const core = loadAddon<CoreAddon>("trtorch_core");
  if (core === undefined) {
    throw new TrtorchError("missing-library", "the native addon (trtorch_core.node) is not compiled", {
      hint: "Run `trtorch-build setup`.",
    });
  }
  return core.listDevices().catch((error: unknown) => {
    throw fromNative(error);
  });
}

/** The error of the addon as one of ours: its message, and the library's own last error lines. */
export function fromNative(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof TrtorchError) return error;
  const { code, hint, log } = error as Error & { code?: ErrorCode; hint?: string; log?: string[] };
  if (code === undefined) return error;
  const lines = code === "cancelled" ? [] : meaningfulLines(log ?? []).map((line) => `\n  ${line}`);
  return new TrtorchError(code, error.message + lines.join(""), { hint, cause: error });
}

/** Without repetitions, and without the complaints about a missing driver that TensorRT-RTX makes wherever there is no GPU. */
function meaningfulLines(log: readonly string[]): readonly string[] {
  const lines = [...new Set(log)];
  const others = lines.filter((line) => !/cudaError (35|100)\b/.test(line));
  return others.length > 0 ? others : lines;
}
