import { execFileSync, type SpawnSyncReturns, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const PIPELINES = join(ROOT, "pipelines");

/** Where `setup.sh` puts tools. */
export const TOOLS = process.env.TRTORCH_TEST_TOOLS ?? join(tmpdir(), "trtorch-build-tools");

/** The path of a tool, of `setup.sh` or the system; null where it is not installed. */
export function findTool(name: string): string | null {
  const folders = [join(TOOLS, "bin"), join(TOOLS, "node_modules/.bin"), ...(process.env.PATH ?? "").split(delimiter)];
  return [...folders, "/usr/sbin"].map((folder) => join(folder, name)).find(existsSync) ?? null;
}

/** False where all are installed; else the word that a test skips with. */
export function missing(...names: readonly string[]): string | false {
  const absent = names.filter((name) => findTool(name) === null);
  if (absent.length > 0) return `there is no ${absent.join(", ")}: test/pipelines/setup.sh installs it`;
  return existsSync(join(ROOT, "dist/src/cli/start.js")) ? false : "the program is not compiled: npm run build";
}

const CONFIG = `version: 1
backend: onnxruntime
precisions: [fp32, fp16]
models:
  - { name: traced, source: models/trace.ts, inputs: [[1, 1, 32, 32]] }
  - { name: scripted, source: models/script.ts, inputs: [[2, 1, 32, 32]] }
  - { name: exported, source: models/export.pt2 }
`;

/** The ids of the jobs of {@link writeModels}. */
export const JOBS = ["exported", "scripted", "traced"].flatMap((model) => [`${model}/fp16-cpu`, `${model}/fp32-cpu`]);

/** A config and small models: six jobs for the CPU. */
export function writeModels(folder: string): void {
  mkdirSync(folder, { recursive: true });
  cpSync(join(ROOT, "test/fixtures/models/lenet"), join(folder, "models"), { recursive: true });
  writeFileSync(join(folder, "trtorch.config.yaml"), CONFIG);
}

/** Puts this package into a project, as npm would. */
export function linkPackage(folder: string): void {
  mkdirSync(join(folder, "node_modules/.bin"), { recursive: true });
  symlinkSync(ROOT, join(folder, "node_modules/trtorch-build"), "dir");
  symlinkSync("../trtorch-build/bin/trtorch-build.js", join(folder, "node_modules/.bin/trtorch-build"));
}

/** Puts a package of `setup.sh` into a project. */
export function linkTool(folder: string, name: string): void {
  symlinkSync(join(TOOLS, "node_modules", name), join(folder, "node_modules", name), "dir");
  symlinkSync(join(TOOLS, "node_modules/.bin", name), join(folder, "node_modules/.bin", name));
}

/** Runs a command in a folder, away from what surrounds the tests. */
export function sh(folder: string, command: string, env: Record<string, string> = {}): SpawnSyncReturns<string> {
  const { NODE_OPTIONS: _, TAP: __, ...rest } = process.env;
  return spawnSync("bash", ["-c", command], { cwd: folder, encoding: "utf8", env: { ...rest, ...env } });
}

/** Asserts that a command ended well; what it printed is shown where it did not. */
export function succeeded(t: Test, what: string, { status, stdout, stderr }: SpawnSyncReturns<string>): void {
  if (status !== 0) t.comment(stdout + stderr);
  t.equal(status, 0, what);
}

export function manifestOf(folder: string): { jobs: { id: string }[] } {
  return JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
}

/** The manifest that one machine makes of {@link writeModels}. */
export function buildWhole(folder: string): unknown {
  writeModels(folder);
  linkPackage(folder);
  execFileSync(join(folder, "node_modules/.bin/trtorch-build"), ["build"], { cwd: folder, stdio: "ignore" });
  return manifestOf(join(folder, "engines"));
}
