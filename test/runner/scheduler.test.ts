import t from "tap";
import type { Device } from "../../src/plan/device.js";
import { deviceKind } from "../../src/plan/device.js";
import type { PlannedJob } from "../../src/plan/plan.js";
import type { JobOutcome, RunEvent } from "../../src/runner/event.js";
import { makeSlots, Scheduler, type SchedulerOptions } from "../../src/runner/scheduler.js";
import { FakeMachine, type Script, VirtualClock } from "./fake-worker.js";
import { device, onGpu, planned } from "./fixtures.js";

const GPUS: readonly Device[] = [
  ...[0, 1, 2, 3].map((index) => device(index, "NVIDIA L4", 8, 9)),
  ...[4, 5].map((index) => device(index, "NVIDIA A100", 8, 0, 40)),
  ...[6, 7].map((index) => device(index, "NVIDIA H200", 9, 0, 141)),
];

/** A small reproducible generator (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

function schedule(machine: FakeMachine, jobs: readonly PlannedJob[], changes: Partial<SchedulerOptions> = {}) {
  const events: RunEvent[] = [];
  const scheduler = new Scheduler({
    slots: makeSlots(2, GPUS),
    startWorker: machine.start,
    discoverDevices: async () => GPUS,
    onFailure: "continue",
    emit: (event) => events.push(event),
    grace: 20,
    ...changes,
  });
  return { scheduler, events, outcomes: scheduler.run(jobs) };
}

function ends(events: readonly RunEvent[]): string[] {
  return events.filter((event) => event.type === "job-end").map((event) => event.id);
}

const statuses = (outcomes: ReadonlyMap<string, JobOutcome>) => [...outcomes.values()].map((outcome) => outcome.status);

t.test("200 jobs on 8 GPUs of 3 kinds: the makespan is within 10 % of the best", async (t) => {
  for (let seed = 1; seed <= 5; seed++) {
    const next = random(seed);
    const clock = new VirtualClock();
    const durations = new Map<string, number>();
    const jobs = Array.from({ length: 200 }, (_, index) => {
      const cost = 1_000 + next() * next() * 60_000;
      const gpu = GPUS[Math.floor(next() * GPUS.length)] as Device;
      durations.set(`m${index}/fp16-device`, cost);
      return planned(`m${index}/fp16-device`, { cost, placement: onGpu(gpu) });
    });
    const machine = new FakeMachine((job) => ({ duration: durations.get(job.id) as number }), clock);
    const { events, outcomes } = schedule(machine, jobs);
    t.equal((await outcomes).size, 200);
    t.same(new Set(ends(events)).size, 200);
    t.same(machine.violations, []);
    t.equal(machine.processes, 8, "one process a device, reused");
    // No schedule can be shorter than its busiest kind evenly spread, or its longest job.
    const best = Math.max(
      ...[...new Set(GPUS.map(deviceKind))].map((kind) => {
        const costs = jobs
          .filter(({ placement }) => placement.slot === "gpu" && placement.kind === kind)
          .map((j) => j.cost);
        const count = GPUS.filter((gpu) => deviceKind(gpu) === kind).length;
        return Math.max(costs.reduce((a, b) => a + b, 0) / count, ...costs);
      }),
    );
    t.ok(clock.now() <= 1.1 * best, `seed ${seed}: ${(clock.now() / best).toFixed(3)} of the best`);
  }
});

t.test("crashes, hangs and failures: every job ends exactly once", async (t) => {
  const next = random(7);
  const kinds: readonly NonNullable<Script["end"]>[] = [
    "done",
    "done",
    "done",
    "fail",
    "crash",
    "hang",
    "deaf",
    "unsupported",
  ];
  const scripts = new Map<string, Script>();
  const jobs = Array.from({ length: 200 }, (_, index) => {
    const id = `m${index}/fp16-device`;
    scripts.set(id, { duration: next() * 5, end: kinds[Math.floor(next() * kinds.length)] as "done" });
    const placement = index % 10 === 0 ? ({ slot: "cpu" } as const) : onGpu(GPUS[index % GPUS.length] as Device);
    return planned(id, { cost: next(), placement, timeout: 30, retries: index % 2 });
  });
  // The second attempt at a job that only failed or crashed is good.
  const machine = new FakeMachine((job, attempt) => {
    const script = scripts.get(job.id) as Script;
    return attempt > 1 && (script.end === "fail" || script.end === "crash") ? { duration: 1 } : script;
  });
  const { events, outcomes } = schedule(machine, jobs);
  const ended = await outcomes;
  t.equal(ends(events).length, 200);
  t.equal(new Set(ends(events)).size, 200);
  t.same(machine.violations, []);
  t.equal(machine.open, 0, "no process is left");
  for (const [index, { job }] of jobs.entries()) {
    const outcome = ended.get(job.id) as JobOutcome;
    const end = (scripts.get(job.id) as Script).end as string;
    const good = end === "done" || (index % 2 === 1 && (end === "fail" || end === "crash"));
    if (outcome.status !== (good ? "built" : "failed")) t.fail(`${job.id} ${end}: ${outcome.status}`);
    if (outcome.status !== "failed") continue;
    if (end === "crash") t.same([outcome.error.message.includes("SIGSEGV"), outcome.tail], [true, ["last words"]]);
    if (end === "hang" || end === "deaf") t.equal(outcome.error.message, "timed out after 0 s");
    if (end === "unsupported") t.equal(outcome.attempts, 1, "what cannot succeed is not tried again");
  }
});

t.test("finish: nothing new starts after a failure, what runs ends", async (t) => {
  const jobs = [3, 2, 1].map((cost) => planned(`m${cost}/x`, { cost }));
  const machine = new FakeMachine((job) => (job.id === "m3/x" ? { duration: 5, end: "fail" } : { duration: 20 }));
  const { outcomes } = schedule(machine, jobs, { onFailure: "finish" });
  t.same(Object.fromEntries([...(await outcomes)].map(([id, outcome]) => [id, outcome.status])), {
    "m3/x": "failed",
    "m2/x": "built",
    "m1/x": "skipped",
  });
  t.same(machine.started, ["m3/x", "m2/x"]);
});

t.test("kill: a failure stops what runs", async (t) => {
  const jobs = [3, 2, 1].map((cost) => planned(`m${cost}/x`, { cost }));
  const machine = new FakeMachine((job) => (job.id === "m3/x" ? { duration: 5, end: "fail" } : { duration: 5_000 }));
  const { outcomes } = schedule(machine, jobs, { onFailure: "kill" });
  t.same(statuses(await outcomes).sort(), ["cancelled", "failed", "skipped"]);
});

t.test("cancelling: gently, then by force", async (t) => {
  const jobs = ["gentle", "deaf", "waiting"].map((name, index) => planned(`${name}/x`, { cost: 3 - index }));
  const machine = new FakeMachine((job) => ({ duration: 1, end: job.model === "deaf" ? "deaf" : "hang" }));
  const { scheduler, outcomes } = schedule(machine, jobs);
  setTimeout(() => scheduler.cancel(), 10);
  t.same(statuses(await outcomes), ["cancelled", "cancelled", "cancelled"]);
  t.equal(machine.open, 0);
  t.same(machine.started, ["gentle/x", "deaf/x"]);
});

t.test("killing ends everything at once", async (t) => {
  const machine = new FakeMachine(() => ({ duration: 1, end: "deaf" }));
  const { scheduler, outcomes } = schedule(machine, [planned("a/x"), planned("b/x")], { grace: 60_000 });
  setTimeout(() => scheduler.kill(), 10);
  t.same(statuses(await outcomes), ["cancelled", "cancelled"]);
});

t.test("memory: waits until it is free, or fails with a reason", async (t) => {
  const [gpu] = GPUS as [Device];
  let free = 2 * 2 ** 30;
  const machine = new FakeMachine(() => ({ duration: 1 }));
  const need = (gib: number) => ({ requires: { minMemory: gib * 2 ** 30 } });
  setTimeout(() => {
    free = 20 * 2 ** 30;
  }, 30);
  const { events, outcomes } = schedule(
    machine,
    [
      planned("fits/x", { placement: onGpu(gpu) }, need(10)),
      planned("huge/x", { placement: onGpu(gpu) }, need(30)),
      planned("never/x", { placement: onGpu(gpu) }, need(23)),
    ],
    {
      slots: makeSlots(0, [gpu]),
      discoverDevices: async () => [{ ...gpu, freeMemory: free }],
      memoryPoll: 5,
      memoryPatience: 100,
    },
  );
  const ended = await outcomes;
  t.equal(ended.get("fits/x")?.status, "built");
  t.match(ended.get("huge/x"), {
    error: { message: "the job needs 30.0 GiB of GPU memory; NVIDIA L4 has 24.0 GiB in all" },
  });
  t.match(ended.get("never/x"), {
    error: { message: "the job needs 23.0 GiB of GPU memory; 20.0 GiB are free on NVIDIA L4 after waiting 0 s" },
  });
  t.match(
    events.find((event) => event.type === "job-wait"),
    { id: "fits/x", reason: "the job needs 10.0 GiB of GPU memory; 2.0 GiB are free on NVIDIA L4" },
  );
});

t.test("a job that no slot can take fails with a reason", async (t) => {
  const machine = new FakeMachine(() => ({ duration: 1 }));
  const { outcomes } = schedule(machine, [
    planned("a/x", { placement: { slot: "none", reason: "this job needs a GPU with SM 7.5" } }),
    planned("b/x", { placement: { slot: "gpu", kind: "Titan sm_70 12GiB" } }),
  ]);
  const ended = await outcomes;
  t.match(ended.get("a/x"), { status: "failed", error: { message: "this job needs a GPU with SM 7.5" } });
  t.match(ended.get("b/x"), { error: { message: "no device of the kind Titan sm_70 12GiB may be used in this run" } });
});

t.test("a failure while a job is begun or finished is that job's", async (t) => {
  const machine = new FakeMachine(() => ({ duration: 1 }));
  const { outcomes } = schedule(machine, [planned("a/x"), planned("b/x"), planned("c/x")], {
    beforeJob: async ({ job }) => {
      if (job.model === "a") throw new Error("the disk is full");
    },
    afterJob: async ({ job }) => {
      if (job.model === "b") throw new Error("the disk is full");
    },
  });
  const ended = await outcomes;
  t.same(
    ["a/x", "b/x", "c/x"].map((id) => ended.get(id)?.status),
    ["failed", "failed", "built"],
  );
  t.match(ended.get("b/x"), { error: { code: "artifact", message: "the disk is full" } });
});
