import type { RunEvent } from "../../runner/event.js";
import { unreachable } from "../../util/errors.js";
import { count } from "../../util/format.js";
import { describeFailure, describeOutcome, describeSummary, type Reporter, type Write } from "./reporter.js";

/** A line for whatever a person reading a log wants to know. */
export class PlainReporter implements Reporter {
  readonly #write: Write;
  #total = 0;
  #ended = 0;

  constructor(write: Write) {
    this.#write = write;
  }

  handle(event: RunEvent): void {
    switch (event.type) {
      case "run-start":
        this.#total = event.jobs.length;
        this.#line(`${count(this.#total, "job")}, ${count(event.slots.length, "slot")}`);
        return;
      case "lock-wait":
        this.#line(`waiting for another run on this output folder (${event.owner})`);
        return;
      case "job-start":
        this.#line(`${event.id}: started on ${event.slot}${event.attempt > 1 ? `, attempt ${event.attempt}` : ""}`);
        return;
      case "job-wait":
        this.#line(`${event.id}: waiting: ${event.reason}`);
        return;
      case "job-device":
        return;
      case "job-event":
        if (event.event.type === "warning") {
          this.#line(`${event.id}: warning: ${event.event.message}`);
          if (event.event.hint !== undefined) this.#line(`  hint: ${event.event.hint}`);
        }
        return;
      case "job-retry":
        this.#line(`${event.id}: attempt ${event.attempt} failed: ${event.error.message}`);
        return;
      case "job-end": {
        this.#ended++;
        const { outcome } = event;
        // What is fresh is only counted: a run that has nothing to do says one line.
        if (outcome.status === "fresh") return;
        this.#line(`[${this.#ended}/${this.#total}] ${event.id}: ${describeOutcome(outcome)}`);
        if (outcome.status === "failed") for (const line of describeFailure(outcome)) this.#line(`  ${line}`);
        return;
      }
      case "warning":
        this.#line(`warning: ${event.message}`);
        return;
      case "cancelling":
        this.#line("stopping; once more to stop at once");
        return;
      case "run-end":
        this.#line(describeSummary(event.summary));
        return;
      default:
        unreachable(event);
    }
  }

  async close(): Promise<void> {}

  #line(text: string): void {
    this.#write(`${text}\n`);
  }
}
