import fc from "fast-check";
import t, { type Test } from "tap";
import { execute } from "../../src/backends/onnx/runtime.js";
import { Tensor } from "../../src/ir/tensor.js";
import type { DataType } from "../../src/network/enums.js";
import { fromHalf, toBf16, toHalf } from "../../src/network/half.js";
import { inferOutputs } from "../../src/network/inference.js";
import type { ITensor, Layer, LayerAttributes, LayerType } from "../../src/network/layers.js";
import { Network } from "../../src/network/network.js";
import { applyPrecision, type Precision, type PrecisionOptions } from "../../src/network/precision.js";
import { makeWeights, numbersOf } from "../../src/network/weights.js";

function noise(seed: number, count: number, scale = 1): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return (state / 2 ** 30 - 1) * scale;
  });
}

function volume(dims: readonly number[]): number {
  return dims.reduce((product, size) => product * size, 1);
}

function weight(network: Network, seed: number, dims: readonly number[], scale = 1): ITensor {
  return network.addConstant(makeWeights("kFLOAT", dims, noise(seed, volume(dims), scale)));
}

function filled(network: Network, type: DataType, dims: readonly number[], value: number): ITensor {
  return network.addConstant(makeWeights(type, dims, new Array(volume(dims)).fill(value)));
}

/** What TensorRT would check of a strongly typed network, and that nothing is cast twice. */
function wellTyped(t: Test, network: Network): void {
  const casts = new Set<string>();
  const made = new Set<ITensor>(network.inputs);
  for (const layer of network.layers) {
    for (const input of layer.inputs) {
      const isNext = layer.type === "kRECURRENCE" && input === layer.inputs[1];
      if (input !== null && !isNext) t.ok(made.has(input), `${layer.name} comes after its inputs`);
    }
    const attributes = layer.attributes as LayerAttributes[LayerType];
    const types = inferOutputs(layer.type, layer.inputs, attributes).map(({ type }) => type);
    t.same(
      layer.outputs.map(({ type }) => type),
      types,
      layer.name,
    );
    for (const output of layer.outputs) made.add(output);
    if (layer.type === "kRECURRENCE") t.equal(layer.inputs[1]?.type, layer.outputs[0]?.type);
    if (layer.type !== "kCAST") continue;
    const key = `${layer.inputs[0]?.id} ${layer.attributes.toType}`;
    t.notOk(casts.has(key), "one cast a tensor and direction");
    casts.add(key);
  }
}

async function close(
  t: Test,
  network: Network,
  precision: Precision,
  inputs: Record<string, Tensor>,
  tolerance: number,
  options: PrecisionOptions = {},
) {
  const before = network.layers.map((layer) => [layer, layer.outputs.map(({ type }) => type)] as const);
  const result = applyPrecision(network, precision, options);
  t.ok(
    before.every(
      ([layer, types], i) => layer === network.layers[i] && `${layer.outputs.map(({ type }) => type)}` === `${types}`,
    ),
    "the network given is as before",
  );
  wellTyped(t, result.network);
  const bindings = (n: Network) => [...n.inputs, ...n.outputs].map(({ name, type }) => `${name}: ${type}`);
  t.same(bindings(result.network), bindings(network), "inputs and outputs keep names and types");
  const [want, got] = [await execute(network, inputs), await execute(result.network, inputs)];
  for (const [name, tensor] of Object.entries(want)) {
    const [a, b] = [Array.from(tensor.toNumbers()), (got[name] as Tensor).toNumbers()];
    const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const error = a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0);
    t.ok(error <= tolerance * (1 + largest), `${precision} ${name}: ${error} of ${largest}`);
  }
  return result;
}

function operationOf(layer: Layer): string {
  return "operation" in layer.attributes ? `${layer.type} ${layer.attributes.operation}` : layer.type;
}

