import { type DataType, isFloat } from "../../../network/enums.js";
import type { LayerAttributes } from "../../../network/layers.js";
import type { GraphBuilder } from "../graph.js";
import { at, inputOf, type Rules, where } from "./rule.js";

const UNARY = {
  kEXP: "Exp",
  kLOG: "Log",
  kSQRT: "Sqrt",
  kRECIP: "Reciprocal",
  kABS: "Abs",
  kNEG: "Neg",
  kSIN: "Sin",
  kCOS: "Cos",
  kTAN: "Tan",
  kSINH: "Sinh",
  kCOSH: "Cosh",
  kASIN: "Asin",
  kACOS: "Acos",
  kATAN: "Atan",
  kASINH: "Asinh",
  kACOSH: "Acosh",
  kATANH: "Atanh",
  kCEIL: "Ceil",
  kFLOOR: "Floor",
  kERF: "Erf",
  kNOT: "Not",
  kSIGN: "Sign",
  // Halves go to the even neighbour in both.
  kROUND: "Round",
  kISINF: "IsInf",
  kISNAN: "IsNaN",
} as const satisfies Record<LayerAttributes["kUNARY"]["operation"], string>;

const REDUCE = {
  kSUM: "ReduceSum",
  kPROD: "ReduceProd",
  kMAX: "ReduceMax",
  kMIN: "ReduceMin",
  kAVG: "ReduceMean",
} as const satisfies Record<LayerAttributes["kREDUCE"]["operation"], string>;

export const ARITHMETIC: Rules<
  | "kCAST"
  | "kIDENTITY"
  | "kACTIVATION"
  | "kPARAMETRIC_RELU"
  | "kELEMENTWISE"
  | "kUNARY"
  | "kSELECT"
  | "kREDUCE"
  | "kSOFTMAX"
  | "kMATRIX_MULTIPLY"
  | "kEINSUM"
  | "kCUMULATIVE"
  | "kNORMALIZATION"
  | "kATTENTION"
  | "kQUANTIZE"
  | "kDEQUANTIZE"
