import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Tensor } from "../../src/ir/tensor.js";
import { readNpz, writeNpz } from "../../src/util/npz.js";
import { FakeMachine } from "./fake-engine.js";
import { trtorch } from "./project.js";

const MODELS = fileURLToPath(new URL("../fixtures/models/lenet/", import.meta.url));

t.test("a model with recorded inputs gives the recorded outputs", async (t) => {
  const root = t.testdir({});
  for (const file of ["trace.ts", "io.npz"]) copyFileSync(join(MODELS, file), join(root, file));
  const ran = await trtorch(root, ["run", "trace.ts", "--input", "io.npz", "--output", "out.npz"]);
  t.equal(ran.code, 0, ran.stderr);
  t.match(
    ran.stdout,
    /^trace\.ts, fp32 in onnxruntime on the CPU\n {2}input +x +float32 +\[1, 1, 32, 32\].*\n {2}output +output_0 +float32 +\[1, 10\] .*\nwrote out\.npz\n$/,
  );
  const [wanted, made] = [readNpz(join(root, "io.npz")), readNpz(join(root, "out.npz"))];
  t.same([...made.keys()], ["in0", "out0"]);
  t.same(made.get("in0")?.toNumbers(), wanted.get("in0")?.toNumbers());
  const reference = (wanted.get("out0") as Tensor).toNumbers();
  for (const [i, value] of (made.get("out0") as Tensor).toNumbers().entries()) {
    t.ok(Math.abs(value - (reference[i] as number)) < 1e-5);
  }
  // What run writes, run reads; and inputs also go by name.
  await writeNpz(join(root, "named.npz"), [["x", wanted.get("in0") as Tensor]]);
  const named = await trtorch(root, ["run", "trace.ts", "--input", "1x1x32x32", "--input", "named.npz", "--json"]);
  const again = await trtorch(root, ["run", "trace.ts", "--input", "out.npz", "--json"]);
  t.same(JSON.parse(named.stdout).outputs, JSON.parse(again.stdout).outputs);
});

t.test("random inputs: of a seed, in the shapes that the model takes", async (t) => {
  const root = t.testdir({});
  copyFileSync(join(MODELS, "export.pt2"), join(root, "export.pt2"));
  const run = async (...args: string[]) =>
    JSON.parse((await trtorch(root, ["run", "export.pt2", "--json", ...args])).stdout);
  const [first, same, other] = [await run("--seed", "3"), await run("--seed", "3"), await run("--seed", "4")];
  t.same(first, same);
  t.not(first.outputs[0].mean, other.outputs[0].mean);
  t.same((await run("--shape", "max")).inputs[0].dims, [16, 1, 32, 32]);
  const smallest = await run("--shape", "min");
  t.match(smallest, { inputs: [{ name: "x", dtype: "float32", dims: [1, 1, 32, 32], nan: 0 }], output: null });
  // As torch.randn gives them.
  t.ok(Math.abs(smallest.inputs[0].mean) < 0.1);
  t.ok(smallest.inputs[0].max > 2 && smallest.inputs[0].min < -2);
});

t.test("ids and masks are numbers that every embedding has", async (t) => {
  const model = fileURLToPath(new URL("../fixtures/models/bert_tiny/trace.ts", import.meta.url));
  const ran = await trtorch(t.testdir({}), ["run", model, "--input", "1x16@int64", "--input", "1x16@int64", "--json"]);
  t.match(JSON.parse(ran.stdout), {
    inputs: [
      { dtype: "int64", min: 0, max: 1 },
      { dtype: "int64", min: 0, max: 1 },
    ],
    outputs: [{ dims: [1, 16, 64], nan: 0 }],
  });
});

