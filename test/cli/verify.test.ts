import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Tensor } from "../../src/ir/tensor.js";
import { readNpz, writeNpz } from "../../src/util/npz.js";
import { compare } from "../../src/worker/comparison.js";
import { FakeMachine } from "./fake-engine.js";
import { trtorch, write } from "./project.js";

const LENET = fileURLToPath(new URL("../fixtures/models/lenet/", import.meta.url));
const DOUBLE = fileURLToPath(new URL("../fixtures/cli/double.ts", import.meta.url));

/** A folder with LeNet, its golden file, and one with other outputs. */
async function lenet(root: string, change: (outputs: number[]) => number[]): Promise<void> {
  for (const file of ["trace.ts", "export.pt2", "io.npz"]) copyFileSync(join(LENET, file), join(root, file));
  const recorded = readNpz(join(root, "io.npz"));
  const output = recorded.get("out0") as Tensor;
  await writeNpz(join(root, "changed.npz"), [
    ["in0", recorded.get("in0") as Tensor],
    ["out0", Tensor.of("float32", output.sizes, change([...output.toNumbers()]))],
  ]);
}

t.test("a model beside golden outputs", async (t) => {
  const root = t.testdir({});
  await lenet(root, (outputs) => outputs.with(3, 0.5));
  const good = await trtorch(root, ["verify", "trace.ts", "--golden", "io.npz"]);
  t.equal(good.code, 0, good.stderr);
  t.match(
    good.stdout,
    /^trace\.ts, fp32 in onnxruntime on the CPU, beside io\.npz\n {2}output_0 \[1, 10\]: max error .* \(allowed 0\.00\d+\), mean .*, cosine 1\.000000, no NaN\n( {4}(equal|< 1e-\d) +\d+ {2}#+\n)+passed\n$/,
  );
  const wrong = await trtorch(root, ["verify", "trace.ts", "--golden", "changed.npz", "--json"]);
  t.equal(wrong.code, 1);
  const result = JSON.parse(wrong.stdout);
  t.match(result, { reference: "changed.npz", tolerance: { rtol: 1e-3, atol: 0 }, passed: false });
  t.match(result.outputs, [{ output: "output_0", dims: [1, 10], passed: false, nan: 0, referenceNan: 0 }]);
  const { histogram } = result.outputs[0] as { histogram: { below: number | null; count: number }[] };
  t.equal(
    histogram.reduce((sum, { count }) => sum + count, 0),
    10,
  );
  t.equal(histogram.find(({ below }) => below === 1)?.count, 1, "one element is off by something between 0.1 and 1");
  t.equal((await trtorch(root, ["verify", "trace.ts", "--golden", "changed.npz", "--atol", "1"])).code, 0);
  t.equal((await trtorch(root, ["verify", "trace.ts", "--golden", "io.npz", "--rtol", "0"])).code, 1);
});

t.test("NaN on one side fails", async (t) => {
  const root = t.testdir({});
  await lenet(root, (outputs) => outputs.with(0, Number.NaN));
  const inReference = await trtorch(root, ["verify", "trace.ts", "--golden", "changed.npz"]);
  t.equal(inReference.code, 1);
  t.match(
    inReference.stdout,
    /max error not finite .*no NaN\n {4}the reference has 1 NaN\n[\s\S]*\n {4}more +1 {2}#+\nfailed: output_0\n$/,
  );
  // A model that gives NaN where the reference has numbers.
  const recorded = readNpz(join(root, "io.npz"));
  await writeNpz(join(root, "bad-input.npz"), [
    ["in0", Tensor.of("float32", [1, 1, 32, 32], new Float32Array(1024).fill(Number.NaN))],
    ["out0", recorded.get("out0") as Tensor],
  ]);
  const result = await trtorch(root, ["verify", "trace.ts", "--golden", "bad-input.npz", "--json"]);
  t.equal(result.code, 1);
  t.match(JSON.parse(result.stdout), { passed: false, outputs: [{ maxAbsError: null, passed: false }] });
  t.ok(JSON.parse(result.stdout).outputs[0].nan > 0);
});

t.test("a lower precision, or another file, beside the CPU reference", async (t) => {
  const root = t.testdir({});
  await lenet(root, (outputs) => outputs);
  const half = await trtorch(root, ["verify", "export.pt2", "--precision", "half", "--shape", "max", "--json"]);
  t.equal(half.code, 0, half.stderr);
  t.match(JSON.parse(half.stdout), {
    place: "fp16 in onnxruntime on the CPU",
    reference: "export.pt2 in fp32 on the CPU",
    tolerance: { rtol: 2e-2 },
    outputs: [{ dims: [16, 10], nan: 0, passed: true }],
  });
  t.ok(JSON.parse(half.stdout).outputs[0].maxAbsError > 0, "they are not the same network");
  t.equal((await trtorch(root, ["verify", "export.pt2", "--precision", "fp16", "--rtol", "1e-7"])).code, 1);
  const other = await trtorch(root, ["verify", "export.pt2", "--model", "trace.ts", "--json"]);
  t.match(JSON.parse(other.stdout), { passed: true, reference: "trace.ts in fp32 on the CPU" });
});

t.test("mistakes", async (t) => {
  const root = t.testdir({ "model.engine": "nothing" });
  await lenet(root, (outputs) => outputs);
  const cases: [args: string[], stderr: RegExp][] = [
    [["export.pt2"], /^error: export\.pt2 in fp32 on the CPU is the reference itself\n {2}hint: Give --golden /],
    [
      ["model.engine"],
      /^error: there is nothing to compare model\.engine with\n {2}hint: Give --golden .* or --model /,
    ],
    [["trace.ts", "--golden", "io.npz", "--model", "trace.ts"], /^error: --model and --golden are given\n/],
    [["trace.ts", "--golden", "io.npz", "--input", "io.npz"], /^error: --input with a \.npz and --golden are given\n/],
    [["trace.ts", "--golden", "none.npz"], /^error: cannot read none\.npz: there is no such file\n$/],
    [["trace.ts", "--golden", "io.npz", "--rtol", "-1"], /It is a number, at least 0\./],
    [["export.pt2", "--model", "model.engine"], /^error: --model names model\.engine, which is an engine\n$/],
  ];
  for (const [args, stderr] of cases) {
    const ran = await trtorch(root, ["verify", ...args]);
    t.match(ran.stderr, stderr);
    t.equal(ran.code, 2, args.join(" "));
  }
});

t.test("an engine, beside golden outputs and beside the model", async (t) => {
  const root = t.testdir({});
  const machine = await FakeMachine.make(root);
  copyFileSync(DOUBLE, join(root, "double.ts"));
  const x = Tensor.of("float32", [1, 4], [1, 2, 3, 4]);
  const golden = (file: string, numbers: number[]) =>
    writeNpz(join(root, file), [
      ["in0", x],
      ["out0", Tensor.of("float32", [1, 4], numbers)],
    ]);
  await golden("good.npz", [2, 4, 6, 8]);
  await golden("wrong.npz", [2, 4, 6, 8.05]);
  const good = await machine.run("verify", "double.engine", "--golden", "good.npz");
  t.match(good, { code: 0, stdout: /^double\.engine, TensorRT 10 on Fake GPU \(sm_90\), beside good\.npz\n/ });
  t.equal((await machine.run("verify", "double.engine", "--golden", "wrong.npz")).code, 1);
  // The precision of the engine's build decides what is allowed.
  write(root, { "manifest.json": JSON.stringify({ precision: "fp16" }) });
  t.equal((await machine.run("verify", "double.engine", "--golden", "wrong.npz")).code, 0);
  const model = await machine.run("verify", "double.engine", "--model", "double.ts", "--shape", "max", "--json");
  t.equal(model.code, 0, model.stderr);
  t.match(JSON.parse(model.stdout), {
    reference: "double.ts in fp32 on the CPU",
    passed: true,
    outputs: [{ output: "y", dims: [8, 4], maxAbsError: 0 }],
  });
});

t.test("the histogram of errors", async (t) => {
  const of = (numbers: number[]) => Tensor.of("float64", [numbers.length], numbers);
  const { Infinity: infinity, NaN: nan } = globalThis;
  const result = compare("y", of([1, 1, infinity, nan, nan, 5, 100]), of([1, 1.05, infinity, nan, 1, infinity, 0]), {
    rtol: 0,
    atol: 1000,
  });
  t.same(
    result.histogram.filter(({ count }) => count > 0),
    [
      { below: 0, count: 3 },
      { below: 0.1, count: 1 },
      { below: null, count: 3 },
    ],
  );
  t.match(result, { nan: 2, referenceNan: 1, passed: false, allowed: 1000 });
});
