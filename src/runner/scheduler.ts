import type { OnFailure } from "../config/config.js";
import { type Device, type DeviceDiscovery, deviceKind } from "../plan/device.js";
import type { PlannedJob } from "../plan/plan.js";
import { type ErrorCode, messageOf, TrtorchError } from "../util/errors.js";
import type { JobError } from "../worker/protocol.js";
import { type Clock, SYSTEM_CLOCK } from "./clock.js";
import { DeviceLease } from "./device-lease.js";
import type { JobOutcome, RunEvent } from "./event.js";
import { Stopwatch } from "./stopwatch.js";
import type { AttemptOutcome, StartWorker, Worker } from "./worker-process.js";

/** A place where jobs run: a core, where one does, or a GPU, where one builds while the next is made ready. */
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
  readonly clock?: Clock;
}

/** Causes that may be gone at the next attempt; a missing operator is not one. */
const TRANSIENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["library", "artifact", "internal"]);

const TAIL = 20;

/** The machine's slots: CPU slots for jobs that need no GPU, one for each GPU. */
export function makeSlots(concurrency: number, devices: readonly Device[]): Slot[] {
  const cpu = Array.from({ length: concurrency }, (_, index): Slot => ({ label: `cpu ${index + 1}`, device: null }));
  return [...cpu, ...devices.map((device, index): Slot => ({ label: `gpu ${index} ${device.name}`, device }))];
}

/** A slot, and who is at it. */
interface Seat {
  readonly slot: Slot;
  /** Jobs at once. */
  readonly capacity: number;
  readonly lease: DeviceLease;
  readonly jobs: Set<PlannedJob>;
  /** Workers without a job. */
  readonly idle: Worker[];
}

/** Why a worker was asked to stop. */
type Stop = "cancelled" | "timeout" | "skipped" | "memory";

interface Running {
  /** True while the job waits for its GPU. */
  waiting: boolean;
  readonly stop: (why: Stop) => void;
}

