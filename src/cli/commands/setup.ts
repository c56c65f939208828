import { type Command, Option } from "commander";
import type { CliContext, ExitCode, Wrap } from "../context.js";

interface SetupCommandOptions {
  readonly flavour?: ("rtx" | "trt10" | "trt11")[];
  readonly json?: boolean;
}

export function defineSetup(program: Command, context: CliContext, run: Wrap): void {
  program
    .command("setup")
    .description("get the TensorRT libraries and compile the native addon; what is there is kept")
    .addOption(
      new Option("--flavour <names...>", "what to compile for (default: rtx, and what an SDK is found for)").choices([
        "rtx",
        "trt10",
        "trt11",
      ]),
    )
    .option("--json", "as JSON")
    .action(run((options: SetupCommandOptions) => setUp(options, context)));
}

async function setUp(options: SetupCommandOptions, context: CliContext): Promise<ExitCode> {
  const { setup } = await import("../../backends/tensorrt/setup.js");
  const result = await setup({
    ...(options.flavour !== undefined && { flavours: options.flavour }),
    onLine: (line) => context.stderr(`${line}\n`),
  });
  if (options.json === true) context.stdout(`${JSON.stringify(result)}\n`);
  else {
    if (result.library !== null) context.stdout(`TensorRT-RTX: ${result.library}\n`);
    context.stdout(`native addon for ${result.flavours.join(", ")}: ${result.addon}\n`);
  }
  return 0;
}