t.test("mistakes", async (t) => {
  const root = t.testdir({ "text.bin": "hello", "model.onnx": "hello" });
  copyFileSync(join(MODELS, "trace.ts"), join(root, "trace.ts"));
  await writeNpz(join(root, "empty.npz"), []);
  const cases: [args: string[], stderr: RegExp][] = [
    [["trace.ts"], /^error: trace\.ts does not hold the shapes of its inputs.*\n {2}hint: Give --input /],
    [["none.ts"], /^error: cannot read none\.ts: there is no such file\n$/],
    [["text.bin"], /^error: text\.bin is no engine and no model\n/],
    [["model.onnx"], /hint: Name the model that the ONNX file was made of/],
    [["trace.ts", "--input", "none.npz"], /^error: cannot read none\.npz: there is no such file\n$/],
    [["trace.ts", "--input", "1x1x32x32", "--input", "empty.npz"], /^error: empty\.npz has no array "in0"\n/],
    [["trace.ts", "--input", "a.npz", "--input", "b.npz"], /^error: there is more than one \.npz with inputs\n$/],
    [["trace.ts", "--input", "1x1x32x32", "--seed", "-1"], /It is a whole number, at least 0\./],
    [["trace.ts", "--input", "1x1x32x32", "--precision", "fp3"], /It is one of fp32, fp16, bf16\./],
    [["trace.ts", "--input", "1xx32"], /"1xx32" is not a shape/],
  ];
  for (const [args, stderr] of cases) {
    const ran = await trtorch(root, ["run", ...args]);
    t.match(ran.stderr, stderr);
    t.equal(ran.code, 2, args.join(" "));
  }
});

t.test("an engine", async (t) => {
  const root = t.testdir({});
  const machine = await FakeMachine.make(root);
  await writeNpz(join(root, "x.npz"), [["x", Tensor.of("float32", [2, 4], [0, 1, 2, 3, 4, 5, 6, 7])]]);
  const ran = await machine.run("run", "double.engine", "--input", "x.npz", "-o", "y.npz");
  t.equal(ran.code, 0, ran.stderr);
  t.match(ran.stdout, /^double\.engine, TensorRT 10 on Fake GPU \(sm_90\)\n/);
  t.same([...(readNpz(join(root, "y.npz")).get("out0") as Tensor).toNumbers()], [0, 2, 4, 6, 8, 10, 12, 14]);
  const dims = async (...args: string[]) =>
    JSON.parse((await machine.run("run", "double.engine", "--json", ...args)).stdout).inputs[0].dims;
  t.same(await dims("--shape", "max"), [8, 4]);
  t.same(await dims("--shape", "min", "--profile", "1"), [9, 4]);
  t.same(await dims("--input", "x=5x4"), [5, 4]);
  const tooLarge = await machine.run("run", "double.engine", "--input", "65x4");
  t.match(tooLarge, {
    code: 1,
    stderr: /^error: input x is \[65,4\], which the engine was not built for\n {2}hint: It takes /,
  });
  t.match(await machine.run("run", "double.engine", "--input", "z=1x4"), {
    code: 2,
    stderr: /no input for z=1x4\n.*inputs are x\./,
  });
  t.match(await machine.run("run", "double.engine", "--profile", "2"), {
    code: 2,
    stderr: /no optimization profile 2/,
  });
  const other = await machine.run("run", "other.engine");
  t.match(other, {
    code: 1,
    stderr: /^error: TensorRT 10\.6\.0 cannot load this engine on Fake GPU \(sm_90\)\n.*compute/,
  });
});

t.test("an engine where there is no TensorRT", async (t) => {
  const root = t.testdir({});
  const bytes = Buffer.alloc(64);
  bytes.write("ftrt");
  bytes.set([11, 0, 0, 1], 24);
  writeFileSync(join(root, "new.engine"), bytes);
  const missing = await trtorch(root, ["run", "new.engine", "--library", "."]);
  t.match(missing, { code: 1, stderr: /^error: .*TensorRT 11.*\n {2}hint: / });
  const json = await trtorch(root, ["run", "new.engine", "--library", ".", "--json"]);
  t.match(JSON.parse(json.stdout), { error: { code: "missing-library" } });
});
