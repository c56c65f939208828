import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { CliContext } from "../../src/cli/context.js";
import { WorkerProcess } from "../../src/runner/worker-process.js";

const WORKER = fileURLToPath(new URL(`../runner/fake-worker-program${extname(import.meta.url)}`, import.meta.url));

/** The surroundings of a command line with worker processes that compile nothing, and no GPU. */
export function fakeContext(changes: Pick<CliContext, "cwd" | "stdout" | "stderr"> & Partial<CliContext>): CliContext {
  return {
    env: {},
    terminalRows: null,
    machine: async () => ({
      toolVersion: "1.0.0",
      discoverDevices: async () => [],
      library: async () => ({ name: "Fake", version: "1.0" }),
    }),
    startWorker: async () => (device) => new WorkerProcess(device, WORKER),
    onSignal: () => () => {},
    ...changes,
  };
}
