import fc from "fast-check";
import t from "tap";
import { execute } from "../../src/backends/onnx/runtime.js";
import type { Tensor } from "../../src/ir/tensor.js";
import {
  ACTIVATION_TYPES,
  type DataType,
  ELEMENT_WISE_OPERATIONS,
  type ElementWiseOperation,
  REDUCE_OPERATIONS,
  type SampleMode,
  UNARY_OPERATIONS,
} from "../../src/network/enums.js";
import { constantOf, dimsOf } from "../../src/network/fold.js";
import type { ITensor, Weights } from "../../src/network/layers.js";
import { Network } from "../../src/network/network.js";
import { foldConstants, joinConcatenations } from "../../src/network/simplify.js";
import { makeWeights, numbersOf } from "../../src/network/weights.js";

const RUNS = { numRuns: 15 };

const dims = (options: { minRank?: number; maxRank?: number; min?: number } = {}): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: options.min ?? 1, max: 4 }), {
    minLength: options.minRank ?? 0,
    maxLength: options.maxRank ?? 4,
  });

function volume(sizes: readonly number[]): number {
  return sizes.reduce((product, size) => product * size, 1);
}

/** Numbers of a seed: the same in every run, of both signs, small. */
function numbers(seed: number, count: number, type: DataType): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    const unit = state / 2 ** 31;
    if (type === "kBOOL") return Number(unit > 0.5);
    return type === "kINT32" || type === "kINT64" ? Math.floor(unit * 15) - 7 : unit * 6 - 3;
  });
}

function constant(network: Network, seed: number, sizes: readonly number[], type: DataType = "kFLOAT"): ITensor {
  return network.addConstant(makeWeights(type, sizes, numbers(seed, volume(sizes), type)));
}

/** The folded value of each tensor is what onnxruntime computes for it. */
async function agrees(network: Network, tensors: readonly ITensor[], tolerance = 2e-6): Promise<void> {
  const folded = tensors.map(constantOf);
  tensors.forEach((tensor, i) => {
    network.markOutput(tensor, `out${i}`);
  });
  const outputs = await execute(network, {});
  folded.forEach((weights, i) => {
    const output = outputs[`out${i}`] as Tensor;
    if (weights === null) throw new Error(`not folded: ${tensors[i]?.producer?.type}`);
    const [got, want] = [Array.from(numbersOf(weights)), Array.from(output.toNumbers())];
    const close = (a: number, b: number): boolean =>
      Object.is(a, b) || a === b || Math.abs(a - b) <= tolerance * (1 + Math.abs(b));
    const same = `${weights.dims}` === `${output.sizes}` && got.every((value, n) => close(value, want[n] as number));
    if (!same) throw new Error(`[${weights.dims}] ${got}\nis not what onnxruntime has: [${output.sizes}] ${want}`);
  });
}

const seed = fc.integer({ min: 1, max: 1e6 });

t.test("elementwise operations with broadcasting, of floats, integers and bools", async (t) => {
  const forType = (type: DataType): ElementWiseOperation[] =>
    ELEMENT_WISE_OPERATIONS.filter((operation) => {
      const logical = operation === "kAND" || operation === "kOR" || operation === "kXOR";
      return type === "kBOOL" ? logical || operation === "kEQUAL" : !logical;
    });
  await fc.assert(
    fc.asyncProperty(dims(), fc.nat(), seed, async (sizes, mask, n) => {
      const network = new Network();
      const other = sizes.map((size, axis) => ((mask >> axis) & 1 ? 1 : size));
      const results: ITensor[] = [];
      for (const type of ["kFLOAT", "kHALF", "kINT32", "kINT64", "kBOOL"] as const) {
        for (const operation of forType(type)) {
          const integer = type === "kINT32" || type === "kINT64";
          const x = constant(network, n, sizes, type);
          const y =
            integer && (operation === "kDIV" || operation === "kFLOOR_DIV")
              ? network.addConstant(
                  makeWeights(
                    type,
                    other,
                    numbers(n + 1, volume(other), type).map((value) => value || 3),
                  ),
                )
              : constant(network, n + 1, other, type);
          // A negative base has no fractional power, and an integer no negative one.
          if (operation !== "kPOW") results.push(network.addElementWise(x, y, operation));
          else if (type !== "kHALF") {
            results.push(network.addElementWise(network.addUnary(x, "kABS"), network.addUnary(y, "kABS"), operation));
          }
        }
      }
      await agrees(network, results);
    }),
    RUNS,
  );
  t.pass();
});

