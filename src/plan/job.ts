import type { DimRange } from "../ir/input-spec.js";
import type { ScalarType } from "../ir/scalar-type.js";

export const BACKENDS = ["tensorrt", "tensorrt-rtx", "onnxruntime"] as const;
export type Backend = (typeof BACKENDS)[number];

export const PRECISIONS = ["fp32", "fp16", "bf16"] as const;
/** The type that a network computes in; its inputs and outputs keep their declared types. */
export type Precision = (typeof PRECISIONS)[number];

export const ARTIFACTS = ["engine", "report", "module", "onnx", "triton"] as const;
export type ArtifactKind = (typeof ARTIFACTS)[number];

/**
 * What an engine is built for.
 *
 * - `sm`: the compute capabilities listed, one engine for all of them
 * - `device`: the GPU that the worker holds
 * - `cpu`: the CPU (onnxruntime)
 */
export interface Target {
  readonly kind: "sm" | "device" | "cpu";
  /** Part of file names: `sm_86`, `sm_86+sm_89`, `device`, `cpu`. */
  readonly name: string;
  /** Major × 10 + minor, as TensorRT-RTX's `ComputeCapability` counts: 86, 89, 120. Empty for `device` and `cpu`. */
  readonly computeCapabilities: readonly number[];
}

/** What becomes of buffers and inputs that a torch.export program writes to. */
export const MUTATED_BUFFERS = ["refuse", "outputs", "inputs_and_outputs"] as const;
export type MutatedBuffers = (typeof MUTATED_BUFFERS)[number];

/** An input as far as the config says it; what is null comes from the model file. */
export interface JobInput {
  readonly name: string | null;
  /** Null: the dtype that the file gives, else float32. */
  readonly dtype: ScalarType | null;
  readonly dims: readonly (number | DimRange)[];
}

/** One optimization profile: for each of the job's inputs, in their order, three shapes. */
export interface OptimizationProfile {
  readonly inputs: readonly { readonly min: number[]; readonly opt: number[]; readonly max: number[] }[];
}

/** How `max|error|` is judged: it must be at most `atol + rtol * (1 + max|ref|)`, for each output. */
export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/** |error| that rounding explains, a precision; golden values come from fp32. */
export const DEFAULT_TOLERANCE: Readonly<Record<Precision, Tolerance>> = {
  fp32: { rtol: 1e-3, atol: 0 },
  fp16: { rtol: 2e-2, atol: 0 },
  bf16: { rtol: 8e-2, atol: 0 },
};

/** Which nodes may stay with Torch; `false` in {@link Job.fallback} means none. */
export interface Fallback {
  readonly minBlockSize: number;
  readonly torchExecutedOps: readonly string[];
  readonly torchExecutedModules: readonly string[];
}

/** TensorRT's builder settings. Null leaves the library's default. */
export interface BuilderSettings {
  /** Bytes. */
  readonly workspace: number | null;
  /** 0..5. */
  readonly optimizationLevel: number | null;
  readonly avgTimingIterations: number | null;
  readonly maxAuxStreams: number | null;
  readonly profilingVerbosity: "layer_names_only" | "none" | "detailed";
  /** The folder of the timing caches, one file a device and library; null: none is used. */
  readonly timingCache: string | null;
  readonly tf32: boolean;
  readonly sparsity: boolean;
  readonly refit: boolean;
  readonly stripPlan: boolean;
  readonly versionCompatible: boolean;
  readonly excludeLeanRuntime: boolean;
  readonly hardwareCompatible: "none" | "ampere_plus" | "same_compute_capability";
  readonly dla: { readonly core: number; readonly gpuFallback: boolean } | null;
  /** Profiles beyond the one that the inputs' own ranges make; usually none. */
  readonly profiles: readonly OptimizationProfile[];
  /** Operators, as `aten::softmax`, or module paths, as `encoder.0`, that stay fp32 at a lower precision. */
  readonly fp32Ops: readonly string[];
}

/** What a job needs of a machine before it may start. */
export interface Requirements {
  /** Free bytes on the GPU; null: any. */
  readonly minMemory: number | null;
}

/** Where finished work is kept for other jobs, runs and machines. */
export interface StoreSettings {
  readonly directory: string;
  /** Shared stores asked after the local one: `http(s)://…` or a folder. */
  readonly remotes: readonly { readonly location: string; readonly read: boolean; readonly write: boolean }[];
}

/**
 * One model at one precision for one target: plain JSON, all that a worker needs to know.
 *
 * Paths are absolute. What identifies the work is {@link Job.key}, which holds no path.
 */
