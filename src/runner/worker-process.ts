import { type ChildProcess, fork } from "node:child_process";
import { constants } from "node:os";
import { extname } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Device } from "../plan/device.js";
import type { Job, JobEvent, JobResult } from "../plan/job.js";
import type { JobError, RunnerMessage, WorkerMessage } from "../worker/protocol.js";

/** How one attempt at a job ended. */
export type AttemptOutcome =
  | { readonly status: "done"; readonly result: JobResult; readonly peakMemory: number }
  | { readonly status: "failed"; readonly error: JobError }
  /** The process is gone; `reason` says how. */
  | { readonly status: "died"; readonly reason: string };

/** What a running job's worker needs of the runner. */
export interface JobHost {
  onEvent(event: JobEvent): void;
  /** A line that the process wrote. */
  onOutput(line: string): void;
  /** The job needs its GPU: resolves with true when it may use it, with false when it never may. Not called on the CPU. */
  lendDevice(): Promise<boolean>;
  /** The job no longer needs its GPU. Not called where it dies first. */
  takeDeviceBack(): void;
}

/** What the scheduler sees of a worker: a process that does one job at a time, and sees one GPU at most. */
export interface Worker {
  /** False once the process is gone. */
  readonly alive: boolean;
  /** Does a job; always resolves, exactly once. Not called while another job runs. */
  run(job: Job, host: JobHost): Promise<AttemptOutcome>;
  /** Asks the running job to stop. */
  cancel(): void;
  /** Ends the process at once. */
  kill(): void;
  /** Lets an idle process leave; resolves when it is gone. */
  close(): Promise<void>;
}

export type StartWorker = (device: Device | null) => Worker;

/** Starts `src/worker/main` as a process that sees one GPU, or none, with variables beyond those of this process. */
export function workerStarter(env: NodeJS.ProcessEnv = {}): StartWorker {
  return (device) => new WorkerProcess(device, workerProgram(), env);
}

/** The program of the workers, in the form that this one runs in: TypeScript in development, JavaScript when installed. */
function workerProgram(): string {
  return fileURLToPath(new URL(`../worker/main${extname(import.meta.url)}`, import.meta.url));
}

export class WorkerProcess implements Worker {
  readonly #child: ChildProcess;
  readonly #device: Device | null;
  readonly #gone: Promise<string>;
  #current: { id: string; host: JobHost; end: (outcome: AttemptOutcome) => void } | null = null;
  #alive = true;

  constructor(device: Device | null, program: string, env: NodeJS.ProcessEnv = {}) {
    this.#device = device;
    this.#child = fork(program, [], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      // By UUID: ordinals mean other devices to CUDA than to nvidia-smi.
      env: { ...process.env, ...env, CUDA_VISIBLE_DEVICES: device?.uuid ?? "" },
    });
    this.#child.on("message", (message) => this.#receive(message as WorkerMessage));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => this.#current?.host.onOutput(line));
    }
    this.#gone = new Promise((resolve) => {
      this.#child.once("error", (error) => resolve(`cannot run: ${error.message}`));
      // "close" comes after the last line of output, so that a dying worker's words are in its log.
      this.#child.once("close", (code, signal) => resolve(describeEnd(code, signal)));
      this.#child.once("exit", (code, signal) => {
        this.#alive = false;
        // Where a grandchild keeps the pipe open, it must not hold up the run.
        setTimeout(() => resolve(describeEnd(code, signal)), 1_000).unref();
      });
    });
    void this.#gone.then((reason) => {
      this.#alive = false;
      this.#end({ status: "died", reason });
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  run(job: Job, host: JobHost): Promise<AttemptOutcome> {
    return new Promise((resolve) => {
      this.#current = { id: job.id, host, end: resolve };
      this.#send({ type: "job", job, device: this.#device });
    });
  }

  cancel(): void {
    this.#send({ type: "cancel" });
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async close(): Promise<void> {
    this.#send({ type: "exit" });
    const patience = setTimeout(() => this.kill(), 2_000);
    await this.#gone;
    clearTimeout(patience);
  }

  #send(message: RunnerMessage): void {
    // A dead process is noticed by its end, not by a message that does not arrive.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #receive(message: WorkerMessage): void {
    const current = this.#current;
    if (message.type === "ready" || message.id !== current?.id) return;
    switch (message.type) {
      case "event":
        current.host.onEvent(message.event);
        return;
      case "device-wanted":
        void current.host.lendDevice().then((lent) => {
          // The job may have ended while it waited.
          if (lent && this.#current === current) this.#send({ type: "device", id: message.id });
        });
        return;
      case "device-free":
        current.host.takeDeviceBack();
        return;
      case "done":
        this.#end({ status: "done", result: message.result, peakMemory: message.peakMemory });
        return;
      case "failed":
        this.#end({ status: "failed", error: message.error });
        return;
    }
  }

  #end(outcome: AttemptOutcome): void {
    const current = this.#current;
    this.#current = null;
    current?.end(outcome);
  }
}

function describeEnd(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === null) return `the worker process left with exit code ${code}`;
  const number = constants.signals[signal];
  const words: Partial<Record<NodeJS.Signals, string>> = {
    SIGSEGV: "a crash in native code",
    SIGABRT: "an abort in native code",
    SIGBUS: "a crash in native code, or a model file that shrank while it was read",
    SIGILL: "an instruction that this CPU does not have",
    SIGKILL: "killed, often because memory ran out",
  };
  const why = words[signal];
  return `the worker process died of ${signal} (${number})${why === undefined ? "" : `: ${why}`}`;
}
