import {
  ACTIVATION_TYPES,
  type DataType,
  ELEMENT_WISE_OPERATIONS,
  REDUCE_OPERATIONS,
  UNARY_OPERATIONS,
} from "../../src/network/enums.js";
import type { ITensor, LayerType } from "../../src/network/layers.js";
import type { Network } from "../../src/network/network.js";
import { type Dim, mul, type SymInt, sub } from "../../src/network/symbolic.js";
import { makeWeights } from "../../src/network/weights.js";

// Small networks that hold every kind of layer, for whoever asks a library about them.

export type Batch = 2 | { min: number; opt: number; max: number };
export const DYNAMIC = { min: 1, opt: 4, max: 8 };

/** A small network around a few layers; `batch` is 2, or a range. */
export interface Case {
  readonly name: string;
  readonly covers: readonly LayerType[];
  /** False: TensorRT-RTX describes it and has no kernels for it. */
  readonly builds?: boolean;
  build(network: Network, batch: Batch): readonly ITensor[];
}

const ramp = (count: number): number[] => Array.from({ length: count }, (_, i) => Math.sin(i));
const count = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);
const weights = (dims: readonly number[], type: DataType = "kFLOAT") => makeWeights(type, dims, ramp(count(dims)));

function input(
  network: Network,
  batch: Batch,
  rest: readonly number[],
  type: DataType = "kFLOAT",
  name = "x",
): ITensor {
  const dim = batch === 2 ? 2 : { ...batch, symbol: "batch" };
  return network.addDynamicInput(name, type, [dim, ...rest], symbolsOf(network));
}

const symbols = new WeakMap<Network, Map<string, SymInt>>();
function symbolsOf(network: Network): Map<string, SymInt> {
  const known = symbols.get(network) ?? new Map<string, SymInt>();
  symbols.set(network, known);
  return known;
}

const constant = (network: Network, dims: readonly number[], numbers: readonly number[], type: DataType): ITensor =>
  network.addConstant(makeWeights(type, dims, numbers));
const scalar = (network: Network, number: number, type: DataType): ITensor => constant(network, [], [number], type);

const convolutions: Case[] = (["kFLOAT", "kHALF", "kBF16"] as const).flatMap((type) => [
  {
    name: `convolution 2-d, ${type}`,
    covers: ["kCONVOLUTION"],
    build: (network, batch) => [
      network.addConvolutionNd(
        input(network, batch, [4, 11, 12], type),
        6,
        [3, 2],
        weights([6, 2, 3, 2], type),
        weights([6], type),
        {
          strideNd: [2, 1],
          prePadding: [1, 0],
          postPadding: [1, 1],
          dilationNd: [1, 2],
          nbGroups: 2,
        },
      ),
    ],
  },
  {
    name: `deconvolution 2-d, ${type}${type === "kBF16" ? " (TensorRT-RTX has no kernels for it)" : ""}`,
    covers: ["kDECONVOLUTION"],
    builds: type !== "kBF16",
    build: (network, batch) => [
      network.addDeconvolutionNd(input(network, batch, [4, 5, 6], type), 6, [3, 3], weights([4, 6, 3, 3], type), null, {
        strideNd: [2, 2],
        prePadding: [1, 1],
        postPadding: [0, 1],
      }),
    ],
  },
  {
    name: `matrix product, ${type}`,
    covers: ["kMATRIX_MULTIPLY", "kCONSTANT"],
    build: (network, batch) => [
      network.addMatrixMultiply(
        input(network, batch, [5, 16], type),
        "kNONE",
        network.addConstant(weights([1, 8, 16], type)),
        "kTRANSPOSE",
      ),
    ],
  },
]);

