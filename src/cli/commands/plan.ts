import { type Command, Option } from "commander";
import { bestEffort } from "../../util/best-effort.js";
import { formatTable } from "../../util/format.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { wholeNumber } from "../options.js";
import {
  addProjectOptions,
  addSelectionOptions,
  loadProject,
  openStatCache,
  type ProjectOptions,
  planProject,
  type SelectionOptions,
} from "../project.js";

interface PlanCommandOptions extends ProjectOptions, SelectionOptions {
  readonly json?: boolean;
  readonly format?: "github-matrix";
  readonly shards?: number;
}

export function definePlan(program: Command, context: CliContext, run: Wrap): void {
  const command = program
    .command("plan")
    .description("the jobs, each fresh or stale and why; builds nothing")
    .argument("[models...]", "model files, instead of a config");
  addSelectionOptions(addProjectOptions(command))
    .option("--json", "as JSON")
    .addOption(
      new Option("--format <name>", "github-matrix: what a job's strategy.matrix takes")
        .choices(["github-matrix"])
        .conflicts("json"),
    )
    .addOption(
      new Option("--shards <n>", "a github-matrix of n shards, not of jobs")
        .argParser(wholeNumber(1))
        .implies({ format: "github-matrix" }),
    )
    .action(run((models, options) => showPlan(models, options, context)));
}

async function showPlan(
  models: readonly string[],
  options: PlanCommandOptions,
  context: CliContext,
): Promise<ExitCode> {
  const config = await loadProject(models, options, context);
  const files = await openStatCache(config);
  const { selected } = await planProject(config, options, files, context);
  await bestEffort(
    () => files.save(),
    (message) => context.stderr(`warning: ${message}\n`),
  );

  if (options.format === "github-matrix") {
    const stale = selected.filter(({ freshness }) => !freshness.fresh);
    const { shards } = options;
    const include =
      shards === undefined
        ? stale.map(({ job: { id, model, precision, target } }) => ({ id, model, precision, target: target.name }))
        : Array.from({ length: stale.length === 0 ? 0 : shards }, (_, index) => ({ shard: `${index + 1}/${shards}` }));
    context.stdout(`${JSON.stringify({ include })}\n`);
    return 0;
  }
  if (options.json === true) {
    const jobs = selected.map(({ job, freshness, placement, cost }) => ({
      id: job.id,
      model: job.model,
      source: job.source,
      precision: job.precision,
      backend: job.backend,
      target: job.target.name,
      key: job.key,
      fresh: freshness.fresh,
      reasons: freshness.fresh ? [] : freshness.reasons,
      placement,
      cost: Math.round(cost),
    }));
    context.stdout(`${JSON.stringify({ jobs }, null, 2)}\n`);
    return 0;
  }
  const rows = selected.map(({ job, freshness, placement }) => [
    freshness.fresh ? "fresh" : "stale",
    job.id,
    [...(freshness.fresh ? [] : freshness.reasons), ...(placement.slot === "none" ? [placement.reason] : [])].join(
      "; ",
    ),
  ]);
  const stale = selected.filter(({ freshness }) => !freshness.fresh).length;
  context.stdout(`${formatTable(rows)}\n${selected.length - stale} fresh, ${stale} to build\n`);
  return 0;
}
