import type { CliContext } from "./context.js";
import { main } from "./main.js";

/** The program: runs the process's own command line and ends the process. */
export async function start(): Promise<void> {
  // A reader that has gone away (`| head`) is no error.
  process.stdout.on("error", () => {});
  const context: CliContext = {
    cwd: process.cwd(),
    env: process.env,
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
    terminalRows: process.stdout.isTTY ? process.stdout.rows : null,
    machine: async () => (await import("./machine.js")).thisMachine(),
    startWorker: async () => {
      const { workerStarter } = await import("../runner/worker-process.js");
      const { loaderPath } = await import("../backends/tensorrt/library.js");
      const path = loaderPath();
      return workerStarter(path === undefined ? {} : { LD_LIBRARY_PATH: path });
    },
    onSignal: (handler) => {
      process.on("SIGINT", handler).on("SIGTERM", handler);
      return () => process.off("SIGINT", handler).off("SIGTERM", handler);
    },
  };
  const code = await main(process.argv.slice(2), context);
  // Not by process.exitCode: a connection that some server keeps open must not keep the process.
  process.stdout.write("", () => process.exit(code));
}
