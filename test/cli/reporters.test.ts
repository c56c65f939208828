import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import t from "tap";
import { GithubReporter } from "../../src/cli/reporters/github.js";
import { JsonReporter } from "../../src/cli/reporters/json.js";
import { JunitReporter } from "../../src/cli/reporters/junit.js";
import { PlainReporter } from "../../src/cli/reporters/plain.js";
import { TtyReporter } from "../../src/cli/reporters/tty.js";
import { Tensor } from "../../src/ir/tensor.js";
import type { JobResult } from "../../src/plan/job.js";
import type { RunEvent } from "../../src/runner/event.js";
import { compare } from "../../src/worker/comparison.js";
import { RESULT } from "../runner/fixtures.js";

const BUILT: JobResult = {
  ...RESULT,
  artifacts: [
    { kind: "engine", path: "model.engine", size: 1_234_567, sha256: "a".repeat(64) },
    { kind: "report", path: "report.json", size: 1000, sha256: "b".repeat(64) },
  ],
  comparison: [
    compare("y", Tensor.of("float64", [1], [1.00000025]), Tensor.of("float64", [1], [1]), { rtol: 1, atol: 0 }),
  ],
};

/** One run in which everything happens. */
const EVENTS: readonly RunEvent[] = [
  { type: "lock-wait", owner: "process 7 on host" },
  {
    type: "run-start",
    jobs: [
      "lenet/fp32-sm_86",
      "lenet/fp16-sm_86",
      "bert/fp16-device",
      "old/fp32-cpu",
      "shared/fp32-cpu",
      "late/fp32-cpu",
      "next/fp32-cpu",
    ],
    slots: ["cpu 1", "gpu 0 NVIDIA L4"],
  },
  { type: "job-end", id: "old/fp32-cpu", outcome: { status: "fresh", result: RESULT } },
  { type: "job-end", id: "shared/fp32-cpu", outcome: { status: "restored", result: BUILT, durationMs: 40 } },
  { type: "job-start", id: "lenet/fp32-sm_86", slot: "cpu 1", attempt: 1 },
  { type: "job-event", id: "lenet/fp32-sm_86", event: { type: "phase-start", phase: "build" } },
  { type: "job-event", id: "lenet/fp32-sm_86", event: { type: "progress", name: "Building", step: 1, total: 2 } },
  { type: "job-event", id: "lenet/fp32-sm_86", event: { type: "log", level: "info", line: "a line of TensorRT's" } },
  { type: "job-event", id: "lenet/fp32-sm_86", event: { type: "phase-end", phase: "build", durationMs: 3000 } },
  {
    type: "job-event",
    id: "lenet/fp32-sm_86",
    event: { type: "warning", message: "a cast was added", hint: "export in fp16" },
  },
  {
    type: "job-end",
    id: "lenet/fp32-sm_86",
    outcome: { status: "built", result: BUILT, durationMs: 3_210, attempts: 1, peakMemory: 1 },
  },
  { type: "job-start", id: "lenet/fp16-sm_86", slot: "cpu 1", attempt: 1 },
  {
    type: "job-end",
    id: "lenet/fp16-sm_86",
    outcome: {
      status: "failed",
      error: {
        code: "unsupported-operator",
        message: "no converter for aten::foo <2> & more",
        hint: "register one",
        location: { file: "/repo/model.py", line: 12, text: "  y = foo(x), 50%" },
      },
      durationMs: 500,
      attempts: 1,
      tail: [],
      log: "/repo/.trtorch-build/logs/lenet/fp16-sm_86.log",
    },
  },
  { type: "job-start", id: "bert/fp16-device", slot: "gpu 0 NVIDIA L4", attempt: 1 },
  { type: "job-event", id: "bert/fp16-device", event: { type: "phase-start", phase: "convert" } },
  { type: "job-event", id: "bert/fp16-device", event: { type: "phase-end", phase: "convert", durationMs: 20 } },
  { type: "job-wait", id: "bert/fp16-device", reason: "vit/fp16-device has gpu 0 NVIDIA L4" },
  {
    type: "job-wait",
    id: "bert/fp16-device",
    reason: "the job needs 10.0 GiB of GPU memory; 2.0 GiB are free on NVIDIA L4",
  },
  { type: "job-device", id: "bert/fp16-device", slot: "gpu 0 NVIDIA L4" },
  {
    type: "job-retry",
    id: "bert/fp16-device",
    attempt: 1,
    error: { code: "library", message: "the worker process died of SIGSEGV" },
  },
  { type: "job-start", id: "bert/fp16-device", slot: "gpu 0 NVIDIA L4", attempt: 2 },
  { type: "warning", message: "the shared store https://cache failed and is left out of this run: busy" },
  {
    type: "job-end",
    id: "bert/fp16-device",
    outcome: {
      status: "failed",
      error: { code: "library", message: "the worker process died of SIGSEGV" },
      durationMs: 65_000,
      attempts: 2,
      tail: ["[1] before", "[2] the end\u001b"],
      log: null,
    },
  },
  { type: "cancelling" },
  { type: "job-end", id: "late/fp32-cpu", outcome: { status: "cancelled", durationMs: 10 } },
  { type: "job-end", id: "next/fp32-cpu", outcome: { status: "skipped", reason: "lenet/fp16-sm_86 failed" } },
  {
    type: "run-end",
    summary: { built: 1, fresh: 1, restored: 1, failed: 2, cancelled: 1, skipped: 1, durationMs: 70_000 },
  },
];

