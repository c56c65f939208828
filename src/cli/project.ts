import { join, resolve } from "node:path";
import type { Command } from "commander";
import type { CommandLineModels } from "../config/command-line.js";
import type { Config, ConfigOutline } from "../config/config.js";
import { type Diagnostic, formatDiagnostics, type Result } from "../config/diagnostic.js";
import type { StatCache } from "../plan/stat-cache.js";
import type { Selection } from "../runner/run.js";
import { TrtorchError } from "../util/errors.js";
import type { CliContext } from "./context.js";
import { collect, repeat } from "./options.js";

/** Options of every command that reads a config. */
export interface ConfigOptions {
  readonly config?: string;
  readonly out?: string;
}

/** Options of every command that reads a config or models on the command line. */
export interface ProjectOptions extends ConfigOptions {
  readonly input: string[];
  readonly precision: string[];
  readonly target: string[];
  readonly backend?: string;
  readonly method?: string;
  readonly golden?: string;
  readonly emit: string[];
  readonly converters: string[];
}

/** Options that choose among the jobs. */
export interface SelectionOptions {
  readonly filter: string[];
  readonly affectedBy: string[];
  readonly shard?: string;
  readonly costs?: string;
  readonly devices?: string;
}

/** All mistakes of a config; the message holds them as they are to be printed. */
export class ConfigError extends TrtorchError {
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: readonly Diagnostic[]) {
    super("config", formatDiagnostics(diagnostics));
    this.diagnostics = diagnostics.toSorted((a, b) => a.span.offset - b.span.offset);
  }
}

export function addConfigOption(command: Command): Command {
  return command.option("-c, --config <file>", "the config (default: trtorch.config.yaml here or above)");
}

export function addOutOption(command: Command): Command {
  return command.option("-o, --out <dir>", "where artifacts go, instead of the config's out_dir");
}

export function addModelOptions(command: Command): Command {
  return addConfigOption(command)
    .option("--input <spec>", "an input of a model named here: x=1x3x224x224:8x3x224x224:32x3x224x224@fp16", repeat, [])
    .option("--precision <name>", "fp32, fp16, bf16", collect, [])
    .option("--target <name>", "sm_86, sm_86+sm_89 (one engine for both), device, cpu", collect, [])
    .option("--backend <name>", "tensorrt, tensorrt-rtx, onnxruntime")
    .option("--method <name>", "the method to compile (default: forward)")
    .option("--golden <file>", "a .npz with in0… and out0…")
    .option("--emit <kind>", "engine, report, module, onnx, triton", collect, [])
    .option("--converters <file>", "files with converters for operators", repeat, []);
}

export function addProjectOptions(command: Command): Command {
  return addOutOption(addModelOptions(command));
}

export function addSelectionOptions(command: Command): Command {
  return command
    .option("--filter <pattern>", "only jobs or models by name; * for anything, ! to leave out", collect, [])
    .option("--affected-by <file>", "only jobs that a change of the file makes stale", repeat, [])
    .option("--shard <i/n>", "the i-th of n parts of about equal cost")
    .option("--costs <file>", "a summary.json whose durations balance the shards; the same one for all of them")
    .option("--devices <list>", "UUIDs or indices of the GPUs to use");
}

/**
 * @throws ConfigError with all mistakes, or TrtorchError `usage`
 */
export async function loadProject(
  files: readonly string[],
  options: ProjectOptions,
  context: CliContext,
): Promise<Config> {
  const { loadCommandLine, loadConfig } = await import("../config/load.js");
  checkFlags(files, options);
  const loaded =
    files.length > 0
      ? await loadCommandLine(commandLineModels(files, options), context.cwd, options.out)
      : await loadConfig(await configFile(options, context), context.cwd, options.out);
  return withSharedStore(unwrap(loaded), context);
}

/**
 * What a config says of folders, for commands that need none of its models.
 *
 * @throws ConfigError with all mistakes but missing files, or TrtorchError `usage`
 */
export async function outlineConfig(options: ConfigOptions, context: CliContext): Promise<ConfigOutline> {
  const { outlineConfig } = await import("../config/load.js");
  return unwrap(await outlineConfig(await configFile(options, context), context.cwd, options.out));
}

