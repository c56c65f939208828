import type { RunEvent } from "../../runner/event.js";
import type { Reporter, Write } from "./reporter.js";

/** Every event as it is, a JSON object a line. */
export class JsonReporter implements Reporter {
  readonly #write: Write;

  constructor(write: Write) {
    this.#write = write;
  }

  handle(event: RunEvent): void {
    this.#write(`${JSON.stringify(event)}\n`);
  }

  async close(): Promise<void> {}
}