export const cases: readonly Case[] = [
  ...convolutions,
  {
    name: "convolution 3-d",
    covers: ["kCONVOLUTION"],
    build: (network, batch) => [
      network.addConvolutionNd(input(network, batch, [2, 5, 6, 7]), 3, [3, 3, 3], weights([3, 2, 3, 3, 3]), null),
    ],
  },
  {
    name: "convolution with a quantized kernel tensor",
    covers: ["kCONVOLUTION", "kQUANTIZE", "kDEQUANTIZE"],
    build: (network, batch) => {
      const scale = scalar(network, 0.05, "kFLOAT");
      const quantized = (tensor: ITensor) =>
        network.addDequantize(network.addQuantize(tensor, scale, "kINT8"), scale, "kFLOAT");
      const scales = network.addConstant(makeWeights("kFLOAT", [4], [0.1, 0.1, 0.2, 0.2]));
      const kernel = network.addConstant(weights([4, 4, 3, 3]));
      const quantizedKernel = network.addDequantize(
        network.addQuantize(kernel, scales, "kINT8", 0),
        scales,
        "kFLOAT",
        0,
      );
      return [network.addConvolutionNd(quantized(input(network, batch, [4, 8, 8])), 4, [3, 3], quantizedKernel, null)];
    },
  },
  {
    name: "quantize and dequantize fp8",
    covers: ["kQUANTIZE", "kDEQUANTIZE"],
    build: (network, batch) => {
      const scale = scalar(network, 0.5, "kFLOAT");
      return [network.addDequantize(network.addQuantize(input(network, batch, [16]), scale, "kFP8"), scale, "kFLOAT")];
    },
  },
  {
    name: "cast between all arithmetic types",
    covers: ["kCAST"],
    build: (network, batch) => {
      const x = input(network, batch, [3]);
      return (["kHALF", "kBF16", "kINT32", "kINT64", "kBOOL"] as const).map((type) =>
        network.addCast(network.addCast(x, type), "kFLOAT"),
      );
    },
  },
  {
    name: "identity",
    covers: ["kIDENTITY"],
    build: (network, batch) => [network.addIdentity(input(network, batch, [3]))],
  },
  {
    name: "every activation",
    covers: ["kACTIVATION"],
    build: (network, batch) => {
      const x = input(network, batch, [7]);
      return ACTIVATION_TYPES.map((type) => network.addActivation(x, type, 0.1, 0.9));
    },
  },
  {
    name: "pooling, rounded down and up",
    covers: ["kPOOLING"],
    build: (network, batch) => {
      const x = input(network, batch, [3, 10, 13]);
      return [
        network.addPoolingNd(x, "kMAX", [3, 3], { strideNd: [2, 2], prePadding: [1, 1] }),
        network.addPoolingNd(x, "kMAX", [3, 2], { strideNd: [2, 2], roundUp: true }),
        network.addPoolingNd(x, "kAVERAGE", [2, 2], { prePadding: [1, 0], averageCountExcludesPadding: false }),
      ];
    },
  },
  {
    name: "pooling 3-d",
    covers: ["kPOOLING"],
    build: (network, batch) => [network.addPoolingNd(input(network, batch, [2, 4, 6, 8]), "kAVERAGE", [2, 2, 2])],
  },
  {
    name: "softmax",
    covers: ["kSOFTMAX"],
    build: (network, batch) => [network.addSoftMax(input(network, batch, [5, 6]), 2)],
  },
  {
    name: "concatenation along a known and the dynamic axis",
    covers: ["kCONCATENATION"],
    build: (network, batch) => {
      const x = input(network, batch, [5]);
      const y = input(network, batch, [3], "kFLOAT", "y");
      return [network.addConcatenation([x, y], 1), network.addConcatenation([x, x, x], 0)];
    },
  },
  {
    name: "every element-wise operation on its types",
    covers: ["kELEMENTWISE"],
    build: (network, batch) => {
      const x = input(network, batch, [4]);
      const y = network.addConstant(makeWeights("kFLOAT", [1, 4], [1, 2, 3, 4]));
      const positive = network.addConstant(makeWeights("kFLOAT", [1, 1], [0.5]));
      const flag = network.addElementWise(x, positive, "kGREATER");
      return ELEMENT_WISE_OPERATIONS.map((operation) =>
        operation === "kAND" || operation === "kOR" || operation === "kXOR"
          ? network.addElementWise(flag, network.addUnary(flag, "kNOT"), operation)
          : network.addElementWise(x, y, operation),
      );
    },
  },
  {
    name: "element-wise on int64 and int32",
    covers: ["kELEMENTWISE"],
    build: (network, batch) =>
      (["kINT64", "kINT32"] as const).flatMap((type) => {
        const x = input(network, batch, [4], type, type);
        const y = constant(network, [1, 4], [1, 2, 3, 4], type);
        return (["kSUM", "kPROD", "kSUB", "kMAX", "kFLOOR_DIV", "kDIV", "kEQUAL", "kLESS"] as const).map((operation) =>
          network.addElementWise(x, y, operation),
        );
      }),
  },
  {
    name: "every unary operation",
    covers: ["kUNARY"],
    build: (network, batch) => {
      const x = input(network, batch, [4]);
      const flag = network.addElementWise(x, constant(network, [1, 1], [0], "kFLOAT"), "kGREATER");
      return UNARY_OPERATIONS.map((operation) => network.addUnary(operation === "kNOT" ? flag : x, operation));
    },
  },
  {
    name: "shuffle: transposes, zero and minus one, a shape tensor",
    covers: ["kSHUFFLE", "kSHAPE", "kSLICE", "kELEMENTWISE"],
    build: (network, batch) => {
      const x = input(network, batch, [3, 4, 5]);
      const [b] = x.dims as [Dim];
      return [
        network.addShuffle(x, { firstTranspose: [0, 2, 3, 1], reshape: [b, 20, 3], secondTranspose: [1, 0, 2] }),
        network.addShuffle(x, { reshape: [-1, 15] }),
        network.addShuffle(x, { reshape: [mul(b, 3), 4, 5] }),
        network.addShuffle(x, { reshape: [3, b, 2, mul(b, 10), 1].slice(0, 2).concat([20]) }),
        network.addShuffle(network.addConcatenation([x, x], 0), { reshape: [2, b, 3, 20] }),
      ];
    },
  },
  {
    name: "every reduction",
    covers: ["kREDUCE"],
    build: (network, batch) => {
      const x = input(network, batch, [3, 4]);
      return REDUCE_OPERATIONS.flatMap((operation) => [
        network.addReduce(x, operation, [1, 2], true),
        network.addReduce(x, operation, [2], false),
      ]);
    },
  },
  {
    name: "top-k",
    covers: ["kTOPK"],
    build: (network, batch) => [...network.addTopK(input(network, batch, [10]), "kMAX", 3, 1)],
  },
  {
    name: "top-k with k computed from a size",
    covers: ["kTOPK"],
    build: (network, batch) => {
      const x = input(network, batch, [10]);
      return [...network.addTopK(x, "kMIN", x.dims[0] as Dim, 1)];
    },
  },
  {
    name: "gather in its three modes",
    covers: ["kGATHER"],
    build: (network, batch) => {
      const x = input(network, batch, [5, 6]);
      const rows = constant(network, [2, 2], [0, 1, 2, 3], "kINT64");
      const element = input(network, batch, [2, 6], "kINT64", "element");
      const nd = constant(network, [3, 2], [0, 0, 0, 1, 0, 2], "kINT64");
      return [
        network.addGather(x, rows, 1),
        network.addGather(x, scalar(network, 1, "kINT64"), 2),
        network.addGather(x, element, 1, "kELEMENT"),
        network.addGather(x, nd, 0, "kND"),
      ];
    },
  },
  {
    name: "matrix product with vectors and broadcast batches",
    covers: ["kMATRIX_MULTIPLY"],
    build: (network, batch) => {
      const x = input(network, batch, [5, 16]);
      const vector = network.addConstant(weights([1, 16]));
      return [
        network.addMatrixMultiply(x, "kNONE", vector, "kVECTOR"),
        network.addMatrixMultiply(x, "kTRANSPOSE", x, "kNONE"),
      ];
    },
  },
  {
    name: "slice: strides, negative steps, dynamic ends, reflect, fill",
    covers: ["kSLICE"],
    build: (network, batch) => {
      const x = input(network, batch, [8, 9]);
      const [b] = x.dims as [Dim];
      return [
        network.addSlice(x, [0, 1, 0], [b, 3, 9], [1, 2, 1]),
        network.addSlice(x, [0, 7, 8], [b, 8, 9], [1, -1, -1]),
        network.addSlice(x, [sub(b, 1), 0, 0], [1, 8, 9], [1, 1, 1]),
        network.addSlice(x, [0, -1, -2], [b, 10, 13], [1, 1, 1], "kREFLECT"),
        network.addSlice(x, [0, -1, 0], [b, 10, 9], [1, 1, 1], "kFILL", scalar(network, 2, "kFLOAT")),
        network.addSlice(x, [0, -1, 0], [b, 10, 9], [1, 1, 1], "kCLAMP"),
      ];
    },
  },
  { name: "shape", covers: ["kSHAPE"], build: (network, batch) => [network.addShape(input(network, batch, [3, 4]))] },
  {
    name: "parametric ReLU",
    covers: ["kPARAMETRIC_RELU"],
    build: (network, batch) => [
      network.addParametricReLU(input(network, batch, [3, 4]), network.addConstant(weights([1, 3, 1]))),
    ],
  },
  {
    name: "resize nearest, linear, cubic, by sizes and by scales",
    covers: ["kRESIZE"],
    build: (network, batch) => {
      const x = input(network, batch, [3, 8, 10]);
      const [b] = x.dims as [Dim];
      return [
        network.addResize(x, [b, 3, 16, 20], { resizeMode: "kNEAREST", coordinateTransformation: "kASYMMETRIC" }),
        network.addResize(x, [b, 3, 5, 7], { resizeMode: "kLINEAR", coordinateTransformation: "kHALF_PIXEL" }),
        network.addResize(x, [b, 3, 12, 15], { resizeMode: "kLINEAR", coordinateTransformation: "kALIGN_CORNERS" }),
        network.addResize(x, [b, 3, 16, 20], { resizeMode: "kCUBIC", coordinateTransformation: "kHALF_PIXEL" }),
        network.addResize(x, [b, 3, 12, 15], {
          resizeMode: "kLINEAR",
          coordinateTransformation: "kHALF_PIXEL",
          scales: [1, 1, 1.5, 1.5],
        }),
      ];
    },
  },
  {
    name: "select",
    covers: ["kSELECT"],
    build: (network, batch) => {
      const x = input(network, batch, [3, 4]);
      const condition = network.addElementWise(x, constant(network, [1, 1, 1], [0], "kFLOAT"), "kGREATER");
      return [network.addSelect(condition, x, constant(network, [1, 3, 1], [1, 2, 3], "kFLOAT"))];
    },
  },
  {
    name: "fill: arange and full of a dynamic length",
    covers: ["kFILL"],
    build: (network, batch) => {
      const x = input(network, batch, [3]);
      const [b] = x.dims as [Dim];
      return [
        network.addFill(
          [b],
          "kLINSPACE",
          "kINT64",
          scalar(network, 2, "kINT64"),
          constant(network, [1], [3], "kINT64"),
        ),
        network.addFill(
          [b],
          "kLINSPACE",
          "kFLOAT",
          scalar(network, 2, "kFLOAT"),
          constant(network, [1], [0.5], "kFLOAT"),
        ),
        network.addFill(
          [b, 4],
          "kLINSPACE",
          "kFLOAT",
          scalar(network, 7, "kFLOAT"),
          constant(network, [2], [0, 0], "kFLOAT"),
        ),
        network.addElementWise(
          network.addFill(
            [6],
            "kLINSPACE",
            "kINT32",
            scalar(network, 0, "kINT32"),
            constant(network, [1], [1], "kINT32"),
          ),
          constant(network, [1], [1], "kINT32"),
          "kSUM",
        ),
      ];
    },
  },
  {
    name: "scatter by element and n-d",
    covers: ["kSCATTER"],
    build: (network, batch) => {
      const x = input(network, batch, [6]);
      const indices = input(network, batch, [2], "kINT64", "indices");
      const updates = input(network, batch, [2], "kFLOAT", "updates");
      const rows = constant(network, [1, 1], [0], "kINT64");
      return [
        network.addScatter(x, indices, updates, "kELEMENT", 1),
        network.addScatter(x, rows, network.addConstant(weights([1, 6])), "kND"),
      ];
    },
  },
  {
    name: "einsum",
    covers: ["kEINSUM"],
    build: (network, batch) => {
      const x = input(network, batch, [3, 4]);
      const y = input(network, batch, [4, 5], "kFLOAT", "y");
      return [network.addEinsum([x, y], "bij,bjk->bik"), network.addEinsum([x], "bij->bji")];
    },
  },
  {
    name: "one-hot",
    covers: ["kONE_HOT"],
    build: (network, batch) => {
      const indices = input(network, batch, [3], "kINT64");
      const values = constant(network, [2], [0, 1], "kFLOAT");
      return [network.addOneHot(indices, values, 5, 2), network.addOneHot(indices, values, 4, 1)];
    },
  },
  {
    name: "grid sample",
    covers: ["kGRID_SAMPLE"],
    build: (network, batch) => [
      network.addGridSample(input(network, batch, [3, 8, 8]), input(network, batch, [5, 6, 2], "kFLOAT", "grid"), {
        interpolationMode: "kLINEAR",
        alignCorners: false,
        sampleMode: "kFILL",
      }),
    ],
  },
  {
    name: "non-zero (TensorRT-RTX has no kernels for it)",
    covers: ["kNON_ZERO"],
    builds: false,
    build: (network, batch) => [network.addNonZero(input(network, batch, [4]))],
  },
  {
    name: "non-maximum suppression (TensorRT-RTX has no kernels for it)",
    covers: ["kNMS"],
    builds: false,
    build: (network, batch) => {
      const boxes = input(network, batch, [10, 1, 4]);
      const scores = input(network, batch, [10, 3], "kFLOAT", "scores");
      return [
        network.addNMS(
          network.addShuffle(boxes, { reshape: [boxes.dims[0] as Dim, 10, 4] }),
          scores,
          scalar(network, 5, "kINT32"),
          {
            iouThreshold: scalar(network, 0.5, "kFLOAT"),
            scoreThreshold: scalar(network, 0.1, "kFLOAT"),
            boundingBoxFormat: "kCORNER_PAIRS",
            topKBoxLimit: 100,
          },
        ),
      ];
    },
  },
  ...(["kFLOAT", "kHALF"] as const).map(
    (type): Case => ({
      name: `normalization: layer, group, ${type}`,
      covers: ["kNORMALIZATION"],
      build: (network, batch) => {
        const x = input(network, batch, [4, 5, 6], type);
        const scale = (dims: number[]) => network.addConstant(weights(dims, type));
        return [
          network.addNormalization(x, scale([1, 1, 1, 6]), scale([1, 1, 1, 6]), [3], 1e-5),
          network.addNormalization(x, scale([1, 4, 1, 1]), scale([1, 4, 1, 1]), [2, 3], 1e-5, 4),
          network.addNormalization(x, scale([1, 2, 1, 1]), scale([1, 2, 1, 1]), [2, 3], 1e-5, 2),
        ];
      },
    }),
  ),
  {
    name: "cumulative sum",
    covers: ["kCUMULATIVE"],
    build: (network, batch) => {
      const x = input(network, batch, [7]);
      return [network.addCumulative(x, 1), network.addCumulative(x, 0, { exclusive: true, reverse: true })];
    },
  },
  {
    name: "fused attention",
    covers: ["kATTENTION"],
    build: (network, batch) => {
      const [q, k, v] = ["q", "k", "v"].map((name) => input(network, batch, [4, 16, 64], "kHALF", name)) as [
        ITensor,
        ITensor,
        ITensor,
      ];
      const mask = input(network, batch, [1, 16, 16], "kBOOL", "mask");
      return [network.addAttention(q, k, v, null, true), network.addAttention(q, k, v, mask, false)];
    },
  },
  {
    name: "conditional",
    covers: ["kCONDITION", "kCONDITIONAL_INPUT", "kCONDITIONAL_OUTPUT"],
    build: (network, batch) => {
      const x = input(network, batch, [4]);
      const flag = network.addInput("flag", "kBOOL", []);
      const conditional = network.addIfConditional(flag);
      const then = conditional.branch("then", () => network.addUnary(x, "kEXP"));
      const otherwise = conditional.branch("else", () => network.addActivation(x, "kRELU"));
      return [conditional.addOutput(then, otherwise)];
    },
  },
  {
    name: "conditional on a size",
    covers: ["kCONDITION"],
    build: (network, batch) => {
      const x = input(network, batch, [4]);
      const total = network.addReduce(network.addShape(x), "kSUM", [0], false);
      const conditional = network.addIfConditional(
        network.addElementWise(total, scalar(network, 7, "kINT64"), "kGREATER"),
      );
      const then = conditional.branch("then", () => network.addUnary(x, "kNEG"));
      const otherwise = conditional.branch("else", () => network.addUnary(x, "kABS"));
      return [conditional.addOutput(then, otherwise)];
    },
  },
  {
    name: "counted loop with a recurrence and a concatenated output",
    covers: ["kTRIP_LIMIT", "kRECURRENCE", "kITERATOR", "kLOOP_OUTPUT"],
    build: (network, batch) => {
      const x = input(network, batch, [3]);
      const steps = input(network, batch, [5, 3], "kFLOAT", "steps");
      const loop = network.addLoop();
      loop.addTripLimit(scalar(network, 5, "kINT64"), "kCOUNT");
      const state = loop.addRecurrence(x);
      const step = loop.addIterator(steps, 1);
      const next = loop.body(() => network.addElementWise(state.value, step, "kSUM"));
      state.setNext(next);
      return [loop.addLoopOutput(state.value, "kLAST_VALUE"), loop.addLoopOutput(next, "kCONCATENATE", 0, 5)];
    },
  },
  {
    name: "while loop",
    covers: ["kTRIP_LIMIT", "kRECURRENCE", "kLOOP_OUTPUT"],
    build: (network, batch) => {
      const x = input(network, batch, [3]);
      const loop = network.addLoop();
      const state = loop.addRecurrence(x);
      const counter = loop.addRecurrence(scalar(network, 0, "kINT64"));
      const goesOn = loop.body(() => network.addElementWise(counter.value, scalar(network, 3, "kINT64"), "kLESS"));
      loop.addTripLimit(goesOn, "kWHILE");
      counter.setNext(loop.body(() => network.addElementWise(counter.value, scalar(network, 1, "kINT64"), "kSUM")));
      state.setNext(loop.body(() => network.addElementWise(state.value, state.value, "kSUM")));
      return [loop.addLoopOutput(state.value, "kLAST_VALUE")];
    },
  },
  {
    name: "int64, uint8 and bool inputs, rank 8",
    covers: ["kCAST"],
    build: (network, batch) => [
      network.addElementWise(
        input(network, batch, [2], "kINT64", "long"),
        network.addCast(input(network, batch, [2], "kINT32", "int"), "kINT64"),
        "kSUM",
      ),
      network.addCast(input(network, batch, [2], "kUINT8", "byte"), "kFLOAT"),
      network.addCast(input(network, batch, [2], "kBOOL", "flag"), "kFLOAT"),
      network.addUnary(input(network, batch, [1, 2, 1, 2, 1, 2, 3], "kFLOAT", "rank8"), "kABS"),
    ],
  },
];
