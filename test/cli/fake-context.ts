import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { CliContext } from "../../src/cli/context.js";
import { WorkerProcess } from "../../src/runner/worker-process.js";
import { device } from "../runner/fixtures.js";

const WORKER = fileURLToPath(new URL(`../runner/fake-worker-program${extname(import.meta.url)}`, import.meta.url));

/** The surroundings of a command line with worker processes that compile nothing, and FAKE_GPUS imaginary GPUs, or none. */
export function fakeContext(changes: Partial<CliContext>): CliContext {
  return {
    cwd: process.cwd(),
    stdout: () => {},
    stderr: () => {},
    env: {},
    terminalRows: null,
    machine: async () => ({
      toolVersion: "1.0.0",
      discoverDevices: async () =>
        Array.from({ length: Number(process.env.FAKE_GPUS ?? 0) }, (_, index) => device(index, "NVIDIA L4", 8, 9)),
      library: async () => ({ name: "Fake", version: "1.0" }),
    }),
    startWorker: async () => (device) => new WorkerProcess(device, WORKER),
    onSignal: () => () => {},
    onOutputLost: () => () => {},
    ...changes,
  };
}
