import { readFileSync } from "node:fs";
import fc from "fast-check";
import t from "tap";
import { execute } from "../../../src/backends/onnx/runtime.js";
import { Tensor } from "../../../src/ir/tensor.js";
import type { ActivationType, InterpolationMode, SampleMode } from "../../../src/network/enums.js";
import { constantOf } from "../../../src/network/fold.js";
import type { ITensor, Weights } from "../../../src/network/layers.js";
import { Network } from "../../../src/network/network.js";
import { add, type Dim, evaluate, sub } from "../../../src/network/symbolic.js";
import { makeWeights, numbersOf } from "../../../src/network/weights.js";

interface Case {
  readonly inputs: readonly { readonly sizes: readonly number[]; readonly values: readonly number[] }[];
  readonly sizes: readonly number[];
  readonly values: readonly number[];
  readonly mode: string;
  readonly size: readonly number[];
  readonly scales?: readonly number[];
  readonly corners: boolean;
  readonly padding: string | number | readonly number[];
  readonly stride: number | readonly number[];
  readonly output_padding?: readonly number[];
  readonly dilation?: readonly number[];
  readonly groups?: number;
}

/** What PyTorch computes; see make.py. */
const cases = Object.entries(
  JSON.parse(readFileSync(new URL("../../fixtures/onnx/layers.json", import.meta.url), "utf8")) as Record<string, Case>,
);

const INTERPOLATION: Record<string, InterpolationMode> = {
  nearest: "kNEAREST",
  bilinear: "kLINEAR",
  bicubic: "kCUBIC",
};

/** Builds a network of one layer for a recorded case. */
type Build = (network: Network, inputs: readonly ITensor[], recorded: Case, name: string) => ITensor;

function pair(value: number | readonly number[] | undefined, fallback: number): number[] {
  return typeof value === "object" ? [...value] : [value ?? fallback, value ?? fallback];
}

function weightsOf(tensor: ITensor): Weights {
  return constantOf(tensor) as Weights;
}

const BUILDERS: Record<string, Build> = {
  resize: (network, [x], { mode, size, scales, corners }) =>
    network.addResize(x as ITensor, [...(x as ITensor).dims.slice(0, 2), ...size], {
      resizeMode: INTERPOLATION[mode] as InterpolationMode,
      coordinateTransformation: mode === "nearest" ? "kASYMMETRIC" : corners ? "kALIGN_CORNERS" : "kHALF_PIXEL",
      ...(scales === undefined ? {} : { scales: [1, 1, ...scales] }),
    }),
  grid: (network, [x, grid], { mode, padding, corners }) =>
    network.addGridSample(x as ITensor, grid as ITensor, {
      interpolationMode: INTERPOLATION[mode] as InterpolationMode,
      alignCorners: corners,
      sampleMode: ({ zeros: "kFILL", border: "kCLAMP", reflection: "kREFLECT" } as const)[padding as "zeros"],
    }),
  deconvolution: (network, [x, kernel, bias], recorded) => {
    const padding = pair(recorded.padding as number, 0);
    const extra = recorded.output_padding ?? [0, 0];
    return network.addDeconvolutionNd(
      x as ITensor,
      6,
      [3, 2],
      weightsOf(kernel as ITensor),
      weightsOf(bias as ITensor),
      {
        strideNd: pair(recorded.stride, 1),
        prePadding: padding,
        postPadding: padding.map((size, i) => size - (extra[i] as number)),
        dilationNd: pair(recorded.dilation, 1),
        nbGroups: recorded.groups ?? 1,
      },
    );
  },
  group: (network, [x, scale, bias]) => {
    const shaped = [scale, bias].map((tensor) => network.addShuffle(tensor as ITensor, { reshape: [1, 6, 1, 1] }));
    return network.addNormalization(x as ITensor, shaped[0] as ITensor, shaped[1] as ITensor, [2, 3], 1e-3, 3);
  },
  instance: (network, [x, scale, bias]) => {
    const shaped = [scale, bias].map((tensor) => network.addShuffle(tensor as ITensor, { reshape: [1, 6, 1, 1] }));
    return network.addNormalization(x as ITensor, shaped[0] as ITensor, shaped[1] as ITensor, [2, 3], 1e-3);
  },
  layer: (network, [x, scale, bias]) => {
    const shaped = [scale, bias].map((tensor) => network.addShuffle(tensor as ITensor, { reshape: [1, 1, 3, 2] }));
    return network.addNormalization(x as ITensor, shaped[0] as ITensor, shaped[1] as ITensor, [2, 3], 1e-3);
  },
  attention: (network, [query, key, value, mask], _, name) => {
    let shaped = mask === undefined ? null : network.addShuffle(mask, { reshape: [1, 1, 3, 5] });
    if (shaped !== null && name.includes("bool")) shaped = network.addCast(shaped, "kBOOL");
    return network.addAttention(query as ITensor, key as ITensor, value as ITensor, shaped, name.includes("causal"));
  },
  nms: (network, [boxes, scores]) => {
    const scalar = (value: number): ITensor => network.addConstant(makeWeights("kFLOAT", [], [value]));
    const selected = network.addNMS(
      network.addShuffle(boxes as ITensor, { reshape: [1, 12, 4] }),
      network.addShuffle(scores as ITensor, { reshape: [1, 12, 1] }),
      network.addConstant(makeWeights("kINT32", [], [100])),
      { iouThreshold: scalar(0.3), scoreThreshold: scalar(0), boundingBoxFormat: "kCORNER_PAIRS", topKBoxLimit: 100 },
    );
    const column = network.addConstant(makeWeights("kINT64", [], [2]));
    return network.addGather(selected, column, 1);
  },
  quantize: (network, [x, scale]) =>
    network.addCast(network.addQuantize(x as ITensor, scale as ITensor, "kINT8", 0), "kINT32"),
  dequantize: (network, [x, scale]) => {
    const quantized = network.addQuantize(x as ITensor, scale as ITensor, "kINT8", 0);
    return network.addDequantize(quantized, scale as ITensor, "kFLOAT", 0);
  },
  activation: (network, [x], _, name) => {
    const type = name.split(" ")[1] as ActivationType;
    const [alpha = 0, beta = 0] =
      {
        kELU: [0.7],
        kSELU: [1.6732632423543772, 1.0507009873554805],
        kSOFTPLUS: [0.5, 2],
        kHARD_SIGMOID: [1 / 6, 0.5],
        kLEAKY_RELU: [0.1],
        kTHRESHOLDED_RELU: [1],
      }[type as string] ?? [];
    return network.addActivation(x as ITensor, type, alpha, beta);
  },
};

