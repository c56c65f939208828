import { readFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { isErrno } from "../util/atomic-write.js";
import { TrtorchError } from "../util/errors.js";
import { type CommandLineModels, parseCommandLine } from "./command-line.js";
import { CONFIG_NAMES, type Config, type ConfigOutline } from "./config.js";
import type { Diagnostic, Result } from "./diagnostic.js";
import { type ConfigDocument, parseYaml } from "./document.js";
import { isFile } from "./patterns.js";
import { resolveConfig, resolveOutline } from "./resolve.js";

/**
 * Reads a config file and checks all of it.
 *
 * @param out what `--out` says, relative to `cwd`
 * @throws TrtorchError `usage` where the file cannot be read
 */
export async function loadConfig(file: string, cwd: string, out?: string): Promise<Result<Config, Diagnostic[]>> {
  const document = await readDocument(file, cwd);
  return document.ok ? resolveConfig(document.value, { root: dirname(file), file, cwd, out }) : document;
}

/** As {@link loadConfig}, without a look at the models. */
export async function outlineConfig(
  file: string,
  cwd: string,
  out?: string,
): Promise<Result<ConfigOutline, Diagnostic[]>> {
  const document = await readDocument(file, cwd);
  return document.ok ? resolveOutline(document.value, { root: dirname(file), file, cwd, out }) : document;
}

async function readDocument(file: string, cwd: string): Promise<Result<ConfigDocument, Diagnostic[]>> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    if (!isErrno(error, "ENOENT", "EISDIR", "EACCES")) throw error;
    throw new TrtorchError("usage", `cannot read the config ${relative(cwd, file)}: ${error.message}`, {
      hint: "name it with --config FILE, or make one with `trtorch-build init`",
      cause: error,
    });
  });
  return parseYaml({ name: relative(cwd, file) || file, text });
}

/** The config that models on the command line make. */
export async function loadCommandLine(
  models: CommandLineModels,
  cwd: string,
  out?: string,
): Promise<Result<Config, Diagnostic[]>> {
  const document = parseCommandLine(models);
  return document.ok ? resolveConfig(document.value, { root: cwd, file: null, cwd, out }) : document;
}

/** As {@link loadCommandLine}, without a look at the models. */
export async function outlineCommandLine(
  models: CommandLineModels,
  cwd: string,
  out?: string,
): Promise<Result<ConfigOutline, Diagnostic[]>> {
  const document = parseCommandLine(models);
  return document.ok ? resolveOutline(document.value, { root: cwd, file: null, cwd, out }) : document;
}

/**
 * The config of a folder, or of the nearest folder above it.
 *
 * @throws TrtorchError `usage` where there is none
 */
export async function findConfig(directory: string): Promise<string> {
  const file = await configAbove(directory);
  if (file !== null) return file;
  throw new TrtorchError("usage", `there is no ${CONFIG_NAMES[0]} in this folder or above it`, {
    hint: "make one with `trtorch-build init`, name one with --config FILE, or name model files: `trtorch-build build model.ts --input 1x3x224x224`",
  });
}

/** As {@link findConfig}; null where there is none. */
export async function configAbove(directory: string): Promise<string | null> {
  for (let folder = directory; ; folder = dirname(folder)) {
    const file = await configIn(folder);
    if (file !== null || dirname(folder) === folder) return file;
  }
}

/** The config that stands in a folder itself. */
export async function configIn(folder: string): Promise<string | null> {
  for (const name of CONFIG_NAMES) {
    const file = join(folder, name);
    if (await isFile(file)) return file;
  }
  return null;
}
