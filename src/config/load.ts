import { readFile, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { isErrno } from "../util/atomic-write.js";
import { TrtorchError } from "../util/errors.js";
import { type CommandLineModels, parseCommandLine } from "./command-line.js";
import { CONFIG_NAMES, type Config } from "./config.js";
import type { Diagnostic, Result } from "./diagnostic.js";
import { parseYaml } from "./document.js";
import { resolveConfig } from "./resolve.js";

/**
 * Reads a config file and checks all of it.
 *
 * @throws TrtorchError `usage` where the file cannot be read
 */
export async function loadConfig(file: string, cwd: string): Promise<Result<Config, Diagnostic[]>> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    if (!isErrno(error, "ENOENT", "EISDIR", "EACCES")) throw error;
    throw new TrtorchError("usage", `cannot read the config ${relative(cwd, file)}: ${error.message}`, {
      hint: "name it with --config FILE, or make one with `trtorch-build init`",
      cause: error,
    });
  });
  const document = parseYaml({ name: relative(cwd, file) || file, text });
  return document.ok ? resolveConfig(document.value, dirname(file), file) : document;
}

/** The config that models on the command line make. */
export async function loadCommandLine(models: CommandLineModels, cwd: string): Promise<Result<Config, Diagnostic[]>> {
  const document = parseCommandLine(models);
  return document.ok ? resolveConfig(document.value, cwd, null) : document;
}

/**
 * The config of a folder, or of the nearest folder above it.
 *
 * @throws TrtorchError `usage` where there is none
 */
export async function findConfig(directory: string): Promise<string> {
  for (let folder = directory; ; folder = dirname(folder)) {
    for (const name of CONFIG_NAMES) {
      const file = join(folder, name);
      if (
        await stat(file).then(
          (stats) => stats.isFile(),
          () => false,
        )
      )
        return file;
    }
    if (dirname(folder) === folder) break;
  }
  throw new TrtorchError("usage", `there is no ${CONFIG_NAMES[0]} in this folder or above it`, {
    hint: "make one with `trtorch-build init`, name one with --config FILE, or name model files: `trtorch-build build model.ts --input 1x3x224x224`",
  });
}
