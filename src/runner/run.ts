import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config/config.js";
import type { DeviceDiscovery } from "../plan/device.js";
import { LOCK, removeRecord, STATE_FOLDER, writeRecord } from "../plan/freshness.js";
import type { Job, JobResult } from "../plan/job.js";
import { JOB_RESULT } from "../plan/job-result.js";
import type { Plan, PlannedJob } from "../plan/plan.js";
import type { StatCache } from "../plan/stat-cache.js";
import { publishDirectory, stageDirectory, sweepLeftovers } from "../util/atomic-write.js";
import { bestEffort } from "../util/best-effort.js";
import { mapBounded } from "../util/bounded.js";
import { messageOf, TrtorchError } from "../util/errors.js";
import { type JobOutcome, type RunEvent, type RunSummary, summarize } from "./event.js";
import { JobLogs } from "./job-log.js";
import { makeSlots, Scheduler } from "./scheduler.js";
import type { Store, StoreInput } from "./store.js";
import {
  type JobSpan,
  MANIFEST_FILE,
  makeManifest,
  makeSummary,
  SUMMARY_FILE,
  saveDurations,
  writeJson,
  writeSummary,
} from "./summary.js";
import type { StartWorker } from "./worker-process.js";

export interface RunOptions {
  readonly config: Config;
  /** Called again once the output folder is locked: what it says then is true until the run ends. */
  readonly plan: () => Promise<Selection>;
  /** `2/4` where this run builds a part; for the summary. */
  readonly shard?: string;
  readonly startWorker: StartWorker;
  readonly discoverDevices: DeviceDiscovery;
  readonly emit: (event: RunEvent) => void;
  readonly files: StatCache;
  /** CPU-only jobs at once. */
  readonly concurrency: number;
  /** Starts also the jobs that are fresh or in the store. */
  readonly startAll?: boolean;
  /** Milliseconds between asking a worker to stop and killing it. */
  readonly grace?: number;
}

/** A plan, and the jobs of it that a run is about. */
export interface Selection {
  readonly plan: Plan;
  readonly selected: readonly PlannedJob[];
}

export interface RunResult {
  readonly summary: RunSummary;
  readonly outcomes: ReadonlyMap<string, JobOutcome>;
}

/** A run in progress. */
export class Run {
  readonly #options: RunOptions;
  readonly #cancelled = new AbortController();
  readonly #killed = new AbortController();
  #scheduler: Scheduler | null = null;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  /** Stops gently: nothing new starts, workers are asked to leave off and killed when they do not. A second call kills at once. */
  cancel(): void {
    if (this.#cancelled.signal.aborted) {
      this.#killed.abort();
      this.#scheduler?.kill();
      return;
    }
    this.#cancelled.abort();
    this.#options.emit({ type: "cancelling" });
    this.#scheduler?.cancel();
  }

  /** Whether {@link cancel} was called. */
  get cancelled(): boolean {
    return this.#cancelled.signal.aborted;
  }

  /**
   * Brings every job of the plan up to date. Failures of jobs are outcomes, not exceptions.
   *
   * @throws TrtorchError where the run as a whole cannot go on: the output folder cannot be written, or waiting for it was cancelled
   */
  async start(): Promise<RunResult> {
    const { config, emit, files } = this.#options;
    const started = performance.now();
    const state = join(config.outDir, STATE_FOLDER);
    if (this.#options.startAll !== true && !(await isLocked(state))) {
      // Where all is fresh there is nothing to guard, and nothing more to load.
      const selection = await this.#options.plan();
      if (selection.selected.every(({ freshness }) => freshness.fresh)) return this.#run(selection, started);
      files.lookAgain();
    }
    const { lockFolder } = await import("./folder-lock.js");
    const lock = await lockFolder(state, {
      onWait: (owner) => emit({ type: "lock-wait", owner }),
      signal: this.#cancelled.signal,
    });
    try {
      await sweepLeftovers(config.outDir);
      return await this.#run(await this.#options.plan(), started);
    } finally {
      await lock.release();
    }
  }

