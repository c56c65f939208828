import { appendFile } from "node:fs/promises";
import { relative } from "node:path";
import { plain, tableRow } from "../../artifacts/markdown.js";
import type { JobOutcome, RunEvent } from "../../runner/event.js";
import { unreachable } from "../../util/errors.js";
import { formatBytes, formatDuration } from "../../util/format.js";
import { describeFailure, describeSummary, type Reporter, type Write } from "./reporter.js";

/** GitHub Actions: annotations among the log's lines, and a table in the step's summary. */
export class GithubReporter implements Reporter {
  readonly #write: Write;
  readonly #summaryFile: string | null;
  readonly #cwd: string;
  readonly #ends: { id: string; outcome: JobOutcome }[] = [];
  #summary = "";

  /** @param summaryFile the value of GITHUB_STEP_SUMMARY, if there is one */
  constructor(write: Write, summaryFile: string | null, cwd: string) {
    this.#write = write;
    this.#summaryFile = summaryFile;
    this.#cwd = cwd;
  }

  handle(event: RunEvent): void {
    switch (event.type) {
      case "job-end":
        this.#ends.push({ id: event.id, outcome: event.outcome });
        if (event.outcome.status === "failed") this.#failed(event.id, event.outcome);
        return;
      case "job-event":
        if (event.event.type === "warning") this.#command("warning", { title: event.id }, event.event.message);
        return;
      case "job-retry":
        this.#command("warning", { title: event.id }, `attempt ${event.attempt} failed: ${event.error.message}`);
        return;
      case "warning":
        this.#command("warning", {}, event.message);
        return;
      case "run-end":
        this.#summary = this.#table(describeSummary(event.summary));
        return;
      case "run-start":
      case "lock-wait":
      case "job-start":
      case "job-wait":
      case "job-device":
      case "cancelling":
        return;
      default:
        unreachable(event);
    }
  }

  async close(): Promise<void> {
    if (this.#summaryFile !== null && this.#summary !== "") await appendFile(this.#summaryFile, this.#summary);
  }

  #failed(id: string, outcome: Extract<JobOutcome, { status: "failed" }>): void {
    const { location, message } = outcome.error;
    const place = location === undefined ? {} : { file: relative(this.#cwd, location.file), line: location.line };
    this.#command("error", { title: id, ...place }, [message, ...describeFailure(outcome)].join("\n"));
  }

  #command(name: string, properties: Readonly<Record<string, string | number | undefined>>, message: string): void {
    const list = Object.entries(properties)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key}=${encode(String(value)).replace(/:/g, "%3A").replace(/,/g, "%2C")}`)
      .join(",");
    this.#write(`::${name}${list === "" ? "" : ` ${list}`}::${encode(message)}\n`);
  }

  #table(heading: string): string {
    const rows = this.#ends.map(({ id, outcome }) => {
      const size =
        "result" in outcome ? outcome.result.artifacts.reduce((sum, artifact) => sum + artifact.size, 0) : null;
      const time = "durationMs" in outcome ? formatDuration(outcome.durationMs) : "";
      const note =
        outcome.status === "failed" ? outcome.error.message : outcome.status === "skipped" ? outcome.reason : "";
      return tableRow(id, outcome.status, time, size === null ? "" : formatBytes(size), plain(note));
    });
    return [
      "### trtorch-build",
      "",
      heading,
      "",
      "| job | outcome | time | size | |",
      "|---|---|---|---|---|",
      ...rows,
      "",
      "",
    ].join("\n");
  }
}

function encode(text: string): string {
  return text.replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A");
}
