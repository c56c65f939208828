import type { JobEvent, JobResult } from "../plan/job.js";
import type { JobError } from "../worker/protocol.js";

/** How a job ended. Every job of a run ends exactly once. */
export type JobOutcome =
  | {
      readonly status: "built";
      readonly result: JobResult;
      readonly durationMs: number;
      readonly attempts: number;
      /** Bytes, of the worker until then. */
      readonly peakMemory: number;
    }
  /** Its artifacts are there and right: nothing was done. */
  | { readonly status: "fresh"; readonly result: JobResult }
  /** Its artifacts came from the store. */
  | { readonly status: "restored"; readonly result: JobResult; readonly durationMs: number }
  | {
      readonly status: "failed";
      readonly error: JobError;
      readonly durationMs: number;
      readonly attempts: number;
      /** The last lines that the worker wrote, where it died. */
      readonly tail: readonly string[];
      /** The job's log; null where it never started. */
      readonly log: string | null;
    }
  | { readonly status: "cancelled"; readonly durationMs: number }
  /** Not started, or stopped before it had a device, because another job had failed. */
  | { readonly status: "skipped"; readonly reason: string };

export interface RunSummary {
  readonly built: number;
  readonly fresh: number;
  readonly restored: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly skipped: number;
  readonly durationMs: number;
}

/** All that happens in a run, in order. Reporters switch over it exhaustively. */
export type RunEvent =
  | {
      readonly type: "run-start";
      /** All jobs of the run, by id. */
      readonly jobs: readonly string[];
      /** What builds them, by label. */
      readonly slots: readonly string[];
    }
  /** Another run holds the output folder; this one waits. */
  | { readonly type: "lock-wait"; readonly owner: string }
  | { readonly type: "job-start"; readonly id: string; readonly slot: string; readonly attempt: number }
  /** A job cannot go on yet: another one has its GPU, or memory there is short. */
  | { readonly type: "job-wait"; readonly id: string; readonly reason: string }
  /** A job has the GPU of its slot to itself. */
  | { readonly type: "job-device"; readonly id: string; readonly slot: string }
  | { readonly type: "job-event"; readonly id: string; readonly event: JobEvent }
  /** An attempt failed and another follows. */
  | { readonly type: "job-retry"; readonly id: string; readonly attempt: number; readonly error: JobError }
  | { readonly type: "job-end"; readonly id: string; readonly outcome: JobOutcome }
  /** About the run, not one of its jobs: it went on. */
  | { readonly type: "warning"; readonly message: string }
  /** A signal came: running jobs are asked to stop. */
  | { readonly type: "cancelling" }
  | { readonly type: "run-end"; readonly summary: RunSummary };

export function summarize(outcomes: Iterable<JobOutcome>, durationMs: number): RunSummary {
  const counts = { built: 0, fresh: 0, restored: 0, failed: 0, cancelled: 0, skipped: 0 };
  for (const outcome of outcomes) counts[outcome.status]++;
  return { ...counts, durationMs };
}
