import { Command, CommanderError } from "commander";
import { defineBench } from "./commands/bench.js";
import { defineBuild } from "./commands/build.js";
import { defineCache } from "./commands/cache.js";
import { defineCheck } from "./commands/check.js";
import { defineClean } from "./commands/clean.js";
import { defineDoctor } from "./commands/doctor.js";
import { defineFingerprint } from "./commands/fingerprint.js";
import { defineInit } from "./commands/init.js";
import { defineInspect } from "./commands/inspect.js";
import { defineMerge } from "./commands/merge.js";
import { definePlan } from "./commands/plan.js";
import { definePrecision } from "./commands/precision.js";
import { defineReport } from "./commands/report.js";
import { defineRun } from "./commands/run.js";
import { defineSetup } from "./commands/setup.js";
import { defineVerify } from "./commands/verify.js";
import { defineWatch } from "./commands/watch.js";
import type { CliContext, ExitCode, Wrap } from "./context.js";
import { reportError } from "./report-error.js";
import { toolVersion } from "./version.js";

const COMMANDS = [
  defineBuild,
  defineCheck,
  definePlan,
  defineInspect,
  defineRun,
  defineVerify,
  defineBench,
  definePrecision,
  defineInit,
  defineSetup,
  defineDoctor,
  defineWatch,
  defineClean,
  defineCache,
  defineMerge,
  defineReport,
  defineFingerprint,
];

/** Runs one command line, without the program's name; never throws, never ends the process. */
export async function main(args: readonly string[], context: CliContext): Promise<ExitCode> {
  let exit: ExitCode = 0;
  const json = args.includes("--json");
  const run: Wrap =
    (action) =>
    async (...given) => {
      exit = await action(...given);
    };
  const program = new Command("trtorch-build")
    .description("Compile PyTorch models to TensorRT engines, as a build step.")
    .version(toolVersion())
    .exitOverride()
    .configureOutput({ writeOut: context.stdout, writeErr: context.stderr })
    .showHelpAfterError("(`trtorch-build help` shows the commands)");
  // Subcommands take over what is set before they are made.
  for (const define of COMMANDS) {
    define(program, context, run);
  }
  try {
    await program.parseAsync([...args], { from: "user" });
    return exit;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return reportError(error, json, context);
  }
}
