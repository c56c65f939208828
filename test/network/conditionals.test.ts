import t from "tap";
import { execute } from "../../src/backends/onnx/runtime.js";
import { buildEngine } from "../../src/backends/tensorrt/index.js";
import { setup } from "../../src/backends/tensorrt/setup.js";
import { Tensor } from "../../src/ir/tensor.js";
import { settleConditionals } from "../../src/network/conditionals.js";
import type { ITensor } from "../../src/network/layers.js";
import { Network } from "../../src/network/network.js";
import { type Dim, mul, sub } from "../../src/network/symbolic.js";
import { makeWeights } from "../../src/network/weights.js";

await setup({ flavours: ["rtx"] });

/** One of two results by a flag that the network computes; `x` has a range. */
function branching(then: (network: Network, x: ITensor) => ITensor, otherwise = then): [Network, ITensor, ITensor] {
  const network = new Network();
  const x = network.addDynamicInput("x", "kFLOAT", [2, { min: 1, opt: 3, max: 6 }]);
  const flag = network.addUnary(network.addInput("flag", "kBOOL", []), "kNOT");
  const conditional = network.addIfConditional(flag);
  const a = conditional.branch("then", () => then(network, x));
  const b = conditional.branch("else", () => otherwise(network, x));
  return [network, x, conditional.addOutput(a, b)];
}

function types(network: Network): string[] {
  return network.layers.map(({ type }) => type);
}

async function run(network: Network, x: number[], flag: boolean): Promise<number[][]> {
  const inputs = { x: Tensor.of("float32", [2, x.length / 2], x), flag: Tensor.of("bool", [], [Number(flag)]) };
  const outputs = await execute(network, inputs);
  return network.outputs.map(({ name }) => [...(outputs[name] as Tensor).toNumbers()]);
}

t.test("branches that cost less than branching are computed both ways", async (t) => {
  const [network, x, y] = branching(
    (network, x) => network.addActivation(x, "kRELU"),
    (network, x) => network.addElementWise(x, network.addUnary(x, "kNEG"), "kPROD"),
  );
  network.markOutput(y, "y");
  network.markOutput(network.addElementWise(y, x, "kSUM"), "sum");
  settleConditionals(network);
  network.prune();
  t.notOk(types(network).some((type) => type.startsWith("kCONDITION")));
  t.equal(types(network).filter((type) => type === "kSELECT").length, 1);
  t.ok(network.layers.every(({ scope }) => scope === undefined));
  t.strictSame(
    network.outputs.map(({ name }) => name),
    ["y", "sum"],
  );
  t.strictSame(await run(network, [1, -2, 3, -4], false), [
    [1, 0, 3, 0],
    [2, -2, 6, -4],
  ]);
  t.strictSame(await run(network, [1, -2, 3, -4], true), [
    [-1, -4, -9, -16],
    [0, -6, -6, -20],
  ]);
});

t.test("inside of each other, and inside of a heavy one", async (t) => {
  for (const heavy of [false, true]) {
    const [network, , y] = branching(
      (network, x) => {
        const inner = network.addIfConditional(network.addUnary(network.inputs[1] as ITensor, "kNOT"));
        const a = inner.branch("then", () => network.addUnary(x, "kABS"));
        const b = inner.branch("else", () => network.addUnary(x, "kSIN"));
        return inner.addOutput(a, b);
      },
      (network, x) => {
        const square = network.addConstant(makeWeights("kFLOAT", [2, 2], [0, 1, 1, 0]));
        return heavy ? network.addMatrixMultiply(square, "kNONE", x, "kNONE") : network.addUnary(x, "kNEG");
      },
    );
    network.markOutput(y, "y");
    settleConditionals(network);
    network.prune();
    t.equal(types(network).filter((type) => type === "kCONDITION").length, heavy ? 1 : 0);
    t.strictSame(await run(network, [1, -2, 3, -4], false), [[1, 2, 3, 4]]);
    t.strictSame(await run(network, [1, -2, 3, -4], true), [heavy ? [3, -4, 1, -2] : [-1, 2, -3, 4]]);
  }
});

t.test("what a condition may guard stays behind it", (t) => {
  const remains = (branch: (network: Network, x: ITensor) => ITensor): boolean => {
    const [network, , y] = branching(branch, (network, x) => network.addIdentity(branch(network, x)));
    network.markOutput(y, "y");
    settleConditionals(network);
    return types(network).includes("kCONDITION");
  };
  t.ok(
    remains((network, x) => network.addShuffle(x, { reshape: [6] })),
    "a reshape that only some sizes allow",
  );
  t.ok(
    remains((network, x) => network.addElementWise(x, network.addInput("other", "kFLOAT", [2, 3]), "kSUM")),
    "operands that go together at some sizes only",
  );
  t.ok(
    remains((network, x) => {
      const whole = network.addCast(x, "kINT32");
      return network.addCast(network.addElementWise(whole, whole, "kDIV"), "kFLOAT");
    }),
    "integers that may be divided by zero",
  );
  t.notOk(
    remains((network, x) => network.addShuffle(x, { firstTranspose: [1, 0] })),
    "a transpose is always allowed",
  );
  t.end();
});

t.test("TensorRT-RTX builds a conditional beside what is moved into computed dims", async (t) => {
  const [network, x, y] = branching((network, x) => network.addCumulative(x, 1));
  network.markOutput(y, "y");
  network.markOutput(network.addShuffle(x, { reshape: [mul(2, x.dims[1] as Dim)] }), "flat");
  settleConditionals(network);
  t.ok(types(network).includes("kCONDITION"));
  t.equal(network.outputs[1]?.name, "flat");
  t.ok((await buildEngine(network, { flavour: "rtx", targets: ["sm_89"] })).engine.length > 1000);
});

t.test("branches of different sizes: the result's is known at run time, within the bounds of both", async (t) => {
  const [network, , y] = branching(
    (network) => network.addConstant(makeWeights("kFLOAT", [2, 1], [7, 8])),
    (network, x) => network.addConcatenation([x, x], 1),
  );
  t.match(y.dims, [2, { min: 1, max: 12 }]);
  const last = network.addSlice(y, [0, sub(y.dims[1] as Dim, 1)], [2, 1], [1, 1]);
  network.markOutput(last, "last");
  t.strictSame(await run(network, [1, -2, 3, -4], false), [[7, 8]]);
  t.strictSame(await run(network, [1, -2, 3, -4], true), [[-2, -4]]);
});
