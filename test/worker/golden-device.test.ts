import { join } from "node:path";
import t from "tap";
import type { EngineTensor } from "../../src/backends/tensorrt/engine.js";
import { Tensor } from "../../src/ir/tensor.js";
import { writeNpz } from "../../src/util/npz.js";
import { compareOnDevice } from "../../src/worker/golden-device.js";

const vector = (...values: number[]) => Tensor.of("float32", [values.length], values);
const tensor = (name: string): EngineTensor => ({ name, type: "kFLOAT", dims: [2], profiles: [], values: [] });

/** An engine on no GPU, whose `sum` and `difference` are a little off. */
const engine = {
  device: "NVIDIA Fake (sm_99)",
  inputs: [tensor("a"), tensor("b")],
  outputs: [tensor("sum"), tensor("difference")],
  async bench(inputs: Readonly<Record<string, Tensor>>) {
    const [a, b] = [inputs.a, inputs.b].map((value) => Array.from((value as Tensor).toNumbers()));
    const outputs = {
      sum: vector(...(a as number[]).map((x, i) => x + (b?.[i] ?? 0) + 1e-4)),
      difference: vector(...(a as number[]).map((x, i) => x - (b?.[i] ?? 0) + 0.5)),
    };
    return { outputs, times: Float32Array.of(3, 1, 2), usedGraph: true };
  },
};

t.test("an engine's outputs beside the recorded ones, and its time", async (t) => {
  const golden = join(t.testdir(), "io.npz");
  await writeNpz(golden, [
    ["in0", vector(1, 2)],
    ["in1", vector(10, 20)],
    ["out0", vector(11, 22)],
    ["out1", vector(-9, -18)],
  ]);
  const { comparison, latencyMs } = await compareOnDevice(engine, golden, { rtol: 1e-3, atol: 0 });
  t.equal(latencyMs, 2, "the median");
  t.match(comparison, [
    { output: "sum", device: "NVIDIA Fake (sm_99)", passed: true, dims: [2] },
    { output: "difference", device: "NVIDIA Fake (sm_99)", passed: false },
  ]);
  t.ok(Math.abs((comparison[1]?.maxAbsError ?? 0) - 0.5) < 1e-6);
});

t.test("a golden file without an input says which", async (t) => {
  const golden = join(t.testdir(), "io.npz");
  await writeNpz(golden, [["in0", vector(1, 2)]]);
  await t.rejects(compareOnDevice(engine, golden, { rtol: 1e-3, atol: 0 }), {
    code: "config",
    message: /no array "in1"/,
  });
});
