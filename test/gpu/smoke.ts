/**
 * The shortest proof that building and running work on this GPU: LeNet with a range of batches, built through the
 * library, executed at several batches with and without a CUDA graph. `smoke.js MODELS OUT`.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadEngine } from "../../src/backends/tensorrt/engine.js";
import { listDevices } from "../../src/backends/tensorrt/index.js";
import { compile } from "../../src/index.js";
import { Tensor } from "../../src/ir/tensor.js";
import { readNpz } from "../../src/util/npz.js";

const [models, out] = process.argv.slice(2) as [string, string];
console.log(await listDevices());
const folder = join(models, "lenet");
const { engine, library } = await compile(join(folder, "trace.ts"), {
  backend: "tensorrt",
  inputs: [{ name: "x", min: [1, 1, 32, 32], opt: [8, 1, 32, 32], max: [32, 1, 32, 32] }],
});
mkdirSync(out, { recursive: true });
writeFileSync(join(out, "lenet.engine"), engine);
console.log(`built by ${library.name} ${library.version}: ${engine.byteLength} bytes`);
const recorded = readNpz(join(folder, "io.npz"));
const [x, y] = [recorded.get("in0"), recorded.get("out0")] as [Tensor, Tensor];
const loaded = await loadEngine(join(out, "lenet.engine"));
console.log(loaded.device, loaded.inputs, loaded.outputs);
let worst = 0;
for (const graph of [false, true]) {
  for (const batch of [1, 5, 32]) {
    const values = Float32Array.from({ length: batch * x.numel }, (_, i) => x.toNumbers()[i % x.numel] as number);
    const outputs = await loaded.execute({ x: Tensor.of("float32", [batch, 1, 32, 32], values) }, { graph });
    const numbers = (outputs.output_0 as Tensor).toNumbers();
    for (const [i, value] of numbers.entries())
      worst = Math.max(worst, Math.abs(value - (y.toNumbers()[i % 10] as number)));
    if (numbers.length !== batch * 10) throw new Error(`batch ${batch} gave ${numbers.length} numbers`);
  }
}
console.log(`max error ${worst}`);
await loaded.dispose();
if (!(worst < 1e-3)) process.exit(1);
