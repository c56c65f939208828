import { combineTimingCaches, discoverDevices, loadEngine } from "../../../../src/backends/tensorrt/index.js";
import { Tensor } from "../../../../src/ir/tensor.js";
import { engineExecutable } from "../../../../src/worker/executable.js";
import { sampleInputs } from "../../../../src/worker/sample-inputs.js";

// Run by fake-gpu.test.ts in a process that finds the fake libraries first; prints what it saw as JSON.

function plan(mark: string): Uint8Array {
  const bytes = Buffer.alloc(64);
  bytes.write("ftrt");
  bytes.set([10, 6, 0, 26], 24);
  bytes.write(mark, 28);
  return bytes;
}

function x(batch: number): Record<string, Tensor> {
  const numbers = Array.from({ length: batch * 4 }, (_, i) => i - 2);
  return { x: Tensor.of("float32", [batch, 4], numbers) };
}

/** Four ones, and a size. */
function sized(n: number, ones = 1): Record<string, Tensor> {
  return { x: Tensor.of("float32", [1, 4], [ones, ones, ones, ones]), n: Tensor.of("int64", [1], [n]) };
}

function plain(outputs: Readonly<Record<string, Tensor>>): object {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [
      name,
      [tensor.dtype, tensor.sizes, Array.from(tensor.toNumbers())],
    ]),
  );
}

const failure = (promise: Promise<unknown>): Promise<object | undefined> =>
  promise.then(
    () => undefined,
    ({ code, message, hint }) => ({ code, message, hint }),
  );
const inUse = async (): Promise<number> => 2 ** 30 - ((await discoverDevices())[0]?.freeMemory ?? 0);

const [device] = await discoverDevices();
const engine = await loadEngine(plan("GOOD+"));
const fixed = await loadEngine(plan("GOOD"));
const onHost = await loadEngine(plan("GOODn"));
const executed = async (inputs: Record<string, Tensor>, graph: boolean) =>
  (await onHost.execute(inputs, { graph })).y?.toNumbers()[0];
const places = async (batch: number) => [...((await engine.execute(x(batch))).places?.toNumbers() ?? [])];
const seen = {
  device,
  engine: { device: engine.device, flavour: engine.flavour, inputs: engine.inputs, outputs: engine.outputs },
  small: plain(await engine.execute(x(2))),
  secondProfile: plain(await engine.execute(x(9))),
  graph: plain(await fixed.execute(x(2), { graph: true })),
  bench: await fixed
    .bench(x(3), { iterations: 5, graph: true })
    .then(({ times, usedGraph }) => [[...times], usedGraph]),
  benchWithoutGraph: (await engine.bench(x(3), { iterations: 1, graph: true })).usedGraph,
  graphsOfSizes: [
    await executed(sized(0), true),
    await executed(sized(10), true),
    await executed(sized(10), false),
    await executed(sized(0), false),
    await executed(sized(10, 2), true),
    await executed(sized(10, 3), false),
    await executed(sized(10, 4), true),
  ],
  size: {
    values: onHost.inputs.map(({ name, values }) => [name, values]),
    samples: (["min", "opt", "max"] as const).map((shape) => [
      ...(sampleInputs(engineExecutable(onHost, 1).inputs, { seed: 1, shape }).n?.toNumbers() ?? []),
    ]),
    tooLarge: await failure(onHost.execute(sized(21))),
  },
  places: [await places(1), await places(8), await places(2)],
  untold: await failure(engine.execute({ x: Tensor.of("float32", [1, 4], [98, 0, 0, 0]) })),
  vectorized: await failure(loadEngine(plan("GOODv"))),
  later: await failure(loadEngine(plan("GOODt"))),
  combine: await failure(combineTimingCaches("trt10", new Uint8Array(1), new Uint8Array(1))),
  atOnce: (await Promise.all([1, 2, 3].map((batch) => fixed.execute(x(batch))))).map(({ y }) => y?.sizes),
  fails: await failure(fixed.execute({ x: Tensor.of("float32", [1, 4], [99, 0, 0, 0]) })),
  tooLarge: await failure(engine.execute(x(65))),
  missing: await failure(engine.execute({})),
  incompatible: await failure(loadEngine(plan("OTHER"))),
  noSuchDevice: await failure(loadEngine(plan("GOOD"), { device: 3 })),
  byUuid: (await loadEngine(plan("GOOD"), { device: device?.uuid as string })).device,
  disposed: await engine.dispose().then(() => failure(engine.execute(x(1)))),
  left: 0,
};
await fixed.dispose();
await onHost.dispose();
const useOnce = async (dispose: boolean): Promise<void> => {
  const loaded = await loadEngine(plan("GOOD+"));
  await loaded.execute(x(2));
  if (dispose) await loaded.dispose();
};
for (let i = 0; i < 50; i++) await useOnce(i % 2 === 0);
// Those that were not disposed of go with the garbage.
for (let i = 0; i < 20 && (await inUse()) > 0; i++) {
  globalThis.gc?.();
  await new Promise((resolve) => setTimeout(resolve, 10));
}
console.log(JSON.stringify({ ...seen, left: await inUse() }));
