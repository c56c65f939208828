import { FLOAT_MAX } from "../../network/half.js";
import type { ITensor } from "../../network/layers.js";
import { type Dim, mul } from "../../network/symbolic.js";
import { numberLike, permute, range } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { castTo, constantLike, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";

/** Indices of the boxes that no better one overlaps by more than the threshold, the best first. */
export const nms = converter(
  "torchvision::nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
  (ctx, { dets, scores, iou_threshold }) => {
    const { network } = ctx;
    if (ctx.capabilities.backend === "tensorrt-rtx") {
      ctx.unsupported(
        "TensorRT-RTX has no NMS layer, and the number of boxes kept is known only at run time",
        "End the engine before nms and run torchvision.ops.nms on its outputs, or build for TensorRT.",
      );
    }
    const count = dets.dims[0] as Dim;
    const boxes = castTo(ctx, dets, "float32").tensor;
    const confidences = castTo(ctx, scores, "float32").tensor;
    const selected = network.addNMS(
      reshape(ctx, boxes, [1, count, 4]),
      reshape(ctx, confidences, [1, count, 1]),
      network.addCast(network.scalarTensor(count), "kINT32"),
      {
        iouThreshold: ctx.constant("kFLOAT", [], [iou_threshold]),
        // Every box is a candidate, whatever its score.
        scoreThreshold: ctx.constant("kFLOAT", [], [-FLOAT_MAX]),
        boundingBoxFormat: "kCORNER_PAIRS",
        topKBoxLimit: 5000,
      },
    );
    const kept = selected.dims[0] as Dim;
    const column = network.addSlice(selected, [0, 2], [kept, 1], [1, 1]);
    return ctx.tensorValue(network.addCast(reshape(ctx, column, [kept]), "kINT64"));
  },
  { limits: "Not for TensorRT-RTX, which has no NMS layer. TensorRT considers the 5000 best boxes." },
);

/** Where samples of one axis read the feature map, and with what weight: `[boxes, samples]`. */
interface Samples {
  readonly low: ITensor;
  readonly high: ITensor;
  readonly lowWeight: ITensor;
  readonly highWeight: ITensor;
  /** 1 for samples inside the map, by less than a pixel outside of it at most, else 0. */
  readonly inside: ITensor;
}

interface Axis {
  readonly size: Dim;
  readonly start: ITensor;
  readonly length: ITensor;
  readonly bins: number;
}

/** `[boxes, 1]` first edge and length of the boxes along an axis, in pixels of the feature map. */
function boxAxis(
  ctx: ConversionContext,
  rois: ITensor,
  first: number,
  spatialScale: number,
  aligned: boolean,
  size: Dim,
  bins: number,
): Axis {
  const { network } = ctx;
  const count = rois.dims[0] as Dim;
  const edge = (column: number): ITensor => {
    const slice = network.addSlice(rois, [0, column], [count, 1], [1, 1]);
    const scaled = network.addElementWise(slice, constantLike(ctx, slice, spatialScale), "kPROD");
    return aligned ? network.addElementWise(scaled, constantLike(ctx, scaled, 0.5), "kSUB") : scaled;
  };
  const [start, end] = [edge(first), edge(first + 2)];
  const length = network.addElementWise(end, start, "kSUB");
  // Boxes of no size are taken as one pixel unless aligned.
  return {
    size,
    start,
    length: aligned ? length : network.addElementWise(length, constantLike(ctx, length, 1), "kMAX"),
    bins,
  };
}

function sampleAxis(ctx: ConversionContext, axis: Axis, perBin: number): Samples {
  const { network } = ctx;
  const op = (a: ITensor, b: ITensor, operation: "kSUM" | "kSUB" | "kPROD" | "kMIN" | "kMAX"): ITensor =>
    network.addElementWise(a, b, operation);
  // In bins: the first sample of each stands half a step inside.
  const steps = range(axis.bins * perBin).map((i) => (i + 0.5) / perBin);
  const offsets = ctx.constant("kFLOAT", [1, steps.length], steps);
  const bin = op(axis.length, ctx.constant("kFLOAT", [1, 1], [1 / axis.bins]), "kPROD");
  const at = op(axis.start, op(bin, offsets, "kPROD"), "kSUM");
  const size = numberLike(ctx, at, axis.size);
  const one = constantLike(ctx, at, 1);
  const zero = constantLike(ctx, at, 0);
  const before = network.addElementWise(at, constantLike(ctx, at, -1), "kLESS");
  const behind = network.addElementWise(at, size, "kGREATER");
  const inside = network.addCast(network.addUnary(network.addElementWise(before, behind, "kOR"), "kNOT"), "kFLOAT");
  const last = op(size, one, "kSUB");
  const clamped = op(op(at, zero, "kMAX"), last, "kMIN");
  const low = network.addUnary(clamped, "kFLOOR");
  const high = op(op(low, one, "kSUM"), last, "kMIN");
  const highWeight = op(clamped, low, "kSUB");
  return {
    low: network.addCast(low, "kINT64"),
    high: network.addCast(high, "kINT64"),
    lowWeight: op(one, highWeight, "kSUB"),
    highWeight,
    inside,
  };
}

/** Bilinear samples of `[N, C, H, W]` at the crossings of both axes' samples: `[boxes, rows, columns, C]`. */
function sampled(
  ctx: ConversionContext,
  features: ITensor,
  images: ITensor,
  vertical: Samples,
  horizontal: Samples,
): ITensor {
  const { network } = ctx;
  const [batch, channels, height, width] = features.dims as [Dim, Dim, Dim, Dim];
  const pixels = reshape(ctx, permute(ctx, features, [0, 2, 3, 1]), [mul(batch, height, width), channels]);
  const [count, rows] = vertical.low.dims as [Dim, Dim];
  const columns = horizontal.low.dims[1] as Dim;
  const first = network.addElementWise(images, numberLike(ctx, images, mul(height, width)), "kPROD");
  const inside = network.addElementWise(
    reshape(ctx, vertical.inside, [count, rows, 1, 1]),
    reshape(ctx, horizontal.inside, [count, 1, columns, 1]),
    "kPROD",
  );
  let sum: ITensor | undefined;
  for (const y of ["low", "high"] as const) {
    const line = network.addElementWise(vertical[y], numberLike(ctx, vertical[y], width), "kPROD");
    const lines = reshape(ctx, network.addElementWise(line, first, "kSUM"), [count, rows, 1]);
    for (const x of ["low", "high"] as const) {
      const places = network.addElementWise(lines, reshape(ctx, horizontal[x], [count, 1, columns]), "kSUM");
      const weight = network.addElementWise(
        reshape(ctx, vertical[`${y}Weight`], [count, rows, 1, 1]),
        reshape(ctx, horizontal[`${x}Weight`], [count, 1, columns, 1]),
        "kPROD",
      );
      const corner = network.addElementWise(
        network.addGather(pixels, places, 0),
        network.addElementWise(weight, inside, "kPROD"),
        "kPROD",
      );
      sum = sum === undefined ? corner : network.addElementWise(sum, corner, "kSUM");
    }
  }
  return sum as ITensor;
}

interface Pooling {
  readonly input: TensorValue;
  readonly rois: TensorValue;
  readonly spatial_scale: number;
  readonly pooled_height: number;
  readonly pooled_width: number;
  readonly sampling_ratio: number;
}

/** The mean of bilinear samples in each bin of each box: `[boxes, pooled_height, pooled_width, C]` in float32. */
function binMeans(ctx: ConversionContext, args: Pooling, aligned: boolean): ITensor {
  const { network } = ctx;
  const { spatial_scale: scale, sampling_ratio: ratio, pooled_height, pooled_width } = args;
  if (ratio <= 0) {
    ctx.unsupported(
      "sampling_ratio <= 0 takes a number of samples that depends on the boxes",
      "Give sampling_ratio a number: torchvision's detection models have 2.",
    );
  }
  const features = castTo(ctx, args.input, "float32").tensor;
  const boxes = castTo(ctx, args.rois, "float32").tensor;
  const count = boxes.dims[0] as Dim;
  const [, channels, height, width] = features.dims as [Dim, Dim, Dim, Dim];
  const images = network.addCast(network.addSlice(boxes, [0, 0], [count, 1], [1, 1]), "kINT64");
  const vertical = sampleAxis(ctx, boxAxis(ctx, boxes, 2, scale, aligned, height, pooled_height), ratio);
  const horizontal = sampleAxis(ctx, boxAxis(ctx, boxes, 1, scale, aligned, width, pooled_width), ratio);
  const samples = sampled(ctx, features, images, vertical, horizontal);
  const bins = reshape(ctx, samples, [count, pooled_height, ratio, pooled_width, ratio, channels]);
  return network.addReduce(bins, "kAVG", [2, 4], false);
}

/** `[boxes, C, pooled_height, pooled_width]`. */
export const roiAlign = converter(
  "torchvision::roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio, bool aligned) -> Tensor",
  (ctx, args) => {
    const means = permute(ctx, binMeans(ctx, args, args.aligned), [0, 3, 1, 2]);
    return castTo(ctx, ctx.tensorValue(means, "float32"), args.input.dtype);
  },
  { limits: "sampling_ratio above 0." },
);

/** As roi_align, where each bin reads channels of its own: `[boxes, C / bins, pooled_height, pooled_width]`. */
export const psRoiAlign = converter(
  "torchvision::ps_roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio) -> (Tensor, Tensor)",
  (ctx, args): [TensorValue, TensorValue] => {
    if (ctx.node.outputs[1]?.hasUses === true) {
      ctx.unsupported("its second result, for the backward pass, is not computed", "Use the first result only.");
    }
    const means = binMeans(ctx, args, true);
    const [count, height, width, channels] = means.dims as [Dim, number, number, number];
    const outputs = channels / (height * width);
    const places = range(height).flatMap((y) =>
      range(width).flatMap((x) => range(outputs).map((c) => (y * width + x) * channels + (c * height + y) * width + x)),
    );
    const flat = reshape(ctx, means, [count, height * width * channels]);
    const own = ctx.network.addGather(flat, ctx.constant("kINT64", [height, width, outputs], places), 1);
    const output = permute(ctx, own, [0, 3, 1, 2]);
    const result = castTo(ctx, ctx.tensorValue(output, "float32"), args.input.dtype);
    return [result, result];
  },
  { limits: "sampling_ratio above 0; the first result only." },
);
