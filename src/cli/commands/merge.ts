import { cp, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { STATE_FOLDER } from "../../plan/freshness.js";
import {
  MANIFEST_FILE,
  type ManifestJob,
  readManifest,
  readSummary,
  SUMMARY_FILE,
  type SummaryJob,
  sortById,
  writeJson,
} from "../../runner/summary.js";
import { publishDirectory, stageDirectory } from "../../util/atomic-write.js";
import { TrtorchError } from "../../util/errors.js";
import { count } from "../../util/format.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { displayPath, outlineConfig } from "../project.js";

interface MergeOptions {
  readonly out: string;
  readonly json?: boolean;
}

export function defineMerge(program: Command, context: CliContext, run: Wrap): void {
  program
    .command("merge")
    .description("join the output folders of shards: one folder, one manifest, one summary")
    .argument("<folders...>", "the shards' output folders")
    .requiredOption("-o, --out <dir>", "the folder to make; may be one of the shards'")
    .option("--json", "as JSON")
    .action(run((folders, options) => merge(folders, options, context)));
}

async function merge(folders: readonly string[], options: MergeOptions, context: CliContext): Promise<ExitCode> {
  const out = await checkedOut(options.out, context);
  const shards = await Promise.all(
    folders.map(async (folder) => {
      const directory = resolve(context.cwd, folder);
      const summary = await readSummary(join(directory, SUMMARY_FILE));
      return { directory, summary, manifest: await readManifest(join(directory, MANIFEST_FILE)) };
    }),
  );
  const all = new Set(shards.flatMap(({ summary }) => summary.plan));
  for (const { directory, summary } of shards) {
    if (summary.plan.length !== all.size) {
      throw new TrtorchError("usage", `${displayPath(directory, context)} comes from another config than the others`, {
        hint: "shards are parts of one plan: the same config, the same models, the same kinds of GPU",
      });
    }
  }

  const jobs = new Map<string, SummaryJob>();
  const artifacts = new Map<string, { from: string; job: ManifestJob }>();
  for (const { directory, summary, manifest } of shards) {
    for (const job of summary.jobs) {
      const other = jobs.get(job.id);
      if (other !== undefined && other.key !== job.key) {
        throw new TrtorchError("usage", `two shards built ${job.id} from different inputs`, {
          hint: "build all shards from the same checkout, with the same libraries",
        });
      }
      if (other === undefined || RANK[job.status] > RANK[other.status]) jobs.set(job.id, withShard(job, summary.shard));
    }
    for (const job of manifest.jobs) if (!artifacts.has(job.id)) artifacts.set(job.id, { from: directory, job });
  }

  const { lockFolder } = await import("../../runner/folder-lock.js");
  const lock = await lockFolder(join(out, STATE_FOLDER), {
    onWait: (owner) => context.stderr(`waiting for another run on this output folder (${owner})\n`),
  });
  try {
    for (const [id, { from }] of artifacts) if (from !== out) await copyJob(id, from, out);
    const merged = sortById([...jobs.values()]);
    const counts = { built: 0, fresh: 0, restored: 0, failed: 0, cancelled: 0, skipped: 0 };
    for (const job of merged) counts[job.status]++;
    const durationMs = Math.max(...shards.map(({ summary }) => summary.summary.durationMs));
    const plan = [...(shards[0]?.summary.plan ?? [])];
    await writeJson(join(out, MANIFEST_FILE), {
      version: 1,
      jobs: sortById([...artifacts.values()].map(({ job }) => job)),
    });
    await writeJson(join(out, SUMMARY_FILE), {
      version: 1,
      shard: null,
      summary: { ...counts, durationMs },
      plan,
      jobs: merged,
    });
    const { writeHtmlReport } = await import("../../artifacts/html-report.js");
    await writeHtmlReport(out);
  } finally {
    await lock.release();
  }

  const missing = [...all]
    .filter((id) => !artifacts.has(id))
    .map((id) => ({ id, status: jobs.get(id)?.status ?? "in no shard" }));
  if (options.json === true) context.stdout(`${JSON.stringify({ out, jobs: artifacts.size, missing })}\n`);
  else {
    context.stdout(`${count(artifacts.size, "job")} of ${all.size} in ${displayPath(out, context)}\n`);
    for (const { id, status } of missing) context.stdout(`${status}: ${id}\n`);
  }
  return missing.length > 0 ? 1 : 0;
}

/** The folder to make, as a build would take it: shards may be merged where there is no config. */
async function checkedOut(out: string, context: CliContext): Promise<string> {
  const { configAbove } = await import("../../config/load.js");
  const config = await configAbove(context.cwd);
  if (config !== null) return (await outlineConfig({ config, out }, context)).outDir;
  const { DEFAULT_CACHE_DIR, whyNoOutDir } = await import("../../config/resolve.js");
  const [root, outDir] = [context.cwd, resolve(context.cwd, out)];
  const reason = whyNoOutDir({ file: null, root, outDir, cacheDir: join(root, DEFAULT_CACHE_DIR) });
  if (reason === null) return outDir;
  throw new TrtorchError("usage", `--out ${out} is ${reason}`, { hint: "choose a folder of its own" });
}

/** Of what shards say of one job the most counts: what is there in one of them is there. */
const RANK: Readonly<Record<SummaryJob["status"], number>> = {
  built: 2,
  restored: 2,
  fresh: 2,
  failed: 1,
  cancelled: 0,
  skipped: 0,
};

/** Shards ran on machines of their own, whose slots have the same names. */
function withShard(job: SummaryJob, shard: string | null): SummaryJob {
  if (job.span === undefined || shard === null) return job;
  return { ...job, span: { ...job.span, slot: `${shard}: ${job.span.slot}` } };
}

async function copyJob(id: string, from: string, to: string): Promise<void> {
  const final = join(to, id);
  const record = join(STATE_FOLDER, `${id}.json`);
  await rm(join(to, record), { force: true });
  const staged = await stageDirectory(final);
  // Times are kept, so that nothing looks changed to a later build.
  await cp(join(from, id), staged, { recursive: true, preserveTimestamps: true });
  await publishDirectory(staged, final);
  const recorded = await stat(join(from, record)).then(
    () => true,
    () => false,
  );
  if (recorded) await cp(join(from, record), join(to, record), { recursive: true });
}
