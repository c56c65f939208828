import type { JobEvent } from "../plan/job.js";
import { messageOf, TrtorchError } from "../util/errors.js";
import { GoldenMismatch } from "./comparison.js";
import type { CompileJob, JobError, RunnerMessage, WorkerMessage } from "./protocol.js";

// The process of a worker: takes jobs from the runner over IPC, one after the other, until the channel closes.

let running: AbortController | null = null;
/** Called when the device is lent to the job that waits for it. */
let lend = () => {};

process.on("message", (message: RunnerMessage) => {
  switch (message.type) {
    case "job":
      void run(message);
      return;
    case "cancel":
      running?.abort();
      return;
    case "device":
      lend();
      return;
    case "exit":
      process.exit(0);
  }
});

// The runner is gone. Threads of TensorRT may be at work, and an orderly exit would wait for them.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));

// A terminal sends Ctrl-C to all processes of the run: what it means for a job, the runner says.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});

send({ type: "ready", pid: process.pid });

async function run({ job, device }: Extract<RunnerMessage, { type: "job" }>): Promise<void> {
  const controller = new AbortController();
  running = controller;
  const emit = (event: JobEvent) => send({ type: "event", id: job.id, event });
  try {
    // Loaded with the first job, not before: a worker is ready at once.
    const { compileJob }: { compileJob: CompileJob } = await import("./compile.js");
    const result = await compileJob(job, {
      emit,
      log: (line, level) => emit({ type: "log", level, line }),
      device,
      withDevice: (work) => (device === null ? work() : withDevice(job.id, controller.signal, work)),
      signal: controller.signal,
    });
    send({ type: "done", id: job.id, result, peakMemory: process.resourceUsage().maxRSS * 1024 });
  } catch (error) {
    send({ type: "failed", id: job.id, error: describe(error, controller.signal.aborted) });
  } finally {
    running = null;
  }
}

async function withDevice<R>(id: string, signal: AbortSignal, work: () => Promise<R>): Promise<R> {
  const lent = new Promise<void>((resolve, reject) => {
    lend = resolve;
    const stop = () => reject(new TrtorchError("cancelled", "cancelled"));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
  });
  send({ type: "device-wanted", id });
  await lent;
  try {
    return await work();
  } finally {
    send({ type: "device-free", id });
  }
}

function describe(error: unknown, cancelled: boolean): JobError {
  if (error instanceof TrtorchError) {
    return {
      code: error.code,
      message: error.message,
      ...(error.hint !== undefined && { hint: error.hint }),
      ...(error.location !== undefined && { location: error.location }),
      ...(error instanceof GoldenMismatch && { comparison: error.comparison }),
      ...(error.code === "internal" && error.stack !== undefined && { stack: error.stack }),
    };
  }
  if (cancelled) return { code: "cancelled", message: "cancelled" };
  const message = messageOf(error);
  const stack = error instanceof Error ? error.stack : undefined;
  return { code: "internal", message, ...(stack !== undefined && { stack }) };
}

function send(message: WorkerMessage): void {
  if (process.connected) process.send?.(message);
}
