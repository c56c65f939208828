import type { JobOutcome, RunEvent } from "../../runner/event.js";
import { writeFileAtomic } from "../../util/atomic-write.js";
import { unreachable } from "../../util/errors.js";
import { describeFailure, type Reporter } from "./reporter.js";

/** JUnit XML: a suite a model, a case for each precision and target. Written when the run ends. */
export class JunitReporter implements Reporter {
  readonly #file: string;
  readonly #cases: { id: string; outcome: JobOutcome }[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  handle(event: RunEvent): void {
    switch (event.type) {
      case "job-end":
        this.#cases.push({ id: event.id, outcome: event.outcome });
        return;
      case "run-start":
      case "lock-wait":
      case "job-start":
      case "job-wait":
      case "job-device":
      case "job-event":
      case "job-retry":
      case "warning":
      case "cancelling":
      case "run-end":
        return;
      default:
        unreachable(event);
    }
  }

  async close(): Promise<void> {
    await writeFileAtomic(this.#file, this.toString());
  }

  toString(): string {
    const suites = new Map<string, { id: string; outcome: JobOutcome }[]>();
    for (const one of this.#cases.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
      const model = one.id.slice(0, one.id.lastIndexOf("/"));
      suites.set(model, [...(suites.get(model) ?? []), one]);
    }
    const lines = [
      '<?xml version="1.0" encoding="UTF-8"?>',
      `<testsuites name="trtorch-build" ${totals(this.#cases)}>`,
    ];
    for (const [model, cases] of suites) {
      lines.push(`  <testsuite name="${escapeXml(model)}" ${totals(cases)}>`);
      for (const one of cases) lines.push(...testCase(model, one.id.slice(model.length + 1), one.outcome));
      lines.push("  </testsuite>");
    }
    lines.push("</testsuites>", "");
    return lines.join("\n");
  }
}

function testCase(model: string, name: string, outcome: JobOutcome): string[] {
  const head = `    <testcase classname="${escapeXml(model)}" name="${escapeXml(name)}" time="${seconds(outcome)}"`;
  switch (outcome.status) {
    case "built":
    case "fresh":
    case "restored":
      return [`${head}/>`];
    case "failed": {
      const { code, message } = outcome.error;
      const body = escapeXml([message, ...describeFailure(outcome)].join("\n"));
      return [
        `${head}>`,
        `      <failure type="${escapeXml(code)}" message="${escapeXml(message)}">${body}</failure>`,
        "    </testcase>",
      ];
    }
    case "cancelled":
      return [`${head}>`, '      <skipped message="cancelled"/>', "    </testcase>"];
    case "skipped":
      return [`${head}>`, `      <skipped message="${escapeXml(outcome.reason)}"/>`, "    </testcase>"];
  }
}

function totals(cases: readonly { outcome: JobOutcome }[]): string {
  const failures = cases.filter(({ outcome }) => outcome.status === "failed").length;
  const skipped = cases.filter(({ outcome }) => outcome.status === "cancelled" || outcome.status === "skipped").length;
  const time = cases.reduce((sum, { outcome }) => sum + Number(seconds(outcome)), 0).toFixed(3);
  return `tests="${cases.length}" failures="${failures}" errors="0" skipped="${skipped}" time="${time}"`;
}

function seconds(outcome: JobOutcome): string {
  return "durationMs" in outcome ? (outcome.durationMs / 1000).toFixed(3) : "0.000";
}

/** For text and attribute values; control characters cannot stand in XML at all. */
function escapeXml(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "")
      .replace(/&/g, "&amp;")
      .replace(/</g, "&lt;")
      .replace(/>/g, "&gt;")
      .replace(/"/g, "&quot;")
  );
}
