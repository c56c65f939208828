import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { toOnnx } from "../../../src/backends/onnx/export.js";
import { writeModel, writeOnnx } from "../../../src/backends/onnx/file.js";
import { createSession, execute } from "../../../src/backends/onnx/runtime.js";
import type { ScalarType } from "../../../src/ir/scalar-type.js";
import { Tensor } from "../../../src/ir/tensor.js";
import type { DataType } from "../../../src/network/enums.js";
import { Network } from "../../../src/network/network.js";
import { makeWeights } from "../../../src/network/weights.js";

const TYPES: readonly (readonly [DataType, ScalarType])[] = [
  ["kFLOAT", "float32"],
  ["kHALF", "float16"],
  ["kBF16", "bfloat16"],
  ["kINT32", "int32"],
  ["kINT64", "int64"],
  ["kINT8", "int8"],
  ["kUINT8", "uint8"],
  ["kBOOL", "bool"],
];

t.test("inputs and outputs of every type, named as the network names them", async (t) => {
  const network = new Network();
  for (const [type, dtype] of TYPES) network.markOutput(network.addInput(`in ${dtype}`, type, [3]), `out ${dtype}`);
  const inputs = Object.fromEntries(TYPES.map(([, dtype]) => [`in ${dtype}`, Tensor.of(dtype, [3], [0, 1, 1])]));
  const outputs = await execute(network, inputs);
  for (const [, dtype] of TYPES) {
    t.equal(outputs[`out ${dtype}`]?.dtype, dtype);
    t.same(Array.from(outputs[`out ${dtype}`]?.toNumbers() ?? []), [0, 1, 1], dtype);
  }
  const wide = await execute(network, { ...inputs, "in bfloat16": Tensor.of("float64", [3], [1.001, 2, 3]) });
  t.same(Array.from(wide["out bfloat16"]?.toNumbers() ?? []), [1, 2, 3], "numbers of another dtype are converted");
});

t.test("bfloat16 is computed with its digits", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kBF16", [2]);
  const y = network.addConstant(makeWeights("kBF16", [2], [1 / 256, 1.5]));
  const sum = network.addElementWise(x, y, "kSUM");
  network.markOutput(network.addElementWise(sum, x, "kSUB"), "y");
  const { y: out } = await execute(network, { x: Tensor.of("bfloat16", [2], [1, 2]) });
  t.equal(out?.dtype, "bfloat16");
  t.same(Array.from(out?.toNumbers() ?? []), [0, 1.5], "1 + 1/256 has more digits than a bfloat16");
});

t.test("float16 is rounded after every layer", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kHALF", [3]);
  const square = network.addElementWise(x, x, "kPROD");
  network.markOutput(network.addUnary(square, "kSQRT"), "y");
  const { y } = await execute(network, { x: Tensor.of("float16", [3], [3, 300, 1.001953125]) });
  // 300 * 300 is beyond 65504; 1.001953125 squared rounds to 1.00390625, whose root rounds back.
  t.same([y?.dtype, [...(y?.toNumbers() ?? [])]], ["float16", [3, Number.POSITIVE_INFINITY, 1.001953125]]);
});

t.test("wider numbers are rounded to the input's type, as an engine's inputs are", async (t) => {
  for (const [type, dtype, rounded] of [
    ["kHALF", "float16", 1.0009765625],
    ["kBF16", "bfloat16", 1],
  ] as const) {
    const network = new Network();
    const x = network.addInput("x", type, [1]);
    const scale = network.addConstant(makeWeights(type, [1], [1024]));
    const one = network.addConstant(makeWeights(type, [1], [1]));
    network.markOutput(network.addElementWise(network.addElementWise(x, one, "kSUB"), scale, "kPROD"), "y");
    for (const wide of ["float32", "float64", dtype] as const) {
      const { y } = await execute(network, { x: Tensor.of(wide, [1], [1.0006]) });
      t.same([...(y?.toNumbers() ?? [])], [(rounded - 1) * 1024], `${wide} to ${dtype}`);
    }
  }
});

t.test("dynamic dims are named, and one session takes all sizes", async (t) => {
  const network = new Network();
  const x = network.addDynamicInput("x", "kFLOAT", [{ min: 1, opt: 2, max: 4, symbol: "batch" }, 3]);
  network.markOutput(network.addConcatenation([x, x], 0), "y");
  const model = toOnnx(network);
  t.same(model.graph.input[0]?.type.tensorType.shape?.dim, [{ dimParam: "batch" }, { dimValue: 3 }]);
  t.same(model.graph.output[0]?.type.tensorType.shape?.dim, [{ dimParam: "2*batch" }, { dimValue: 3 }]);
  const session = await createSession(network, { threads: 1 });
  for (const batch of [1, 4]) {
    const { y } = await session.run({ x: Tensor.of("float32", [batch, 3], new Array(batch * 3).fill(batch)) });
    t.same(y?.sizes, [2 * batch, 3]);
  }
  await t.rejects(session.run({}), {
    code: "mismatch",
    message: "there is no value for the input x",
    hint: "Inputs: x.",
  });
  await t.rejects(session.run({ x: Tensor.of("float32", [1, 2], [1, 2]) }), {
    code: "mismatch",
    message: "input x is kFLOAT[batch, 3], not [1, 2]",
    hint: /golden file/,
  });
  await session.release();
});

