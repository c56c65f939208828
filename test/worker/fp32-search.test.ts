import t from "tap";
import { execute } from "../../src/backends/onnx/runtime.js";
import { Tensor } from "../../src/ir/tensor.js";
import type { ITensor } from "../../src/network/layers.js";
import { Network } from "../../src/network/network.js";
import { makeWeights } from "../../src/network/weights.js";
import { measurePrecision, searchFp32Ops } from "../../src/worker/fp32-search.js";
import type { Reference } from "../../src/worker/golden.js";

const TOLERANCE = { rtol: 2e-2, atol: 0 };

/** Adds layers under the name that a converter would give them. */
function named(network: Network, name: string, make: () => ITensor): ITensor {
  network.layerNamePrefix = name;
  const tensor = make();
  network.layerNamePrefix = "";
  return tensor;
}

async function referenceOf(network: Network, numbers: readonly number[]): Promise<Reference> {
  const inputs = { x: Tensor.of("float32", [numbers.length], [...numbers]) };
  const outputs = await execute(network, inputs);
  return { inputs, outputs: network.outputs.map(({ name }) => outputs[name] as Tensor) };
}

/** Lengths as sqrt(x * x) in some modules, each behind a product that a half holds; squares of the large overflow it. */
function lengths(scales: Readonly<Record<string, number>>): Network {
  const network = new Network();
  const x = network.addDynamicInput("x", "kFLOAT", [4]);
  for (const [module, scale] of Object.entries(scales)) {
    const factor = network.addConstant(makeWeights("kFLOAT", [1], [scale]));
    const scaled = named(network, `${module}/aten::div`, () => network.addElementWise(x, factor, "kPROD"));
    const square = named(network, `${module}/aten::mul`, () => network.addElementWise(scaled, scaled, "kPROD"));
    const root = named(network, `${module}/aten::sqrt`, () => network.addUnary(square, "kSQRT"));
    network.markOutput(
      named(network, `${module}/aten::relu`, () => network.addActivation(root, "kRELU")),
      module,
    );
  }
  return network;
}

t.test("nothing is kept where the precision is good enough", async (t) => {
  const network = lengths({ a: 2 });
  const reference = await referenceOf(network, [1, 2, 3, 4]);
  let measured = 0;
  const found = await searchFp32Ops(network, "fp16", reference, {
    tolerance: TOLERANCE,
    onMeasured: () => measured++,
  });
  t.match(found, { without: { passed: true }, everything: null, found: { fp32Ops: [] } });
  t.equal(measured, 1);
});

t.test(
  "a square that overflows, with the root that takes it: both, and only in the module where it happens",
  async (t) => {
    const network = lengths({ a: 1, b: 300, c: 2 });
    const reference = await referenceOf(network, [1, 2, 3, 4]);
    const options = { tolerance: TOLERANCE };
    const { without, everything, found } = await searchFp32Ops(network, "fp16", reference, options);
    t.match(without, { passed: false, outputs: [{ passed: true }, { maxAbsError: null, passed: false }, {}] });
    t.equal(everything?.passed, true);
    t.same(found?.fp32Ops.toSorted(), ["b/aten::mul", "b/aten::sqrt"]);
    t.equal(found?.passed, true);
    const whole = await searchFp32Ops(network, "fp16", reference, { ...options, wholeOperators: true });
    t.same(whole.found?.fp32Ops.toSorted(), ["aten::mul", "aten::sqrt"]);
    // bfloat16 has the range of a float.
    t.same(
      (await searchFp32Ops(network, "bf16", reference, { tolerance: { rtol: 8e-2, atol: 0 } })).found?.fp32Ops,
      [],
    );
  },
);

t.test("an operator that all modules need goes by its own name", async (t) => {
  const network = lengths({ a: 300, b: 500 });
  const reference = await referenceOf(network, [1, 2, 3, 4]);
  const { found } = await searchFp32Ops(network, "fp16", reference, { tolerance: TOLERANCE });
  t.same(found?.fp32Ops.toSorted(), ["aten::mul", "aten::sqrt"]);
});

t.test("rounding rather than overflow: no element of the set can be left out", async (t) => {
  const network = new Network();
  let y: ITensor = network.addDynamicInput("x", "kFLOAT", [8]);
  for (let i = 0; i < 6; i++) {
    const weight = network.addConstant(makeWeights("kFLOAT", [1], [1 + 0.1234567 * i]));
    y = named(network, `block.${i}/aten::mul`, () => network.addElementWise(y, weight, "kPROD"));
    y = named(network, `block.${i}/aten::tanh`, () => network.addActivation(y, "kTANH"));
    y = named(network, `block.${i}/aten::add`, () => network.addElementWise(y, weight, "kSUM"));
  }
  network.markOutput(y, "y");
  const reference = await referenceOf(network, [0.1, 0.2, 0.3, 0.4, -0.1, -0.2, -0.3, -0.4]);
  const tolerance = { rtol: 1e-5, atol: 0 };
  const { without, found } = await searchFp32Ops(network, "fp16", reference, { tolerance });
  t.equal(without.passed, false);
  t.ok(found?.passed && found.fp32Ops.length > 1, String(found?.fp32Ops));
  for (const name of found?.fp32Ops ?? []) {
    const rest = found?.fp32Ops.filter((other) => other !== name) ?? [];
    t.notOk((await measurePrecision(network, "fp16", rest, reference, tolerance)).passed, `not without ${name}`);
  }
});

t.test("where fp32 itself is beyond the tolerance there is no set", async (t) => {
  const network = lengths({ a: 1 });
  const reference = await referenceOf(network, [1, 2, 3, 4]);
  const other = { ...reference, outputs: [Tensor.of("float32", [4], [1, 2, 3, 5])] };
  const result = await searchFp32Ops(network, "fp16", other, { tolerance: TOLERANCE });
  t.match(result, { without: { passed: false }, everything: { passed: false }, found: null });
});