t.test("layers compute what PyTorch's functions do", async (t) => {
  for (const [name, recorded] of cases) {
    const network = new Network();
    const inputs = recorded.inputs.map(({ sizes, values }) =>
      network.addConstant(makeWeights("kFLOAT", sizes, values)),
    );
    const build = BUILDERS[name.split(" ")[0] as string] as Build;
    network.markOutput(build(network, inputs, recorded, name), "out");
    const { out } = (await execute(network, {})) as { out: Tensor };
    t.same(out.sizes, recorded.sizes, name);
    const got = Array.from(out.toNumbers());
    const error = recorded.values.reduce((most, value, i) => Math.max(most, Math.abs(value - (got[i] as number))), 0);
    t.ok(error < 2e-5, `${name}: ${error}`);
  }
});

/** A window layer computed as its definition says, for one channel and two dims. */
function pooled(
  image: readonly number[],
  [height, width]: readonly [number, number],
  a: { window: number[]; stride: number[]; pre: number[]; post: number[]; roundUp: boolean },
  reduce: (inside: number[], window: number) => number,
): { sizes: number[]; values: number[] } {
  const sizes = [height, width].map((size, i) => {
    const steps =
      (size + (a.pre[i] as number) + (a.post[i] as number) - (a.window[i] as number)) / (a.stride[i] as number);
    return (a.roundUp ? Math.ceil(steps) : Math.floor(steps)) + 1;
  });
  const values: number[] = [];
  for (let y = 0; y < (sizes[0] as number); y++) {
    for (let x = 0; x < (sizes[1] as number); x++) {
      const inside: number[] = [];
      for (let v = 0; v < (a.window[0] as number); v++) {
        for (let u = 0; u < (a.window[1] as number); u++) {
          const row = y * (a.stride[0] as number) + v - (a.pre[0] as number);
          const column = x * (a.stride[1] as number) + u - (a.pre[1] as number);
          if (row >= 0 && row < height && column >= 0 && column < width)
            inside.push(image[row * width + column] as number);
        }
      }
      values.push(reduce(inside, (a.window[0] as number) * (a.window[1] as number)));
    }
  }
  return { sizes, values };
}

