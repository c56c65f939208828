import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { CliContext } from "../../src/cli/context.js";
import { main } from "../../src/cli/main.js";
import { fakeContext } from "./fake-context.js";

const PROGRAM = fileURLToPath(new URL("./fake-program.ts", import.meta.url));
const REAL_PROGRAM = fileURLToPath(new URL("../../bin/trtorch-build.js", import.meta.url));
const TSX = import.meta.resolve("tsx");

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line in a process of its own. */
export interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  /** What it has printed so far. */
  output(): string;
}

/** The command line, with workers that compile nothing, as arguments of Node.js. */
export const FAKE_COMMAND: readonly string[] = ["--import", TSX, PROGRAM];

/** Starts it as a process in a folder. */
export function start(cwd: string, args: readonly string[], env: Record<string, string> = {}): Running {
  return spawned(cwd, [process.execPath, ...FAKE_COMMAND, ...args], env);
}

/** As {@link start}, where the process may have only so many files open. */
export function startLimited(cwd: string, args: readonly string[], openFiles: number): Running {
  const limit = ["bash", "-c", `ulimit -n ${openFiles}; exec "$@"`, "bash"];
  return spawned(cwd, [...limit, process.execPath, ...FAKE_COMMAND, ...args], {});
}

/** Builds in a folder with the compiled program and its real workers. */
export function startReal(cwd: string, args: readonly string[] = [], env: Record<string, string> = {}): Running {
  return spawned(cwd, [process.execPath, REAL_PROGRAM, "build", ...args], env);
}

function spawned(cwd: string, [program, ...args]: readonly string[], env: Record<string, string>): Running {
  const child = spawn(program as string, args, {
    cwd,
    env: { ...process.env, CI: "1", GITHUB_ACTIONS: "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const finished = new Promise<Finished>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, finished, output: () => stdout };
}

/** Runs the command line in this process, in a folder. */
export async function trtorch(
  cwd: string,
  args: readonly string[],
  changes: Partial<CliContext> = {},
): Promise<Finished> {
  let stdout = "";
  let stderr = "";
  const context = fakeContext({
    cwd,
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    ...changes,
  });
  const code = await main(args, context);
  return { code, signal: null, stdout, stderr };
}

export function write(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

/** All files below a folder, relative, sorted. */
export function tree(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

export function readJson<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(...path), "utf8")) as T;
}

/** A config with that many small models, each for two targets: of the CPU's slots, or others. */
export function project(root: string, models: readonly string[], options = "", targets = "sm_86, sm_89"): void {
  const config = [
    "version: 1",
    "backend: tensorrt-rtx",
    `targets: [${targets}]`,
    options,
    "models:",
    ...models.map((name) => `  - { name: ${name}, source: models/${name}.ts, inputs: [[1, 3]] }`),
    "",
  ];
  write(root, {
    "trtorch.config.yaml": config.join("\n"),
    ...Object.fromEntries(models.map((name) => [`models/${name}.ts`, `weights of ${name}`])),
  });
}
