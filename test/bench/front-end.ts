/**
 * Import + lower + convert a traced model, against PyTorch's load + freeze + ONNX export of the same file: the best of
 * three each, as a ratio. Models come from test/zoo/make_models.py.
 *
 *     TRTORCH_TEST_PYTHON=python3 node --import tsx test/bench/front-end.ts ZOO_FOLDER [resnet50 swin_t ...]
 */
import { join } from "node:path";
import { execa } from "execa";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import { capabilitiesOf, convertModel } from "../../src/worker/convert-model.js";
import { loadModel } from "../../src/worker/model.js";

const ROUNDS = 3;
const [zoo, ...names] = process.argv.slice(2);
const python = process.env.TRTORCH_TEST_PYTHON;
if (zoo === undefined || python === undefined) {
  console.error("usage: TRTORCH_TEST_PYTHON=python3 node --import tsx test/bench/front-end.ts ZOO_FOLDER [MODEL ...]");
  process.exit(2);
}

const shape = [1, 3, 224, 224];
console.log("| model | PyTorch load + freeze + ONNX export, ms | import + lower + convert, ms | ratio |");
console.log("|---|---:|---:|---:|");
for (const name of names.length > 0 ? names : ["resnet50", "swin_t"]) {
  const file = join(zoo, name, "trace.ts");
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    await convertModel(loadModel(file), {
      method: "forward",
      inputs: [{ name: "x", dtype: "float32", dims: shape }],
      registry: defaultRegistry(),
      capabilities: capabilitiesOf("tensorrt-rtx"),
    });
    best = Math.min(best, performance.now() - start);
  }
  const script = new URL("front_end_torch.py", import.meta.url).pathname;
  const { stdout } = await execa(python, [script, file, JSON.stringify(shape), String(ROUNDS)]);
  const theirs = Number(stdout.trim().split("\n").at(-1));
  console.log(`| ${name} | ${theirs.toFixed(0)} | ${best.toFixed(0)} | ${(best / theirs).toFixed(3)} |`);
}
