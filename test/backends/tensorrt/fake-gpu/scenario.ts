import { discoverDevices, loadEngine } from "../../../../src/backends/tensorrt/index.js";
import { Tensor } from "../../../../src/ir/tensor.js";

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
