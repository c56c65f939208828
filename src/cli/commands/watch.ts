import { type FSWatcher, watch as watchFolder } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import type { Command } from "commander";
import type { ConfigOutline } from "../../config/config.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import {
  addProjectOptions,
  addSelectionOptions,
  loadProject,
  openStatCache,
  outlineProject,
  planProject,
} from "../project.js";
import { reportError } from "../report-error.js";
import { addRunOptions, type BuildOptions, build } from "./build.js";

export function defineWatch(program: Command, context: CliContext, run: Wrap): void {
  const command = program
    .command("watch")
    .description("build, and again whenever a model, a converter, a golden file or the config changes")
    .argument("[models...]", "model files, instead of a config");
  addRunOptions(addSelectionOptions(addProjectOptions(command))).action(
    run((models, options) => watch(models, options, context)),
  );
}

async function watch(models: readonly string[], options: BuildOptions, context: CliContext): Promise<ExitCode> {
  let stopped = false;
  let wake = () => {};
  const stop = () => {
    stopped = true;
    wake();
  };
  const [ignoreSignals, ignoreLoss] = [context.onSignal(stop), context.onOutputLost(stop)];
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
    ignoreSignals();
    ignoreLoss();
  }
}

/** Folders are watched, not files: many programs replace a file instead of writing into it. */
async function watchInputs(
  models: readonly string[],
  options: BuildOptions,
  context: CliContext,
  onChange: () => void,
): Promise<FSWatcher[]> {
  const { findFiles, foldersOf, isGlob, isInside } = await import("../../config/patterns.js");
  const { file, root, patterns, outDir, cacheDir } = await readOutline(models, options, context);
  // What the build itself writes is no reason to build.
  const own = [outDir, cacheDir].filter((folder) => folder !== undefined);
  /** What globs stand for now, and the folders in which that can change. */
  const lookUp = async () => {
    const globs = patterns.filter(isGlob);
    const files = await Promise.all(globs.map((pattern) => findFiles(pattern, root)));
    const folders = await Promise.all(globs.map((pattern) => foldersOf(pattern, root)));
    return {
      files: files.flat(),
      folders: folders.flat().filter((folder) => !own.some((mine) => isInside(folder, mine))),
    };
  };
  const found = await lookUp();
  const before = JSON.stringify(found);

  const names = new Map<string, Set<string>>();
  const add = async (path: string) => {
    const [folder, name] = await nearestFolder(path);
    names.set(folder, (names.get(folder) ?? new Set()).add(name));
  };
  const written = patterns.filter((pattern) => !isGlob(pattern)).map((pattern) => resolve(root, pattern));
  const planned = await plannedFiles(models, options, context);
  for (const path of new Set([...(file === null ? [] : [file]), ...written, ...found.files, ...planned])) {
    await add(path);
    // Of a link, both it and what it names can change.
    await add(await realpath(path).catch(() => path));
  }
  const globbed = new Set<string>();
  for (const folder of found.folders) {
    if (await isFolder(folder)) globbed.add(folder);
    else await add(folder);
  }
  return [...new Set([...names.keys(), ...globbed])].map((folder) =>
    watchFolder(folder, (_, name) => {
      if (name === null || names.get(folder)?.has(name) === true) onChange();
      else if (globbed.has(folder)) {
        lookUp().then((now) => {
          if (JSON.stringify(now) !== before) onChange();
        }, onChange);
      }
    }).on("error", onChange),
  );
}

/** A config that cannot be read is watched itself, to see it put right. A command line never gets better. */
async function readOutline(
  models: readonly string[],
  options: BuildOptions,
  context: CliContext,
): Promise<Pick<ConfigOutline, "file" | "root" | "patterns"> & Partial<ConfigOutline>> {
  try {
    return await outlineProject(models, options, context);
  } catch (error) {
    if (models.length > 0) throw error;
    const { findConfig } = await import("../../config/load.js");
    const file = options.config === undefined ? await findConfig(context.cwd) : resolve(context.cwd, options.config);
    return { file, root: dirname(file), patterns: [] };
  }
}

/** Also what converters import; nothing where something is missing, which the build that follows tells. */
async function plannedFiles(
  models: readonly string[],
  options: BuildOptions,
  context: CliContext,
): Promise<readonly string[]> {
  try {
    const config = await loadProject(models, options, context);
    const { plan } = await planProject(config, { filter: [], affectedBy: [] }, await openStatCache(config), context);
    return plan.jobs.flatMap(({ files }) => files);
  } catch {
    return [];
  }
}

/** The nearest folder that is there, and the name in it through which the path would come to be. */
async function nearestFolder(path: string): Promise<[folder: string, name: string]> {
  let [folder, name] = [dirname(path), basename(path)];
  while (dirname(folder) !== folder && !(await isFolder(folder))) [folder, name] = [dirname(folder), basename(folder)];
  return [folder, name];
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
