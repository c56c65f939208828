import type { Command } from "commander";
import type { DoctorReport } from "../../backends/tensorrt/doctor.js";
import { formatTable } from "../../util/format.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";

interface DoctorOptions {
  readonly json?: boolean;
}

export function defineDoctor(program: Command, context: CliContext, run: Wrap): void {
  program
    .command("doctor")
    .description("what this machine can build and why not")
    .option("--json", "as JSON")
    .action(run((options: DoctorOptions) => examine(options, context)));
}

async function examine(options: DoctorOptions, context: CliContext): Promise<ExitCode> {
  const { doctor } = await import("../../backends/tensorrt/doctor.js");
  const report = await doctor();
  context.stdout(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : describe(report));
  // A machine that can do something is a healthy one; CI asks with --json for what it needs.
  return report.flavours.some(({ targets }) => targets.length > 0) || report.onnxruntime !== null ? 0 : 1;
}

function describe(report: DoctorReport): string {
  const lines = [`Node ${report.node} on ${report.platform}`, ""];
  for (const { product, library, addon, headers, targets, problems } of report.flavours) {
    lines.push(`${product}: ${targets.length > 0 ? `builds for ${targets.join(", ")}` : "builds nothing here"}`);
    if (library !== null) lines.push(`  library  ${library.version ?? "of unknown version"}, ${library.path}`);
    if (headers !== null) lines.push(`  headers  ${headers}`);
    if (addon !== null) lines.push(`  addon    for ${addon.headersVersion}, ${addon.file}`);
    for (const { message, hint } of problems)
      lines.push(`  - ${message}`, ...(hint === undefined ? [] : [`    ${hint}`]));
  }
  lines.push(
    "",
    `CPU reference: ${report.onnxruntime === null ? "onnxruntime-node is not installed" : `onnxruntime ${report.onnxruntime}`}`,
  );
  if (report.noDevice === null) {
    for (const { name, major, minor, uuid, totalMemory, driver } of report.devices) {
      lines.push(
        `GPU: ${name}, SM ${major}.${minor}, ${Math.round(totalMemory / 2 ** 30)} GiB, driver ${driver}, ${uuid}`,
      );
    }
  } else {
    const { message, hint } = report.noDevice;
    lines.push(`GPU: ${message}`, ...(hint === undefined ? [] : [`  ${hint}`]));
  }
  const tools = report.tools.map(({ name, version, neededFor }) => [
    `  ${name}`,
    version ?? "missing",
    `for ${neededFor}`,
  ]);
  lines.push("", "Tools:", formatTable(tools));
  if (report.nextSteps.length > 0) lines.push("", "Next:", ...report.nextSteps.map((step) => `  - ${step}`));
  return `${lines.join("\n")}\n`;
}