> = {
  kCAST: (g, layer, [x = ""]) => g.cast(x, layer.attributes.toType),
  kIDENTITY: (g, _, [x = ""]) => g.op("Identity", [x]),
  kACTIVATION: (g, layer, [x = ""]) => activation(g, layer.attributes, inputOf(layer, 0).type, x),
  kPARAMETRIC_RELU: (g, _, inputs) => g.op("PRelu", inputs),
  kELEMENTWISE: (g, layer, [x = "", y = ""]) => {
    const { type } = inputOf(layer, 0);
    switch (layer.attributes.operation) {
      case "kSUM":
        return g.op("Add", [x, y]);
      case "kPROD":
        return g.op("Mul", [x, y]);
      case "kMAX":
        return g.op("Max", [x, y]);
      case "kMIN":
        return g.op("Min", [x, y]);
      case "kSUB":
        return g.op("Sub", [x, y]);
      case "kDIV":
        // Of integers both truncate.
        return g.op("Div", [x, y]);
      case "kPOW":
        return g.op("Pow", [x, y]);
      case "kFLOOR_DIV":
        if (isFloat(type)) return g.op("Floor", [g.op("Div", [x, y])]);
        // Mod has the divisor's sign, so that the rest divides exactly.
        return g.op("Div", [g.op("Sub", [x, g.op("Mod", [x, y])]), y]);
      case "kAND":
        return g.op("And", [x, y]);
      case "kOR":
        return g.op("Or", [x, y]);
      case "kXOR":
        return g.op("Xor", [x, y]);
      case "kEQUAL":
        return g.op("Equal", [x, y]);
      case "kGREATER":
        return g.op("Greater", [x, y]);
      case "kLESS":
        return g.op("Less", [x, y]);
    }
  },
  kUNARY: (g, layer, [x = ""]) => g.op(UNARY[layer.attributes.operation], [x]),
  kSELECT: (g, layer, [condition = "", x = "", y = ""]) => where(g, inputOf(layer, 1).type, condition, x, y),
  kREDUCE: (g, layer, [x = ""]) => {
    const { operation, axes, keepDimensions } = layer.attributes;
    return g.op(REDUCE[operation], [x, g.ints(axes)], {
      keepdims: Number(keepDimensions),
      // Without axes there is nothing to reduce, where ONNX would reduce all.
      noop_with_empty_axes: 1,
    });
  },
  kSOFTMAX: (g, layer, [x = ""]) => g.op("Softmax", [x], { axis: layer.attributes.axis }),
  kMATRIX_MULTIPLY: (g, layer, [x = "", y = ""]) => {
    const { op0, op1 } = layer.attributes;
    const [rank0, rank1] = [inputOf(layer, 0).dims.length, inputOf(layer, 1).dims.length];
    const left =
      op0 === "kTRANSPOSE" ? swapLast(g, x, rank0) : op0 === "kVECTOR" ? g.op("Unsqueeze", [x, g.ints([-2])]) : x;
    const right =
      op1 === "kTRANSPOSE" ? swapLast(g, y, rank1) : op1 === "kVECTOR" ? g.op("Unsqueeze", [y, g.ints([-1])]) : y;
    const product = g.op("MatMul", [left, right]);
    const squeezed = [...(op0 === "kVECTOR" ? [-2] : []), ...(op1 === "kVECTOR" ? [-1] : [])];
    return squeezed.length === 0 ? product : g.op("Squeeze", [product, g.ints(squeezed)]);
  },
  kEINSUM: (g, layer, inputs) => g.op("Einsum", inputs, { equation: layer.attributes.equation.replaceAll(" ", "") }),
  kCUMULATIVE: (g, layer, [x = ""]) => {
    const { axis, exclusive, reverse } = layer.attributes;
    return g.op("CumSum", [x, g.scalar("kINT64", axis)], { exclusive: Number(exclusive), reverse: Number(reverse) });
  },
  kNORMALIZATION: (g, layer, [x = "", scale = "", bias = ""]) => {
    const { axes, epsilon, nbGroups } = layer.attributes;
    const { type, dims } = inputOf(layer, 0);
    // TensorRT computes statistics in float whatever the type.
    const wide = type === "kFLOAT" ? x : g.cast(x, "kFLOAT");
    const normalized =
      nbGroups === 1
        ? normalize(g, wide, axes, epsilon)
        : normalizeGroups(g, wide, dims.length, axes, epsilon, nbGroups);
    const result = type === "kFLOAT" ? normalized : g.cast(normalized, type);
    // Groups may have a scale of their own, [1, groups, 1, ...], or every channel its own.
    const perGroup = (index: number, value: string): string => {
      const tensor = inputOf(layer, index);
      if (nbGroups === 1 || tensor.dims[1] !== nbGroups || dims[1] === nbGroups) return value;
      const channels = g.op("Div", [g.size(x, 1), g.ints([nbGroups])]);
      const rest = dims.slice(2).map(() => 1);
      const spread = g.op("Concat", [g.ints([1, nbGroups]), channels, g.ints(rest)], { axis: 0 });
      const unfolded = g.reshape(value, [1, nbGroups, 1, ...rest]);
      return g.reshape(g.op("Expand", [unfolded, spread]), [1, -1, ...rest]);
    };
    return g.op("Add", [g.op("Mul", [result, perGroup(1, scale)]), perGroup(2, bias)]);
  },
  kATTENTION: (g, layer, [query = "", key = "", value = "", mask = ""]) => {
    const { type, dims } = inputOf(layer, 0);
    let scores = g.op("MatMul", [query, swapLast(g, key, dims.length)]);
    const outside = g.scalar(type, -Infinity);
    if (mask !== "") {
      scores =
        inputOf(layer, 3).type === "kBOOL" ? g.op("Where", [mask, scores, outside]) : g.op("Add", [scores, mask]);
    }
    if (layer.attributes.causal) {
      const range = (tensor: string): string =>
        g.op("Range", [g.scalar("kINT64", 0), g.toScalar(g.size(tensor, dims.length - 2)), g.scalar("kINT64", 1)]);
      const rows = g.op("Unsqueeze", [range(query), g.ints([1])]);
      scores = g.op("Where", [g.op("LessOrEqual", [range(key), rows]), scores, outside]);
    }
    return g.op("MatMul", [g.op("Softmax", [scores], { axis: -1 }), value]);
  },
  kQUANTIZE: (g, layer, [x = "", scale = "", zeroPoint = ""]) => {
    const { axis, toType } = layer.attributes;
    const [data, scales] = [inputOf(layer, 0), inputOf(layer, 1)];
    const wide = data.type === "kFLOAT" ? x : g.cast(x, "kFLOAT");
    const wideScale = scales.type === "kFLOAT" ? scale : g.cast(scale, "kFLOAT");
    const zero = zeroPoint === "" ? [] : [inputOf(layer, 2).type === toType ? zeroPoint : g.cast(zeroPoint, toType)];
    return g.op("QuantizeLinear", [wide, perTensor(g, wideScale, scales.dims), ...zero], {
      ...(scales.dims.length > 0 ? { axis: at([axis, 1], Number(axis < 0)) } : {}),
      output_dtype: zero.length === 0 ? g.model.elementType(toType) : undefined,
      block_size: blockSize(data.dims, scales.dims, axis),
    });
  },
  kDEQUANTIZE: (g, layer, [x = "", scale = "", zeroPoint = ""]) => {
    const { axis, toType } = layer.attributes;
    const [data, scales] = [inputOf(layer, 0), inputOf(layer, 1)];
    const wideScale = scales.type === "kFLOAT" ? scale : g.cast(scale, "kFLOAT");
    const zero =
      zeroPoint === "" ? [] : [inputOf(layer, 2).type === data.type ? zeroPoint : g.cast(zeroPoint, data.type)];
    const result = g.op("DequantizeLinear", [x, perTensor(g, wideScale, scales.dims), ...zero], {
      ...(scales.dims.length > 0 ? { axis: at([axis, 1], Number(axis < 0)) } : {}),
      block_size: blockSize(data.dims, scales.dims, axis),
    });
    return toType === "kFLOAT" ? result : g.cast(result, toType);
  },
};

