import { resolve } from "node:path";
import type { Command } from "commander";
import { TrtorchError } from "../../util/errors.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { addConfigOption, type ConfigOptions, displayPath, outlineConfig } from "../project.js";

interface ReportOptions extends ConfigOptions {
  readonly json?: boolean;
}

export function defineReport(program: Command, context: CliContext, run: Wrap): void {
  const command = program
    .command("report")
    .description("write report.html again from what the last run left in the output folder")
    .argument("[folder]", "an output folder, instead of the config's");
  addConfigOption(command)
    .option("--json", "as JSON")
    .action(run((folder, options) => report(folder, options, context)));
}

async function report(folder: string | undefined, options: ReportOptions, context: CliContext): Promise<ExitCode> {
  if (folder !== undefined && options.config !== undefined) {
    throw new TrtorchError("usage", "a folder and --config are given", { hint: "one or the other" });
  }
  const { writeHtmlReport } = await import("../../artifacts/html-report.js");
  const outDir = folder === undefined ? (await outlineConfig(options, context)).outDir : resolve(context.cwd, folder);
  const path = await writeHtmlReport(outDir);
  if (options.json === true) context.stdout(`${JSON.stringify({ report: path })}\n`);
  else context.stdout(`wrote ${displayPath(path, context)}\n`);
  return 0;
}
