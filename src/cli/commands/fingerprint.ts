import { createHash } from "node:crypto";
import type { Command } from "commander";
import { bestEffort } from "../../util/best-effort.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import {
  addModelOptions,
  addSelectionOptions,
  loadProject,
  openStatCache,
  type ProjectOptions,
  planProject,
  type SelectionOptions,
} from "../project.js";

interface FingerprintOptions extends ProjectOptions, SelectionOptions {
  readonly json?: boolean;
}

export function defineFingerprint(program: Command, context: CliContext, run: Wrap): void {
  const command = program
    .command("fingerprint")
    .description(
      "one line that changes when anything changes that a build depends on: for Nx runtime inputs and the like",
    )
    .argument("[models...]", "model files, instead of a config");
  addSelectionOptions(addModelOptions(command))
    .option("--json", "with the key of each job")
    .action(run((models, options) => fingerprint(models, options, context)));
}

async function fingerprint(
  models: readonly string[],
  options: FingerprintOptions,
  context: CliContext,
): Promise<ExitCode> {
  const config = await loadProject(models, options, context);
  const files = await openStatCache(config);
  const { selected } = await planProject(config, options, files, context);
  await bestEffort(
    () => files.save(),
    (message) => context.stderr(`warning: ${message}\n`),
  );
  const keys = selected.map(({ job }) => [job.id, job.key] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  const whole = createHash("sha256").update(JSON.stringify(keys)).digest("hex");
  context.stdout(
    options.json === true
      ? `${JSON.stringify({ fingerprint: whole, jobs: Object.fromEntries(keys) })}\n`
      : `${whole}\n`,
  );
  return 0;
}