function activation(g: GraphBuilder, a: LayerAttributes["kACTIVATION"], type: DataType, x: string): string {
  const alpha = { float: a.alpha };
  const beta = { float: a.beta };
  const scaled = (value: string, by: number): string => (by === 1 ? value : g.op("Mul", [value, g.scalar(type, by)]));
  switch (a.activationType) {
    case "kRELU":
      return isFloat(type) ? g.op("Relu", [x]) : g.op("Max", [x, g.scalar(type, 0)]);
    case "kSIGMOID":
      return g.op("Sigmoid", [x]);
    case "kTANH":
      return g.op("Tanh", [x]);
    case "kLEAKY_RELU":
      return g.op("LeakyRelu", [x], { alpha });
    case "kELU":
      return g.op("Elu", [x], { alpha });
    case "kSELU":
      return g.op("Selu", [x], { alpha, gamma: beta });
    case "kSOFTSIGN":
      return g.op("Softsign", [x]);
    case "kSOFTPLUS":
      // alpha * log(exp(beta * x) + 1)
      return scaled(g.op("Softplus", [scaled(x, a.beta)]), a.alpha);
    case "kCLIP":
      return g.op("Clip", [x, g.scalar(type, a.alpha), g.scalar(type, a.beta)]);
    case "kHARD_SIGMOID":
      return g.op("HardSigmoid", [x], { alpha, beta });
    case "kSCALED_TANH":
      // alpha * tanh(beta * x)
      return scaled(g.op("Tanh", [scaled(x, a.beta)]), a.alpha);
    case "kTHRESHOLDED_RELU":
      return g.op("ThresholdedRelu", [x], { alpha });
    case "kGELU_ERF":
      return g.op("Gelu", [x], { approximate: "none" });
    case "kGELU_TANH":
      return g.op("Gelu", [x], { approximate: "tanh" });
  }
}

function swapLast(g: GraphBuilder, value: string, rank: number): string {
  const perm = Array.from({ length: rank }, (_, axis) => axis);
  perm.splice(rank - 2, 2, rank - 1, rank - 2);
  return g.op("Transpose", [value], { perm });
}

/** (x - mean) / sqrt(variance + epsilon), in float. */
function normalize(g: GraphBuilder, x: string, axes: readonly number[], epsilon: number): string {
  const mean = (value: string): string => g.op("ReduceMean", [value, g.ints(axes)], { keepdims: 1 });
  const centred = g.op("Sub", [x, mean(x)]);
  const variance = mean(g.op("Mul", [centred, centred]));
  return g.op("Div", [centred, g.op("Sqrt", [g.op("Add", [variance, g.scalar("kFLOAT", epsilon)])])]);
}

/** Channels in groups: the axes, and with them a group's channels, have one mean and variance. */
function normalizeGroups(
  g: GraphBuilder,
  x: string,
  rank: number,
  axes: readonly number[],
  epsilon: number,
  nbGroups: number,
): string {
  const shape = g.op("Shape", [x]);
  const channels = g.op("Div", [g.size(x, 1), g.ints([nbGroups])]);
  const rest = rank > 2 ? [g.op("Shape", [x], { start: 2 })] : [];
  const split = g.op("Concat", [g.size(x, 0), g.ints([nbGroups]), channels, ...rest], { axis: 0 });
  const grouped = g.op("Reshape", [x, split]);
  const inner = [2, ...axes.filter((axis) => axis > 1).map((axis) => axis + 1)];
  return g.op("Reshape", [normalize(g, grouped, inner, epsilon), shape]);
}

/** One scale for the whole tensor is 0-d in ONNX; TensorRT takes `[1]` too. */
function perTensor(g: GraphBuilder, scale: string, dims: readonly unknown[]): string {
  return dims.length === 1 && dims[0] === 1 ? g.toScalar(scale) : scale;
}

/** Elements along the axis that share a scale, where scales have the data's rank. */
function blockSize(data: readonly unknown[], scales: readonly unknown[], axis: number): number | undefined {
  if (scales.length < 2 || scales.length !== data.length) return undefined;
  const [size, count] = [data[axis], scales[axis]];
  return typeof size === "number" && typeof count === "number" ? Math.ceil(size / count) : undefined;
}
