import { stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import type { Config, OnFailure } from "../../config/config.js";
import { nearest } from "../../config/diagnostic.js";
import type { RunEvent, RunSummary } from "../../runner/event.js";
import { HTML_REPORT_FILE, MANIFEST_FILE } from "../../runner/summary.js";
import { messageOf, TrtorchError } from "../../util/errors.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { repeat, wholeNumber } from "../options.js";
import {
  addProjectOptions,
  addSelectionOptions,
  loadProject,
  openStatCache,
  type ProjectOptions,
  planProject,
  type SelectionOptions,
} from "../project.js";

export interface BuildOptions extends ProjectOptions, SelectionOptions {
  readonly concurrency?: number;
  readonly onFailure?: OnFailure;
  readonly force?: boolean;
  readonly dumpIr?: string;
  readonly reporter: string[];
  readonly json?: boolean;
}

export function defineBuild(program: Command, context: CliContext, run: Wrap): void {
  const command = program
    .command("build", { isDefault: true })
    .description("build every job of the config, or of the models named, that is not fresh")
    .argument("[models...]", "model files, instead of a config");
  addRunOptions(addSelectionOptions(addProjectOptions(command)))
    .addOption(
      new Option(
        "--on-failure <mode>",
        "finish: start nothing new; continue: build all others; kill: stop all",
      ).choices(["finish", "continue", "kill"]),
    )
    .option("--force", "build also what is fresh or in the store, engines and timings included")
    .option("--dump-ir <dir>", "write the graph after each pass; builds also what is fresh")
    .action(
      run((models: string[], options: BuildOptions) => {
        rejectMistypedCommand(models[0], program);
        return build(models, options, context);
      }),
    );
}

/** Options of every command that builds. */
export function addRunOptions(command: Command): Command {
  return command
    .option("--concurrency <n>", "jobs at once that need no GPU (default: the cores)", wholeNumber(1))
    .option("--reporter <name>", "tty, plain, json, github, junit=FILE; may be repeated", repeat, [])
    .option("--json", "the same as --reporter json");
}

export async function build(models: readonly string[], options: BuildOptions, context: CliContext): Promise<ExitCode> {
  const config = override(await loadProject(models, options, context), options);
  return runBuild(config, options, context);
}

/** A whole build of a config that is right. */
export async function runBuild(config: Config, options: BuildOptions, context: CliContext): Promise<ExitCode> {
  const { createReporters } = await import("../reporters/create.js");
  const { Run } = await import("../../runner/run.js");
  const files = await openStatCache(config);
  const reporters = await createReporters(
    options.json === true ? ["json", ...options.reporter] : options.reporter,
    context,
  );
  const machine = await context.machine();
  const dumpIr = options.dumpIr === undefined ? null : resolve(context.cwd, options.dumpIr);
  const force = options.force === true;
  const run = new Run({
    config,
    plan: async () => {
      const { plan, selected } = await planProject(config, options, files, context);
      return { plan, selected: selected.map((planned) => ({ ...planned, job: { ...planned.job, dumpIr, force } })) };
    },
    startWorker: await context.startWorker(),
    discoverDevices: machine.discoverDevices,
    emit: (event: RunEvent) => {
      for (const reporter of reporters) reporter.handle(event);
    },
    files,
    concurrency: config.concurrency ?? availableParallelism(),
    startAll: force || dumpIr !== null,
    ...(options.shard !== undefined && { shard: options.shard }),
  });
  const ignore = context.onSignal(() => run.cancel());
  try {
    const { summary } = await run.start();
    await renewReport(config, summary, context);
    if (run.cancelled) return 130;
    return summary.failed > 0 ? 1 : 0;
  } finally {
    ignore();
    for (const closed of await Promise.allSettled(reporters.map((reporter) => reporter.close()))) {
      if (closed.status === "rejected") warn("a reporter could not finish", closed.reason, context);
    }
  }
}

/** A run that did nothing keeps the page about the run that did; one that cannot be written spoils no build. */
async function renewReport({ outDir }: Config, summary: RunSummary, context: CliContext): Promise<void> {
  const worked = summary.built + summary.restored + summary.failed + summary.cancelled + summary.skipped > 0;
  const page = join(outDir, HTML_REPORT_FILE);
  const [manifest, before] = await Promise.all([changeTime(join(outDir, MANIFEST_FILE)), changeTime(page)]);
  if (!worked && manifest <= before) return;
  try {
    const { writeHtmlReport } = await import("../../artifacts/html-report.js");
    await writeHtmlReport(outDir);
  } catch (error) {
    warn(`there is no new ${HTML_REPORT_FILE}`, error, context);
  }
}

function warn(what: string, error: unknown, context: CliContext): void {
  context.stderr(`warning: ${what}: ${messageOf(error)}\n`);
}

/** 0 where there is no file. */
async function changeTime(path: string): Promise<number> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}

/** A word that is no file takes the place of a model where the command is the default one. */
function rejectMistypedCommand(word: string | undefined, program: Command): void {
  if (word === undefined || /[./\\]/.test(word)) return;
  const commands = [...program.commands.map((command) => command.name()), "help"];
  if (commands.includes(word)) {
    throw new TrtorchError("usage", `"${word}" comes after an option`, {
      hint: `the command comes first: trtorch-build ${word} ...`,
    });
  }
  const near = nearest(word, commands);
  const hint = near === null ? "`trtorch-build help` shows the commands" : `did you mean "${near}"?`;
  throw new TrtorchError("usage", `there is no command "${word}"`, { hint });
}

function override(config: Config, { concurrency, onFailure }: BuildOptions): Config {
  return {
    ...config,
    ...(concurrency !== undefined && { concurrency }),
    ...(onFailure !== undefined && { onFailure }),
  };
}
