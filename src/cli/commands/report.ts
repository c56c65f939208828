import { resolve } from "node:path";
import type { Command } from "commander";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { displayPath, loadProject } from "../project.js";

interface ReportOptions {
  readonly config?: string;
  readonly json?: boolean;
}

export function defineReport(program: Command, context: CliContext, run: Wrap): void {
  program
    .command("report")
    .description("write report.html again from what the last run left in the output folder")
    .argument("[folder]", "an output folder, instead of the config's")
    .option("-c, --config <file>", "the config (default: trtorch.config.yaml here or above)")
    .option("--json", "as JSON")
    .action(run((folder, options) => report(folder, options, context)));
}

async function report(folder: string | undefined, options: ReportOptions, context: CliContext): Promise<ExitCode> {
  const { writeHtmlReport } = await import("../../artifacts/html-report.js");
  const outDir = folder === undefined ? await configuredFolder(options, context) : resolve(context.cwd, folder);
  const path = await writeHtmlReport(outDir);
  if (options.json === true) context.stdout(`${JSON.stringify({ report: path })}\n`);
  else context.stdout(`wrote ${displayPath(path, context)}\n`);
  return 0;
}

async function configuredFolder({ config }: ReportOptions, context: CliContext): Promise<string> {
  const options = {
    ...(config !== undefined && { config }),
    input: [],
    precision: [],
    target: [],
    emit: [],
    converters: [],
  };
  return (await loadProject([], options, context)).outDir;
}
