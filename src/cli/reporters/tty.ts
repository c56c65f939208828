import { type DefaultRenderer, Listr, type ListrTaskWrapper, type SimpleRenderer } from "listr2";
import type { JobEvent, JobPhase } from "../../plan/job.js";
import type { JobOutcome, RunEvent } from "../../runner/event.js";
import { unreachable } from "../../util/errors.js";
import { formatDuration } from "../../util/format.js";
import { describeFailure, describeOutcome, describeSummary, type Reporter, type Write } from "./reporter.js";

type Task = ListrTaskWrapper<unknown, typeof DefaultRenderer, typeof SimpleRenderer>;

/** How far a job is when a phase begins; building takes nearly all of the time. */
const PHASE_START: Readonly<Record<JobPhase, number>> = {
  load: 0,
  lower: 0.05,
  convert: 0.1,
  build: 0.15,
  verify: 0.9,
  write: 0.97,
};

const BAR_WIDTH = 20;

interface Row {
  task: Task | null;
  slot: string;
  started: number;
  running: boolean;
  fraction: number;
  doing: string;
  /** Set at the job's end; ends the row's task. */
  finish: (outcome: JobOutcome) => void;
  readonly finished: Promise<JobOutcome>;
}

/** A terminal: a bar for each build, fed by TensorRT's progress, with phase, device and time; below it what went wrong. */
export class TtyReporter implements Reporter {
  readonly #write: Write;
  readonly #rows = new Map<string, Row>();
  readonly #screenRows: number;
  readonly #failures: string[] = [];
  #ids: readonly string[] = [];
  readonly #ended = new Set<string>();
  #failed = 0;
  #started = 0;
  #header: Task | null = null;
  #list: Promise<unknown> | null = null;
  #finishHeader: () => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #note = "";

  constructor(write: Write, screenRows: number) {
    this.#write = write;
    this.#screenRows = screenRows;
  }

  handle(event: RunEvent): void {
    switch (event.type) {
      case "run-start":
        this.#ids = event.jobs;
        this.#started = performance.now();
        return;
      case "lock-wait":
        this.#write(`waiting for another run on this output folder (${event.owner})\n`);
        return;
      case "job-start": {
        this.#open();
        const row = this.#row(event.id);
        row.slot = event.slot;
        row.started = performance.now();
        row.running = true;
        row.fraction = 0;
        row.doing = event.attempt > 1 ? `attempt ${event.attempt}` : "starts";
        return;
      }
      case "job-wait":
        this.#row(event.id).doing = `waits: ${event.reason}`;
        return;
      case "job-device":
        this.#row(event.id).doing = "has the GPU";
        return;
      case "job-event":
        this.#progress(event.id, event.event);
        return;
      case "job-retry":
        this.#row(event.id).doing = `failed, tries again: ${event.error.message}`;
        return;
      case "job-end":
        this.#end(event.id, event.outcome);
        return;
      case "warning":
        this.#failures.push(`warning: ${event.message}`);
        return;
      case "cancelling":
        this.#note = ", stopping; once more to stop at once";
        return;
      case "run-end":
        this.#failures.push(describeSummary(event.summary));
        return;
      default:
        unreachable(event);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const row of this.#rows.values()) row.finish({ status: "cancelled", durationMs: 0 });
    this.#finishHeader();
    await this.#list;
    for (const line of this.#failures) this.#write(`${line}\n`);
  }

  /** Rows stand for the jobs that are left when the first one starts; a row appears when its job does. */
  #open(): void {
    if (this.#list !== null) return;
    const waiting = this.#ids.filter((id) => !this.#ended.has(id));
    for (const id of waiting) this.#row(id);
    const header = new Promise<void>((resolve) => {
      this.#finishHeader = resolve;
    });
    // A screen that overflows cannot be redrawn: where there are many jobs, only running and failed ones keep their row.
    const keep = waiting.length + 4 <= this.#screenRows;
    this.#list = new Listr(
      [
        {
          title: "",
          task: (_, task) => {
            this.#header = task as Task;
            return header;
          },
        },
        ...[...this.#rows].map(([id, row]) => ({
          title: "",
          task: async (_: unknown, task: Task) => {
            row.task = task;
            const outcome = await row.finished;
            if (outcome.status === "failed") {
              // A row without a title is not shown, and the job may have failed before it got one.
              task.title = id;
              throw new Error(`${id}: ${outcome.error.message}`);
            }
            task.title = keep ? `${id}: ${describeOutcome(outcome)}` : "";
          },
        })),
      ],
      { concurrent: true, exitOnError: false, rendererOptions: { formatOutput: "truncate" } },
    ).run();
    this.#timer = setInterval(() => this.#draw(), 200);
  }

  #progress(id: string, event: JobEvent): void {
    const row = this.#row(id);
    switch (event.type) {
      case "phase-start":
        row.doing = event.phase;
        row.fraction = PHASE_START[event.phase];
        return;
      case "phase-end":
        return;
      case "progress": {
        const share = event.total > 0 ? event.step / event.total : 0;
        // TensorRT runs through several phases of its own, each from 0: the bar never goes back.
        const span = PHASE_START.verify - PHASE_START.build;
        row.fraction = Math.max(row.fraction, PHASE_START.build + span * Math.min(1, share));
        row.doing = event.name;
        return;
      }
      case "log":
        return;
      case "warning":
        this.#failures.push(`${id}: warning: ${event.message}`);
        return;
      default:
        unreachable(event);
    }
  }

  #end(id: string, outcome: JobOutcome): void {
    this.#ended.add(id);
    if (outcome.status === "failed") {
      this.#failed++;
      this.#failures.push(`${id}: ${describeOutcome(outcome)}`, ...describeFailure(outcome).map((line) => `  ${line}`));
    }
    const row = this.#rows.get(id);
    if (row === undefined) return;
    row.running = false;
    row.finish(outcome);
  }

  #draw(): void {
    if (this.#header !== null) {
      const failed = this.#failed > 0 ? `, ${this.#failed} failed` : "";
      const time = formatDuration(performance.now() - this.#started);
      this.#header.title = `${this.#ended.size} of ${this.#ids.length} jobs${failed}, ${time}${this.#note}`;
    }
    for (const [id, row] of this.#rows) {
      if (row.task === null || !row.running) continue;
      const full = Math.round(row.fraction * BAR_WIDTH);
      const bar = "█".repeat(full) + "░".repeat(BAR_WIDTH - full);
      row.task.title = `${bar} ${id}  ${row.doing}  ${row.slot}  ${formatDuration(performance.now() - row.started)}`;
    }
  }

  #row(id: string): Row {
    let row = this.#rows.get(id);
    if (row === undefined) {
      let finish: (outcome: JobOutcome) => void = () => {};
      const finished = new Promise<JobOutcome>((resolve) => {
        finish = resolve;
      });
      row = { task: null, slot: "", started: 0, running: false, fraction: 0, doing: "", finish, finished };
      this.#rows.set(id, row);
    }
    return row;
  }
}