t.test("integers beyond a double's precision are not folded", (t) => {
  const network = new Network();
  const big = network.addConstant(makeWeights("kINT64", [], [2 ** 50]));
  t.equal(constantOf(network.addElementWise(big, big, "kPROD")), null);
  const wrapped = network.addConstant(makeWeights("kINT32", [], [2 ** 30]));
  const product = constantOf(
    network.addElementWise(wrapped, network.addConstant(makeWeights("kINT32", [], [6])), "kPROD"),
  );
  t.same(product && Array.from(numbersOf(product)), [2 ** 31 - 2 ** 32], "int32 wraps");
  const zero = network.addConstant(makeWeights("kINT64", [], [0]));
  t.equal(constantOf(network.addElementWise(big, zero, "kDIV")), null, "nor is a division by zero");
  t.end();
});

t.test("unary operations and activations", async (t) => {
  const inside: Partial<Record<string, [number, number]>> = {
    kLOG: [0.1, 9],
    kSQRT: [0, 9],
    kASIN: [-1, 1],
    kACOS: [-1, 1],
    kATANH: [-0.9, 0.9],
    kACOSH: [1, 9],
  };
  const network = new Network();
  const results: ITensor[] = [];
  for (const operation of UNARY_OPERATIONS) {
    const [low, high] = inside[operation] ?? [-4, 4];
    const values = Array.from({ length: 33 }, (_, i) => low + ((high - low) * i) / 32);
    const type = operation === "kNOT" ? "kBOOL" : "kFLOAT";
    const special = operation === "kISINF" || operation === "kISNAN" ? [Infinity, -Infinity, Number.NaN] : [];
    const x = network.addConstant(makeWeights(type, [33 + special.length], [...values, ...special]));
    results.push(network.addUnary(x, operation));
  }
  for (const type of ACTIVATION_TYPES) {
    const x = network.addConstant(
      makeWeights(
        "kFLOAT",
        [41],
        Array.from({ length: 41 }, (_, i) => (i - 20) / 4),
      ),
    );
    const [alpha, beta] = type === "kCLIP" ? [-1.5, 2] : [0.3, 1.25];
    results.push(network.addActivation(x, type, alpha, beta));
  }
  const slope = constant(network, 5, [1, 4, 1]);
  results.push(network.addParametricReLU(constant(network, 6, [2, 4, 3]), slope));
  for (const operation of ["kABS", "kNEG", "kSIGN"] as const) {
    results.push(network.addUnary(constant(network, 7, [9], "kINT64"), operation));
  }
  await agrees(network, results, 1e-5);
  t.pass();
});

t.test("casts", async (t) => {
  const network = new Network();
  const types = ["kFLOAT", "kHALF", "kBF16", "kINT32", "kINT64", "kBOOL"] as const;
  const results = types.flatMap((from) =>
    types.map((to) => network.addCast(constant(network, 11, [3, 5], from), to)).filter((x) => x.type !== from),
  );
  await agrees(network, results, 0);
  t.pass();
});

