import type { Device } from "../../src/plan/device.js";
import type { Job, JobEvent } from "../../src/plan/job.js";
import type { AttemptOutcome, StartWorker, Worker } from "../../src/runner/worker-process.js";
import { RESULT } from "./fixtures.js";

/** What a job does in a fake worker. */
export interface Script {
  /** Milliseconds of the clock. */
  readonly duration: number;
  /** `hang` never ends by itself; `deaf` does not even end when it is asked to. */
  readonly end?: "done" | "fail" | "unsupported" | "crash" | "hang" | "deaf";
  readonly events?: readonly JobEvent[];
}

export interface Clock {
  now(): number;
  after(milliseconds: number, action: () => void): void;
}

export const REAL_CLOCK: Clock = {
  now: () => performance.now(),
  after: (milliseconds, action) => void setTimeout(action, milliseconds),
};

/** Time that passes at once when nobody has anything left to do. */
export class VirtualClock implements Clock {
  readonly #due: { at: number; action: () => void }[] = [];
  #now = 0;
  #running = false;

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, action: () => void): void {
    this.#due.push({ at: this.#now + milliseconds, action });
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (;;) {
      // Everything that follows from the last step happens before time goes on.
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
      const next = this.#due.sort((a, b) => a.at - b.at).shift();
      if (next === undefined) break;
      this.#now = next.at;
      next.action();
    }
    this.#running = false;
  }
}

/** Plays scripts and keeps watch over the rules: one job at a time on a device, none on a dead worker. */
export class FakeMachine {
  readonly violations: string[] = [];
  readonly started: string[] = [];
  processes = 0;
  open = 0;
  readonly #busy = new Set<string>();
  readonly #script: (job: Job, attempt: number) => Script;
  readonly #attempts = new Map<string, number>();
  readonly #clock: Clock;

  constructor(script: (job: Job, attempt: number) => Script, clock: Clock = REAL_CLOCK) {
    this.#script = script;
    this.#clock = clock;
  }

  readonly start: StartWorker = (device) => {
    this.processes++;
    this.open++;
    return this.#worker(device, `process ${this.processes}`);
  };

  #worker(device: Device | null, name: string): Worker {
    let alive = true;
    let end: ((outcome: AttemptOutcome) => void) | null = null;
    let deaf = false;
    const place = device?.uuid ?? name;
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
      run(job, onEvent, onOutput) {
        return new Promise((resolve) => {
          if (!alive) machine.violations.push(`${job.id} given to a dead worker`);
          if (machine.#busy.has(place)) machine.violations.push(`two jobs on ${place}`);
          machine.#busy.add(place);
          machine.started.push(job.id);
          const attempt = (machine.#attempts.get(job.id) ?? 0) + 1;
          machine.#attempts.set(job.id, attempt);
          const script = machine.#script(job, attempt);
          deaf = script.end === "deaf";
          let ended = false;
          end = (outcome) => {
            if (ended) return;
            ended = true;
            end = null;
            machine.#busy.delete(place);
            resolve(outcome);
          };
          for (const event of script.events ?? []) onEvent(event);
          machine.#clock.after(script.duration, () => {
            if (ended) return;
            switch (script.end ?? "done") {
              case "done":
                return end?.({ status: "done", result: RESULT, peakMemory: 1000 });
              case "fail":
                return end?.({ status: "failed", error: { code: "library", message: "the library failed" } });
              case "unsupported":
                return end?.({ status: "failed", error: { code: "unsupported-operator", message: "no converter" } });
              case "crash":
                onOutput("last words");
                return die("the worker process died of SIGSEGV (11): a crash in native code");
              case "hang":
              case "deaf":
                return;
            }
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
}
