import { readFile, writeFile } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import type { Command } from "commander";
import { CONFIG_NAMES } from "../../config/config.js";
import { isErrno } from "../../util/atomic-write.js";
import { TrtorchError } from "../../util/errors.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { displayPath } from "../project.js";

interface InitOptions {
  readonly json?: boolean;
}

export function defineInit(program: Command, context: CliContext, run: Wrap): void {
  program
    .command("init")
    .description("write a config for the model files that are here")
    .argument("[directory]", "where", ".")
    .option("--json", "as JSON")
    .action(run((directory, options) => init(directory ?? ".", options, context)));
}

async function init(directory: string, options: InitOptions, context: CliContext): Promise<ExitCode> {
  const root = resolve(context.cwd, directory);
  const models = await findModels(root);
  const config = join(root, CONFIG_NAMES[0]);
  try {
    await writeFile(config, makeConfig(models), { flag: "wx" });
  } catch (error) {
    if (isErrno(error, "EEXIST")) throw new TrtorchError("usage", `${displayPath(config, context)} is there already`);
    if (isErrno(error, "ENOENT")) throw new TrtorchError("usage", `there is no folder ${directory}`);
    throw error;
  }
  const ignored = await ignore(join(root, ".gitignore"), ["engines/", ".trtorch-build/"]);
  if (options.json === true) context.stdout(`${JSON.stringify({ config, models, ignored })}\n`);
  else {
    context.stdout(`wrote ${displayPath(config, context)}\n`);
    if (ignored.length > 0) context.stdout(`added ${ignored.join(" and ")} to .gitignore\n`);
    context.stdout("next: look at the inputs, then `trtorch-build plan` and `trtorch-build`\n");
  }
  return 0;
}

/** Model files, by their first bytes: a .ts is more often TypeScript than TorchScript. */
async function findModels(root: string): Promise<string[]> {
  const { default: glob } = await import("fast-glob");
  const found = await glob(["**/*.ts", "**/*.pt", "**/*.pt2"], {
    cwd: root,
    ignore: ["**/node_modules/**", "**/engines/**"],
    absolute: true,
    deep: 6,
  });
  const models: string[] = [];
  for (const file of found.sort()) {
    const head = await readFile(file).then((bytes) => bytes.subarray(0, 4).toString("latin1"));
    if (head === "PK\u0003\u0004") models.push(relative(root, file).split(sep).join("/"));
  }
  return models;
}

function makeConfig(models: readonly string[]): string {
  const lines = [
    "# yaml-language-server: $schema=./node_modules/trtorch-build/config.schema.json",
    "version: 1",
    "out_dir: engines",
    "backend: tensorrt-rtx",
    "targets: [[sm_80, sm_86, sm_89, sm_120]]   # one engine for all of them",
    "precisions: [fp16]",
    "models:",
  ];
  const named = models.length === 0 ? ["models/model.pt2"] : models;
  const stems = named.map((file) => file.replace(/^.*\//, "").replace(/\.[^.]+$/, ""));
  for (const [index, file] of named.entries()) {
    const unique = stems.filter((stem) => stem === stems[index]).length === 1;
    lines.push(`  - source: ${JSON.stringify(file)}`);
    if (!unique) lines.push('    name: "{parent}-{stem}"');
    if (!file.endsWith(".pt2")) {
      lines.push("    inputs:   # in the method's order; a range is { min: [...], opt: [...], max: [...] }");
      lines.push("      - [1, 3, 224, 224]");
    }
  }
  return `${lines.join("\n")}\n`;
}

/** Adds lines to a .gitignore that it does not have. */
async function ignore(file: string, wanted: readonly string[]): Promise<string[]> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    if (isErrno(error, "ENOENT")) return "";
    throw error;
  });
  const present = new Set(text.split(/\r?\n/).map((line) => line.trim()));
  const missing = wanted.filter((line) => !present.has(line));
  if (missing.length > 0) {
    const gap = text === "" || text.endsWith("\n") ? "" : "\n";
    await writeFile(file, `${text}${gap}${missing.join("\n")}\n`);
  }
  return missing;
}