t.test("transposes and reshapes", async (t) => {
  const cases = dims({ minRank: 2 }).chain((sizes) =>
    fc.record({
      sizes: fc.constant(sizes),
      first: fc.shuffledSubarray(
        sizes.map((_, axis) => axis),
        { minLength: sizes.length },
      ),
      n: seed,
    }),
  );
  await fc.assert(
    fc.asyncProperty(cases, async ({ sizes, first, n }) => {
      const network = new Network();
      const moved = first.map((axis) => sizes[axis] as number);
      const results = (["kFLOAT", "kINT64", "kBOOL"] as const).flatMap((type) => {
        const x = constant(network, n, sizes, type);
        return [
          network.addShuffle(x, { firstTranspose: first }),
          network.addShuffle(x, { reshape: [-1] }),
          network.addShuffle(x, {
            firstTranspose: first,
            reshape: [-1, moved.at(-1) as number],
            secondTranspose: [1, 0],
          }),
        ];
      });
      await agrees(network, results, 0);
    }),
    RUNS,
  );
  t.pass();
});

t.test("slices in all modes, forwards, backwards and standing still", async (t) => {
  const axis = fc.record({
    length: fc.integer({ min: 1, max: 5 }),
    start: fc.integer({ min: -6, max: 9 }),
    size: fc.integer({ min: 0, max: 7 }),
    stride: fc.integer({ min: -3, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(axis, { minLength: 1, maxLength: 3 }), seed, async (axes, n) => {
      const network = new Network();
      const x = constant(
        network,
        n,
        axes.map((a) => a.length),
      );
      const pick = (key: "start" | "size" | "stride"): number[] => axes.map((a) => a[key]);
      const results = (["kWRAP", "kCLAMP", "kREFLECT", "kFILL"] satisfies SampleMode[]).map((mode) => {
        const fill = mode === "kFILL" ? network.addConstant(makeWeights("kFLOAT", [], [9])) : null;
        return network.addSlice(x, pick("start"), pick("size"), pick("stride"), mode, fill);
      });
      results.push(
        network.addSlice(
          x,
          pick("start"),
          pick("size"),
          axes.map(() => 1),
          "kFILL",
        ),
      );
      // Kept inside the input for the strict mode.
      const strict = axes.map(({ length, start, size, stride }) => {
        const first = Math.min(Math.max(start, 0), length - 1);
        const room = stride > 0 ? length - 1 - first : first;
        return { first, stride, size: stride === 0 ? size : Math.min(size, Math.floor(room / Math.abs(stride)) + 1) };
      });
      results.push(
        network.addSlice(
          x,
          strict.map((a) => a.first),
          strict.map((a) => a.size),
          strict.map((a) => a.stride),
        ),
      );
      await agrees(network, results, 0);
    }),
    { numRuns: 60 },
  );
  t.pass();
});

t.test("concatenation and selection", async (t) => {
  await fc.assert(
    fc.asyncProperty(dims({ minRank: 1 }), fc.nat(), fc.nat(), seed, async (sizes, where, mask, n) => {
      const network = new Network();
      const axis = where % sizes.length;
      const parts = [1, 3, 2].map((size, i) => constant(network, n + i, sizes.with(axis, size)));
      const narrow = sizes.map((size, i) => ((mask >> i) & 1 ? 1 : size));
      const condition = constant(network, n, narrow, "kBOOL");
      const [x, y] = [constant(network, n + 1, sizes), constant(network, n + 2, narrow)];
      const [a, b] = [constant(network, n + 1, sizes, "kBOOL"), constant(network, n + 2, narrow, "kBOOL")];
      await agrees(
        network,
        [network.addConcatenation(parts, axis), network.addSelect(condition, x, y), network.addSelect(condition, a, b)],
        0,
      );
    }),
    RUNS,
  );
  t.pass();
});

t.test("gathering and scattering", async (t) => {
  const sizes = fc.array(fc.integer({ min: 2, max: 4 }), { minLength: 3, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.nat(2), seed, async (sizes, axis, n) => {
      const network = new Network();
      const data = constant(network, n, sizes);
      const length = sizes[axis] as number;
      const within = (shape: readonly number[], limit: (i: number) => number): ITensor =>
        network.addConstant(
          makeWeights(
            "kINT64",
            shape,
            numbers(n + 3, volume(shape), "kINT64").map((value, i) => Math.abs(value) % limit(i)),
          ),
        );
      const results = [
        network.addGather(
          data,
          within([2, 3], () => length),
          axis,
        ),
        network.addGather(
          data,
          within([], () => length),
          axis,
        ),
        network.addGather(
          data,
          within(sizes.with(axis, 5), () => length),
          axis,
          "kELEMENT",
        ),
        network.addGather(
          data,
          within([4, 2], (i) => sizes[i % 2] as number),
          0,
          "kND",
        ),
        network.addGather(
          data,
          within([sizes[0] as number, 5, 1], () => sizes[1] as number),
          0,
          "kND",
          1,
        ),
      ];
      for (let batch = 1; batch <= axis; batch++) {
        results.push(
          network.addGather(
            data,
            within([...sizes.slice(0, batch), 2, 3], () => length),
            axis,
            "kDEFAULT",
            batch,
          ),
        );
        results.push(
          network.addGather(
            data,
            within(sizes.slice(0, batch), () => length),
            axis,
            "kDEFAULT",
            batch,
          ),
        );
      }
      // Places that are written twice have no certain value: every index once.
      const once = network.addConstant(
        makeWeights(
          "kINT64",
          sizes,
          Array.from({ length: volume(sizes) }, (_, i) => {
            const inner = volume(sizes.slice(axis + 1));
            return length - 1 - (Math.floor(i / inner) % length);
          }),
        ),
      );
      results.push(network.addScatter(data, once, constant(network, n + 5, sizes), "kELEMENT", axis));
      const rows = network.addConstant(makeWeights("kINT64", [2, 1], [1, 0]));
      results.push(network.addScatter(data, rows, constant(network, n + 6, [2, ...sizes.slice(1)]), "kND"));
      await agrees(network, results, 0);
    }),
    RUNS,
  );
  t.pass();
});

t.test("reductions, softmax, cumulative sums and normalization", async (t) => {
  const cases = dims({ minRank: 1 }).chain((sizes) =>
    fc.record({
      sizes: fc.constant(sizes),
      axes: fc.subarray(
        sizes.map((_, axis) => axis),
        { minLength: 1 },
      ),
      n: seed,
    }),
  );
  await fc.assert(
    fc.asyncProperty(cases, async ({ sizes, axes, n }) => {
      const network = new Network();
      const [axis = 0] = axes;
      const x = constant(network, n, sizes);
      const integers = constant(network, n, sizes, "kINT64");
      const affine = sizes.map((size, i) => (axes.includes(i) ? size : 1));
      const results = REDUCE_OPERATIONS.flatMap((operation) => [
        network.addReduce(x, operation, axes, true),
        network.addReduce(x, operation, axes, false),
        ...(operation === "kAVG" || operation === "kPROD" ? [] : [network.addReduce(integers, operation, axes, false)]),
      ]);
      results.push(network.addSoftMax(x, axis));
      for (const exclusive of [true, false]) {
        for (const reverse of [true, false]) {
          results.push(network.addCumulative(x, axis, { exclusive, reverse }));
          results.push(network.addCumulative(integers, axis, { exclusive, reverse }));
        }
      }
      results.push(
        network.addNormalization(x, constant(network, n + 1, affine), constant(network, n + 2, affine), axes, 1e-3),
      );
      const image = constant(network, n, [2, 6, ...sizes]);
      const spatial = sizes.map((_, i) => i + 2);
      for (const channels of [6, 3]) {
        const [scale, bias] = [1, 2].map((i) => constant(network, n + i, [1, channels, ...sizes.map(() => 1)]));
        results.push(network.addNormalization(image, scale as ITensor, bias as ITensor, spatial, 1e-3, 3));
      }
      await agrees(network, results, 2e-5);
    }),
    RUNS,
  );
  t.pass();
});

t.test("matrix products with transposes, vectors and batches", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
      dims({ maxRank: 2 }),
      fc.nat(),
      seed,
      async ([m, k, n], batch, mask, s) => {
        const network = new Network();
        const other = batch.map((size, axis) => ((mask >> axis) & 1 ? 1 : size));
        const make = (seed: number, ...sizes: (number | undefined)[]): ITensor =>
          constant(network, seed, sizes as number[]);
        const [a, b] = [make(s, ...batch, m, k), make(s + 1, ...other, k, n)];
        const [ta, tb] = [make(s, ...batch, k, m), make(s + 1, ...other, n, k)];
        const [va, vb] = [make(s + 2, ...batch, k), make(s + 3, ...other, k)];
        await agrees(network, [
          network.addMatrixMultiply(a, "kNONE", b, "kNONE"),
          network.addMatrixMultiply(ta, "kTRANSPOSE", tb, "kTRANSPOSE"),
          network.addMatrixMultiply(va, "kVECTOR", b, "kNONE"),
          network.addMatrixMultiply(a, "kNONE", vb, "kVECTOR"),
          network.addMatrixMultiply(va, "kVECTOR", vb, "kVECTOR"),
        ]);
      },
    ),
    RUNS,
  );
  t.pass();
});