t.test("a convolutional network in half precision", async (t) => {
  const network = new Network();
  const x = network.addDynamicInput("x", "kFLOAT", [{ min: 1, opt: 2, max: 4 }, 3, 16, 16]);
  const conv = (input: ITensor, from: number, to: number, seed: number): ITensor =>
    network.addConvolutionNd(
      input,
      to,
      [3, 3],
      makeWeights("kFLOAT", [to, from, 3, 3], noise(seed, to * from * 9, 0.3)),
      makeWeights("kFLOAT", [to], noise(seed + 1, to)),
      { prePadding: [1, 1] },
    );
  let y = network.addActivation(conv(x, 3, 8, 1), "kRELU");
  y = network.addPoolingNd(y, "kMAX", [2, 2]);
  y = network.addElementWise(y, network.addActivation(conv(y, 8, 8, 2), "kSIGMOID"), "kPROD");
  y = network.addReduce(y, "kAVG", [2, 3], false);
  y = network.addMatrixMultiply(y, "kNONE", weight(network, 3, [10, 8]), "kTRANSPOSE");
  network.markOutput(network.addSoftMax(y, 1), "y");
  const inputs = { x: Tensor.of("float32", [2, 3, 16, 16], noise(9, 1536)) };
  for (const [precision, tolerance] of [
    ["fp16", 2e-3],
    ["bf16", 2e-2],
  ] as const) {
    const { network: half, fp32Layers, warnings } = await close(t, network, precision, inputs, tolerance);
    t.same(fp32Layers, [], "all of it is half");
    t.same(warnings, []);
    t.same(
      half.layers.filter(({ type }) => type === "kCAST").map(({ name }) => name),
      [`x/to_${precision}`, "softmax/to_fp32"],
    );
  }
  t.equal(applyPrecision(network, "fp32").network, network, "fp32 is what it was");
});

t.test("the mean of a large image is half, its variance and other long means are not", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [1, 4, 48, 48]);
  const mean = network.addReduce(x, "kAVG", [2, 3], true);
  // Beyond a half's squares: 600^2 is 360000.
  const centred = network.addElementWise(x, mean, "kSUB");
  const variance = network.addReduce(network.addElementWise(centred, centred, "kPROD"), "kAVG", [2, 3], true);
  network.markOutput(network.addElementWise(centred, network.addUnary(variance, "kSQRT"), "kDIV"), "y");
  const rows = network.addShuffle(x, { reshape: [4, 2304] });
  network.markOutput(network.addReduce(rows, "kAVG", [1], false), "long");
  const inputs = { x: Tensor.of("float32", [1, 4, 48, 48], noise(3, 9216, 600)) };
  const { network: half } = await close(t, network, "fp16", inputs, 4e-3);
  const types = half.layers.filter(({ type }) => type === "kREDUCE").map(({ outputs }) => outputs[0]?.type);
  t.same(types, ["kHALF", "kFLOAT", "kFLOAT"]);
});

t.test("a spectrum's power is beyond a half", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [2, 64]);
  network.layerNamePrefix = "front/aten::fft_rfft";
  const spectrum = network.addMatrixMultiply(x, "kNONE", weight(network, 1, [64, 33], 20), "kNONE");
  network.layerNamePrefix = "aten::mul";
  const power = network.addElementWise(spectrum, spectrum, "kPROD");
  network.markOutput(network.addUnary(power, "kSQRT"), "y");
  const inputs = { x: Tensor.of("float32", [2, 64], noise(3, 128, 20)) };
  const { fp32Layers } = await close(t, network, "fp16", inputs, 1e-2);
  t.match(fp32Layers[0], { layer: "front/aten::fft_rfft", reason: /Fourier/ });
  t.equal(fp32Layers.length, 3);
});