export interface Job {
  /** `lenet/fp16-sm_86`: unique in a plan, and the folder of its artifacts below `outDir`. */
  readonly id: string;
  readonly model: string;
  /** The `.ts` or `.pt2` file. */
  readonly source: string;
  readonly method: string;
  /** In the method's order. Null: the file (`.pt2`) says it all. */
  readonly inputs: readonly JobInput[] | null;
  readonly mutatedBuffers: MutatedBuffers;
  readonly precision: Precision;
  readonly backend: Backend;
  readonly target: Target;
  /** The user's converter files. */
  readonly converters: readonly string[];
  readonly fallback: Fallback | false;
  /** A `.npz` with `in0…` and `out0…`. */
  readonly golden: string | null;
  readonly tolerance: Tolerance;
  /** The release whose runtime loads the wrapped module, as "2.11". Null: the newest known. */
  readonly torchTensorrt: string | null;
  readonly emit: readonly ArtifactKind[];
  /** The job's artifacts appear as the folder `<outDir>/<id>`. */
  readonly outDir: string;
  readonly builder: BuilderSettings;
  readonly requires: Requirements;
  /** The graph after each pass is written below this folder. */
  readonly dumpIr: string | null;
  /** Takes no engine and no timings of earlier builds; what it makes is kept for later ones all the same. */
  readonly force: boolean;
  readonly store: StoreSettings | null;
  /** Hex SHA-256 of everything that decides the result: contents, options, tool and library versions, target. */
  readonly key: string;
}

/** The stations of a job, in order. */
export const JOB_PHASES = ["load", "lower", "convert", "build", "verify", "write"] as const;
export type JobPhase = (typeof JOB_PHASES)[number];

export type LogLevel = "debug" | "info" | "warning" | "error";

/** What a job says while it runs. A phase that does not apply (verify without golden) is left out. */
export type JobEvent =
  | { readonly type: "phase-start"; readonly phase: JobPhase }
  | { readonly type: "phase-end"; readonly phase: JobPhase; readonly durationMs: number }
  /** From TensorRT's IProgressMonitor: `name` is TensorRT's own name of its phase. */
  | { readonly type: "progress"; readonly name: string; readonly step: number; readonly total: number }
  | { readonly type: "log"; readonly level: LogLevel; readonly line: string }
  | { readonly type: "warning"; readonly message: string; readonly hint?: string };

export interface ArtifactFile {
  readonly kind: ArtifactKind | "manifest";
  /** Relative to `<outDir>/<id>`, with forward slashes. */
  readonly path: string;
  readonly size: number;
  /** Hex. */
  readonly sha256: string;
}

/** The support report in a few numbers. */
export interface ReportSummary {
  /** Nodes after lowering. */
  readonly operators: number;
  readonly layers: number;
  readonly parameters: number;
  /** Schemas without a converter that stayed with Torch; empty when TensorRT runs everything. */
  readonly unsupported: readonly string[];
}

/** How many elements are off by less than a power of ten. */
export interface ErrorBin {
  /** 0: equal; null: all others, and those that are a number on one side only. */
  readonly below: number | null;
  readonly count: number;
}

/** One output beside its golden or fp32 value. Numbers are null where they are not finite, as JSON has them. */
export interface OutputComparison {
  readonly output: string;
  /** The GPU that computed it; absent: the CPU reference. */
  readonly device?: string;
  readonly dims: readonly number[];
  readonly maxAbsError: number | null;
  readonly meanAbsError: number | null;
  readonly maxAbsReference: number;
  /** The largest error that passes. */
  readonly allowed: number;
  /** 1 is the same direction. */
  readonly cosine: number | null;
  /** Elements that are NaN, here and in the reference. Those of one side only fail. */
  readonly nan: number;
  readonly referenceNan: number;
  readonly histogram: readonly ErrorBin[];
  readonly passed: boolean;
}

/** The output that is the furthest beyond what is allowed, or the nearest to it. */
export function worstOutput(outputs: readonly OutputComparison[]): OutputComparison | null {
  const share = ({ maxAbsError, allowed }: OutputComparison) =>
    maxAbsError === 0 ? 0 : (maxAbsError ?? Number.POSITIVE_INFINITY) / allowed;
  return outputs.toSorted((a, b) => share(b) - share(a))[0] ?? null;
}

export interface JobResult {
  readonly artifacts: readonly ArtifactFile[];
  /** Hash of network, weights, builder settings, library and target: equal keys mean equal engines. */
  readonly networkKey: string;
  /** True where the engine came from the store because another file made the same network. */
  readonly engineReused: boolean;
  readonly summary: ReportSummary;
  /** Null where there is no golden file. */
  readonly comparison: readonly OutputComparison[] | null;
  /** Of one execution on the device, in milliseconds (the median), where the golden inputs were run there. */
  readonly latencyMs: number | null;
  /** Milliseconds a phase, for the phases that ran. */
  readonly durations: Partial<Record<JobPhase, number>>;
  readonly library: { readonly name: string; readonly version: string } | null;
}