/** As {@link outlineConfig}, of models on the command line too. */
export async function outlineProject(
  files: readonly string[],
  options: ProjectOptions,
  context: CliContext,
): Promise<ConfigOutline> {
  checkFlags(files, options);
  if (files.length === 0) return outlineConfig(options, context);
  const { outlineCommandLine } = await import("../config/load.js");
  return unwrap(await outlineCommandLine(commandLineModels(files, options), context.cwd, options.out));
}

async function configFile({ config }: ConfigOptions, { cwd }: CliContext): Promise<string> {
  const { findConfig } = await import("../config/load.js");
  return config === undefined ? findConfig(cwd) : resolve(cwd, config);
}

function checkFlags(files: readonly string[], options: ProjectOptions): void {
  if (files.length === 0) {
    for (const name of ["input", "precision", "target", "emit", "converters"] as const) {
      if (options[name].length > 0) rejectFlag(name);
    }
    for (const name of ["backend", "method", "golden"] as const) if (options[name] !== undefined) rejectFlag(name);
  } else if (options.config !== undefined) {
    throw new TrtorchError("usage", "models are named on the command line and in --config", {
      hint: "one or the other",
    });
  }
}

function commandLineModels(files: readonly string[], options: ProjectOptions): CommandLineModels {
  const { input: inputs, precision: precisions, target: targets, emit, converters, backend, method, golden } = options;
  return { files, inputs, precisions, targets, emit, converters, backend, method, golden };
}

function unwrap<T>(result: Result<T, Diagnostic[]>): T {
  if (!result.ok) throw new ConfigError(result.error);
  return result.value;
}

/** A pipeline brings its own store, a folder or a URL, to the config that people have at their desks. */
function withSharedStore(config: Config, { cwd, env }: CliContext): Config {
  const store = env.TRTORCH_BUILD_STORE;
  if (store === undefined || store === "") return config;
  const location = /^https?:\/\//.test(store) ? store : resolve(cwd, store);
  return { ...config, remotes: [...config.remotes, { location, read: true, write: true }] };
}

function rejectFlag(name: string): never {
  throw new TrtorchError("usage", `--${name} belongs to models named on the command line`, {
    hint: "name a model file too, or write the option into the config",
  });
}

export async function openStatCache(config: Config): Promise<StatCache> {
  const { StatCache } = await import("../plan/stat-cache.js");
  return StatCache.open(join(config.cacheDir, "stat-cache.json"));
}

/** The whole plan, and the part of it that the command line asks for. */
export async function planProject(
  config: Config,
  options: SelectionOptions,
  files: StatCache,
  context: CliContext,
): Promise<Selection> {
  const { createPlan } = await import("../plan/plan.js");
  const { affectedJobs, filterJobs, parseShard, shardJobs } = await import("../plan/select.js");
  const machine = await context.machine();
  const shard = options.shard === undefined ? null : parseShard(options.shard);
  const devices = options.devices === undefined ? config.devices : options.devices.split(",");
  const durations = await readCosts(config, options, shard !== null, context);
  const plan = await createPlan({ ...config, devices }, machine, { files, ...(durations !== null && { durations }) });

  let selected = filterJobs(plan.jobs, options.filter);
  if (options.affectedBy.length > 0) selected = affectedJobs(selected, options.affectedBy, config.file, context.cwd);
  if (shard !== null) selected = shardJobs(selected, shard);
  return { plan, selected };
}

/**
 * Shards are cut by costs that all machines know: sizes, or a file that all of them are given. What this machine alone
 * remembers orders only its own work.
 */
async function readCosts(
  config: Config,
  options: SelectionOptions,
  sharded: boolean,
  context: CliContext,
): Promise<Map<string, number> | null> {
  if (options.costs !== undefined) {
    const { readSummary } = await import("../runner/summary.js");
    const summary = await readSummary(resolve(context.cwd, options.costs));
    return new Map(
      summary.jobs.flatMap((job) => (job.durationMs === undefined ? [] : [[job.id, job.durationMs] as const])),
    );
  }
  if (sharded) return null;
  const { readDurations } = await import("../runner/summary.js");
  return readDurations(config.cacheDir);
}

/** A path as the person who typed the command would write it. */
export function displayPath(path: string, context: CliContext): string {
  return path.startsWith(`${context.cwd}/`) ? path.slice(context.cwd.length + 1) : path;
}
