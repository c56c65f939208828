import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ArtifactFile, JobResult, OutputComparison, Precision } from "../plan/job.js";
import type { PlannedJob } from "../plan/plan.js";
import { isErrno, writeFileAtomic } from "../util/atomic-write.js";
import { TrtorchError } from "../util/errors.js";
import type { JobOutcome, RunSummary } from "./event.js";

/** How one run went: `summary.json` in the output folder. */
export interface SummaryFile {
  readonly version: 1;
  /** `2/4`, or null for a whole run. */
  readonly shard: string | null;
  readonly summary: RunSummary;
  /** Ids of all jobs of the config, also of those that were not selected. */
  readonly plan: readonly string[];
  readonly jobs: readonly SummaryJob[];
}

export interface SummaryJob {
  readonly id: string;
  readonly key: string;
  readonly precision: Precision;
  readonly target: string;
  readonly status: JobOutcome["status"];
  /** Milliseconds, of the build that made the artifacts where this run made none; undefined where none is known. */
  readonly durationMs?: number;
  readonly error?: { readonly code: string; readonly message: string };
  /** Bytes of what is run: the engines, or the portable model where that is the result. */
  readonly engineSize?: number;
  /** Each output beside its golden value, also where that is why the job failed. */
  readonly comparison?: readonly OutputComparison[];
  /** Where and when a worker was at it, where one was. */
  readonly span?: JobSpan;
}

/** Times in milliseconds since the run's start; all attempts of a job together. */
export interface JobSpan {
  readonly slot: string;
  readonly start: number;
  readonly end: number;
}

/** What the output folder holds: `manifest.json`. The same work gives the same file, wherever and in how many shards it was done. */
export interface Manifest {
  readonly version: 1;
  readonly jobs: readonly ManifestJob[];
}

export interface ManifestJob {
  readonly id: string;
  readonly model: string;
  readonly precision: string;
  readonly backend: string;
  readonly target: string;
  readonly networkKey: string;
  readonly artifacts: readonly ArtifactFile[];
}

export const SUMMARY_FILE = "summary.json";
export const MANIFEST_FILE = "manifest.json";
/** For people: the last run that had something to do. */
export const HTML_REPORT_FILE = "report.html";

export function makeSummary(
  plan: readonly PlannedJob[],
  selected: readonly PlannedJob[],
  outcomes: ReadonlyMap<string, JobOutcome>,
  summary: RunSummary,
  shard: string | null,
  spans: ReadonlyMap<string, JobSpan>,
): SummaryFile {
  const jobs = selected.map(({ job, freshness }): SummaryJob => {
    const outcome = outcomes.get(job.id) ?? { status: "cancelled", durationMs: 0 };
    const recorded = freshness.fresh ? freshness.record.durationMs : undefined;
    const durationMs = outcome.status === "built" ? outcome.durationMs : recorded;
    const span = spans.get(job.id);
    const result = "result" in outcome ? outcome.result : null;
    const size = result === null ? null : engineSize(result.artifacts);
    const comparison = outcome.status === "failed" ? outcome.error.comparison : result?.comparison;
    return {
      id: job.id,
      key: job.key,
      precision: job.precision,
      target: job.target.name,
      status: outcome.status,
      ...(durationMs !== undefined && { durationMs: Math.round(durationMs) }),
      ...(outcome.status === "failed" && { error: { code: outcome.error.code, message: outcome.error.message } }),
      ...(size !== null && { engineSize: size }),
      ...(comparison != null && { comparison }),
      ...(span !== undefined && { span }),
    };
  });
  return { version: 1, shard, summary, plan: plan.map(({ job }) => job.id), jobs };
}

/** Bytes of what is run; null where neither an engine nor a portable model was kept. */
export function engineSize(artifacts: JobResult["artifacts"]): number | null {
  const engines = artifacts.filter(({ kind }) => kind === "engine");
  const files = engines.length > 0 ? engines : artifacts.filter(({ kind }) => kind === "onnx");
  return files.length === 0 ? null : files.reduce((sum, { size }) => sum + size, 0);
}

/** Everything of the plan that the output folder holds now, built in this run or before. */
export function makeManifest(plan: readonly PlannedJob[], outcomes: ReadonlyMap<string, JobOutcome>): Manifest {
  const jobs = plan.flatMap(({ job, freshness }): ManifestJob[] => {
    const outcome = outcomes.get(job.id);
    const fresh = outcome === undefined && freshness.fresh ? freshness.record.result : null;
    const result = outcome !== undefined && "result" in outcome ? outcome.result : fresh;
    if (result === null) return [];
    const { id, model, precision, backend, target } = job;
    const { networkKey, artifacts } = result;
    return [{ id, model, precision, backend, target: target.name, networkKey, artifacts }];
  });
  return { version: 1, jobs: sortById(jobs) };
}

export function sortById<T extends { readonly id: string }>(jobs: readonly T[]): T[] {
  return jobs.toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

/** Leaves the file alone where it says the same already: a run with nothing to do changes nothing. */
export async function writeJson(path: string, value: SummaryFile | Manifest): Promise<void> {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  const before = await readFile(path, "utf8").catch(() => null);
  if (before !== text) await writeFileAtomic(path, text);
}

/** @throws TrtorchError `usage` where there is no such file or it is not a summary */
export async function readSummary(path: string): Promise<SummaryFile> {
  return readJson<SummaryFile>(path, "summary");
}

/** @throws TrtorchError `usage` where there is no such file or it is not a manifest */
export async function readManifest(path: string): Promise<Manifest> {
  return readJson<Manifest>(path, "manifest");
}

async function readJson<T extends { readonly version: 1; readonly jobs: readonly unknown[] }>(
  path: string,
  what: string,
): Promise<T> {
  try {
    const read = JSON.parse(await readFile(path, "utf8")) as T;
    if (read.version === 1 && Array.isArray(read.jobs)) return read;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "EISDIR"))
      throw new TrtorchError("usage", `there is no ${what} ${path}`, { cause: error });
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new TrtorchError("usage", `${path} is no ${what} that this version reads`);
}

/** What jobs took when they were last built here, by id. */
export async function readDurations(cacheDir: string): Promise<Map<string, number>> {
  try {
    return new Map(Object.entries(JSON.parse(await readFile(join(cacheDir, "durations.json"), "utf8")) as object));
  } catch {
    // Only an order of jobs depends on it.
    return new Map();
  }
}

export async function saveDurations(cacheDir: string, outcomes: ReadonlyMap<string, JobOutcome>): Promise<void> {
  const durations = await readDurations(cacheDir);
  for (const [id, outcome] of outcomes) {
    if (outcome.status === "built") durations.set(id, Math.round(outcome.durationMs));
  }
  await writeFileAtomic(join(cacheDir, "durations.json"), JSON.stringify(Object.fromEntries(durations)));
}