t.test("plain", async (t) => {
  let text = "";
  const reporter = new PlainReporter((part) => {
    text += part;
  });
  for (const event of EVENTS) reporter.handle(event);
  await reporter.close();
  t.equal(
    text,
    `waiting for another run on this output folder (process 7 on host)
7 jobs, 2 slots
[2/7] shared/fp32-cpu: from the store in 0.0 s, engine 1.2 MB, max error 2.5e-7
lenet/fp32-sm_86: started on cpu 1
lenet/fp32-sm_86: warning: a cast was added
  hint: export in fp16
[3/7] lenet/fp32-sm_86: built in 3.2 s, engine 1.2 MB, max error 2.5e-7
lenet/fp16-sm_86: started on cpu 1
[4/7] lenet/fp16-sm_86: failed: no converter for aten::foo <2> & more
  at /repo/model.py:12
    y = foo(x), 50%
  hint: register one
  log: /repo/.trtorch-build/logs/lenet/fp16-sm_86.log
bert/fp16-device: started on gpu 0 NVIDIA L4
bert/fp16-device: waiting: vit/fp16-device has gpu 0 NVIDIA L4
bert/fp16-device: waiting: the job needs 10.0 GiB of GPU memory; 2.0 GiB are free on NVIDIA L4
bert/fp16-device: attempt 1 failed: the worker process died of SIGSEGV
bert/fp16-device: started on gpu 0 NVIDIA L4, attempt 2
warning: the shared store https://cache failed and is left out of this run: busy
[5/7] bert/fp16-device: failed: the worker process died of SIGSEGV
  | [1] before
  | [2] the end\u001b
stopping; once more to stop at once
[6/7] late/fp32-cpu: cancelled
[7/7] next/fp32-cpu: skipped: lenet/fp16-sm_86 failed
7 jobs: 1 built, 1 from the store, 1 fresh, 2 failed, 1 cancelled, 1 skipped in 1 min 10 s
`,
  );
});

t.test("json: the events, a line each", async (t) => {
  let text = "";
  const reporter = new JsonReporter((part) => {
    text += part;
  });
  for (const event of EVENTS) reporter.handle(event);
  await reporter.close();
  const lines = text.split("\n");
  t.equal(lines.pop(), "");
  t.same(
    lines.map((line) => JSON.parse(line)),
    EVENTS,
  );
});

t.test("junit", async (t) => {
  const file = join(t.testdir({}), "report.xml");
  const reporter = new JunitReporter(file);
  for (const event of EVENTS) reporter.handle(event);
  await reporter.close();
  t.equal(
    readFileSync(file, "utf8"),
    `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="trtorch-build" tests="7" failures="2" errors="0" skipped="2" time="68.760">
  <testsuite name="bert" tests="1" failures="1" errors="0" skipped="0" time="65.000">
    <testcase classname="bert" name="fp16-device" time="65.000">
      <failure type="library" message="the worker process died of SIGSEGV">the worker process died of SIGSEGV
| [1] before
| [2] the end</failure>
    </testcase>
  </testsuite>
  <testsuite name="late" tests="1" failures="0" errors="0" skipped="1" time="0.010">
    <testcase classname="late" name="fp32-cpu" time="0.010">
      <skipped message="cancelled"/>
    </testcase>
  </testsuite>
  <testsuite name="lenet" tests="2" failures="1" errors="0" skipped="0" time="3.710">
    <testcase classname="lenet" name="fp16-sm_86" time="0.500">
      <failure type="unsupported-operator" message="no converter for aten::foo &lt;2&gt; &amp; more">no converter for aten::foo &lt;2&gt; &amp; more
at /repo/model.py:12
  y = foo(x), 50%
hint: register one
log: /repo/.trtorch-build/logs/lenet/fp16-sm_86.log</failure>
    </testcase>
    <testcase classname="lenet" name="fp32-sm_86" time="3.210"/>
  </testsuite>
  <testsuite name="next" tests="1" failures="0" errors="0" skipped="1" time="0.000">
    <testcase classname="next" name="fp32-cpu" time="0.000">
      <skipped message="lenet/fp16-sm_86 failed"/>
    </testcase>
  </testsuite>
  <testsuite name="old" tests="1" failures="0" errors="0" skipped="0" time="0.000">
    <testcase classname="old" name="fp32-cpu" time="0.000"/>
  </testsuite>
  <testsuite name="shared" tests="1" failures="0" errors="0" skipped="0" time="0.040">
    <testcase classname="shared" name="fp32-cpu" time="0.040"/>
  </testsuite>
</testsuites>
`,
  );
});

