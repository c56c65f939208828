import { mock } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Device } from "../../src/plan/device.js";
import { deviceKind } from "../../src/plan/device.js";
import type { PlannedJob } from "../../src/plan/plan.js";
import { SYSTEM_CLOCK } from "../../src/runner/clock.js";
import type { JobOutcome, RunEvent } from "../../src/runner/event.js";
import { makeSlots, Scheduler, type SchedulerOptions } from "../../src/runner/scheduler.js";
import { FakeMachine, type Script } from "./fake-worker.js";
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
    clock: machine.clock,
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
    const scripts = new Map<string, Script>();
    const jobs = Array.from({ length: 200 }, (_, index) => {
      const cost = 1_000 + next() * next() * 60_000;
      const gpu = GPUS[Math.floor(next() * GPUS.length)] as Device;
      // Half of the time goes into what needs no GPU.
      const rest = { frontEnd: 0.4 * cost, backEnd: 0.1 * cost };
      scripts.set(`m${index}/fp16-device`, { duration: 0.5 * cost, ...rest });
      return planned(`m${index}/fp16-device`, { cost, placement: onGpu(gpu) });
    });
    const machine = new FakeMachine((job) => scripts.get(job.id) as Script);
    const { events, outcomes } = schedule(machine, jobs);
    t.equal((await outcomes).size, 200);
    t.same(new Set(ends(events)).size, 200);
    t.same(machine.violations, []);
    t.equal(machine.processes, 16, "two processes a device, reused");
    // No schedule can be shorter than the builds of its busiest kind evenly spread, or its longest job.
    const best = Math.max(
      ...[...new Set(GPUS.map(deviceKind))].map((kind) => {
        const ofKind = jobs.filter(({ placement }) => placement.slot === "gpu" && placement.kind === kind);
        const builds = ofKind.reduce((sum, { job }) => sum + (scripts.get(job.id) as Script).duration, 0);
        const count = GPUS.filter((gpu) => deviceKind(gpu) === kind).length;
        return Math.max(builds / count, ...ofKind.map(({ cost }) => cost));
      }),
    );
    t.ok(machine.clock.now() <= 1.1 * best, `seed ${seed}: ${(machine.clock.now() / best).toFixed(3)} of the best`);
  }
});

