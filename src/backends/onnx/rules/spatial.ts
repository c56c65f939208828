import type { ITensor, LayerAttributes, LayerOf } from "../../../network/layers.js";
import { isStatic } from "../../../network/symbolic.js";
import { TrtorchError } from "../../../util/errors.js";
import type { GraphBuilder } from "../graph.js";
import { at, inputOf, type Rules } from "./rule.js";

export const SPATIAL: Rules<"kCONVOLUTION" | "kDECONVOLUTION" | "kPOOLING" | "kRESIZE" | "kGRID_SAMPLE" | "kNMS"> = {
  kCONVOLUTION: (g, layer, inputs) =>
    g.op("Conv", convolutionInputs(g, layer, inputs), {
      ...convolutionAttributes(layer.attributes),
      pads: [...layer.attributes.prePadding, ...layer.attributes.postPadding],
    }),
  kDECONVOLUTION: (g, layer, inputs) => {
    const { prePadding, postPadding } = layer.attributes;
    // Less than no padding behind: PyTorch's output_padding.
    const extra = postPadding.map((padding) => Math.max(-padding, 0));
    return g.op("ConvTranspose", convolutionInputs(g, layer, inputs), {
      ...convolutionAttributes(layer.attributes),
      pads: [...prePadding, ...postPadding.map((padding) => Math.max(padding, 0))],
      output_padding: extra.some((padding) => padding > 0) ? extra : undefined,
    });
  },
  kPOOLING: (g, layer, [x = ""]) => {
    const data = inputOf(layer, 0);
    const spatial = layer.attributes.windowSizeNd.length;
    const pooled = data.dims.length - spatial;
    if (pooled === 2) return pool(g, layer.attributes, data, x);
    // ONNX has a batch and channels before the spatial dims, no more.
    const flat = g.op("Reshape", [
      x,
      g.op("Concat", [g.ints([-1, 1]), g.op("Shape", [x], { start: pooled })], { axis: 0 }),
    ]);
    const result = pool(g, layer.attributes, data, flat);
    const dims = [g.op("Shape", [x], { start: 0, end: pooled }), g.op("Shape", [result], { start: 2 })];
    return g.op("Reshape", [result, g.op("Concat", dims, { axis: 0 })]);
  },
  kRESIZE: (g, layer, [x = "", size = ""]) => {
    const a = layer.attributes;
    const { type } = inputOf(layer, 0);
    const target = isStatic(a.outputDimensions) ? g.ints(a.outputDimensions) : size;
    const scales = a.scales === null ? "" : g.model.constant("kFLOAT", [a.scales.length], a.scales);
    // Where scales stand for the coordinates, ONNX computes the sizes from them as PyTorch does.
    const sizes = a.scales === null ? [x, "", "", target] : [x, "", scales];
    const half = a.selectorForSinglePixel === "kUPPER" ? "pytorch_half_pixel" : "half_pixel";
    return g.via(
      type,
      ["kFLOAT", "kHALF", "kBF16", "kINT32", "kINT8", "kUINT8"],
      type === "kINT64" ? "kINT32" : "kUINT8",
      x,
      (value) =>
        g.op("Resize", [value, ...sizes.slice(1)], {
          mode: ({ kNEAREST: "nearest", kLINEAR: "linear", kCUBIC: "cubic" } as const)[a.resizeMode],
          coordinate_transformation_mode: {
            kALIGN_CORNERS: "align_corners",
            kASYMMETRIC: "asymmetric",
            kHALF_PIXEL: half,
          }[a.coordinateTransformation],
          nearest_mode: {
            kHALF_UP: "round_prefer_ceil",
            kHALF_DOWN: "round_prefer_floor",
            kFLOOR: "floor",
            kCEIL: "ceil",
          }[a.nearestRounding],
          cubic_coeff_a: { float: a.cubicCoeff },
          exclude_outside: Number(a.excludeOutside),
        }),
    );
  },
  kGRID_SAMPLE: (g, layer, inputs) => {
    const { interpolationMode, alignCorners, sampleMode } = layer.attributes;
    const padding = { kFILL: "zeros", kCLAMP: "border", kREFLECT: "reflection", kWRAP: "", kSTRICT_BOUNDS: "" }[
      sampleMode
    ];
    if (padding === "") throw new TrtorchError("unsupported", `ONNX has no grid sampling with ${sampleMode}`);
    return g.op("GridSample", inputs, {
      mode: { kNEAREST: "nearest", kLINEAR: "linear", kCUBIC: "cubic" }[interpolationMode],
      padding_mode: padding,
      align_corners: Number(alignCorners),
    });
  },
  kNMS: (g, layer, [boxes = "", scores = "", count = "", iou = "", threshold = ""]) => {
    const one = (value: string): string => g.reshape(value, [1]);
    const selected = g.op(
      "NonMaxSuppression",
      [
        wide(g, inputOf(layer, 0), boxes),
        // TensorRT has the classes last, ONNX the boxes.
        g.op("Transpose", [wide(g, inputOf(layer, 1), scores)], { perm: [0, 2, 1] }),
        one(g.cast(count, "kINT64")),
        one(wide(g, inputOf(layer, 3), iou)),
        one(wide(g, inputOf(layer, 4), threshold)),
      ],
      { center_point_box: Number(layer.attributes.boundingBoxFormat === "kCENTER_SIZES") },
    );
    return [selected, g.toScalar(g.cast(g.size(selected, 0), "kINT32"))];
  },
};

