import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { execute as executeOnCpu } from "../../../src/backends/onnx/runtime.js";
import {
  buildEngine,
  combineTimingCaches,
  discoverDevices,
  type Engine,
  type Flavour,
  findLibrary,
  listDevices,
  loadEngine,
  readPlanHeader,
} from "../../../src/backends/tensorrt/index.js";
import { setup } from "../../../src/backends/tensorrt/setup.js";
import { Tensor } from "../../../src/ir/tensor.js";
import { Network } from "../../../src/network/network.js";
import { makeWeights } from "../../../src/network/weights.js";
import { convolutions } from "./networks.js";

// The full TensorRT where it is installed (TENSORRT_ROOT, LD_LIBRARY_PATH), else TensorRT-RTX, which needs no GPU to build.
const flavour = (["trt10", "trt11"] as const).find(isInstalled);
await setup({ flavours: [flavour ?? "rtx"] });
const devices = await discoverDevices();
const noGpu = devices.length === 0 ? "no GPU" : flavour === undefined ? "no full TensorRT" : false;

function isInstalled(flavour: Flavour): boolean {
  try {
    findLibrary(flavour);
    return true;
  } catch {
    return false;
  }
}

t.test("without a GPU: what is missing", { skip: devices.length > 0 ? "there is a GPU" : false }, async (t) => {
  await t.rejects(listDevices(), { code: "missing-library", message: /CUDA driver|CUDA could not start/ });
  const { engine } = await buildEngine(convolutions(1), { flavour: "rtx", targets: ["sm_89"] });
  t.match(readPlanHeader(engine), { product: "TensorRT-RTX", flavour: "rtx" });
  await t.rejects(loadEngine(engine), { code: "missing-library", message: /CUDA/ }, "from memory");
  const file = join(t.testdir(), "model.engine");
  writeFileSync(file, engine);
  await t.rejects(loadEngine(file), { code: "missing-library", message: /CUDA/ }, "from a file");
});

const noFullTensorRT = flavour === undefined ? "no full TensorRT" : devices.length > 0 ? "there is a GPU" : false;
t.test("the full TensorRT without a GPU", { skip: noFullTensorRT }, async (t) => {
  await t.rejects(buildEngine(convolutions(1), { flavour: flavour as Flavour }), {
    code: "missing-library",
    message: /CUDA/,
    hint: /needs an NVIDIA GPU/,
  });
});

t.test("TensorRT-RTX has no timing caches to combine", async (t) => {
  await t.rejects(combineTimingCaches("rtx", new Uint8Array(1), new Uint8Array(1)), { code: "unsupported" });
});

t.test("an engine file that is not there", async (t) => {
  await t.rejects(loadEngine(join(t.testdir(), "nothing.engine")), { code: "archive", message: /no such file/ });
});

/** A network with two inputs, a dynamic batch, and outputs of several types. */
function mixed(): Network {
  const network = new Network();
  const symbols = new Map();
  const batch = { min: 1, opt: 4, max: 16, symbol: "batch" };
  const x = network.addDynamicInput("x", "kFLOAT", [batch, 3, 8, 8], symbols);
  const indices = network.addDynamicInput("indices", "kINT64", [batch], symbols);
  const numbers = Array.from({ length: 4 * 3 * 9 }, (_, i) => Math.sin(i));
  const kernel = makeWeights("kFLOAT", [4, 3, 3, 3], numbers);
  const y = network.addConvolutionNd(x, 4, [3, 3], kernel, null, { prePadding: [1, 1] });
  const mean = network.addReduce(y, "kAVG", [2, 3], false);
  const one = network.addConstant(makeWeights("kINT64", [1], [1]));
  network.markOutput(network.addActivation(y, "kRELU"), "y");
  const [values, places] = network.addTopK(mean, "kMAX", 2, 1);
  network.markOutput(values, "values");
  network.markOutput(places, "places");
  network.markOutput(network.addElementWise(indices, one, "kSUM"), "next");
  network.markOutput(
    network.addElementWise(mean, network.addConstant(makeWeights("kFLOAT", [1, 1], [0])), "kGREATER"),
    "positive",
  );
  return network;
}

function inputs(batch: number): Record<string, Tensor> {
  return {
    x: Tensor.of(
      "float32",
      [batch, 3, 8, 8],
      Array.from({ length: batch * 192 }, (_, i) => Math.cos(i * 0.37)),
    ),
    indices: Tensor.of(
      "int64",
      [batch],
      Array.from({ length: batch }, (_, i) => i * 10),
    ),
  };
}

function maxError(a: Tensor, b: Tensor): number {
  const expected = b.toNumbers();
  return Array.from(a.toNumbers()).reduce(
    (worst, value, i) => Math.max(worst, Math.abs(value - (expected[i] ?? Number.NaN))),
    0,
  );
}

