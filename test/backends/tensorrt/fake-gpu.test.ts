import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import t from "tap";
import { makeFakeGpu } from "./fake-gpu/make.js";

// The runtime over a CUDA driver and a TensorRT 10.6 that are fakes: what can be tested of it without a GPU.

const sources = fileURLToPath(new URL("fake-gpu/", import.meta.url));
const libraries = await makeFakeGpu(t.testdir({}));
const { TENSORRT_ROOT: _, ...env } = process.env;
const { stdout } = await execa(process.execPath, ["--expose-gc", "--import", "tsx", join(sources, "scenario.ts")], {
  env: { ...env, LD_LIBRARY_PATH: libraries },
  extendEnv: false,
});
const seen = JSON.parse(stdout);

t.test("devices", async (t) => {
  t.match(seen.device, {
    uuid: "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f",
    name: "Fake GPU",
    major: 9,
    minor: 0,
    totalMemory: 2 ** 30,
  });
  t.equal(seen.byUuid, "Fake GPU (sm_90)");
  t.match(seen.noSuchDevice, { code: "missing-library", message: /no GPU '3': CUDA shows this process 1/ });
});

t.test("what an engine says of itself", async (t) => {
  t.same(seen.engine, {
    device: "Fake GPU (sm_90)",
    flavour: "trt10",
    inputs: [
      {
        name: "x",
        type: "kFLOAT",
        dims: [-1, 4],
        profiles: [
          { min: [1, 4], opt: [1, 4], max: [8, 4] },
          { min: [9, 4], opt: [9, 4], max: [64, 4] },
        ],
        values: [],
      },
    ],
    outputs: [
      { name: "y", type: "kFLOAT", dims: [-1, 4], profiles: [], values: [] },
      { name: "places", type: "kINT64", dims: [-1], profiles: [], values: [] },
    ],
  });
});

t.test("executions: fixed and data-dependent outputs, profiles, graphs, calls at once", async (t) => {
  t.same(seen.small, {
    y: ["float32", [2, 4], [-4, -2, 0, 2, 4, 6, 8, 10]],
    places: ["int64", [5], [3, 4, 5, 6, 7]],
  });
  t.same(seen.secondProfile.y[1], [9, 4]);
  t.same(seen.graph.y[2], [-4, -2, 0, 2, 4, 6, 8, 10]);
  t.same(seen.bench, [[0.25, 0.25, 0.25, 0.25, 0.25], true]);
  t.equal(seen.benchWithoutGraph, false, "an output of unknown size cannot be captured");
  t.same(seen.atOnce, [
    [1, 4],
    [2, 4],
    [3, 4],
  ]);
});

t.test("a graph is made anew when an input's values that are sizes change", async (t) => {
  // The last graph is one from before, and repeats nothing: the fake's launches do nothing.
  t.same(seen.graphsOfSizes, [2, 12, 12, 2, 14, 16, 16]);
});

t.test("inputs whose values are sizes tell their range, and samples are of it", async (t) => {
  const range = { min: [0], opt: [10], max: [20] };
  t.same(seen.size.values, [
    ["x", []],
    ["n", [range, range]],
  ]);
  t.same(seen.size.samples, [[0], [10], [20]]);
  t.match(seen.size.tooLarge, {
    code: "mismatch",
    message: "input n holds [21], which the engine was not built for",
    hint: "It takes [0] to [20].",
  });
});

t.test("an output's size may be known in one execution and not in the next", async (t) => {
  const positive = Array.from({ length: 32 }, (_, i) => (i > 2 ? i : -1));
  t.same(seen.places, [[3], positive, [3, 4, 5, 6, 7]]);
  t.match(seen.untold, { code: "library", message: "the engine did not tell the dims of output 'places'" });
});

t.test("formats and types that engines here do not have are refused when they are loaded", async (t) => {
  t.match(seen.vectorized, {
    code: "unsupported",
    message: "the engine wants 'x' in another format than the linear one: four channels in one",
    hint: /linear inputs and outputs/,
  });
  t.match(seen.later, { code: "unsupported", message: "TensorRT's type 10 is not supported" });
});

t.test("the process may exit in the middle of a benchmark", async (t) => {
  const run = await execa(process.execPath, ["--import", "tsx", join(sources, "exit-while-running.ts")], {
    env: { ...env, LD_LIBRARY_PATH: libraries },
    extendEnv: false,
    reject: false,
  });
  t.equal(run.exitCode, 3, run.stderr);
  const executions = Number(/(\d+) slow executions/.exec(run.stderr)?.[1]);
  t.ok(executions >= 1 && executions < 20_000, `${executions} of 20000 executions`);
});

t.test("failures", async (t) => {
  t.match(seen.fails, { code: "library", message: /could not execute/ });
  t.match(seen.tooLarge, { code: "mismatch", hint: "It takes [1,4] to [8,4], or [9,4] to [64,4]." });
  t.match(seen.missing, { code: "mismatch", message: "there is no value for the input x" });
  t.match(seen.incompatible, {
    code: "library",
    message: /TensorRT 10\.6\.0 cannot load this engine on Fake GPU \(sm_90\)\n.*expecting compute 9\.0/,
    hint: /built by TensorRT 10\.6\.0\.26/,
  });
  t.match(seen.combine, {
    code: "library",
    message: "TensorRT 10.6.0 could not create a builder\n  the fake has its kernels",
  });
  t.match(seen.disposed, { code: "usage", message: /disposed/ });
});

t.test("nothing is left on the device, disposed of or dropped", async (t) => {
  // The scenario's engine by UUID was dropped as well.
  t.equal(seen.left, 0);
});
