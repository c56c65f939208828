import type { Machine } from "../plan/plan.js";
import type { StartWorker } from "../runner/worker-process.js";

/** All that a command touches outside its arguments, so that tests can run one whole. */
export interface CliContext {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** The terminal's height where stdout is one; null elsewhere. */
  readonly terminalRows: number | null;
  readonly machine: () => Promise<Machine>;
  readonly startWorker: () => Promise<StartWorker>;
  /** Calls back on SIGINT and SIGTERM until the returned function is called. */
  readonly onSignal: (handler: () => void) => () => void;
  /** Calls back when output is lost, as when its reader has gone away, until the returned function is called. */
  readonly onOutputLost: (handler: () => void) => () => void;
}

/** 0 all built, 1 some job failed, 2 wrong config or usage, 130 cancelled. */
export type ExitCode = 0 | 1 | 2 | 130;

/** Makes a command's action of a function that gives an exit code. */
export type Wrap = <Arguments extends unknown[]>(
  action: (...args: Arguments) => Promise<ExitCode>,
) => (...args: Arguments) => Promise<void>;