t.test("github: annotations and the step's summary", async (t) => {
  const file = join(t.testdir({}), "summary.md");
  let text = "";
  const reporter = new GithubReporter(
    (part) => {
      text += part;
    },
    file,
    "/repo",
  );
  for (const event of EVENTS) reporter.handle(event);
  await reporter.close();
  t.equal(
    text,
    `::warning title=lenet/fp32-sm_86::a cast was added
::error title=lenet/fp16-sm_86,file=model.py,line=12::no converter for aten::foo <2> & more%0Aat /repo/model.py:12%0A  y = foo(x), 50%25%0Ahint: register one%0Alog: /repo/.trtorch-build/logs/lenet/fp16-sm_86.log
::warning title=bert/fp16-device::attempt 1 failed: the worker process died of SIGSEGV
::warning::the shared store https://cache failed and is left out of this run: busy
::error title=bert/fp16-device::the worker process died of SIGSEGV%0A| [1] before%0A| [2] the end\u001b
`,
  );
  t.equal(
    readFileSync(file, "utf8"),
    `### trtorch-build

7 jobs: 1 built, 1 from the store, 1 fresh, 2 failed, 1 cancelled, 1 skipped in 1 min 10 s

| job | outcome | time | size | |
|---|---|---|---|---|
| old/fp32-cpu | fresh |  | 0 B |  |
| shared/fp32-cpu | restored | 0.0 s | 1.2 MB |  |
| lenet/fp32-sm_86 | built | 3.2 s | 1.2 MB |  |
| lenet/fp16-sm_86 | failed | 0.5 s |  | no converter for aten::foo &lt;2> &amp; more |
| bert/fp16-device | failed | 1 min 05 s |  | the worker process died of SIGSEGV |
| late/fp32-cpu | cancelled | 0.0 s |  |  |
| next/fp32-cpu | skipped |  |  | lenet/fp16-sm_86 failed |

`,
  );
});

/** What a terminal shows is written to the process's own stdout by listr2. */
async function screen(play: (write: (text: string) => void, shown: () => string) => Promise<void>): Promise<string> {
  const original = process.stdout.write;
  let text = "";
  const write = (part: string | Uint8Array) => {
    text += String(part);
    return true;
  };
  process.stdout.write = write as typeof process.stdout.write;
  process.env.LISTR_FORCE_TTY = "1";
  try {
    await play(write, () => text);
  } finally {
    process.stdout.write = original;
  }
  return stripVTControlCharacters(text);
}

t.test("tty: bars while it runs, then what was made and what went wrong", async (t) => {
  const shown = await screen(async (write, soFar) => {
    const reporter = new TtyReporter(write, 40);
    for (const event of EVENTS) {
      reporter.handle(event);
      // Until the bars have been drawn as they now stand.
      const isProgress = event.type === "job-event" && event.event.type === "progress";
      const word = isProgress ? "Building" : event.type === "job-wait" ? event.reason.slice(0, 20) : "";
      while (!soFar().includes(word)) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await reporter.close();
  });
  t.match(shown, /█{11}░{9} lenet\/fp32-sm_86 {2}Building {2}cpu 1 {2}\d+\.\d s/, "half of the build is done");
  t.match(shown, /bert\/fp16-device {2}waits: vit\/fp16-device has/, "as far as the row goes");
  t.match(shown, /2 of 7 jobs, \d+\.\d s/);
  const last = shown.slice(shown.lastIndexOf("lenet/fp32-sm_86: built"));
  t.equal(
    last.replace(/^[✔✖] /gm, "* "),
    `lenet/fp32-sm_86: built in 3.2 s, engine 1.2 MB, max error 2.5e-7
* lenet/fp16-sm_86: no converter for aten::foo <2> & more
* bert/fp16-device: the worker process died of SIGSEGV
* late/fp32-cpu: cancelled
* next/fp32-cpu: skipped: lenet/fp16-sm_86 failed
lenet/fp32-sm_86: warning: a cast was added
lenet/fp16-sm_86: failed: no converter for aten::foo <2> & more
  at /repo/model.py:12
    y = foo(x), 50%
  hint: register one
  log: /repo/.trtorch-build/logs/lenet/fp16-sm_86.log
warning: the shared store https://cache failed and is left out of this run: busy
bert/fp16-device: failed: the worker process died of SIGSEGV
  | [1] before
  | [2] the end\u001b
7 jobs: 1 built, 1 from the store, 1 fresh, 2 failed, 1 cancelled, 1 skipped in 1 min 10 s
`,
  );
});