t.test("crashes, hangs and failures: every job ends exactly once", async (t) => {
  const next = random(7);
  const moments = ["front end", "waiting", undefined, "back end"] as const;
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
    const end = kinds[Math.floor(next() * kinds.length)] as "done";
    const at = end === "done" ? undefined : moments[Math.floor(next() * moments.length)];
    const times = { duration: next() * 5, frontEnd: next() * 3, backEnd: next() };
    scripts.set(id, { ...times, end, ...(at !== undefined && { at }) });
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

const [L4] = GPUS as [Device];

/** Jobs for one GPU, which are begun in this order. */
function onOneGpu(...ids: string[]): PlannedJob[] {
  return ids.map((id, index) => planned(id, { cost: ids.length - index, placement: onGpu(L4) }));
}

t.test("on a GPU the next job is made ready while one builds", async (t) => {
  const jobs = onOneGpu("a/x", "b/x", "c/x", "d/x");
  const machine = new FakeMachine(() => ({ frontEnd: 30, duration: 100, backEnd: 20 }));
  const { events, outcomes } = schedule(machine, jobs, { slots: makeSlots(0, [L4]) });
  t.same(statuses(await outcomes), ["built", "built", "built", "built"]);
  t.same(machine.violations, []);
  for (const [before, after] of [
    ["a/x", "b/x"],
    ["b/x", "c/x"],
    ["c/x", "d/x"],
  ] as const) {
    t.ok(machine.when(after, "start") < machine.when(before, "built"), "begins before the build of the last one ends");
    t.ok(machine.when(after, "build") >= machine.when(before, "built"), "but builds afterwards");
  }
  t.equal(
    machine.clock.now(),
    30 + 4 * 100 + 20,
    "nothing but the first front end and the last back end is waited for",
  );
  const about = (id: string) => events.filter((event) => "id" in event && event.id === id);
  t.match(about("b/x"), [
    { type: "job-start", slot: "gpu 0 NVIDIA L4" },
    { type: "job-wait", reason: "a/x has gpu 0 NVIDIA L4" },
    { type: "job-device", slot: "gpu 0 NVIDIA L4" },
    { type: "job-end" },
  ]);
  t.same(
    about("a/x").map(({ type }) => type),
    ["job-start", "job-device", "job-end"],
    "who need not wait does not say so",
  );
});

t.test("a job is made ready for the GPU that will be free first, and for no other", async (t) => {
  const costs = new Map([60, 11, 10, 9].map((cost) => [`m${cost}/x`, cost]));
  const jobs = [...costs].map(([id, cost]) => planned(id, { cost, placement: onGpu(L4) }));
  const machine = new FakeMachine((job) => ({ duration: costs.get(job.id) as number }));
  const { outcomes } = schedule(machine, jobs, { slots: makeSlots(0, GPUS.slice(0, 2)) });
  await outcomes;
  t.equal(machine.clock.now(), 60);
});

t.test("waiting for the GPU is not the job's time", async (t) => {
  const machine = new FakeMachine((job) => ({ duration: job.model === "a" ? 300 : 5 }));
  const [first, second] = onOneGpu("a/x", "b/x") as [PlannedJob, PlannedJob];
  const slots = makeSlots(0, [L4]);
  const { outcomes } = schedule(machine, [first, { ...second, timeout: 150 }], { slots });
  const ended = (await outcomes).get("b/x");
  t.equal(ended?.status, "built");
  t.equal(ended?.status === "built" && ended.durationMs, 5);
});

t.test("who dies, hangs or is slow with the GPU or on the way to it does not keep it", async (t) => {
  for (const at of ["front end", "waiting", undefined, "back end"] as const) {
    for (const end of ["fail", "crash", "hang", "deaf"] as const) {
      const machine = new FakeMachine((job) => ({
        duration: 5,
        ...(job.model === "bad" && { end, ...(at !== undefined && { at }) }),
      }));
      const jobs = onOneGpu("a/x", "bad/x", "c/x", "d/x").map((job) => ({ ...job, timeout: 60 }));
      const { outcomes } = schedule(machine, jobs, { slots: makeSlots(0, [L4]) });
      const ended = await outcomes;
      t.same(
        ["a/x", "bad/x", "c/x", "d/x"].map((id) => ended.get(id)?.status),
        ["built", "failed", "built", "built"],
        `${end} ${at ?? "building"}`,
      );
      t.same(machine.violations, []);
      t.equal(machine.open, 0);
    }
  }
});

t.test("cancelled while it waits for the GPU", async (t) => {
  const machine = new FakeMachine((job) => ({ duration: 5, ...(job.model === "a" && { end: "hang" as const }) }));
  const { scheduler, events, outcomes } = schedule(machine, onOneGpu("a/x", "b/x", "c/x"), {
    slots: makeSlots(0, [L4]),
  });
  while (!events.some(({ type }) => type === "job-wait")) await sleep(1);
  scheduler.cancel();
  t.same(statuses(await outcomes), ["cancelled", "cancelled", "cancelled"]);
  t.same([machine.started, machine.open], [["a/x", "b/x"], 0]);
});

t.test("finish: who waits for the GPU when another job fails does not build any more", async (t) => {
  const machine = new FakeMachine((job) => ({ duration: 20, ...(job.model === "a" && { end: "fail" as const }) }));
  const slots = makeSlots(0, [L4]);
  const { outcomes } = schedule(machine, onOneGpu("a/x", "b/x", "c/x"), { slots, onFailure: "finish" });
  const ended = await outcomes;
  t.same(
    ["a/x", "b/x", "c/x"].map((id) => ended.get(id)?.status),
    ["failed", "skipped", "skipped"],
  );
  t.match(ended.get("b/x"), { reason: "a/x failed" });
  t.equal(machine.history.filter(({ what }) => what === "build").length, 1);
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
  machine.clock.after(10, () => scheduler.cancel());
  t.same(statuses(await outcomes), ["cancelled", "cancelled", "cancelled"]);
  t.equal(machine.open, 0);
  t.same(machine.started, ["gentle/x", "deaf/x"]);
});

t.test("killing ends everything at once", async (t) => {
  const machine = new FakeMachine(() => ({ duration: 1, end: "deaf" }));
  const { scheduler, outcomes } = schedule(machine, [planned("a/x"), planned("b/x")], { grace: 60_000 });
  machine.clock.after(10, () => scheduler.kill());
  t.same(statuses(await outcomes), ["cancelled", "cancelled"]);
});

t.test("memory: waits until it is free, or fails with a reason", async (t) => {
  const [gpu] = GPUS as [Device];
  let free = 2 * 2 ** 30;
  const machine = new FakeMachine(() => ({ duration: 1 }));
  const need = (gib: number) => ({ requires: { minMemory: gib * 2 ** 30 } });
  machine.clock.after(30, () => {
    free = 20 * 2 ** 30;
  });
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

t.test("memory: asked for when the job before has left the GPU", async (t) => {
  let free = 20 * 2 ** 30;
  const machine = new FakeMachine(() => ({ duration: 50 }));
  const requires = { minMemory: 10 * 2 ** 30 };
  const jobs = onOneGpu("a/x", "b/x").map((one) => ({ ...one, job: { ...one.job, requires } }));
  const { events, outcomes } = schedule(machine, jobs, {
    slots: makeSlots(0, [L4]),
    discoverDevices: async () => [{ ...L4, freeMemory: free }],
    emit: (event) => {
      events.push(event);
      // What builds takes nearly all.
      if (event.type === "job-device") free = 2 ** 30;
      if (event.type === "job-end") free = 20 * 2 ** 30;
    },
    memoryPoll: 5,
    memoryPatience: 20,
  });
  t.same(statuses(await outcomes), ["built", "built"]);
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

t.test("a time limit of months is months, and can be called off", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.teardown(() => mock.timers.reset());
  const day = 24 * 60 * 60 * 1000;
  const rung: string[] = [];
  SYSTEM_CLOCK.after(60 * day, () => rung.push("two months"));
  const callOff = SYSTEM_CLOCK.after(70 * day, () => rung.push("never"));
  const pass = (days: number) => {
    for (let i = 0; i < days; i++) mock.timers.tick(day);
  };
  pass(59);
  t.same(rung, []);
  callOff();
  pass(20);
  t.same(rung, ["two months"]);
});