t.test("layer norms, masks and attention", async (t) => {
  const [length, size, heads] = [16, 32, 4];
  const network = new Network();
  const ids = network.addInput("ids", "kINT64", [2, length]);
  const mask = network.addInput("mask", "kINT64", [2, length]);
  // As transformers make it: (1 - mask) * finfo.min.
  const keep = network.addShuffle(network.addCast(mask, "kFLOAT"), { reshape: [2, 1, 1, length] });
  const drop = network.addElementWise(filled(network, "kFLOAT", [1, 1, 1, 1], 1), keep, "kSUB");
  const bias = network.addElementWise(drop, filled(network, "kFLOAT", [1, 1, 1, 1], -3.4028234663852886e38), "kPROD");
  const twice = network.addElementWise(bias, bias, "kSUM");
  const norm = (x: ITensor, seed: number): ITensor => {
    const mean = network.addReduce(x, "kAVG", [2], true);
    const centred = network.addElementWise(x, mean, "kSUB");
    const squares = network.addElementWise(centred, centred, "kPROD");
    const variance = network.addReduce(squares, "kAVG", [2], true);
    const epsilon = network.addElementWise(variance, filled(network, "kFLOAT", [1, 1, 1], 1e-12), "kSUM");
    const scaled = network.addElementWise(centred, network.addUnary(epsilon, "kSQRT"), "kDIV");
    return network.addElementWise(scaled, weight(network, seed, [1, 1, size]), "kPROD");
  };
  // Beyond a half's squares: 600^2 is 360000.
  const embedded = network.addGather(weight(network, 1, [100, size], 600), ids, 0);
  const x = norm(embedded, 2);
  const project = (seed: number): ITensor => {
    const y = network.addMatrixMultiply(x, "kNONE", weight(network, seed, [1, size, size], 0.3), "kNONE");
    return network.addShuffle(y, { reshape: [2, length, heads, size / heads], secondTranspose: [0, 2, 1, 3] });
  };
  const scores = network.addMatrixMultiply(project(3), "kNONE", project(4), "kTRANSPOSE");
  const probabilities = network.addSoftMax(network.addElementWise(scores, twice, "kSUM"), 3);
  const mixed = network.addMatrixMultiply(probabilities, "kNONE", project(5), "kNONE");
  const joined = network.addShuffle(mixed, { firstTranspose: [0, 2, 1, 3], reshape: [2, length, size] });
  network.markOutput(norm(joined, 6), "y");
  const inputs = {
    ids: Tensor.of(
      "int64",
      [2, length],
      noise(8, 2 * length).map((value) => Math.floor((value + 1) * 50)),
    ),
    mask: Tensor.of(
      "int64",
      [2, length],
      Array.from({ length: 2 * length }, (_, i) => Number(i < 20)),
    ),
  };
  const { network: half, fp32Layers } = await close(t, network, "fp16", inputs, 1e-2);
  await close(t, network, "bf16", inputs, 8e-2);
  const kept = new Set(half.layers.filter(({ outputs }) => outputs[0]?.type === "kFLOAT").map(operationOf));
  for (const operation of ["kELEMENTWISE kPROD", "kREDUCE kAVG", "kUNARY kSQRT"]) t.ok(kept.has(operation), operation);
  t.ok(fp32Layers.some(({ reason }) => reason.includes("integers")));
  t.notOk(
    fp32Layers.some(({ layer }) => /softmax|matrix|gather/.test(layer)),
    "what costs time is half",
  );
  t.ok(half.layers.some((layer) => layer.type === "kACTIVATION" && layer.attributes.activationType === "kCLIP"));
});

t.test("positions stay fp32: rotary embeddings at position 4000", async (t) => {
  const network = new Network();
  const positions = network.addInput("positions", "kINT64", [1, 1, 6]);
  const x = network.addInput("x", "kFLOAT", [1, 6, 8]);
  const frequencies = network.addConstant(
    makeWeights(
      "kFLOAT",
      [1, 8, 1],
      Array.from({ length: 8 }, (_, i) => 10000 ** (-i / 8)),
    ),
  );
  const angles = network.addMatrixMultiply(frequencies, "kNONE", network.addCast(positions, "kFLOAT"), "kNONE");
  const cosine = network.addUnary(network.addShuffle(angles, { firstTranspose: [0, 2, 1] }), "kCOS");
  network.markOutput(network.addElementWise(x, cosine, "kPROD"), "y");
  const inputs = {
    positions: Tensor.of("int64", [1, 1, 6], [0, 1, 2047, 2049, 4001, 4095]),
    x: Tensor.of("float32", [1, 6, 8], noise(1, 48)),
  };
  const { network: half } = await close(t, network, "fp16", inputs, 1e-3);
  t.equal(half.outputs[0]?.producer?.inputs[0]?.type, "kHALF", "the data is half");
});

t.test("rows of zeros divided by their norm, and multiplied by its reciprocal", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [2, 8]);
  const squares = network.addReduce(network.addElementWise(x, x, "kPROD"), "kSUM", [1], true);
  const norm = network.addElementWise(
    network.addUnary(squares, "kSQRT"),
    filled(network, "kFLOAT", [1, 1], 1e-12),
    "kMAX",
  );
  network.markOutput(network.addElementWise(x, norm, "kDIV"), "normalized");
  const shifted = network.addElementWise(squares, filled(network, "kFLOAT", [1, 1], 1e-12), "kSUM");
  const factor = network.addUnary(network.addUnary(shifted, "kSQRT"), "kRECIP");
  const scaled = network.addElementWise(x, factor, "kPROD");
  const y = network.addMatrixMultiply(scaled, "kNONE", weight(network, 1, [8, 4]), "kNONE");
  network.markOutput(y, "scaled");
  const inputs = { x: Tensor.of("float32", [2, 8], [...noise(1, 8), 0, 0, 0, 0, 0, 0, 0, 0]) };
  const { fp32Layers } = await close(t, network, "fp16", inputs, 2e-3);
  t.equal(fp32Layers.filter(({ reason }) => reason.startsWith("divided or multiplied")).length, 2);
  t.notOk(fp32Layers.some(({ layer }) => layer.startsWith("matrix_multiply")));
});