type Convolution = LayerOf<"kCONVOLUTION"> | LayerOf<"kDECONVOLUTION">;

function convolutionInputs(g: GraphBuilder, layer: Convolution, inputs: readonly string[]): string[] {
  const { kernel, bias } = layer.attributes;
  return [
    at(inputs, 0),
    kernel === null ? at(inputs, 1) : g.model.weights(kernel, `${layer.name}/kernel`),
    ...(bias === null ? [] : [g.model.weights(bias, `${layer.name}/bias`)]),
  ];
}

function convolutionAttributes(a: LayerAttributes["kCONVOLUTION"]) {
  return { kernel_shape: a.kernelSizeNd, strides: a.strideNd, dilations: a.dilationNd, group: a.nbGroups };
}

function pool(g: GraphBuilder, a: LayerAttributes["kPOOLING"], data: ITensor, x: string): string {
  const spatial = a.windowSizeNd.length;
  // (n + stride - 1) div stride rounds up; ONNX's own ceil_mode drops windows that start in the padding.
  const post = a.postPadding.map((padding, i) => padding + (a.roundUp ? at(a.strideNd, i) - 1 : 0));
  const window = { kernel_shape: a.windowSizeNd, strides: a.strideNd };
  const fits = a.windowSizeNd.every((size, i) => at(a.prePadding, i) < size && at(post, i) < size);
  // onnxruntime refuses a padding as large as the window, which rounding up may need; and makes one again of a Pad that
  // stands right before the pooling, whatever it fills in. Nothing is more than infinity: the minimum keeps them apart.
  const apart = (value: string): string => g.op("Min", [value, g.scalar(data.type, Infinity)]);
  if (fits) {
    const isPadded = data.producer?.type === "kSLICE" && data.producer.attributes.mode === "kFILL";
    if (isPadded) x = apart(x);
    const pads = [...a.prePadding, ...post];
    return a.poolingType === "kMAX"
      ? g.op("MaxPool", [x], { ...window, pads })
      : g.op("AveragePool", [x], { ...window, pads, count_include_pad: Number(!a.averageCountExcludesPadding) });
  }
  const padded = (value: string, fill: number): string => {
    const pads = g.ints([0, 0, ...a.prePadding, 0, 0, ...post]);
    return apart(g.op("Pad", [value, pads, g.scalar(data.type, fill)]));
  };
  if (a.poolingType === "kMAX") return g.op("MaxPool", [padded(x, -Infinity)], window);
  const mean = g.op("AveragePool", [padded(x, 0)], window);
  if (!a.averageCountExcludesPadding) return mean;
  const sizes = g.op("Concat", [g.ints([1, 1]), g.op("Shape", [x], { start: -spatial })], { axis: 0 });
  const ones = g.op("Expand", [g.model.constant(data.type, [1, 1], [1]), sizes]);
  return g.op("Div", [mean, g.op("AveragePool", [padded(ones, 0)], window)]);
}

function wide(g: GraphBuilder, tensor: ITensor, value: string): string {
  return tensor.type === "kFLOAT" ? value : g.cast(value, "kFLOAT");
}
