import { readdir, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { CACHE_ENTRIES } from "../../config/config.js";
import { STATE_FOLDER } from "../../plan/freshness.js";
import { HTML_REPORT_FILE, MANIFEST_FILE, SUMMARY_FILE } from "../../runner/summary.js";
import { isErrno, sweepLeftovers } from "../../util/atomic-write.js";
import { count } from "../../util/format.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { addConfigOption, addOutOption, type ConfigOptions, displayPath, outlineConfig } from "../project.js";

interface CleanOptions extends ConfigOptions {
  readonly cache?: boolean;
  readonly json?: boolean;
}

export function defineClean(program: Command, context: CliContext, run: Wrap): void {
  const command = program.command("clean").description("remove what was built; nothing that was put there by others");
  addOutOption(addConfigOption(command))
    .option("--cache", "also the cache: the store, timings, logs")
    .option("--json", "as JSON")
    .action(run((options) => clean(options, context)));
}

async function clean(options: CleanOptions, context: CliContext): Promise<ExitCode> {
  const { outDir, cacheDir } = await outlineConfig(options, context);
  const removed: string[] = [];
  const state = join(outDir, STATE_FOLDER);
  const ids = await findRecords(state);
  if (ids !== null) {
    const { lockFolder } = await import("../../runner/folder-lock.js");
    const lock = await lockFolder(state, {
      onWait: (owner) => context.stderr(`waiting for another run on this output folder (${owner})\n`),
    });
    await sweepLeftovers(outDir);
    for (const id of ids) {
      await rm(join(outDir, id), { recursive: true, force: true });
      await removeIfEmpty(dirname(join(outDir, id)));
      removed.push(id);
    }
    for (const file of [MANIFEST_FILE, SUMMARY_FILE, HTML_REPORT_FILE]) await rm(join(outDir, file), { force: true });
    await lock.release();
    await rm(state, { recursive: true, force: true });
    await removeIfEmpty(outDir);
  }
  if (options.cache === true) {
    await sweepLeftovers(cacheDir, 0);
    for (const entry of CACHE_ENTRIES) await rm(join(cacheDir, entry), { recursive: true, force: true });
    await removeIfEmpty(cacheDir);
  }
  const cache = options.cache === true ? ` and the cache from ${displayPath(cacheDir, context)}` : "";
  if (options.json === true) context.stdout(`${JSON.stringify({ removed, cache: options.cache === true })}\n`);
  else
    context.stdout(
      `removed the artifacts of ${count(removed.length, "job")} from ${displayPath(outDir, context)}${cache}\n`,
    );
  return 0;
}

/** Ids of all jobs with a record, of this config or an earlier one; null where nothing was ever built. */
async function findRecords(state: string): Promise<string[] | null> {
  try {
    const ids: string[] = [];
    for (const model of await readdir(state, { withFileTypes: true })) {
      if (!model.isDirectory()) continue;
      for (const file of await readdir(join(state, model.name))) {
        if (file.endsWith(".json") && !file.startsWith("."))
          ids.push(`${model.name}/${file.slice(0, -".json".length)}`);
      }
    }
    return ids;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return null;
    throw error;
  }
}

async function removeIfEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch((error: unknown) => {
    if (!isErrno(error, "ENOTEMPTY", "EEXIST", "ENOENT")) throw error;
  });
}