t.test("weights are views, written once, or into a file of their own", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [1, 600]);
  const weights = makeWeights(
    "kFLOAT",
    [600, 2],
    Array.from({ length: 1200 }, (_, i) => i % 7),
  );
  const [a, b] = [network.addConstant(weights), network.addConstant(weights)];
  const product = network.addMatrixMultiply(x, "kNONE", a, "kNONE");
  network.markOutput(network.addElementWise(product, network.addMatrixMultiply(x, "kNONE", b, "kNONE"), "kSUM"), "y");
  const model = toOnnx(network);
  const large = model.graph.initializer.filter(({ rawData }) => (rawData?.byteLength ?? 0) > 1000);
  t.equal(large.length, 1, "weights that two layers share are there once");
  t.equal(large[0]?.rawData, weights.values);
  const folder = t.testdir();
  t.same(await writeOnnx(network, join(folder, "one.onnx")), [join(folder, "one.onnx")]);
  const files = await writeModel(model, join(folder, "two.onnx"), true);
  t.same(files, [join(folder, "two.onnx"), join(folder, "two.onnx.data")]);
  t.equal(statSync(files[1] as string).size, 4800);
  t.ok(readFileSync(files[0] as string).byteLength < 1000);
  const ort = await import("onnxruntime-node");
  const feed = { x: new ort.Tensor("float32", new Float32Array(600).fill(1), [1, 600]) };
  const sums: unknown[] = [];
  for (const file of ["one.onnx", "two.onnx"]) {
    const session = await ort.InferenceSession.create(join(folder, file));
    sums.push(Array.from((await session.run(feed)).y?.data as Float32Array));
    await session.release();
  }
  const total = (start: number) =>
    2 * Array.from({ length: 600 }, (_, i) => (2 * i + start) % 7).reduce((p, q) => p + q);
  t.same(sums, [
    [total(0), total(1)],
    [total(0), total(1)],
  ]);
  t.notOk(existsSync(join(folder, "one.onnx.data")));
});

t.test("what nothing needs is left out, and constants may be outputs", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [2]);
  network.addUnary(x, "kEXP");
  network.markOutput(network.addConstant(makeWeights("kINT64", [2], [4, 5])), "constant");
  const model = toOnnx(network);
  t.same(
    model.graph.node.map(({ opType }) => opType),
    ["Identity"],
  );
  const { constant } = await execute(network, { x: Tensor.of("float32", [2], [0, 0]) });
  t.same(Array.from(constant?.toNumbers() ?? []), [4, 5]);
});

t.test("what onnxruntime refuses is said with its words", async (t) => {
  const network = new Network();
  const x = network.addDynamicInput("x", "kFLOAT", [{ min: 1, opt: 2, max: 4 }]);
  const y = network.addDynamicInput("y", "kFLOAT", [{ min: 1, opt: 2, max: 4 }]);
  network.markOutput(network.addElementWise(x, y, "kSUM"), "z");
  const inputs = { x: Tensor.of("float32", [2], [1, 2]), y: Tensor.of("float32", [3], [1, 2, 3]) };
  await t.rejects(execute(network, inputs), { code: "library", message: /onnxruntime cannot run the network: .*Add/s });
});

t.test("onnxruntime that is not installed is named, with how to install it", (t) => {
  const hook = `export async function resolve(name, context, next) {
    if (name === "onnxruntime-node") throw Object.assign(new Error(name), { code: "ERR_MODULE_NOT_FOUND" });
    return next(name, context);
  }`;
  const hide = `import { register } from "node:module"; register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)});`;
  const root = new URL("../../../src/", import.meta.url).href;
  const program = `
    import { Network } from "${root}network/network.js";
    import { createSession } from "${root}backends/onnx/runtime.js";
    createSession(new Network()).catch(({ code, message, hint }) => console.log(JSON.stringify({ code, message, hint })));
  `;
  const script = ["--import", "tsx", "--import", `data:text/javascript,${encodeURIComponent(hide)}`];
  const output = execFileSync(process.execPath, [...script, "--input-type=module", "-e", program], {
    encoding: "utf8",
  });
  t.same(JSON.parse(output), {
    code: "missing-library",
    message: "onnxruntime-node is not installed",
    hint: "Install it beside trtorch-build: npm i onnxruntime-node --ignore-scripts",
  });
  t.end();
});