t.test("coordinates moved by data, and how far they were moved", async (t) => {
  const network = new Network();
  const image = network.addInput("image", "kFLOAT", [1, 1, 64, 64]);
  const step = network.addConvolutionNd(image, 2, [1, 1], makeWeights("kFLOAT", [2, 1, 1, 1], [0.13, -0.07]), null);
  const moves = network.addShuffle(step, { firstTranspose: [0, 2, 3, 1] });
  const pixels = Array.from({ length: 64 * 64 }, (_, i) => [i % 64, Math.floor(i / 64)]).flat();
  const start = network.addConstant(makeWeights("kFLOAT", [1, 64, 64, 2], pixels));
  const moved = network.addElementWise(start, moves, "kSUM");
  const scaled = network.addElementWise(moved, filled(network, "kFLOAT", [1, 1, 1, 1], 31.5), "kDIV");
  const grid = network.addElementWise(scaled, filled(network, "kFLOAT", [1, 1, 1, 1], 1), "kSUB");
  const options = { interpolationMode: "kLINEAR", alignCorners: true, sampleMode: "kFILL" } as const;
  network.markOutput(network.addGridSample(image, grid, options), "sampled");
  network.markOutput(network.addElementWise(moved, start, "kSUB"), "flow");
  const inputs = { image: Tensor.of("float32", [1, 1, 64, 64], noise(3, 4096)) };
  // A half has steps of 0.03 at pixel 63: the flow would be off by a tenth, and so would the samples.
  await close(t, network, "fp16", inputs, 1e-3);
});

t.test("what the model has in half, and what it casts up", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kHALF", [2, 300]);
  const wide = network.addCast(x, "kFLOAT");
  const squares = network.addElementWise(wide, filled(network, "kFLOAT", [1, 1], 2), "kPOW");
  const root = network.addUnary(network.addReduce(squares, "kSUM", [1], true), "kSQRT");
  const scaled = network.addElementWise(wide, root, "kDIV");
  const product = network.addMatrixMultiply(scaled, "kNONE", weight(network, 1, [300, 4]), "kNONE");
  network.markOutput(network.addCast(product, "kHALF"), "y");
  const inputs = { x: Tensor.of("float16", [2, 300], noise(2, 600, 300)) };
  for (const precision of ["fp16", "bf16"] as const) {
    const { fp32Layers, network: half } = await close(t, network, precision, inputs, 1e-3);
    t.equal(fp32Layers.length, 5);
    t.equal(half.layers.length, network.layers.length, "nothing is added");
  }
});

t.test("branches and loops", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [3, 4]);
  const flag = network.addInput("flag", "kBOOL", []);
  const conditional = network.addIfConditional(flag);
  const thenOutput = conditional.branch("then", () => network.addUnary(x, "kEXP"));
  const elseOutput = conditional.branch("else", () => network.addActivation(x, "kTANH"));
  const chosen = conditional.addOutput(thenOutput, elseOutput);
  const loop = network.addLoop();
  loop.addTripLimit(filled(network, "kINT64", [], 3), "kCOUNT");
  const state = loop.addRecurrence(filled(network, "kFLOAT", [4], 0.5));
  const row = loop.addIterator(chosen, 0);
  const next = loop.body(() => network.addActivation(network.addElementWise(state.value, row, "kSUM"), "kSIGMOID"));
  state.setNext(next);
  network.markOutput(loop.addLoopOutput(state.value, "kLAST_VALUE"), "last");
  network.markOutput(loop.addLoopOutput(next, "kCONCATENATE", 0, 3), "all");
  for (const value of [0, 1]) {
    const inputs = { x: Tensor.of("float32", [3, 4], noise(1, 12)), flag: Tensor.of("bool", [], [value]) };
    await close(t, network, "fp16", inputs, 2e-3);
    await close(t, network, "bf16", inputs, 2e-2);
  }
});

