import { execFile } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { type BuildEvent, buildEngine, describeNetwork, libraryVersion } from "../../../src/backends/tensorrt/index.js";
import { setup } from "../../../src/backends/tensorrt/setup.js";
import { type NetworkProgram, type ProgramLayer, toProgram } from "../../../src/network/program.js";
import { convolutions } from "./networks.js";

await setup({ flavours: ["rtx"] });

const rtx = { flavour: "rtx", targets: ["sm_89"] } as const;

/** The program with its first layer changed. */
function withFirstLayer(program: NetworkProgram, change: Partial<ProgramLayer>): NetworkProgram {
  const [first, ...others] = program.layers as [ProgramLayer];
  return { ...program, layers: [{ ...first, ...change }, ...others] };
}

t.test("an engine, its library and its time", async (t) => {
  const { engine, timingCache, library, duration } = await buildEngine(convolutions(1), rtx);
  t.ok(engine.length > 100_000);
  t.equal(timingCache, null, "TensorRT-RTX times nothing while it builds");
  t.match(library, { name: "TensorRT-RTX", version: /^1\.\d+\.\d+$/, path: /libtensorrt_rtx\.so/ });
  t.equal(await libraryVersion("rtx"), library.version);
  t.ok(duration > 1);
});

t.test("one engine for several targets, and for a range of batches", async (t) => {
  const one = await buildEngine(convolutions(1, { min: 1, opt: 8, max: 32 }), rtx);
  const three = await buildEngine(convolutions(1, { min: 1, opt: 8, max: 32 }), {
    ...rtx,
    targets: [86, "sm_89", 120],
  });
  t.ok(three.engine.length > one.engine.length);
  const shape = (batch: number): number[] => [batch, 64, 56, 56];
  const profiles = [{ inputs: [{ min: shape(1), opt: shape(1), max: shape(1) }] }];
  const two = await buildEngine(convolutions(1, { min: 1, opt: 8, max: 32 }), { ...rtx, options: { profiles } });
  t.ok(two.engine.length > one.engine.length, "a second optimization profile");
});

t.test("progress: phases begin at 0, end whole, and name their parents", async (t) => {
  const events: BuildEvent[] = [];
  await buildEngine(convolutions(2), { ...rtx, logLevel: "info", onEvent: (event) => events.push(event) });
  const progress = events.filter((event) => event.type === "progress");
  const whole = progress.filter(({ parent }) => parent === null);
  t.equal(whole[0]?.step, 0);
  t.equal(whole.at(-1)?.step, whole[0]?.total, "the outermost phase ends with its last step");
  const phases = new Set(progress.map(({ phase }) => phase));
  t.ok(phases.size > 3);
  t.ok(progress.every(({ parent }) => parent === null || phases.has(parent)));
  t.ok(progress.every(({ step, total }) => step >= 0 && step <= total));
  t.ok(events.some((event) => event.type === "log" && event.level === "info" && /Engine generation/.test(event.line)));
});

t.test("cancelling stops a build at its next step", async (t) => {
  const controller = new AbortController();
  const build = async (signal: AbortSignal | undefined, onStep: () => void) =>
    // Large enough for this thread to have its turn between two steps on a busy machine.
    buildEngine(convolutions(400), {
      ...rtx,
      targets: [86, 89, 120],
      ...(signal && { signal }),
      onEvent: ({ type }) => type === "progress" && onStep(),
    });
  let steps = 0;
  await build(undefined, () => steps++);
  let cancelled = 0;
  const building = build(controller.signal, () => {
    controller.abort();
    cancelled++;
  });
  await t.rejects(building, { code: "cancelled", message: "the build was cancelled" });
  t.ok(cancelled < steps / 2, `${cancelled} of ${steps} steps`);
  await t.rejects(
    buildEngine(convolutions(1), { ...rtx, signal: controller.signal }),
    { code: "cancelled" },
    "before it starts",
  );
  t.ok((await buildEngine(convolutions(1), rtx)).engine.length > 0, "and the next build is not disturbed");
});

t.test("a build that waits for another can be cancelled", async (t) => {
  const controller = new AbortController();
  const first = buildEngine(convolutions(400), rtx);
  const second = buildEngine(convolutions(1), { ...rtx, signal: controller.signal });
  setTimeout(() => controller.abort(), 50);
  await t.rejects(second, { code: "cancelled" });
  t.ok((await first).engine.length > 0);
});

t.test("two builds at once, for different targets", async (t) => {
  const engines = await Promise.all([
    buildEngine(convolutions(4), { ...rtx, targets: ["sm_86"] }),
    buildEngine(convolutions(4), { ...rtx, targets: ["sm_120"] }),
  ]);
  t.ok(engines.every(({ engine }) => engine.length > 100_000));
});

t.test("the event loop goes on while an engine is built", async (t) => {
  const program = toProgram(convolutions(60));
  const before = performance.eventLoopUtilization();
  await buildEngine(program, rtx);
  const { utilization } = performance.eventLoopUtilization(before);
  t.ok(utilization < 0.5, `${utilization} of the time the event loop had something to do`);
});

