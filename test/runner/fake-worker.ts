import type { Device } from "../../src/plan/device.js";
import type { Job, JobEvent } from "../../src/plan/job.js";
import type { Clock } from "../../src/runner/clock.js";
import type { AttemptOutcome, StartWorker, Worker } from "../../src/runner/worker-process.js";
import { RESULT } from "./fixtures.js";

/** What a job does in a fake worker. */
export interface Script {
  /** Milliseconds of the clock: of the build, where the job has a GPU. */
  readonly duration: number;
  /** Milliseconds before a job with a GPU asks for it. */
  readonly frontEnd?: number;
  /** Milliseconds after a job with a GPU gave it back. */
  readonly backEnd?: number;
  /** Where a job with a GPU comes to its `end`, if it is none that is good; else at the end of the build. */
  readonly at?: "front end" | "waiting" | "back end";
  /** `hang` never ends by itself; `deaf` does not even end when it is asked to. */
  readonly end?: "done" | "fail" | "unsupported" | "crash" | "hang" | "deaf";
  readonly events?: readonly JobEvent[];
}

/** Time that passes at once when nobody has anything left to do. */
export class VirtualClock implements Clock {
  readonly #due = new Set<{ readonly at: number; readonly action: () => void }>();
  #now = 0;
  #running = false;

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, action: () => void): () => void {
    const entry = { at: this.#now + milliseconds, action };
    this.#due.add(entry);
    if (!this.#running) void this.#run();
    return () => this.#due.delete(entry);
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (;;) {
      // Everything that follows from the last step happens before time goes on.
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
      const [next] = [...this.#due].sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#due.delete(next);
      this.#now = next.at;
      next.action();
    }
    this.#running = false;
  }
}

/** Plays scripts and keeps watch over the rules: one job at a time in a process, one build on a GPU, none on a dead worker. */
export class FakeMachine {
  readonly clock = new VirtualClock();
  readonly violations: string[] = [];
  readonly started: string[] = [];
  /** What happened when, by the clock. */
  readonly history: { readonly at: number; readonly id: string; readonly what: "start" | "build" | "built" | "end" }[] =
    [];
  processes = 0;
  open = 0;
  readonly #building = new Set<string>();
  readonly #present = new Map<string, number>();
  readonly #script: (job: Job, attempt: number) => Script;
  readonly #attempts = new Map<string, number>();

  constructor(script: (job: Job, attempt: number) => Script) {
    this.#script = script;
  }

  readonly start: StartWorker = (device) => {
    this.processes++;
    this.open++;
    return this.#worker(device);
  };

  /** Milliseconds of the clock at which something happened to a job. */
  when(id: string, what: "start" | "build" | "built" | "end"): number {
    return this.history.findLast((entry) => entry.id === id && entry.what === what)?.at ?? Number.NaN;
  }

  #worker(device: Device | null): Worker {
    let alive = true;
    let end: ((outcome: AttemptOutcome) => void) | null = null;
    let deaf = false;
    const die = (reason: string) => {
      if (alive) this.open--;
      alive = false;
      end?.({ status: "died", reason });
    };
    const machine = this;
    return {
      get alive() {
        return alive;
      },
      run(job, host) {
        return new Promise((resolve) => {
          if (!alive) machine.violations.push(`${job.id} given to a dead worker`);
          if (end !== null) machine.violations.push(`${job.id} given to a busy worker`);
          const attempt = (machine.#attempts.get(job.id) ?? 0) + 1;
          machine.#attempts.set(job.id, attempt);
          machine.started.push(job.id);
          const script = machine.#script(job, attempt);
          deaf = script.end === "deaf";
          let ended = false;
          let building = false;
          const note = (what: "start" | "build" | "built" | "end") =>
            machine.history.push({ at: machine.clock.now(), id: job.id, what });
          note("start");
          machine.#enter(device, 1);
          end = (outcome) => {
            if (ended) return;
            ended = true;
            end = null;
            if (building) machine.#building.delete(device?.uuid ?? "");
            machine.#enter(device, -1);
            note("end");
            resolve(outcome);
          };
          for (const event of script.events ?? []) host.onEvent(event);
          const finish = () => {
            switch (script.end ?? "done") {
              case "done":
                return end?.({ status: "done", result: RESULT, peakMemory: 1000 });
              case "fail":
                return end?.({ status: "failed", error: { code: "library", message: "the library failed" } });
              case "unsupported":
                return end?.({ status: "failed", error: { code: "unsupported-operator", message: "no converter" } });
              case "crash":
                host.onOutput("last words");
                return die("the worker process died of SIGSEGV (11): a crash in native code");
              case "hang":
              case "deaf":
                return;
            }
          };
          const after = (milliseconds: number, action: () => void): void => {
            machine.clock.after(milliseconds, () => {
              if (!ended) action();
            });
          };
          if (device === null) return after(script.duration, finish);
          after(script.frontEnd ?? 0, () => {
            if (script.at === "front end") return finish();
            if (script.at === "waiting") after(0, finish);
            void host.lendDevice().then((lent) => {
              // Who is dead or was stopped meanwhile says nothing more, and neither does who hangs while it waits.
              if (ended || !lent || script.at === "waiting") return;
              if (machine.#building.has(device.uuid)) machine.violations.push(`two builds on ${device.uuid}`);
              machine.#building.add(device.uuid);
              building = true;
              note("build");
              after(script.duration, () => {
                const good = script.end === undefined || script.end === "done";
                if (!good && script.at !== "back end") return finish();
                machine.#building.delete(device.uuid);
                building = false;
                note("built");
                host.takeDeviceBack();
                after(script.backEnd ?? 0, finish);
              });
            });
          });
        });
      },
      cancel() {
        if (!deaf) end?.({ status: "failed", error: { code: "cancelled", message: "cancelled" } });
      },
      kill() {
        die("the worker process died of SIGKILL (9)");
      },
      async close() {
        if (alive) machine.open--;
        alive = false;
      },
    };
  }

  /** A job comes to a GPU, or leaves it. */
  #enter(device: Device | null, change: 1 | -1): void {
    if (device === null) return;
    const present = (this.#present.get(device.uuid) ?? 0) + change;
    this.#present.set(device.uuid, present);
    if (present > 2) this.violations.push(`${present} jobs on ${device.uuid}`);
  }
}
