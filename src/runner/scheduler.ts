import { setTimeout as sleep } from "node:timers/promises";
import type { OnFailure } from "../config/config.js";
import { type Device, type DeviceDiscovery, deviceKind } from "../plan/device.js";
import type { PlannedJob } from "../plan/plan.js";
import type { ErrorCode } from "../util/errors.js";
import type { JobError } from "../worker/protocol.js";
import type { JobOutcome, RunEvent } from "./event.js";
import type { AttemptOutcome, StartWorker, Worker } from "./worker-process.js";

/** A place where one job runs at a time. */
export interface Slot {
  /** `cpu 1`, or the GPU's name with its index. */
  readonly label: string;
  /** Null: a slot of the CPU. */
  readonly device: Device | null;
}

export interface SchedulerOptions {
  readonly slots: readonly Slot[];
  readonly startWorker: StartWorker;
  /** Asked again when a job waits for memory. */
  readonly discoverDevices: DeviceDiscovery;
  readonly onFailure: OnFailure;
  readonly emit: (event: RunEvent) => void;
  /** Called before a job's first attempt; where it throws, the job fails. */
  readonly beforeJob?: (planned: PlannedJob) => Promise<void>;
  /** Called once a job is built, before its end is told; where it throws, the job fails. */
  readonly afterJob?: (planned: PlannedJob, outcome: Extract<JobOutcome, { status: "built" }>) => Promise<void>;
  /** Where a job's log is, for its failure. */
  readonly logOf?: (id: string) => string | null;
  /** Milliseconds between asking a worker to stop and killing it. */
  readonly grace?: number;
  /** Milliseconds that a job waits for memory on a GPU before it fails. */
  readonly memoryPatience?: number;
  /** Milliseconds between looks at a GPU's free memory. */
  readonly memoryPoll?: number;
}

/** Causes that may be gone at the next attempt; a missing operator is not one. */
const TRANSIENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["library", "artifact", "internal"]);

const TAIL = 20;

/** The machine's slots: CPU slots for jobs that need no GPU, one for each GPU. */
export function makeSlots(concurrency: number, devices: readonly Device[]): Slot[] {
  const cpu = Array.from({ length: concurrency }, (_, index): Slot => ({ label: `cpu ${index + 1}`, device: null }));
  return [...cpu, ...devices.map((device, index): Slot => ({ label: `gpu ${index} ${device.name}`, device }))];
}