t.test("on a GPU", { skip: noGpu }, async (t) => {
  const network = mixed();
  const built = await buildEngine(network, {
    flavour: flavour as Flavour,
    timingCache: new Uint8Array(),
    options: { tf32: false },
  });
  const engine: Engine = await loadEngine(built.engine);

  t.test("says what it is", async (t) => {
    t.equal(engine.flavour, flavour);
    t.match(engine.device, devices[0]?.name as string);
    t.same(
      engine.inputs.map(({ name, type, dims }) => [name, type, ...dims]),
      [
        ["x", "kFLOAT", -1, 3, 8, 8],
        ["indices", "kINT64", -1],
      ],
    );
    t.same(engine.inputs[0]?.profiles, [{ min: [1, 3, 8, 8], opt: [4, 3, 8, 8], max: [16, 3, 8, 8] }]);
    t.same(engine.outputs.map(({ name }) => name).sort(), ["next", "places", "positive", "values", "y"]);
  });

  t.test("gives the CPU reference's numbers, with and without a CUDA graph, as shapes change", async (t) => {
    for (const batch of [1, 4, 16, 4, 1]) {
      const reference = await executeOnCpu(network, inputs(batch));
      for (const graph of [false, true]) {
        const outputs = await engine.execute(inputs(batch), { graph });
        for (const [name, tensor] of Object.entries(reference)) {
          const got = outputs[name] as Tensor;
          t.same([got.dtype, ...got.sizes], [tensor.dtype, ...tensor.sizes], name);
          t.ok(maxError(got, tensor) < 1e-4, `${name} at batch ${batch}`);
        }
      }
    }
  });

  t.test("an output whose size only running tells", async (t) => {
    const counting = new Network();
    const x = counting.addInput("x", "kFLOAT", [3, 5]);
    counting.markOutput(counting.addNonZero(x), "indices");
    const { engine: bytes } = await buildEngine(counting, { flavour: flavour as Flavour });
    const loaded = await loadEngine(bytes);
    for (const kept of [7, 15, 0]) {
      const numbers = Array.from({ length: 15 }, (_, i) => (i < kept ? 1 : 0));
      const { indices } = await loaded.execute({ x: Tensor.of("float32", [3, 5], numbers) });
      t.same([indices?.dtype, ...(indices?.sizes ?? [])], ["int64", 2, kept]);
      t.same(
        Array.from(indices?.toNumbers() ?? []).slice(0, kept),
        numbers.flatMap((number, i) => (number > 0 ? [Math.floor(i / 5)] : [])),
      );
    }
    await loaded.dispose();
  });

  t.test("calls at once wait for each other", async (t) => {
    const batches = [1, 2, 3, 4, 5, 6, 7, 8];
    const results = await Promise.all(batches.map((batch) => engine.execute(inputs(batch))));
    t.same(
      results.map(({ y }) => y?.sizes[0]),
      batches,
    );
  });

  t.test("benchmarks", async (t) => {
    for (const graph of [false, true]) {
      const { times, usedGraph, outputs } = await engine.bench(inputs(4), { warmup: 5, iterations: 50, graph });
      t.equal(times.length, 50);
      t.ok(times.every((time) => time > 0 && time < 100));
      t.equal(usedGraph, graph);
      t.same(outputs.y?.sizes, [4, 4, 8, 8]);
    }
  });

  t.test("refuses what it was not built for", async (t) => {
    await t.rejects(engine.execute({ x: inputs(1).x as Tensor }), {
      code: "mismatch",
      message: /no value for the input indices/,
    });
    await t.rejects(engine.execute(inputs(17)), {
      code: "mismatch",
      message: "input x is [17,3,8,8], which the engine was not built for",
      hint: "It takes [1,3,8,8] to [16,3,8,8].",
    });
    const damaged = Buffer.from(built.engine);
    damaged.fill(0, 200, 4000);
    await t.rejects(loadEngine(damaged), { code: "library", hint: /built by TensorRT/ });
  });

  t.test("a damaged timing cache is dropped", async (t) => {
    t.ok((built.timingCache?.length ?? 0) > 0);
    const again = await buildEngine(network, { flavour: flavour as Flavour, timingCache: new Uint8Array(64).fill(3) });
    t.ok(again.engine.length > 0);
    const cached = await buildEngine(network, { flavour: flavour as Flavour, timingCache: built.timingCache });
    t.ok(cached.engine.length > 0);
  });

  t.test("timing caches are combined", async (t) => {
    const other = await buildEngine(convolutions(2), { flavour: flavour as Flavour, timingCache: new Uint8Array() });
    const [kept, added] = [built.timingCache as Buffer, other.timingCache as Buffer];
    const both = await combineTimingCaches(flavour as Flavour, kept, added);
    t.ok(both.length > Math.max(kept.length, added.length), "each knew something that the other did not");
    await t.rejects(combineTimingCaches(flavour as Flavour, kept, new Uint8Array(64).fill(3)), { code: "library" });
  });

  t.test("loading and dropping engines leaves the GPU's memory flat", async (t) => {
    const round = async (): Promise<void> => {
      const loaded = await loadEngine(built.engine);
      await loaded.execute(inputs(2));
      await loaded.dispose();
    };
    for (let i = 0; i < 5; i++) await round();
    const before = (await listDevices())[0]?.freeMemory ?? 0;
    for (let i = 0; i < 50; i++) await round();
    const after = (await listDevices())[0]?.freeMemory ?? 0;
    t.ok(before - after < 32 * 2 ** 20, `${(before - after) / 2 ** 20} MiB are gone`);
  });

  t.test("disposed of, it refuses", async (t) => {
    await engine.dispose();
    await t.rejects(engine.execute(inputs(1)), { message: /disposed/ });
  });
});
