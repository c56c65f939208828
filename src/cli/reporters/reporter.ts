import type { JobResult } from "../../plan/job.js";
import type { JobOutcome, RunEvent, RunSummary } from "../../runner/event.js";
import { formatLocation } from "../../util/errors.js";
import { count, formatBytes, formatDuration } from "../../util/format.js";

/** Turns a run's events into something that a person or a program reads. */
export interface Reporter {
  handle(event: RunEvent): void;
  /** Resolves when all is written. */
  close(): Promise<void>;
}

/** Where a reporter writes. */
export type Write = (text: string) => void;

/** `3 jobs: 1 built, 1 fresh, 1 failed in 12.3 s`. */
export function describeSummary(summary: RunSummary): string {
  const parts = (["built", "restored", "fresh", "failed", "cancelled", "skipped"] as const)
    .filter((status) => summary[status] > 0)
    .map((status) => `${summary[status]} ${status === "restored" ? "from the store" : status}`);
  const total = summary.built + summary.fresh + summary.restored + summary.failed + summary.cancelled + summary.skipped;
  return `${count(total, "job")}${parts.length > 0 ? `: ${parts.join(", ")}` : ""} in ${formatDuration(summary.durationMs)}`;
}

/** One line for the end of a job: `built in 3.2 s, engine 1.2 MB`. */
export function describeOutcome(outcome: JobOutcome): string {
  switch (outcome.status) {
    case "built":
      return `built in ${formatDuration(outcome.durationMs)}${describeResult(outcome.result)}`;
    case "restored":
      return `from the store in ${formatDuration(outcome.durationMs)}${describeResult(outcome.result)}`;
    case "fresh":
      return "fresh";
    case "failed":
      return `failed: ${outcome.error.message}`;
    case "cancelled":
      return "cancelled";
    case "skipped":
      return `skipped: ${outcome.reason}`;
  }
}

/** What a failure says beyond its message, a line each: place, hint, the worker's last lines, the log. */
export function describeFailure(outcome: Extract<JobOutcome, { status: "failed" }>): string[] {
  const { location, hint } = outcome.error;
  const lines: string[] = [];
  if (location !== undefined) {
    lines.push(`at ${formatLocation(location)}`);
    if (location.text !== undefined) lines.push(`  ${location.text.trim()}`);
  }
  if (hint !== undefined) lines.push(`hint: ${hint}`);
  for (const line of outcome.tail) lines.push(`| ${line}`);
  if (outcome.log !== null) lines.push(`log: ${outcome.log}`);
  return lines;
}

function describeResult(result: JobResult): string {
  const engine = result.artifacts.find((artifact) => artifact.kind === "engine" || artifact.kind === "onnx");
  const size = engine === undefined ? "" : `, ${engine.kind} ${formatBytes(engine.size)}`;
  const worst = Math.max(...(result.comparison ?? []).map((output) => output.maxAbsError ?? Number.POSITIVE_INFINITY));
  const error = Number.isFinite(worst) ? `, max error ${worst.toExponential(1)}` : "";
  const reused = result.engineReused ? ", engine shared" : "";
  return `${size}${error}${reused}`;
}