t.test("quantized layers keep the scales' digits", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [2, 4]);
  const scale = filled(network, "kFLOAT", [], 0.0123);
  const quantized = network.addQuantize(x, scale, "kINT8");
  const back = network.addDequantize(quantized, scale, "kFLOAT");
  network.markOutput(network.addMatrixMultiply(back, "kNONE", weight(network, 1, [4, 4]), "kNONE"), "y");
  const inputs = { x: Tensor.of("float32", [2, 4], noise(1, 8)) };
  const { network: half } = await close(t, network, "bf16", inputs, 2e-2);
  const layer = half.layers.find(({ type }) => type === "kDEQUANTIZE");
  t.same([layer?.inputs[1]?.type, layer?.outputs[0]?.type], ["kFLOAT", "kBF16"]);
});

t.test("any network stays well typed, and runs", async (t) => {
  // Each step takes tensors made before it, and makes one of the same dims.
  const steps = fc.array(fc.record({ kind: fc.nat(15), a: fc.nat(), b: fc.nat(), c: fc.nat() }), {
    minLength: 3,
    maxLength: 20,
  });
  await fc.assert(
    fc.asyncProperty(steps, fc.constantFrom("fp16" as const, "bf16" as const), async (steps, precision) => {
      const network = new Network();
      const floats = [network.addInput("x", "kFLOAT", [4, 4]), weight(network, 1, [4, 4])];
      const integers = [network.addInput("n", "kINT64", [4, 4])];
      for (const { kind, a, b, c } of steps) {
        const float = (index: number): ITensor => floats[index % floats.length] as ITensor;
        const integer = (index: number): ITensor => integers[index % integers.length] as ITensor;
        const condition = (): ITensor => network.addElementWise(integer(a), integer(b), "kGREATER");
        const unary = (["kABS", "kNEG", "kERF", "kSIN", "kEXP"] as const)[b % 5] as "kABS";
        const binary = (["kSUM", "kSUB", "kPROD", "kMAX", "kMIN"] as const)[c % 5] as "kSUM";
        if (kind < 2) floats.push(network.addUnary(float(a), unary));
        else if (kind < 5) floats.push(network.addElementWise(float(a), float(b), binary));
        else if (kind === 5) floats.push(network.addMatrixMultiply(float(a), "kNONE", float(b), "kTRANSPOSE"));
        else if (kind === 6) floats.push(network.addCast(integer(a), "kFLOAT"));
        else if (kind === 7) integers.push(network.addCast(network.addActivation(float(a), "kCLIP", -9, 9), "kINT64"));
        else if (kind === 8) integers.push(network.addElementWise(integer(a), integer(b), binary));
        else if (kind === 9) floats.push(network.addSelect(condition(), float(b), float(c)));
        else if (kind === 10) floats.push(network.addSoftMax(float(a), b % 2));
        else if (kind === 11) floats.push(network.addCast(network.addCast(float(a), "kHALF"), "kFLOAT"));
        else if (kind === 12) floats.push(filled(network, "kFLOAT", [4, 4], [-3.4e38, 1e-12, 2][a % 3] as number));
        else if (kind === 13) floats.push(network.addCumulative(float(a), b % 2));
        else if (kind === 14) {
          const conditional = network.addIfConditional(
            network.addShuffle(network.addSlice(condition(), [0, 0], [1, 1], [1, 1]), { reshape: [] }),
          );
          const branch = (kind: "then" | "else", index: number): ITensor =>
            conditional.branch(kind, () => network.addElementWise(float(index), float(c), binary));
          floats.push(conditional.addOutput(branch("then", a), branch("else", b)));
        } else {
          const loop = network.addLoop();
          loop.addTripLimit(filled(network, "kINT64", [], 2), "kCOUNT");
          const state = loop.addRecurrence(float(a));
          state.setNext(loop.body(() => network.addElementWise(state.value, float(b), binary)));
          floats.push(loop.addLoopOutput(state.value, "kLAST_VALUE"));
        }
      }
      network.markOutput(floats.at(-1) as ITensor, "y");
      network.markOutput(floats.at(-2) as ITensor, "z");
      network.markOutput(integers.at(-1) as ITensor, "m");
      network.prune();
      const { network: narrow } = applyPrecision(network, precision);
      for (const layer of narrow.layers) {
        const types = inferOutputs(layer.type, layer.inputs, layer.attributes as LayerAttributes[LayerType]);
        if (`${types.map(({ type }) => type)}` !== `${layer.outputs.map(({ type }) => type)}`)
          throw new Error(layer.name);
      }
      // onnxruntime checks the types of all operators.
      const outputs = await execute(narrow, {
        x: Tensor.of("float32", [4, 4], noise(1, 16)),
        n: Tensor.of("int64", [4, 4], noise(2, 16, 9).map(Math.round)),
      });
      if (`${Object.values(outputs).map(({ dtype }) => dtype)}` !== "float32,float32,int64")
        throw new Error("types of outputs");
    }),
    { numRuns: 40 },
  );
  t.pass();
});

