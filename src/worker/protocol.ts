import type { Device } from "../plan/device.js";
import type { Job, JobEvent, JobResult, LogLevel, OutputComparison } from "../plan/job.js";
import type { ErrorCode, SourceLocation } from "../util/errors.js";

/**
 * What the runner and its worker processes say to each other, over Node's IPC channel (JSON).
 *
 * A worker is told one job at a time; it answers each `job` with exactly one `done` or `failed`. Several workers may share a
 * GPU: each asks for it (`device-wanted`) before it builds, and gives it back (`device-free`) afterwards.
 * When the channel closes the worker ends itself at once: no runner, no work.
 */
export type RunnerMessage =
  | { readonly type: "job"; readonly job: Job; readonly device: Device | null }
  /** Stop the job gently: TensorRT's monitor is asked to cancel. It ends with `failed`, code `cancelled`. */
  | { readonly type: "cancel" }
  /** The GPU is the job's until it gives it back. */
  | { readonly type: "device"; readonly id: string }
  /** No more jobs: leave. */
  | { readonly type: "exit" };

export type WorkerMessage =
  | { readonly type: "ready"; readonly pid: number }
  | { readonly type: "event"; readonly id: string; readonly event: JobEvent }
  | { readonly type: "device-wanted"; readonly id: string }
  | { readonly type: "device-free"; readonly id: string }
  | { readonly type: "done"; readonly id: string; readonly result: JobResult; readonly peakMemory: number }
  | { readonly type: "failed"; readonly id: string; readonly error: JobError };

/** A {@link TrtorchError} as plain data. */
export interface JobError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly location?: SourceLocation;
  /** Of a `mismatch` with the golden file: all outputs. */
  readonly comparison?: readonly OutputComparison[];
  /** Only for `internal` errors, which are our bugs: it goes to the job's log, not to the terminal. */
  readonly stack?: string;
}

/** What a job may use of its surroundings. */
export interface JobContext {
  emit(event: JobEvent): void;
  log(line: string, level: LogLevel): void;
  /**
   * This worker's GPU, null for a worker of the CPU. It is the only one that CUDA shows to the process
   * (CUDA_VISIBLE_DEVICES), so its ordinal is 0. Other workers may have the same: see {@link withDevice}.
   */
  readonly device: Device | null;
  /**
   * Does what needs the GPU, once no other worker is at it. On the CPU at once.
   *
   * @throws TrtorchError `cancelled` where the job is stopped while it waits
   */
  withDevice<R>(work: () => Promise<R>): Promise<R>;
  /** Aborts when the job is to stop gently. */
  readonly signal: AbortSignal;
}

/** The signature of `compileJob` in `compile.ts`. */
export type CompileJob = (job: Job, context: JobContext) => Promise<JobResult>;