/**
 * Runs jobs on slots: longest first, one at a time on a slot, each in a worker process that lives on for the slot's next job.
 * Every job ends exactly once, whatever its worker does.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  /** Jobs not started, longest first, by the kind of slot that they need. */
  readonly #queues = new Map<string, PlannedJob[]>();
  readonly #outcomes = new Map<string, JobOutcome>();
  readonly #workers = new Map<Slot, Worker>();
  readonly #running = new Map<Slot, { cancel: (why: "cancelled" | "timeout") => void }>();
  /** Why nothing new starts; null while it does. */
  #stopped: { status: "cancelled" } | { status: "skipped"; reason: string } | null = null;
  readonly #wakeUp = new AbortController();

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Resolves when every job has ended and every worker is gone. */
  async run(jobs: readonly PlannedJob[]): Promise<ReadonlyMap<string, JobOutcome>> {
    const kinds = new Set(this.#options.slots.map(kindOf));
    for (const planned of jobs.toSorted((a, b) => b.cost - a.cost)) {
      const { placement } = planned;
      const kind = placement.slot === "gpu" ? placement.kind : placement.slot === "cpu" ? "cpu" : null;
      if (kind === null || !kinds.has(kind)) {
        const reason =
          placement.slot === "none" ? placement.reason : `no device of the kind ${kind} may be used in this run`;
        this.#end(planned, failure("unsupported", reason, "`trtorch-build doctor` says what this machine can build"));
        continue;
      }
      const queue = this.#queues.get(kind) ?? [];
      queue.push(planned);
      this.#queues.set(kind, queue);
    }
    await Promise.all(this.#options.slots.map((slot) => this.#serve(slot)));
    return this.#outcomes;
  }

  /** Starts nothing new and asks what runs to stop; what does not stop in time is killed. */
  cancel(): void {
    this.#stop({ status: "cancelled" });
    for (const running of this.#running.values()) running.cancel("cancelled");
  }

  /** Ends all workers at once. */
  kill(): void {
    this.#stop({ status: "cancelled" });
    for (const running of this.#running.values()) running.cancel("cancelled");
    for (const worker of this.#workers.values()) worker.kill();
  }

  async #serve(slot: Slot): Promise<void> {
    const queue = this.#queues.get(kindOf(slot)) ?? [];
    for (let planned = queue.shift(); planned !== undefined; planned = queue.shift()) {
      if (this.#stopped !== null) {
        this.#end(
          planned,
          this.#stopped.status === "cancelled" ? { status: "cancelled", durationMs: 0 } : this.#stopped,
        );
        continue;
      }
      const outcome = await this.#perform(planned, slot).catch(
        (error: unknown): JobOutcome => failure("internal", error instanceof Error ? error.message : String(error)),
      );
      this.#end(planned, outcome);
    }
    await this.#workers.get(slot)?.close();
  }

  async #perform(planned: PlannedJob, slot: Slot): Promise<JobOutcome> {
    const started = performance.now();
    const elapsed = () => performance.now() - started;
    const shortage = await this.#waitForMemory(planned, slot);
    if (this.#stopped !== null) return this.#notStarted();
    if (shortage !== null) return failure("unsupported", shortage, "lower requires.min_memory, or free the GPU");

    try {
      await this.#options.beforeJob?.(planned);
    } catch (error) {
      return { ...failure("artifact", error instanceof Error ? error.message : String(error)), durationMs: elapsed() };
    }
    for (let attempt = 1; ; attempt++) {
      if (this.#isCancelled()) return { status: "cancelled", durationMs: elapsed() };
      this.#options.emit({ type: "job-start", id: planned.job.id, slot: slot.label, attempt });
      const { outcome, tail, stopped } = await this.#attempt(planned, slot);
      if (outcome.status === "done") {
        const built = {
          status: "built",
          result: outcome.result,
          durationMs: elapsed(),
          attempts: attempt,
          peakMemory: outcome.peakMemory,
        } as const;
        try {
          await this.#options.afterJob?.(planned, built);
          return built;
        } catch (error) {
          const message = error instanceof Error ? error.message : String(error);
          return { ...failure("artifact", message), durationMs: elapsed(), attempts: attempt };
        }
      }
      if (stopped === "cancelled") return { status: "cancelled", durationMs: elapsed() };
      const error = explain(outcome, stopped, planned);
      const again =
        attempt <= planned.retries && this.#stopped === null && (stopped !== null || TRANSIENT.has(error.code));
      if (!again) {
        const log = this.#options.logOf?.(planned.job.id) ?? null;
        return { status: "failed", error, durationMs: elapsed(), attempts: attempt, tail, log };
      }
      this.#options.emit({ type: "job-retry", id: planned.job.id, attempt, error });
    }
  }

  async #attempt(planned: PlannedJob, slot: Slot) {
    const { job, timeout } = planned;
    let worker = this.#workers.get(slot);
    if (worker === undefined || !worker.alive) {
      worker = this.#options.startWorker(slot.device);
      this.#workers.set(slot, worker);
    }
    const current = worker;
    const tail: string[] = [];
    const remember = (line: string) => {
      tail.push(line);
      if (tail.length > TAIL) tail.shift();
    };

    let stopped: "cancelled" | "timeout" | null = null;
    let patience: NodeJS.Timeout | undefined;
    const cancel = (why: "cancelled" | "timeout") => {
      if (stopped !== null) return;
      stopped = why;
      current.cancel();
      patience = setTimeout(() => current.kill(), this.#options.grace ?? 10_000);
    };
    this.#running.set(slot, { cancel });
    const limit = timeout === null ? undefined : setTimeout(() => cancel("timeout"), timeout);
    const outcome = await current.run(
      job,
      (event) => {
        if (event.type === "log") remember(event.line);
        this.#options.emit({ type: "job-event", id: job.id, event });
      },
      (line) => {
        remember(line);
        this.#options.emit({ type: "job-event", id: job.id, event: { type: "log", level: "info", line } });
      },
    );
    clearTimeout(limit);
    clearTimeout(patience);
    this.#running.delete(slot);
    // After a death or a hang the next job gets a new process.
    if (outcome.status === "died") this.#workers.delete(slot);
    return { outcome, tail: outcome.status === "died" ? tail : [], stopped: stopped as "cancelled" | "timeout" | null };
  }

  /** Null once the GPU has the memory that the job asks for; else why it will not. */
  async #waitForMemory(planned: PlannedJob, slot: Slot): Promise<string | null> {
    const need = planned.job.requires.minMemory;
    if (need === null || slot.device === null) return null;
    const { uuid, name, totalMemory } = slot.device;
    if (totalMemory < need) return `the job needs ${gib(need)} of GPU memory; ${name} has ${gib(totalMemory)} in all`;
    const patience = this.#options.memoryPatience ?? 600_000;
    const deadline = performance.now() + patience;
    for (let announced = false; ; announced = true) {
      const now = (await this.#options.discoverDevices()).find((device) => device.uuid === uuid);
      const free = now?.freeMemory ?? 0;
      if (free >= need) return null;
      const state = `the job needs ${gib(need)} of GPU memory; ${gib(free)} are free on ${name}`;
      if (performance.now() > deadline) return `${state} after waiting ${Math.round(patience / 1000)} s`;
      if (!announced) this.#options.emit({ type: "job-wait", id: planned.job.id, reason: state });
      await sleep(this.#options.memoryPoll ?? 2_000, undefined, { signal: this.#wakeUp.signal }).catch(() => {});
      if (this.#stopped !== null) return state;
    }
  }

  #end(planned: PlannedJob, outcome: JobOutcome): void {
    this.#outcomes.set(planned.job.id, outcome);
    // Stopping comes before anything else can happen: no other slot may take a job after a failure that ends the run.
    if (outcome.status === "failed" && this.#options.onFailure !== "continue") {
      this.#stop({ status: "skipped", reason: `${planned.job.id} failed` });
      if (this.#options.onFailure === "kill") for (const running of this.#running.values()) running.cancel("cancelled");
    }
    this.#options.emit({ type: "job-end", id: planned.job.id, outcome });
  }

  #isCancelled(): boolean {
    return this.#stopped?.status === "cancelled";
  }

  #notStarted(): JobOutcome {
    return this.#stopped?.status === "skipped" ? this.#stopped : { status: "cancelled", durationMs: 0 };
  }

  #stop(how: { status: "cancelled" } | { status: "skipped"; reason: string }): void {
    if (this.#stopped === null || how.status === "cancelled") this.#stopped = how;
    this.#wakeUp.abort();
  }
}

function kindOf(slot: Slot): string {
  return slot.device === null ? "cpu" : deviceKind(slot.device);
}

function explain(
  outcome: Exclude<AttemptOutcome, { status: "done" }>,
  stopped: "cancelled" | "timeout" | null,
  planned: PlannedJob,
): JobError {
  if (stopped === "timeout") {
    const seconds = Math.round((planned.timeout ?? 0) / 1000);
    return { code: "library", message: `timed out after ${seconds} s`, hint: "raise the model's timeout" };
  }
  if (outcome.status === "failed") return outcome.error;
  return { code: "library", message: outcome.reason, hint: "the job's log holds what it wrote before" };
}

function failure(code: ErrorCode, message: string, hint?: string): Extract<JobOutcome, { status: "failed" }> {
  const error = { code, message, ...(hint !== undefined && { hint }) };
  return { status: "failed", error, durationMs: 0, attempts: 0, tail: [], log: null };
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