  async #run({ plan, selected }: Selection, started: number): Promise<RunResult> {
    const { config, emit, files } = this.#options;
    const ids = selected.map(({ job }) => job.id);
    const slots = makeSlots(this.#options.concurrency, plan.devices);
    emit({ type: "run-start", jobs: ids, slots: slots.map((slot) => slot.label) });

    const warn = (message: string) => emit({ type: "warning", message });
    const outcomes = new Map<string, JobOutcome>();
    const end = (planned: PlannedJob, outcome: JobOutcome) => {
      outcomes.set(planned.job.id, outcome);
      emit({ type: "job-end", id: planned.job.id, outcome });
    };
    const spans = new Map<string, JobSpan>();
    const gpus = new Set(slots.filter(({ device }) => device !== null).map(({ label }) => label));
    const stale: PlannedJob[] = [];
    for (const planned of selected) {
      const { freshness } = planned;
      if (freshness.fresh && this.#options.startAll !== true)
        end(planned, { status: "fresh", result: freshness.record.result });
      else stale.push(planned);
    }
    if (stale.length > 0) {
      const logs = await JobLogs.open(
        join(config.cacheDir, "logs"),
        stale.map(({ job }) => job.id),
        warn,
      );
      const tee = (event: RunEvent) => {
        logs.handle(event);
        noteSpan(spans, event, performance.now() - started, gpus);
        emit(event);
      };
      const work = new Work(this.#options, tee, { restoring: this.#cancelled.signal, sharing: this.#killed.signal });
      await mapBounded(stale, RESTORES, async (planned) => {
        const restored = this.#cancelled.signal.aborted ? null : await work.restore(planned);
        if (restored !== null) end(planned, restored);
      });
      const scheduler = new Scheduler({
        slots,
        startWorker: this.#options.startWorker,
        discoverDevices: this.#options.discoverDevices,
        onFailure: config.onFailure,
        emit: tee,
        beforeJob: ({ job }) => removeRecord(job.outDir, job.id),
        afterJob: (planned, outcome) => work.finish(planned, outcome.result, outcome.durationMs),
        logOf: (id) => logs.pathOf(id),
        ...(this.#options.grace !== undefined && { grace: this.#options.grace }),
      });
      this.#scheduler = scheduler;
      if (this.#cancelled.signal.aborted) scheduler.cancel();
      const toBuild: PlannedJob[] = [];
      for (const planned of stale) {
        if (!outcomes.has(planned.job.id)) toBuild.push({ ...planned, job: await work.forWorker(planned.job) });
      }
      for (const [id, outcome] of await scheduler.run(toBuild)) outcomes.set(id, outcome);
      await work.settled();
      await logs.close();
      // Killed workers leave what they were writing.
      await sweepLeftovers(config.outDir);
    }
    const summary = summarize(outcomes.values(), performance.now() - started);
    await writeJson(join(config.outDir, MANIFEST_FILE), makeManifest(plan.jobs, outcomes));
    const report = makeSummary(plan.jobs, selected, outcomes, summary, this.#options.shard ?? null, spans);
    await writeSummary(join(config.outDir, SUMMARY_FILE), report);
    if (stale.length > 0) await bestEffort(() => saveDurations(config.cacheDir, outcomes), warn);
    await bestEffort(() => files.save(), warn);
    emit({ type: "run-end", summary });
    return { summary, outcomes };
  }
}

/** A span begins where the job takes its slot: a GPU's is another job's until then, a core's is its own from the start. */
function noteSpan(spans: Map<string, JobSpan>, event: RunEvent, now: number, gpus: ReadonlySet<string>): void {
  if (event.type !== "job-start" && event.type !== "job-device" && event.type !== "job-end") return;
  if (event.type === "job-start" && gpus.has(event.slot)) return;
  const before = spans.get(event.id);
  const time = Math.round(now);
  if (event.type !== "job-end") spans.set(event.id, { slot: event.slot, start: before?.start ?? time, end: time });
  else if (before !== undefined) spans.set(event.id, { ...before, end: time });
}

/** True where a run is at work, or died there. */
async function isLocked(state: string): Promise<boolean> {
  return stat(join(state, LOCK)).then(
    () => true,
    () => false,
  );
}

/** Restores at once: enough to hide a shared store's latency. */
const RESTORES = 8;

/** What happens around a job in the runner's own process. */
class Work {
  readonly #options: RunOptions;
  readonly #emit: (event: RunEvent) => void;
  /** Each ends the waiting for shared stores. */
  readonly #signals: { readonly restoring: AbortSignal; readonly sharing: AbortSignal };
  #opened: Promise<Store> | null = null;
  readonly #sharing: Promise<void>[] = [];

  constructor(
    options: RunOptions,
    emit: (event: RunEvent) => void,
    signals: { readonly restoring: AbortSignal; readonly sharing: AbortSignal },
  ) {
    this.#options = options;
    this.#emit = emit;
    this.#signals = signals;
  }

  /** A job whose worker need not find out for itself what the runner knows: which shared stores have failed. */
  async forWorker(job: Job): Promise<Job> {
    return this.#opened === null || job.store === null ? job : { ...job, store: (await this.#opened).settings };
  }

  /** Takes the job's artifacts from the store; null where it has none. */
  async restore({ job, parts }: PlannedJob): Promise<JobOutcome | null> {
    if (this.#options.startAll === true) return null;
    const started = performance.now();
    try {
      const store = await this.#store(job.store);
      const entry = await store?.get(`job-${job.key}`, this.#signals.restoring);
      if (!store || !entry || !JOB_RESULT.safeParse(entry.metadata).success) return null;
      await removeRecord(job.outDir, job.id);
      const final = join(job.outDir, job.id);
      const staged = await stageDirectory(final);
      try {
        if (!(await store.restore(entry, staged))) return null;
        await publishDirectory(staged, final);
      } finally {
        await rm(staged, { recursive: true, force: true });
      }
      const result = entry.metadata as JobResult;
      const durationMs = performance.now() - started;
      await this.#record(job.outDir, job.id, { version: 1, key: job.key, parts, result, durationMs });
      return { status: "restored", result, durationMs };
    } catch (error) {
      // The store only saves work; where it cannot, the work is done.
      this.#warn(`cannot take ${job.id} from the store: ${messageOf(error)}`);
      return null;
    }
  }

  /**
   * Marks a job as done, which makes it fresh, and shares its artifacts.
   *
   * @throws TrtorchError `artifact` where a file was changed after the plan had looked at it: the key does not say what was built
   */
  async finish({ job, parts, files }: PlannedJob, result: JobResult, durationMs: number): Promise<void> {
    for (const file of files) {
      if (!(await this.#options.files.hasChanged(file))) continue;
      throw new TrtorchError("artifact", `${file} changed while it was built`, { hint: "build again" });
    }
    const folder = join(job.outDir, job.id);
    await this.#record(job.outDir, job.id, { version: 1, key: job.key, parts, result, durationMs });
    const inputs = result.artifacts.map(
      (artifact): StoreInput => ({
        name: artifact.path,
        content: { path: join(folder, artifact.path), size: artifact.size, sha256: artifact.sha256 },
      }),
    );
    const share = async () => {
      try {
        await (await this.#store(job.store))?.put(`job-${job.key}`, inputs, result, this.#signals.sharing);
      } catch (error) {
        this.#warn(`cannot keep ${job.id} in the store: ${messageOf(error)}`);
      }
    };
    this.#sharing.push(share());
  }

  /** Resolves when nothing is being shared any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#sharing);
  }

  async #record(outDir: string, id: string, record: Parameters<typeof writeRecord>[2]): Promise<void> {
    await writeRecord(outDir, id, record);
    for (const artifact of record.result.artifacts) this.#options.files.lookAgain(join(outDir, id, artifact.path));
  }

  /** Opened when first needed: a run with nothing to do does not load it. */
  async #store(settings: PlannedJob["job"]["store"]): Promise<Store | null> {
    if (settings === null) return null;
    this.#opened ??= import("./store.js").then(({ Store }) => new Store(settings, (message) => this.#warn(message)));
    return this.#opened;
  }

  #warn(message: string): void {
    this.#emit({ type: "warning", message });
  }
}