t.test("what the library refuses: its own words, with the layer's name", async (t) => {
  const program = toProgram(convolutions(1));
  const attributes = { ...program.layers[0]?.attributes, nbGroups: 7 };
  await t.rejects(buildEngine(withFirstLayer(program, { name: "features.0", attributes }), rtx), {
    code: "library",
    message: /layer 'features\.0' is invalid\n.*num_groups/,
  });
});

t.test("programs that no network makes", async (t) => {
  const program = toProgram(convolutions(1));
  await t.rejects(buildEngine(withFirstLayer(program, { type: "kNOPE" as "kCAST" }), rtx), {
    code: "internal",
    message: "layer 'convolution' has the unknown type kNOPE",
  });
  await t.rejects(buildEngine(withFirstLayer(program, { inputs: [17] }), rtx), {
    code: "internal",
    message: "input 0 of layer 'convolution' is made by no layer before it",
  });
  await t.rejects(buildEngine(withFirstLayer(program, { attributes: {} }), rtx), {
    code: "internal",
    message: /^layer 'convolution' \(kCONVOLUTION\) has no attribute/,
  });
  const kernel = { type: 0, dims: [64, 64, 3, 3], values: new Uint8Array(3) };
  const attributes = { ...program.layers[0]?.attributes, kernel };
  await t.rejects(buildEngine(withFirstLayer(program, { attributes }), rtx), /weights of 36864 elements have 3 bytes/);
  await t.rejects(buildEngine({} as NetworkProgram, rtx), /the program has no 'inputs'/);
});

t.test("targets and settings that TensorRT-RTX does not have", async (t) => {
  await t.rejects(buildEngine(convolutions(1), { ...rtx, targets: ["sm_90"] }), {
    code: "unsupported",
    message: "TensorRT-RTX builds no engine for sm_90",
    hint: /sm_89.*full TensorRT/,
  });
  await t.rejects(buildEngine(convolutions(1), { ...rtx, targets: ["ada"] }), { code: "config" });
  for (const options of [
    { versionCompatible: true },
    { hardwareCompatible: "ampere_plus" },
    { dla: { core: 0, gpuFallback: true } },
  ] as const) {
    await t.rejects(buildEngine(convolutions(1), { ...rtx, options }), { code: "unsupported", message: /has no/ });
  }
});

t.test("settings that TensorRT-RTX takes", async (t) => {
  const options = {
    workspace: 2 ** 28,
    optimizationLevel: 3,
    avgTimingIterations: 2,
    tf32: false,
    sparsity: true,
    profilingVerbosity: "detailed",
  } as const;
  t.ok((await buildEngine(convolutions(1), { ...rtx, options })).engine.length > 0);
});

t.test("a library that is none, and one that is not there", async (t) => {
  const folder = t.testdir({ "libtensorrt_rtx.so.1": "not an ELF file" });
  await t.rejects(buildEngine(convolutions(1), { ...rtx, library: folder }), {
    code: "missing-library",
    message: /cannot load .*(file too short|invalid ELF header)/,
  });
  await t.rejects(buildEngine(convolutions(1), { ...rtx, library: join(folder, "nothing") }), {
    code: "missing-library",
  });
  const other = process.execPath;
  await t.rejects(buildEngine(convolutions(1), { ...rtx, library: other }), { code: "missing-library" });
});

t.test("weights are read where they lie: a mapped file is not copied", async (t) => {
  const megabytes = 192;
  const file = join(t.testdir(), "weights.bin");
  const chunk = Buffer.alloc(2 ** 20);
  for (let i = 0; i < megabytes; i++) writeFileSync(file, randomFillSync(chunk, 0, 4096), { flag: "a" });
  const script = new URL("weights-in-place.ts", import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", script.pathname, file]);
  const { grownBy, tensors } = JSON.parse(stdout) as { grownBy: number; tensors: number };
  t.ok(tensors > 3);
  t.ok(
    grownBy < 0.25 * megabytes * 2 ** 20,
    `private memory grew by ${Math.round(grownBy / 2 ** 20)} of ${megabytes} MiB`,
  );
});

t.test("the process may exit in the middle of a build", async (t) => {
  const script = new URL("exit-while-building.ts", import.meta.url);
  const run = promisify(execFile)(process.execPath, ["--import", "tsx", script.pathname]);
  await t.rejects(run, { code: 3, signal: null }, "with its own exit code, and no crash");
});

t.test("a Worker's exit ends its own build alone, and the process may exit during a Worker's", async (t) => {
  const script = new URL("workers.ts", import.meta.url);
  // Only what hangs is ended by the limit.
  const limits = { timeout: 300_000, killSignal: "SIGKILL" } as const;
  const run = promisify(execFile)(process.execPath, ["--import", "tsx", script.pathname], limits);
  await t.rejects(run, { code: 3, signal: null, stdout: "goes on\n" });
});

t.test("describing a network builds nothing", async (t) => {
  const network = convolutions(1, { min: 1, opt: 2, max: 3 });
  const described = await describeNetwork(network, { flavour: "rtx" });
  t.same(described.find(({ tensor }) => tensor === network.outputs[0])?.dims, [-1, 64, 56, 56]);
});
