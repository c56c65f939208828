import { add, type Dim, sub } from "../../network/symbolic.js";
import { padAxes } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { castTo, normalizeAxis, promoteTypes } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";
import { atLeast, unsqueezed, viewed } from "./view.js";

/** One after the other along an axis, in the type that all of them promote to. */
export function concatenated(ctx: ConversionContext, tensors: readonly TensorValue[], dim: number): TensorValue {
  const [first] = tensors;
  if (first === undefined) return ctx.unsupported("an empty list of tensors cannot be concatenated");
  // PyTorch passes over tensors of shape [0], whatever the rank of the others.
  const joined = tensors.filter((tensor) => !(tensor.dims.length === 1 && tensor.dims[0] === 0));
  const dtype = tensors.map((tensor) => tensor.dtype).reduce(promoteTypes);
  const rank = (joined[0] ?? first).dims.length;
  if (rank === 0) return ctx.unsupported("tensors without dims cannot be concatenated");
  const axis = normalizeAxis(ctx, dim, rank);
  const filled = joined.filter((tensor) => tensor.dims[axis] !== 0);
  if (filled.length === 0) return castTo(ctx, joined[0] ?? first, dtype);
  if (filled.length === 1) return castTo(ctx, filled[0] as TensorValue, dtype);
  const parts = filled.map((tensor) => castTo(ctx, tensor, dtype).tensor);
  return ctx.tensorValue(ctx.network.addConcatenation(parts, axis), dtype);
}

/** Side by side along an axis of their own. */
export function stacked(ctx: ConversionContext, tensors: readonly TensorValue[], dim: number): TensorValue {
  return concatenated(
    ctx,
    tensors.map((tensor) => unsqueezed(ctx, tensor, dim)),
    normalizeAxis(ctx, dim, (tensors[0]?.dims.length ?? 0) + 1),
  );
}

export const cat = [
  converter("aten::cat(Tensor[] tensors, int dim=0) -> Tensor", (ctx, { tensors, dim }) =>
    concatenated(ctx, tensors, dim),
  ),
  converter("aten::concat(Tensor[] tensors, int dim=0) -> Tensor", (ctx, { tensors, dim }) =>
    concatenated(ctx, tensors, dim),
  ),
  converter("aten::concatenate(Tensor[] tensors, int dim=0) -> Tensor", (ctx, { tensors, dim }) =>
    concatenated(ctx, tensors, dim),
  ),
  converter("aten::_cat(Tensor[] tensors, int dim=0) -> Tensor", (ctx, { tensors, dim }) =>
    concatenated(ctx, tensors, dim),
  ),
];

export const stack = [
  converter("aten::stack(Tensor[] tensors, int dim=0) -> Tensor", (ctx, { tensors, dim }) =>
    stacked(ctx, tensors, dim),
  ),
  converter("aten::_stack(Tensor[] tensors, int dim=0) -> Tensor", (ctx, { tensors, dim }) =>
    stacked(ctx, tensors, dim),
  ),
];

function raised(ctx: ConversionContext, tensors: readonly TensorValue[], rank: 1 | 2 | 3): TensorValue[] {
  return tensors.map((tensor) => atLeast(ctx, tensor, rank));
}

/** Along the second axis; vectors, which have none, along their only one. */
function sideBySide(ctx: ConversionContext, tensors: readonly TensorValue[]): TensorValue {
  const parts = raised(ctx, tensors, 1);
  return concatenated(ctx, parts, parts[0]?.dims.length === 1 ? 0 : 1);
}

export const stackAlong = [
  converter("aten::hstack(Tensor[] tensors) -> Tensor", (ctx, { tensors }) => sideBySide(ctx, tensors)),
  converter("aten::vstack(Tensor[] tensors) -> Tensor", (ctx, { tensors }) =>
    concatenated(ctx, raised(ctx, tensors, 2), 0),
  ),
  converter("aten::row_stack(Tensor[] tensors) -> Tensor", (ctx, { tensors }) =>
    concatenated(ctx, raised(ctx, tensors, 2), 0),
  ),
  converter("aten::dstack(Tensor[] tensors) -> Tensor", (ctx, { tensors }) =>
    concatenated(ctx, raised(ctx, tensors, 3), 2),
  ),
  converter("aten::column_stack(Tensor[] tensors) -> Tensor", (ctx, { tensors }) =>
    sideBySide(
      ctx,
      tensors.map((tensor) => {
        const [length = 1] = tensor.dims;
        return tensor.dims.length < 2 ? viewed(ctx, tensor, [length, 1]) : tensor;
      }),
    ),
  ),
];

/** Matrices along the diagonal of one, zeros elsewhere. Vectors are rows. */
export const blockDiag = converter("aten::block_diag(Tensor[] tensors) -> Tensor", (ctx, { tensors }) => {
  const dtype = tensors.map((tensor) => tensor.dtype).reduce(promoteTypes);
  // TensorRT fills slices of numbers only.
  const numbers = dtype === "bool" ? "int32" : dtype;
  const blocks = raised(ctx, tensors, 2).map((tensor) => castTo(ctx, tensor, numbers).tensor);
  const width = add(...blocks.map((block) => block.dims[1] as Dim));
  let left: Dim = 0;
  const bands = blocks.map((block) => {
    const columns = block.dims[1] as Dim;
    const band = padAxes(ctx, block, [0, left], [0, sub(sub(width, left), columns)], "kFILL");
    left = add(left, columns);
    return band;
  });
  return castTo(ctx, ctx.tensorValue(ctx.network.addConcatenation(bands, 0), numbers), dtype);
});
