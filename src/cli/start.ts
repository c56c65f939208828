import { describeRefusal } from "../util/system-error.js";
import type { CliContext } from "./context.js";
import { main } from "./main.js";

/** The program: runs the process's own command line and ends the process. Tests bring surroundings of their own. */
export async function start(changes: Partial<CliContext> = {}): Promise<void> {
  const losses = new Losses();
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
    onOutputLost: (handler) => losses.onLoss(handler),
    ...changes,
  };
  const code = await main(process.argv.slice(2), context);
  // Not by process.exitCode: a connection that some server keeps open must not keep the process. A write tells its
  // callback of an error before it tells the stream's listeners.
  process.stdout.write("", () => setImmediate(() => process.exit(code === 0 && losses.failed ? 1 : code)));
}

/** What stdout and stderr could not write. */
class Losses {
  /** A reader that has gone away (`| head`) has seen enough; everything else is missing what it was to get. */
  failed = false;
  #any = false;
  readonly #handlers = new Set<() => void>();

  constructor() {
    process.stdout.on("error", (error) => this.#lost(error));
    process.stderr.on("error", (error) => this.#lost(error));
  }

  onLoss(handler: () => void): () => void {
    this.#handlers.add(handler);
    if (this.#any) handler();
    return () => this.#handlers.delete(handler);
  }

  #lost(error: NodeJS.ErrnoException): void {
    this.#any = true;
    if (error.code !== "EPIPE" && !this.failed) {
      this.failed = true;
      const reason = describeRefusal(error.code)?.reason ?? error.message;
      process.stderr.write(`error: cannot write the output: ${reason}\n`);
    }
    for (const handler of this.#handlers) handler();
  }
}
