import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BIN = `${ROOT}bin/trtorch-build.js`;

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The most memory that the process held, in bytes. */
  readonly peak: number;
  readonly seconds: number;
}

/** Runs the real command line as it is installed: the compiled program, in a process of its own, not on a terminal. */
export function command(cwd: string, ...args: string[]): Finished {
  if (!existsSync(`${ROOT}dist/src/cli/main.js`)) throw new Error("compile first: npm run build");
  const started = performance.now();
  const run = spawnSync(process.execPath, ["--import", PEAK, BIN, ...args], {
    cwd,
    encoding: "utf8",
    env: { ...process.env, NODE_OPTIONS: "", GITHUB_ACTIONS: "" },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const seconds = (performance.now() - started) / 1000;
  return { code: run.status, stdout: run.stdout, stderr: run.stderr, peak: Number(run.output[3]) * 1024, seconds };
}

/** Loaded into the process before the program: tells the peak, in KiB, when it ends. */
const PEAK = `data:text/javascript,${encodeURIComponent(`
  import { writeSync } from "node:fs";
  process.on("exit", () => writeSync(3, String(process.resourceUsage().maxRSS)));
`)}`;
