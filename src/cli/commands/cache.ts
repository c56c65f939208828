import { join } from "node:path";
import type { Command } from "commander";
import type { Store } from "../../runner/store.js";
import { TrtorchError } from "../../util/errors.js";
import { count, formatBytes } from "../../util/format.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { addConfigOption, type ConfigOptions, displayPath, outlineConfig } from "../project.js";

interface CacheOptions extends ConfigOptions {
  readonly maxSize?: string;
  readonly json?: boolean;
}

export function defineCache(program: Command, context: CliContext, run: Wrap): void {
  const cache = program.command("cache").description("the store of finished work on this machine");
  addConfigOption(cache.command("info", { isDefault: true }).description("how much it holds"))
    .option("--json", "as JSON")
    .action(run((options) => info(options, context)));
  addConfigOption(cache.command("prune").description("remove what has not been used for longest"))
    .requiredOption("--max-size <size>", "what may stay: 10GB, 500MB, 0")
    .option("--json", "as JSON")
    .action(run((options) => prune(options, context)));
}

async function info(options: CacheOptions, context: CliContext): Promise<ExitCode> {
  const { store, directory } = await open(options, context);
  const { entries, size } = await store.statistics();
  if (options.json === true) context.stdout(`${JSON.stringify({ directory, entries, size })}\n`);
  else
    context.stdout(`${displayPath(directory, context)}: ${count(entries, "entry", "entries")}, ${formatBytes(size)}\n`);
  return 0;
}

async function prune(options: CacheOptions, context: CliContext): Promise<ExitCode> {
  const { parseBytes } = await import("../../config/resolve.js");
  const maxSize = parseBytes(options.maxSize ?? "");
  if (maxSize === null)
    throw new TrtorchError("usage", `--max-size ${options.maxSize} is no size`, { hint: "10GB, 500MB" });
  const { store } = await open(options, context);
  const result = await store.prune(maxSize);
  if (options.json === true) context.stdout(`${JSON.stringify(result)}\n`);
  else {
    const [removed, kept] = [result.removed, result.kept].map((number) => count(number, "entry", "entries"));
    context.stdout(`removed ${removed}, ${formatBytes(result.freed)}; ${kept}, ${formatBytes(result.size)} stay\n`);
  }
  return 0;
}

async function open(options: CacheOptions, context: CliContext): Promise<{ store: Store; directory: string }> {
  const { Store } = await import("../../runner/store.js");
  const directory = join((await outlineConfig(options, context)).cacheDir, "store");
  return { store: new Store({ directory, remotes: [] }, context.stderr), directory };
}