t.test("products of empty matrices", (t) => {
  const network = new Network();
  const ones = (...sizes: number[]): ITensor =>
    network.addConstant(makeWeights("kFLOAT", sizes, Array(volume(sizes)).fill(1)));
  const product = (m: number, k: number, n: number): ITensor =>
    network.addMatrixMultiply(ones(m, k), "kNONE", ones(k, n), "kNONE");
  t.strictSame([...numbersOf(constantOf(product(5, 0, 1)) as Weights)], [0, 0, 0, 0, 0], "nothing is summed");
  t.strictSame(constantOf(product(5, 3, 0))?.dims, [5, 0]);
  t.strictSame(constantOf(product(0, 3, 2))?.dims, [0, 2]);
  t.end();
});

t.test("fills, top-k, one-hot and non-zero", async (t) => {
  await fc.assert(
    fc.asyncProperty(dims({ minRank: 1, maxRank: 3 }), fc.nat(), seed, async (sizes, where, n) => {
      const network = new Network();
      const axis = where % sizes.length;
      const scalar = (type: DataType, value: number): ITensor => network.addConstant(makeWeights(type, [], [value]));
      const results: ITensor[] = [];
      for (const type of ["kFLOAT", "kINT32", "kINT64"] as const) {
        const beta = constant(network, n, [sizes.length], type);
        results.push(network.addFill(sizes, "kLINSPACE", type, scalar(type, 3), beta));
      }
      const k = Math.max(1, (sizes[axis] as number) - 1);
      results.push(...network.addTopK(constant(network, n, sizes), "kMAX", k, axis));
      results.push(...network.addTopK(constant(network, n, sizes, "kINT64"), "kMIN", k, axis));
      const classes = constant(network, n, sizes, "kINT64");
      const values = network.addConstant(makeWeights("kFLOAT", [2], [-1, 5]));
      results.push(network.addOneHot(classes, values, 4, axis));
      results.push(network.addNonZero(constant(network, n, sizes, "kBOOL")));
      await agrees(network, results);
    }),
    RUNS,
  );
  t.pass();
});