/**
 * Runs jobs on slots, longest first, each in a worker process that lives on for the slot's next job. A core has one job at a time.
 * A GPU has up to two, of which one builds: the other one reads and converts its model meanwhile, and then waits for the GPU.
 * Every job ends exactly once, whatever its worker does.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #clock: Clock;
  readonly #outcomes = new Map<string, JobOutcome>();
  readonly #workers = new Set<Worker>();
  readonly #running = new Set<Running>();
  /** Why nothing new starts; null while it does. */
  #stopped: { status: "cancelled" } | { status: "skipped"; reason: string } | null = null;
  /** Who waits for memory: each is woken up when nothing new is to start. */
  readonly #sleepers = new Set<() => void>();

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
  }

  /** Resolves when every job has ended and every worker is gone. */
  async run(jobs: readonly PlannedJob[]): Promise<ReadonlyMap<string, JobOutcome>> {
    const seats = new Map<string, Seat[]>();
    for (const slot of this.#options.slots) {
      const capacity = slot.device === null ? 1 : 2;
      const seat: Seat = { slot, capacity, lease: new DeviceLease(), jobs: new Set(), idle: [] };
      seats.set(kindOf(slot), [...(seats.get(kindOf(slot)) ?? []), seat]);
    }
    /** Jobs, longest first, by the kind of slot that they need. */
    const queues = new Map<string, PlannedJob[]>();
    for (const planned of jobs.toSorted((a, b) => b.cost - a.cost)) {
      const { placement } = planned;
      const kind = placement.slot === "gpu" ? placement.kind : placement.slot === "cpu" ? "cpu" : null;
      if (kind === null || !seats.has(kind)) {
        const reason =
          placement.slot === "none" ? placement.reason : `no device of the kind ${kind} may be used in this run`;
        this.#end(planned, failure("unsupported", reason, "`trtorch-build doctor` says what this machine can build"));
        continue;
      }
      const queue = queues.get(kind) ?? [];
      queue.push(planned);
      queues.set(kind, queue);
    }
    await Promise.all([...queues].map(([kind, queue]) => this.#serve(seats.get(kind) ?? [], queue)));
    return this.#outcomes;
  }

  /** Starts nothing new and asks what runs to stop; what does not stop in time is killed. */
  cancel(): void {
    this.#stop({ status: "cancelled" });
    for (const running of this.#running) running.stop("cancelled");
  }

  /** Ends all workers at once. */
  kill(): void {
    this.cancel();
    for (const worker of this.#workers) worker.kill();
  }

  /** Runs jobs on slots of one kind. */
  async #serve(seats: readonly Seat[], queue: readonly PlannedJob[]): Promise<void> {
    const running = new Set<Promise<void>>();
    for (const planned of queue) {
      let seat = nextSeat(seats);
      for (; seat === null; seat = nextSeat(seats)) await Promise.race(running);
      if (this.#stopped !== null) {
        this.#end(planned, this.#notStarted());
        continue;
      }
      const { jobs } = seat;
      jobs.add(planned);
      const performed = this.#perform(planned, seat)
        .catch((error: unknown): JobOutcome => failure("internal", messageOf(error)))
        .then((outcome) => {
          jobs.delete(planned);
          running.delete(performed);
          this.#end(planned, outcome);
        });
      running.add(performed);
    }
    await Promise.all(running);
    await Promise.all(seats.flatMap(({ idle }) => idle.map((worker) => this.#close(worker))));
  }

  async #perform(planned: PlannedJob, seat: Seat): Promise<JobOutcome> {
    const { job } = planned;
    const started = this.#clock.now();
    let waited = 0;
    const elapsed = () => this.#clock.now() - started - waited;
    const { device } = seat.slot;
    const need = job.requires.minMemory;
    if (device !== null && need !== null && device.totalMemory < need) {
      return shortOfMemory(
        `the job needs ${gib(need)} of GPU memory; ${device.name} has ${gib(device.totalMemory)} in all`,
      );
    }
    try {
      await this.#options.beforeJob?.(planned);
    } catch (error) {
      return { ...aroundJob(error), durationMs: elapsed() };
    }
    for (let attempt = 1; ; attempt++) {
      if (this.#stopped?.status === "cancelled") return { status: "cancelled", durationMs: elapsed() };
      this.#options.emit({ type: "job-start", id: job.id, slot: seat.slot.label, attempt });
      const { outcome, tail, stopped, shortage, waitedMs } = await this.#attempt(planned, seat);
      waited += waitedMs;
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
          return { ...aroundJob(error), durationMs: elapsed(), attempts: attempt };
        }
      }
      if (stopped === "cancelled") return { status: "cancelled", durationMs: elapsed() };
      if (stopped === "skipped") return this.#notStarted();
      const log = this.#options.logOf?.(job.id) ?? null;
      if (stopped === "memory") {
        return { ...shortOfMemory(shortage ?? ""), durationMs: elapsed(), attempts: attempt, log };
      }
      const error = explain(outcome, stopped, planned);
      const again =
        attempt <= planned.retries && this.#stopped === null && (stopped !== null || TRANSIENT.has(error.code));
      if (!again) return { status: "failed", error, durationMs: elapsed(), attempts: attempt, tail, log };
      this.#options.emit({ type: "job-retry", id: job.id, attempt, error });
    }
  }

  async #attempt(planned: PlannedJob, seat: Seat) {
    const { job } = planned;
    const worker = this.#workerOf(seat);
    const tail: string[] = [];
    const remember = (line: string) => {
      tail.push(line);
      if (tail.length > TAIL) tail.shift();
    };

    let stopped: Stop | null = null;
    let shortage: string | null = null;
    let spare = () => {};
    const stop = (why: Stop) => {
      if (stopped !== null) return;
      stopped = why;
      worker.cancel();
      spare = this.#clock.after(this.#options.grace ?? 10_000, () => worker.kill());
    };
    const running: Running = { waiting: false, stop };
    this.#running.add(running);
    const watch = new Stopwatch(this.#clock, planned.timeout, () => stop("timeout"));
    let waitedMs = 0;
    let ended = false;
    let giveBack = () => {};
    const takeDeviceBack = () => {
      giveBack();
      giveBack = () => {};
    };
    watch.start();
    const outcome = await worker.run(job, {
      onEvent: (event) => {
        if (event.type === "log") remember(event.line);
        this.#options.emit({ type: "job-event", id: job.id, event });
      },
      onOutput: (line) => {
        remember(line);
        this.#options.emit({ type: "job-event", id: job.id, event: { type: "log", level: "info", line } });
      },
      lendDevice: async () => {
        if (this.#stopped !== null) stop("skipped");
        if (stopped !== null) return false;
        // What other jobs do with the GPU is not this one's fault.
        watch.pause();
        const asked = this.#clock.now();
        running.waiting = true;
        if (seat.lease.holder !== null) {
          const reason = `${seat.lease.holder} has ${seat.slot.label}`;
          this.#options.emit({ type: "job-wait", id: job.id, reason });
        }
        giveBack = await seat.lease.take(job.id);
        if (!ended && stopped === null) shortage = await this.#waitForMemory(planned, seat).catch(messageOf);
        if (shortage !== null) stop("memory");
        waitedMs += this.#clock.now() - asked;
        if (ended || stopped !== null) {
          takeDeviceBack();
          return false;
        }
        running.waiting = false;
        watch.start();
        this.#options.emit({ type: "job-device", id: job.id, slot: seat.slot.label });
        return true;
      },
      takeDeviceBack,
    });
    ended = true;
    takeDeviceBack();
    watch.pause();
    spare();
    this.#running.delete(running);
    // After a death or a hang the next job gets a new process.
    if (outcome.status === "died") this.#workers.delete(worker);
    else seat.idle.push(worker);
    return {
      outcome,
      tail: outcome.status === "died" ? tail : [],
      stopped: stopped as Stop | null,
      shortage: shortage as string | null,
      waitedMs,
    };
  }

  /** A worker for a job: one that is there, or a new one. */
  #workerOf({ idle, slot }: Seat): Worker {
    for (let worker = idle.pop(); worker !== undefined; worker = idle.pop()) {
      if (worker.alive) return worker;
      this.#workers.delete(worker);
    }
    const worker = this.#options.startWorker(slot.device);
    this.#workers.add(worker);
    return worker;
  }

  /** Null once the GPU has the memory that the job asks for; else why it will not. */
  async #waitForMemory({ job }: PlannedJob, { slot, idle }: Seat): Promise<string | null> {
    const need = job.requires.minMemory;
    if (need === null || slot.device === null) return null;
    const { uuid, name } = slot.device;
    const patience = this.#options.memoryPatience ?? 600_000;
    const deadline = this.#clock.now() + patience;
    for (let announced = false; ; announced = true) {
      const now = (await this.#options.discoverDevices()).find((device) => device.uuid === uuid);
      const free = now?.freeMemory ?? 0;
      if (free >= need) return null;
      const state = `the job needs ${gib(need)} of GPU memory; ${gib(free)} are free on ${name}`;
      if (this.#clock.now() > deadline) return `${state} after waiting ${Math.round(patience / 1000)} s`;
      if (!announced) this.#options.emit({ type: "job-wait", id: job.id, reason: state });
      // A worker that has built keeps some memory for CUDA.
      await Promise.all(idle.splice(0).map((worker) => this.#close(worker)));
      if (this.#stopped === null) await this.#sleep(this.#options.memoryPoll ?? 2_000);
      if (this.#stopped !== null) return state;
    }
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const wakeUp = () => {
        callOff();
        this.#sleepers.delete(wakeUp);
        resolve();
      };
      const callOff = this.#clock.after(milliseconds, wakeUp);
      this.#sleepers.add(wakeUp);
    });
  }

  async #close(worker: Worker): Promise<void> {
    await worker.close();
    this.#workers.delete(worker);
  }

  #end(planned: PlannedJob, outcome: JobOutcome): void {
    this.#outcomes.set(planned.job.id, outcome);
    // Stopping comes before anything else can happen: no other slot may take a job after a failure that ends the run.
    if (outcome.status === "failed" && this.#options.onFailure !== "continue") {
      this.#stop({ status: "skipped", reason: `${planned.job.id} failed` });
      for (const running of this.#running) {
        if (this.#options.onFailure === "kill") running.stop("cancelled");
        else if (running.waiting) running.stop("skipped");
      }
    }
    this.#options.emit({ type: "job-end", id: planned.job.id, outcome });
  }

  #notStarted(): JobOutcome {
    return this.#stopped?.status === "skipped" ? this.#stopped : { status: "cancelled", durationMs: 0 };
  }

  #stop(how: { status: "cancelled" } | { status: "skipped"; reason: string }): void {
    if (this.#stopped === null || how.status === "cancelled") this.#stopped = how;
    for (const wakeUp of this.#sleepers) wakeUp();
  }
}

function kindOf(slot: Slot): string {
  return slot.device === null ? "cpu" : deviceKind(slot.device);
}

/**
 * Where the next job goes: to an idle slot, else to the one with the least left to do, as the longest-first rule wants it.
 * Null where that one is full: no other slot takes the job ahead of its time, since this one will be free sooner.
 */
function nextSeat(seats: readonly Seat[]): Seat | null {
  const left = ({ jobs }: Seat) => [...jobs].reduce((sum, { cost }) => sum + cost, 0);
  const seat = seats.find(({ jobs }) => jobs.size === 0) ?? seats.toSorted((a, b) => left(a) - left(b))[0];
  return seat !== undefined && seat.jobs.size < seat.capacity ? seat : null;
}

function explain(
  outcome: Exclude<AttemptOutcome, { status: "done" }>,
  stopped: "timeout" | null,
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

/** What went wrong in this process, before a job or after it. */
function aroundJob(error: unknown): Extract<JobOutcome, { status: "failed" }> {
  if (error instanceof TrtorchError) return failure(error.code, error.message, error.hint);
  return failure("artifact", messageOf(error));
}

function shortOfMemory(why: string): Extract<JobOutcome, { status: "failed" }> {
  return failure("unsupported", why, "lower requires.min_memory, or free the GPU");
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
