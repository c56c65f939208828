/**
 * How many kernels TensorRT-RTX makes of our networks, beside those of PyTorch's ONNX export of the same models through its ONNX
 * parser: what decides how long small models take, known without a GPU. Models come from test/zoo/make_models.py.
 *
 *     TRTORCH_TEST_PYTHON=python3 node --import tsx test/bench/kernels.ts FOLDER [MODEL ...]
 */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { findLibrary } from "../../src/backends/tensorrt/library.js";
import { load } from "../../src/index.js";
import { readNpz } from "../../src/util/npz.js";
import { kernelsOf } from "../backends/tensorrt/kernels.js";

const [folder, ...names] = process.argv.slice(2);
const python = process.env.TRTORCH_TEST_PYTHON;
if (folder === undefined || python === undefined) {
  console.error("usage: TRTORCH_TEST_PYTHON=python3 node --import tsx test/bench/kernels.ts FOLDER [MODEL ...]");
  process.exit(2);
}

const script = new URL("kernels_onnx.py", import.meta.url).pathname;
const env = { LD_LIBRARY_PATH: dirname(findLibrary("rtx")) };
console.log("| model | fp32 | ONNX parser | fp16 | ONNX parser |");
console.log("|---|---:|---:|---:|---:|");
for (const name of names.length > 0 ? names : readdirSync(folder)) {
  const inputs = [...readNpz(join(folder, name, "io.npz"))]
    .filter(([key]) => key.startsWith("in"))
    .map(([, { dtype, sizes }]) => ({ dtype, shape: [...sizes] }));
  const model = load(join(folder, name, "trace.ts"));
  const ours: number[] = [];
  for (const precision of ["fp32", "fp16"] as const) {
    const network = await model.network({ backend: "tensorrt-rtx", precision, inputs });
    ours.push((await kernelsOf(network)).length);
  }
  const { stdout } = await execa(python, [script, join(folder, name), name], { env, reject: false });
  const [single = "-", half = "-"] = stdout.split("\n").filter((line) => /^\d+$/.test(line));
  console.log(`| ${name} | ${ours[0]} | ${single} | ${ours[1]} | ${half} |`);
}