t.test("what depends on an input is no constant, but its known sizes are", (t) => {
  const network = new Network();
  const x = network.addDynamicInput("x", "kFLOAT", [{ min: 1, opt: 2, max: 4 }, 12, 64]);
  t.equal(constantOf(x), null);
  t.equal(constantOf(network.addActivation(x, "kRELU")), null);
  const shape = network.addShape(x);
  t.equal(constantOf(shape), null);
  const inner = constantOf(network.addSlice(shape, [1], [2], [1]));
  t.same(inner && Array.from(numbersOf(inner)), [12, 64]);
  const batch = network.addSlice(shape, [0], [1], [1]);
  t.equal(constantOf(batch), null);
  const minusOne = network.addConstant(makeWeights("kINT64", [1], [-1]));
  const flat = network.addReduce(network.addSlice(shape, [1], [2], [1]), "kPROD", [0], true);
  t.equal(String(dimsOf(network.addConcatenation([batch, flat, minusOne], 0))), `${x.dims[0]},768,-1`);
  const twice = network.addElementWise(batch, network.addConstant(makeWeights("kINT64", [1], [2])), "kPROD");
  t.equal(String(dimsOf(twice)), "2*x.0");
  // arange(x.size(1)) is known though the batch is not.
  const length = network.addGather(shape, network.addConstant(makeWeights("kINT64", [], [1])), 0);
  const zero = network.addConstant(makeWeights("kINT64", [], [0]));
  const less = network.addElementWise(length, zero, "kGREATER");
  const known = constantOf(less);
  t.same(known && Array.from(numbersOf(known)), [1]);
  t.end();
});

