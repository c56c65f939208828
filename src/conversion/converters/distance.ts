import type { ITensor } from "../../network/layers.js";
import { type Dim, lessOrEqual } from "../../network/symbolic.js";
import { like, spliceDims } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { broadcastShapes, constantLike, expandTo, promote, reshape } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";

/** The p-norm over the last axis. */
function norm(ctx: ConversionContext, difference: ITensor, p: number): ITensor {
  const { network } = ctx;
  const axes = [difference.dims.length - 1];
  if (p === 2) {
    const squares = network.addElementWise(difference, difference, "kPROD");
    return network.addUnary(network.addReduce(squares, "kSUM", axes, false), "kSQRT");
  }
  const size = network.addUnary(difference, "kABS");
  if (p === 1) return network.addReduce(size, "kSUM", axes, false);
  if (p === Number.POSITIVE_INFINITY) return network.addReduce(size, "kMAX", axes, false);
  if (p === 0) {
    const nonZero = network.addElementWise(size, constantLike(ctx, size, 0), "kGREATER");
    return network.addReduce(network.addCast(nonZero, size.type), "kSUM", axes, false);
  }
  const powers = network.addElementWise(size, constantLike(ctx, size, p), "kPOW");
  const sum = network.addReduce(powers, "kSUM", axes, false);
  return network.addElementWise(sum, constantLike(ctx, sum, 1 / p), "kPOW");
}

/** |x|² - 2xy + |y|², which loses digits where x and y are close: PyTorch does so too, from some size on. */
function euclideanByProduct(ctx: ConversionContext, x: ITensor, y: ITensor): ITensor {
  const { network } = ctx;
  const rank = x.dims.length;
  const squared = (tensor: ITensor): ITensor =>
    network.addReduce(network.addElementWise(tensor, tensor, "kPROD"), "kSUM", [rank - 1], true);
  const columns = squared(y);
  const row = reshape(ctx, columns, [...columns.dims.slice(0, -2), 1, columns.dims[rank - 2] as Dim]);
  const product = network.addMatrixMultiply(x, "kNONE", y, "kTRANSPOSE");
  const doubled = network.addElementWise(product, constantLike(ctx, product, -2), "kPROD");
  const sum = network.addElementWise(network.addElementWise(squared(x), row, "kSUM"), doubled, "kSUM");
  return network.addUnary(network.addElementWise(sum, constantLike(ctx, sum, 0), "kMAX"), "kSQRT");
}

/** Distances between all rows of `[..., P, M]` and of `[..., R, M]`: `[..., P, R]`. */
function distances(ctx: ConversionContext, x1: TensorValue, x2: TensorValue, p: number, mode: number): TensorValue {
  const { network } = ctx;
  const [a, b] = promote(ctx, x1, x2);
  const batch = broadcastShapes(ctx, a.dims.slice(0, -2), b.dims.slice(0, -2));
  const x = expandTo(ctx, a.tensor, [...batch, ...a.dims.slice(-2)]);
  const y = expandTo(ctx, b.tensor, [...batch, ...b.dims.slice(-2)]);
  const [rows, columns] = [x.dims.at(-2) as Dim, y.dims.at(-2) as Dim];
  const large = lessOrEqual(rows, 25) !== true || lessOrEqual(columns, 25) !== true;
  if (p === 2 && (mode === 1 || (mode === 0 && large))) return like(ctx, a, euclideanByProduct(ctx, x, y));
  const rank = x.dims.length;
  const left = reshape(ctx, x, spliceDims(x.dims, rank - 1, 0, 1));
  const right = reshape(ctx, y, spliceDims(y.dims, rank - 2, 0, 1));
  return like(ctx, a, norm(ctx, network.addElementWise(left, right, "kSUB"), p));
}

export const cdist = [
  converter(
    "aten::cdist(Tensor x1, Tensor x2, float p=2., int? compute_mode=None) -> Tensor",
    (ctx, { x1, x2, p, compute_mode }) => distances(ctx, x1, x2, p, compute_mode ?? 0),
  ),
  converter(
    "aten::_cdist_forward(Tensor x1, Tensor x2, float p, int? compute_mode) -> Tensor",
    (ctx, { x1, x2, p, compute_mode }) => distances(ctx, x1, x2, p, compute_mode ?? 0),
  ),
  converter("aten::_euclidean_dist(Tensor x1, Tensor x2) -> Tensor", (ctx, { x1, x2 }) => distances(ctx, x1, x2, 2, 1)),
];

/** The upper triangle of the distances between the rows, without the diagonal, row after row. */
function pairDistances(ctx: ConversionContext, self: TensorValue, p: number): TensorValue {
  const [rows] = self.dims;
  if (typeof rows !== "number") {
    return ctx.unsupported("the number of rows must be known at build time", "Give that dim a fixed size.");
  }
  const pairs: [number, number][] = [];
  for (let i = 0; i < rows; i++) for (let j = i + 1; j < rows; j++) pairs.push([i, j]);
  const side = (which: 0 | 1): ITensor => {
    const indices = ctx.constant(
      "kINT64",
      [pairs.length],
      pairs.map((pair) => pair[which]),
    );
    return ctx.network.addGather(self.tensor, indices, 0);
  };
  return like(ctx, self, norm(ctx, ctx.network.addElementWise(side(0), side(1), "kSUB"), p));
}

export const pdists = [
  converter("aten::pdist(Tensor self, float p=2.) -> Tensor", (ctx, { self, p }) => pairDistances(ctx, self, p)),
  converter("aten::_pdist_forward(Tensor self, float p=2.) -> Tensor", (ctx, { self, p }) =>
    pairDistances(ctx, self, p),
  ),
];