t.test("pooling with unequal padding, rounded up and down", async (t) => {
  const two = (min: number, max: number) => fc.array(fc.integer({ min, max }), { minLength: 2, maxLength: 2 });
  const geometry = fc.record({
    size: two(3, 6),
    window: two(1, 3),
    stride: two(1, 4),
    pre: two(0, 2),
    post: two(0, 2),
    roundUp: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(geometry, async ({ size, ...raw }) => {
      // A window that sees padding only has no value to agree on.
      const a = { ...raw, pre: raw.pre.map((p, i) => Math.min(p, (raw.window[i] as number) - 1)) };
      const [height, width] = size as [number, number];
      const image = Array.from({ length: height * width }, (_, i) => Math.sin(i) * 3);
      const sum = (list: readonly number[]): number => list.reduce((total, value) => total + value, 0);
      const reducers = {
        max: (inside: number[]) => Math.max(...inside),
        inside: (inside: number[]) => sum(inside) / inside.length,
        all: (inside: number[], window: number) => sum(inside) / window,
      };
      const network = new Network();
      const x = network.addConstant(makeWeights("kFLOAT", [1, 1, height, width], image));
      const options = { strideNd: a.stride, prePadding: a.pre, postPadding: a.post, roundUp: a.roundUp };
      const pool = (type: "kMAX" | "kAVERAGE", averageCountExcludesPadding: boolean): ITensor =>
        network.addPoolingNd(x, type, a.window, { ...options, averageCountExcludesPadding });
      network.markOutput(pool("kMAX", true), "max");
      network.markOutput(pool("kAVERAGE", true), "inside");
      network.markOutput(pool("kAVERAGE", false), "all");
      const outputs = await execute(network, {});
      for (const [name, reduce] of Object.entries(reducers)) {
        const want = pooled(image, [height, width], a, reduce);
        const got = outputs[name] as Tensor;
        const inferred = network.outputs.find((output) => output.name === name) as ITensor;
        if (`${got.sizes.slice(2)}` !== `${want.sizes}` || `${inferred.dims}` !== `${got.sizes}`)
          throw new Error(`${name}: ${got.sizes}`);
        const numbers = got.toNumbers();
        want.values.forEach((value, i) => {
          // Windows in the padding alone are -Infinity or not a number.
          if (Number.isFinite(value) && Math.abs(value - (numbers[i] as number)) > 1e-5)
            throw new Error(`${name} [${i}]`);
        });
      }
    }),
    { numRuns: 60 },
  );
  t.pass();
});

t.test("pooling over three dims, and with more dims before them than ONNX has", async (t) => {
  const network = new Network();
  const x = network.addDynamicInput("x", "kFLOAT", [{ min: 1, opt: 2, max: 3 }, 2, 3, 4, 4]);
  network.markOutput(network.addPoolingNd(x, "kMAX", [2, 2]), "two");
  network.markOutput(network.addPoolingNd(x, "kMAX", [3, 2, 2]), "three");
  const values = Array.from({ length: 192 }, (_, i) => i);
  const { two, three } = (await execute(network, { x: Tensor.of("float32", [2, 2, 3, 4, 4], values) })) as Record<
    string,
    Tensor
  >;
  t.same(two?.sizes, [2, 2, 3, 2, 2]);
  t.same(Array.from(two?.toNumbers() ?? []).slice(0, 5), [5, 7, 13, 15, 21]);
  t.same(three?.sizes, [2, 2, 1, 2, 2]);
  t.same(Array.from(three?.toNumbers() ?? []).slice(0, 5), [37, 39, 45, 47, 85]);
});

t.test("convolutions with unequal padding, a kernel that is a tensor, and three dims", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [1, 1, 3, 3]);
  const kernel = network.addInput("kernel", "kFLOAT", [1, 1, 2, 2]);
  const options = { prePadding: [1, 0], postPadding: [0, 1] };
  const bias = makeWeights("kFLOAT", [1], [100]);
  network.markOutput(network.addConvolutionNd(x, 1, [2, 2], kernel, bias, options), "y");
  const cube = network.addShuffle(x, { reshape: [1, 1, 1, 3, 3] });
  const weights = makeWeights("kFLOAT", [2, 1, 1, 3, 3], [...new Array(9).fill(1), ...new Array(9).fill(2)]);
  network.markOutput(network.addConvolutionNd(cube, 2, [1, 3, 3], weights, null), "z");
  const { y, z } = (await execute(network, {
    x: Tensor.of("float32", [1, 1, 3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    kernel: Tensor.of("float32", [1, 1, 2, 2], [1, 10, 100, 1000]),
  })) as Record<string, Tensor>;
  t.same(y?.sizes, [1, 1, 3, 3]);
  t.same(Array.from(y?.toNumbers() ?? []), [2200, 3300, 400, 5521, 6632, 703, 8854, 9965, 1006]);
  t.same(Array.from(z?.toNumbers() ?? []), [45, 90]);
});

t.test("slices, fills, reshapes and more whose sizes are known at run time only", async (t) => {
  const modes: SampleMode[] = ["kSTRICT_BOUNDS", "kWRAP", "kCLAMP", "kREFLECT", "kFILL"];
  for (const size of [3, 4, 6]) {
    const network = new Network();
    const x = network.addDynamicInput("x", "kFLOAT", [{ min: 2, opt: 4, max: 8 }, 2]);
    const [n] = x.dims as [Dim];
    const fill = network.addConstant(makeWeights("kFLOAT", [], [-1]));
    const values = Array.from({ length: size * 2 }, (_, i) => i);
    const inputs = { x: Tensor.of("float32", [size, 2], values) };
    // The same with numbers, whose results folding gives.
    const known = new Network();
    const constant = known.addConstant(makeWeights("kFLOAT", [size, 2], values));
    const expected = new Map<string, ITensor>();
    for (const mode of modes) {
      const slices: [name: string, start: Dim[], count: Dim[], stride: Dim[]][] = [
        ["backwards", [sub(n, 1), 1], [n, 2], [-1, -1]],
        ["tail", [sub(n, 2), 0], [2, 2], [1, 1]],
        ["repeated", [1, 0], [n, 2], [0, 1]],
        ["by a size", [0, 0], [1, 2], [n, 1]],
      ];
      if (mode !== "kSTRICT_BOUNDS") slices.push(["around", [-2, -1], [add(n, 5), 4], [1, 1]]);
      for (const [name, start, count, stride] of slices) {
        const at = (dims: readonly Dim[]): number[] => dims.map((dim) => evaluate(dim, () => size));
        network.markOutput(
          network.addSlice(x, start, count, stride, mode, mode === "kFILL" ? fill : null),
          `${mode} ${name}`,
        );
        const other = mode === "kFILL" ? known.addConstant(makeWeights("kFLOAT", [], [-1])) : null;
        expected.set(`${mode} ${name}`, known.addSlice(constant, at(start), at(count), at(stride), mode, other));
      }
    }
    const zero = network.addConstant(makeWeights("kINT64", [], [3]));
    const steps = network.addConstant(makeWeights("kINT64", [2], [10, 1]));
    network.markOutput(network.addFill([n, 2], "kLINSPACE", "kINT64", zero, steps), "fill");
    const knownZero = known.addConstant(makeWeights("kINT64", [], [3]));
    expected.set(
      "fill",
      known.addFill(
        [size, 2],
        "kLINSPACE",
        "kINT64",
        knownZero,
        known.addConstant(makeWeights("kINT64", [2], [10, 1])),
      ),
    );
    network.markOutput(network.addShuffle(x, { reshape: [2, n], secondTranspose: [1, 0] }), "shuffle");
    expected.set("shuffle", known.addShuffle(constant, { reshape: [2, size], secondTranspose: [1, 0] }));
    const indices = network.addConstant(makeWeights("kINT64", [3], [0, 2, -1]));
    const offOn = makeWeights("kFLOAT", [2], [0, 1]);
    network.markOutput(network.addOneHot(indices, network.addConstant(offOn), n, 0), "one hot");
    expected.set(
      "one hot",
      known.addOneHot(known.addConstant(makeWeights("kINT64", [3], [0, 2, -1])), known.addConstant(offOn), size, 0),
    );
    network.markOutput(network.addTopK(x, "kMAX", sub(n, 1), 0)[1], "top k");
    expected.set("top k", known.addTopK(constant, "kMAX", size - 1, 0)[1]);
    const outputs = await execute(network, inputs);
    for (const [name, tensor] of expected) {
      const want = constantOf(tensor) as Weights;
      const got = outputs[name] as Tensor;
      t.same([got.sizes, Array.from(got.toNumbers())], [want.dims, Array.from(numbersOf(want))], `${name} of ${size}`);
    }
  }
});

t.test("random fills have the numbers asked for", async (t) => {
  const network = new Network();
  const scalar = (value: number): ITensor => network.addConstant(makeWeights("kFLOAT", [], [value]));
  network.markOutput(network.addFill([1000], "kRANDOM_UNIFORM", "kFLOAT", scalar(2), scalar(3)), "uniform");
  network.markOutput(network.addFill([1000], "kRANDOM_NORMAL", "kFLOAT", scalar(10), scalar(0.1)), "normal");
  const { uniform, normal } = (await execute(network, {})) as Record<string, Tensor>;
  t.ok(uniform?.toNumbers().every((value: number) => value >= 2 && value <= 3));
  const mean = Array.from(normal?.toNumbers() ?? []).reduce((sum, value) => sum + value / 1000, 0);
  t.ok(Math.abs(mean - 10) < 0.05);
});

t.test("einsum", async (t) => {
  const network = new Network();
  const x = network.addConstant(makeWeights("kFLOAT", [2, 3], [1, 2, 3, 4, 5, 6]));
  const y = network.addConstant(makeWeights("kFLOAT", [2, 2], [1, 10, 100, 1000]));
  network.markOutput(network.addEinsum([x, y], "ij, ik -> jk"), "z");
  const { z } = (await execute(network, {})) as Record<string, Tensor>;
  t.same(Array.from(z?.toNumbers() ?? []), [401, 4010, 502, 5020, 603, 6030]);
});
