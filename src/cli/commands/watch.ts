import { type FSWatcher, watch as watchFolder } from "node:fs";
import { basename, dirname } from "node:path";
import type { Command } from "commander";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import {
  addProjectOptions,
  addSelectionOptions,
  collect,
  loadProject,
  openStatCache,
  planProject,
} from "../project.js";
import { reportError } from "../report-error.js";
import { type BuildOptions, build } from "./build.js";

export function defineWatch(program: Command, context: CliContext, run: Wrap): void {
  const command = program
    .command("watch")
    .description("build, and again whenever a model, a converter, a golden file or the config changes")
    .argument("[models...]", "model files, instead of a config");
  addSelectionOptions(addProjectOptions(command))
    .option("--concurrency <n>", "jobs at once that need no GPU (default: the cores)")
    .option("--reporter <name>", "tty, plain, json, github, junit=FILE; may be repeated", collect, [])
    .option("--json", "the same as --reporter json")
    .action(run((models, options) => watch(models, options, context)));
}

async function watch(models: readonly string[], options: BuildOptions, context: CliContext): Promise<ExitCode> {
  let stopped = false;
  let wake = () => {};
  const ignore = context.onSignal(() => {
    stopped = true;
    wake();
  });
  try {
    while (!stopped) {
      // Watched from before the build on: a change during it is not missed.
      let changed = false;
      const onChange = () => {
        changed = true;
        wake();
      };
      const watchers = await watchInputs(models, options, context, onChange);
      // A mistake in the config or a failed job ends the build, not the watch.
      await build(models, options, context).catch((error: unknown) =>
        reportError(error, options.json === true, context),
      );
      if (!stopped && !changed) {
        context.stderr("waiting for changes\n");
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (stopped || changed) resolve();
        });
        // Editors write in several steps.
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      for (const watcher of watchers) watcher.close();
    }
    return 0;
  } finally {
    ignore();
  }
}

/** Folders are watched, not files: many programs replace a file instead of writing into it. */
async function watchInputs(
  models: readonly string[],
  options: BuildOptions,
  context: CliContext,
  onChange: () => void,
): Promise<FSWatcher[]> {
  const files = new Set<string>();
  try {
    const config = await loadProject(models, options, context);
    if (config.file !== null) files.add(config.file);
    const { plan } = await planProject(config, { filter: [], affectedBy: [] }, await openStatCache(config), context);
    for (const planned of plan.jobs) for (const file of planned.files) files.add(file);
  } catch {
    // The build that follows says what is wrong; the config is watched, to see it put right.
    const { findConfig } = await import("../../config/load.js");
    files.add(options.config ?? (await findConfig(context.cwd)));
  }
  const folders = new Map<string, Set<string>>();
  for (const file of files) folders.set(dirname(file), (folders.get(dirname(file)) ?? new Set()).add(basename(file)));
  return [...folders].map(([folder, names]) =>
    watchFolder(folder, (_, name) => {
      if (name === null || names.has(name)) onChange();
    }),
  );
}
