import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readRecord } from "../plan/freshness.js";
import type { ArtifactFile, JobResult } from "../plan/job.js";
import {
  MANIFEST_FILE,
  type ManifestJob,
  readManifest,
  readSummary,
  SUMMARY_FILE,
  type SummaryFile,
  type SummaryJob,
} from "../runner/summary.js";
import { isErrno } from "../util/atomic-write.js";
import type { SupportReport } from "./report.js";

/** A job, with all that the output folder knows of it. */
export interface ReportedJob {
  readonly id: string;
  readonly model: string;
  /** How it ended in the last run; null where that run was not about it. */
  readonly summary: SummaryJob | null;
  readonly manifest: ManifestJob | null;
  readonly result: JobResult | null;
  readonly support: SupportReport | null;
}

export interface RunReport {
  readonly run: SummaryFile;
  readonly jobs: readonly ReportedJob[];
}

/**
 * Reads what a run left in its output folder.
 *
 * @throws TrtorchError `usage` where there was none
 */
export async function readRunReport(outDir: string): Promise<RunReport> {
  const run = await readSummary(join(outDir, SUMMARY_FILE));
  const manifest = await readManifest(join(outDir, MANIFEST_FILE));
  const summaries = new Map(run.jobs.map((job) => [job.id, job]));
  const manifests = new Map(manifest.jobs.map((job) => [job.id, job]));
  const ids = [...new Set([...run.plan, ...summaries.keys(), ...manifests.keys()])];
  const jobs: ReportedJob[] = [];
  for (const id of ids) {
    const entry = manifests.get(id) ?? null;
    const record = entry === null ? null : await readRecord(outDir, id);
    jobs.push({
      id,
      model: entry?.model ?? id.slice(0, id.lastIndexOf("/")),
      summary: summaries.get(id) ?? null,
      manifest: entry,
      result: record?.result ?? null,
      support: await readSupport(outDir, id, entry?.artifacts ?? []),
    });
  }
  return { run, jobs };
}

async function readSupport(
  outDir: string,
  id: string,
  artifacts: readonly ArtifactFile[],
): Promise<SupportReport | null> {
  const file = artifacts.find(({ kind, path }) => kind === "report" && path.endsWith(".json"));
  if (file === undefined) return null;
  try {
    return JSON.parse(await readFile(join(outDir, id, file.path), "utf8")) as SupportReport;
  } catch (error) {
    // Someone removed it: the page does without, and the next build makes it again.
    if (isErrno(error, "ENOENT") || error instanceof SyntaxError) return null;
    throw error;
  }
}