t.test("named operators and modules stay fp32; names that match nothing are told", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [2, 8]);
  network.layerNamePrefix = "encoder.0.fc/aten::linear";
  const y = network.addMatrixMultiply(x, "kNONE", weight(network, 1, [8, 8]), "kNONE");
  network.layerNamePrefix = "head/aten::softmax";
  network.markOutput(network.addSoftMax(y, 1), "y");
  const inputs = { x: Tensor.of("float32", [2, 8], noise(1, 16)) };
  const kept = async (fp32Ops: PrecisionOptions["fp32Ops"]) =>
    (await close(t, network, "fp16", inputs, 2e-3, { fp32Ops: fp32Ops ?? [] })).fp32Layers.map(({ layer }) => layer);
  t.same(await kept(["aten::softmax"]), ["head/aten::softmax"]);
  t.same(await kept(["encoder.0"]), ["encoder.0.fc/aten::linear#1"]);
  t.same(await kept(["kSOFTMAX", "encoder.0.fc"]), ["encoder.0.fc/aten::linear#1", "head/aten::softmax"]);
  t.same(await kept((layer) => layer.type === "kSOFTMAX"), ["head/aten::softmax"]);
  t.match(applyPrecision(network, "fp16", { fp32Ops: ["aten::nothing"] }).warnings, [/aten::nothing/]);
});

t.test("weights beyond float16 saturate, with a warning unless they are masks", (t) => {
  const build = (value: number) => {
    const network = new Network();
    const x = network.addInput("x", "kFLOAT", [1]);
    network.markOutput(
      network.addElementWise(x, network.addConstant(makeWeights("kFLOAT", [1], [value])), "kSUM"),
      "y",
    );
    const { network: half, warnings } = applyPrecision(network, "fp16");
    const constant = half.layers.find((layer) => layer.type === "kCONSTANT");
    return { value: constant?.type === "kCONSTANT" ? numbersOf(constant.attributes.weights)[0] : null, warnings };
  };
  t.same(build(-3.4e38), { value: -65504, warnings: [] });
  t.same(build(-Infinity), { value: -Infinity, warnings: [] });
  t.match(build(1e6), { value: 65504, warnings: [/beyond float16's range/] });
  t.same(build(2), { value: 2, warnings: [] });
  t.end();
});

t.test("conversion to halves is exact and quick", (t) => {
  const every = new Float32Array(65536 * 3);
  const halves = fromHalf(Uint16Array.from({ length: 65536 }, (_, i) => i));
  // Every half, and floats a little beside and in the middle between two.
  halves.forEach((value, i) => {
    every.set([value, value * 1.0002, (value + (halves[i + 1] ?? 0)) / 2], 3 * i);
  });
  const got = toHalf(every);
  const want = new Uint16Array(makeWeights("kHALF", [every.length], every).values.buffer);
  let wrong = 0;
  for (let i = 0; i < every.length; i++) if (got[i] !== want[i] && !Number.isNaN(every[i])) wrong++;
  t.equal(wrong, 0, "as the reference conversion rounds");
  t.ok(fromHalf(toHalf(Float32Array.of(Number.NaN)))[0] !== 0);
  t.same(Array.from(toBf16(Float32Array.of(1, 1.00390625, 1.01171875))), [0x3f80, 0x3f80, 0x3f82], "ties to even");
  const many = new Float32Array(25_000_000).fill(0.1);
  const start = process.cpuUsage();
  toHalf(many);
  const milliseconds = process.cpuUsage(start).user / 1000;
  t.ok(milliseconds < 1000, `the weights of ResNet-50 take ${milliseconds.toFixed(0)} ms`);
  t.end();
});
