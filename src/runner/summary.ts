import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ArtifactFile, JobResult, OutputComparison, Precision } from "../plan/job.js";
import { ARTIFACT_FILE, OUTPUT_COMPARISON } from "../plan/job-result.js";
import type { PlannedJob } from "../plan/plan.js";
import { isErrno, writeFileAtomic } from "../util/atomic-write.js";
import { parseChecked } from "../util/checked-json.js";
import { TrtorchError } from "../util/errors.js";
import type { JobOutcome, RunSummary } from "./event.js";

/** How the last run went that had something to do: `summary.json` in the output folder. */
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
const DONE = ["built", "fresh", "restored"] as const;
const STATUSES = [...DONE, "failed", "cancelled", "skipped"] as const satisfies readonly JobOutcome["status"][];

const DURATIONS = z.record(z.string(), z.number());

const SUMMARY = z.looseObject({
  version: z.literal(1),
  shard: z.string().nullable(),
  summary: z.looseObject({
    ...Object.fromEntries(STATUSES.map((status) => [status, z.number()])),
    durationMs: z.number(),
  }),
  plan: z.array(z.string()),
  jobs: z.array(
    z.looseObject({
      id: z.string(),
      key: z.string(),
      precision: z.string(),
      target: z.string(),
      status: z.enum(STATUSES),
      durationMs: z.number().optional(),
      error: z.looseObject({ code: z.string(), message: z.string() }).optional(),
      engineSize: z.number().optional(),
      comparison: z.array(OUTPUT_COMPARISON).optional(),
      span: z.looseObject({ slot: z.string(), start: z.number(), end: z.number() }).optional(),
    }),
  ),
});

const MANIFEST = z.looseObject({
  version: z.literal(1),
  jobs: z.array(
    z.looseObject({
      id: z.string(),
      model: z.string(),
      precision: z.string(),
      backend: z.string(),
      target: z.string(),
      networkKey: z.string(),
      artifacts: z.array(ARTIFACT_FILE),
    }),
  ),
});

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

/** Leaves the file alone where it says the same already. */
export async function writeJson(path: string, value: SummaryFile | Manifest): Promise<void> {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  const before = await readFile(path, "utf8").catch(() => null);
  if (before !== text) await writeFileAtomic(path, text);
}

/**
 * Writes the summary of a run. One in which every job was fresh has nothing to tell: it leaves alone what is there of the run that
 * had, where that was about these jobs.
 */
export async function writeSummary(path: string, summary: SummaryFile): Promise<void> {
  if (summary.jobs.every(({ status }) => status === "fresh")) {
    const before = parseChecked<SummaryFile>(await readFile(path, "utf8").catch(() => "null"), SUMMARY);
    if (before !== null && tellsOf(before, summary)) return;
  }
  await writeJson(path, summary);
}

/** Whether an earlier summary has all jobs of a later one, done from the same inputs, in the same plan and shard. */
function tellsOf(before: SummaryFile, now: SummaryFile): boolean {
  const isDone = ({ status }: SummaryJob) => DONE.some((done) => done === status);
  const done = new Map(before.jobs.filter(isDone).map(({ id, key }) => [id, key]));
  return (
    before.shard === now.shard &&
    before.plan.join("\n") === now.plan.join("\n") &&
    now.jobs.every(({ id, key }) => done.get(id) === key)
  );
}

/** @throws TrtorchError `usage` where there is no such file or it is not a summary */
export async function readSummary(path: string): Promise<SummaryFile> {
  return readJson<SummaryFile>(path, "summary", SUMMARY);
}

/** @throws TrtorchError `usage` where there is no such file or it is not a manifest */
export async function readManifest(path: string): Promise<Manifest> {
  return readJson<Manifest>(path, "manifest", MANIFEST);
}

async function readJson<T>(path: string, what: string, schema: z.ZodType): Promise<T> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "EISDIR")) throw error;
    throw new TrtorchError("usage", `there is no ${what} ${path}`, { cause: error });
  });
  const read = parseChecked<T>(text, schema);
  if (read === null) throw new TrtorchError("usage", `${path} is no ${what} that this version reads`);
  return read;
}

/** What jobs took when they were last built here, by id. */
export async function readDurations(cacheDir: string): Promise<Map<string, number>> {
  // Only an order of jobs depends on it.
  const text = await readFile(join(cacheDir, "durations.json"), "utf8").catch(() => "null");
  return new Map(Object.entries(parseChecked<Record<string, number>>(text, DURATIONS) ?? {}));
}

export async function saveDurations(cacheDir: string, outcomes: ReadonlyMap<string, JobOutcome>): Promise<void> {
  const durations = await readDurations(cacheDir);
  for (const [id, outcome] of outcomes) {
    if (outcome.status === "built") durations.set(id, Math.round(outcome.durationMs));
  }
  await writeFileAtomic(join(cacheDir, "durations.json"), JSON.stringify(Object.fromEntries(durations)));
}
