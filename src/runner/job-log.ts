import { createWriteStream, type WriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { JobEvent } from "../plan/job.js";
import { bestEffort } from "../util/best-effort.js";
import { unreachable } from "../util/errors.js";
import type { RunEvent } from "./event.js";

/** A text file a job with everything that was said about it, whatever the terminal shows. */
export class JobLogs {
  readonly #directory: string;
  readonly #streams = new Map<string, WriteStream>();

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Where no log can be written, a warning is all: no job fails for it. */
  static async open(directory: string, ids: readonly string[], warn: (message: string) => void): Promise<JobLogs> {
    const folders = new Set(ids.map((id) => dirname(join(directory, id))));
    await bestEffort(async () => {
      for (const folder of folders) await mkdir(folder, { recursive: true });
    }, warn);
    return new JobLogs(directory);
  }

  pathOf(id: string): string {
    return join(this.#directory, `${id}.log`);
  }

  handle(event: RunEvent): void {
    switch (event.type) {
      case "job-start":
        this.#write(event.id, `${new Date().toISOString()} attempt ${event.attempt} on ${event.slot}`);
        return;
      case "job-wait":
        this.#write(event.id, `waits: ${event.reason}`);
        return;
      case "job-device":
        this.#write(event.id, `has ${event.slot} to itself`);
        return;
      case "job-event":
        this.#event(event.id, event.event);
        return;
      case "job-retry":
        this.#write(event.id, `attempt ${event.attempt} failed: ${event.error.message}`);
        return;
      case "job-end": {
        const { outcome } = event;
        if (outcome.status === "failed")
          this.#write(event.id, `failed: ${outcome.error.stack ?? outcome.error.message}`);
        // A job that never started has no log.
        else if (this.#streams.has(event.id)) this.#write(event.id, outcome.status);
        this.#streams.get(event.id)?.end();
        return;
      }
      case "run-start":
      case "lock-wait":
      case "warning":
      case "cancelling":
      case "run-end":
        return;
      default:
        unreachable(event);
    }
  }

  #event(id: string, event: JobEvent): void {
    switch (event.type) {
      case "phase-end":
        this.#write(id, `${event.phase}: ${(event.durationMs / 1000).toFixed(3)} s`);
        return;
      case "log":
        this.#write(id, `[${event.level}] ${event.line}`);
        return;
      case "warning":
        this.#write(id, `[warning] ${event.message}`);
        return;
      case "phase-start":
      case "progress":
        return;
      default:
        unreachable(event);
    }
  }

  /** Resolves when all is written. */
  async close(): Promise<void> {
    await Promise.all(
      [...this.#streams.values()].map((stream) => new Promise<void>((resolve) => stream.end(() => resolve()))),
    );
  }

  #write(id: string, line: string): void {
    let stream = this.#streams.get(id);
    if (stream === undefined) {
      stream = createWriteStream(this.pathOf(id));
      // As on a full disk.
      stream.on("error", () => {});
      this.#streams.set(id, stream);
    }
    stream.write(`${line}\n`);
  }
}