t.test("concatenations of concatenations are one, where nothing else uses them and the axis is theirs", (t) => {
  const network = new Network();
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => network.addInput(name, "kFLOAT", [2, 2])) as [
    ITensor,
    ITensor,
    ITensor,
    ITensor,
  ];
  const pair = network.addConcatenation([a, b], 0);
  const three = network.addConcatenation([pair, c], 0);
  const shared = network.addConcatenation([c, d], 0);
  const wide = network.addConcatenation([a, b], 1);
  const tall = network.addConcatenation([wide, wide], 0);
  network.markOutput(network.addConcatenation([three, shared], 0), "rows");
  network.markOutput(network.addUnary(shared, "kABS"), "shared");
  network.markOutput(tall, "tall");
  joinConcatenations(network);
  network.prune();
  const inputsOf = (i: number): string[] =>
    (network.outputs[i]?.producer?.inputs ?? []).map((input) => (input === shared ? "shared" : (input?.name ?? "")));
  t.same(inputsOf(0), ["a", "b", "c", "shared"]);
  t.same(inputsOf(2), [wide.name, wide.name], "along another axis");
  t.equal(network.layers.filter(({ type }) => type === "kCONCATENATION").length, 4);
  t.end();
});

t.test("of an output that constants decide, the layer stays that gives it its name", (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [2, 2, 0]);
  const most = network.addReduce(network.addUnary(x, "kABS"), "kMAX", [2], false);
  network.markOutput(network.addActivation(most, "kRELU"), "y");
  foldConstants(network);
  t.same(
    network.layers.map(({ type }) => type),
    ["kCONSTANT", "kACTIVATION"],
  );
  t.end();
});

t.test("a deep network is walked without deep recursion, and each tensor is computed once", (t) => {
  const network = new Network();
  let tensor = network.addInput("x", "kFLOAT", [4]);
  for (let i = 0; i < 20_000; i++) tensor = network.addUnary(tensor, "kNEG");
  t.equal(constantOf(tensor), null);
  const weights = makeWeights("kFLOAT", [2, 2], [1, 2, 3, 4]);
  const one = network.addConstant(weights);
  t.equal(constantOf(one), weights, "a constant is itself");
  const moved = network.addShuffle(one, { firstTranspose: [1, 0] });
  t.equal(constantOf(moved), constantOf(moved));
  t.equal(network.layers.at(-1)?.outputs[0], moved, "the network is as before");
  t.end();
});

t.test("float32 rounds as float32", (t) => {
  const network = new Network();
  const x = network.addConstant(makeWeights("kFLOAT", [2], [16777216, 0.1]));
  const y = network.addConstant(makeWeights("kFLOAT", [2], [1, 0.2]));
  const sum = constantOf(network.addElementWise(x, y, "kSUM"));
  t.same(sum && Array.from(numbersOf(sum)), [16777216, Math.fround(Math.fround(0.1) + Math.fround(0.2))]);
  t.end();
});
