import { inferMinusOne } from "../../network/inference.js";
import { bounds, type Dim, sameDim, volume } from "../../network/symbolic.js";
import { like, spliceDims } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { normalizeAxis, reshape as reshaped } from "../operands.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";

/** The same elements under other dims; one of them may be -1. */
export function viewed(ctx: ConversionContext, self: TensorValue, dims: readonly Dim[]): TensorValue {
  const target = inferMinusOne(dims, volume(self.dims));
  if (target.length === self.dims.length && target.every((dim, i) => sameDim(dim, self.dims[i] as Dim))) return self;
  return like(ctx, self, reshaped(ctx, self.tensor, target));
}

export const reshape = [
  converter("aten::reshape(Tensor(a) self, SymInt[] shape) -> Tensor(a)", (ctx, { self, shape }) =>
    viewed(ctx, self, shape),
  ),
  converter("aten::view(Tensor(a) self, SymInt[] size) -> Tensor(a)", (ctx, { self, size }) => viewed(ctx, self, size)),
  converter("aten::view_copy(Tensor self, SymInt[] size) -> Tensor", (ctx, { self, size }) => viewed(ctx, self, size)),
  converter("aten::_unsafe_view(Tensor self, SymInt[] size) -> Tensor", (ctx, { self, size }) =>
    viewed(ctx, self, size),
  ),
  converter(
    "aten::_reshape_alias(Tensor(a) self, SymInt[] size, SymInt[] stride) -> Tensor(a)",
    (ctx, { self, size }) => viewed(ctx, self, size),
  ),
  converter("aten::reshape_as(Tensor(a) self, Tensor other) -> Tensor(a)", (ctx, { self, other }) =>
    viewed(ctx, self, other.dims),
  ),
  converter("aten::view_as(Tensor(a) self, Tensor other) -> Tensor(a)", (ctx, { self, other }) =>
    viewed(ctx, self, other.dims),
  ),
  converter("aten::ravel(Tensor(a) self) -> Tensor(a)", (ctx, { self }) => viewed(ctx, self, [-1])),
];

export const flatten = converter(
  "aten::flatten.using_ints(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)",
  (ctx, { self, start_dim, end_dim }) => {
    const rank = self.dims.length;
    if (rank === 0) return viewed(ctx, self, [1]);
    const start = normalizeAxis(ctx, start_dim, rank);
    const end = normalizeAxis(ctx, end_dim, rank);
    const merged = volume(self.dims.slice(start, end + 1));
    return viewed(ctx, self, spliceDims(self.dims, start, end + 1 - start, merged));
  },
);

export const unflatten = converter(
  "aten::unflatten.int(Tensor(a) self, int dim, SymInt[] sizes) -> Tensor(a)",
  (ctx, { self, dim, sizes }) => {
    const axis = normalizeAxis(ctx, dim, self.dims.length);
    const parts = inferMinusOne(sizes, self.dims[axis] ?? 1);
    return viewed(ctx, self, spliceDims(self.dims, axis, 1, ...parts));
  },
);

/**
 * Without those of `axes` that have size 1. PyTorch decides by the size at run time; the rank of a network's tensor is
 * fixed, so a dynamic dim stays, as if its size were never 1.
 */
function squeezed(ctx: ConversionContext, self: TensorValue, axes: readonly number[]): TensorValue {
  const rank = self.dims.length;
  const dropped = new Set(axes.map((axis) => normalizeAxis(ctx, axis, rank)));
  return viewed(
    ctx,
    self,
    self.dims.filter((dim, axis) => !(dropped.has(axis) && bounds(dim).max === 1)),
  );
}

const SQUEEZE_LIMITS = { limits: "A dim with a range of sizes is kept, also for inputs where it has size 1." };

export const squeeze = [
  converter(
    "aten::squeeze(Tensor(a) self) -> Tensor(a)",
    (ctx, { self }) => squeezed(ctx, self, [...self.dims.keys()]),
    SQUEEZE_LIMITS,
  ),
  converter(
    "aten::squeeze.dim(Tensor(a) self, int dim) -> Tensor(a)",
    (ctx, { self, dim }) => squeezed(ctx, self, [dim]),
    SQUEEZE_LIMITS,
  ),
  converter(
    "aten::squeeze.dims(Tensor(a) self, int[] dim) -> Tensor(a)",
    (ctx, { self, dim }) => squeezed(ctx, self, dim),
    SQUEEZE_LIMITS,
  ),
  converter(
    "aten::squeeze_copy(Tensor self) -> Tensor",
    (ctx, { self }) => squeezed(ctx, self, [...self.dims.keys()]),
    SQUEEZE_LIMITS,
  ),
  converter(
    "aten::squeeze_copy.dim(Tensor self, int dim) -> Tensor",
    (ctx, { self, dim }) => squeezed(ctx, self, [dim]),
    SQUEEZE_LIMITS,
  ),
  converter(
    "aten::squeeze_copy.dims(Tensor self, int[] dim) -> Tensor",
    (ctx, { self, dim }) => squeezed(ctx, self, dim),
    SQUEEZE_LIMITS,
  ),
];

/** With an axis of size 1 at `dim`, counted in the result. */
export function unsqueezed(ctx: ConversionContext, self: TensorValue, dim: number): TensorValue {
  return viewed(ctx, self, spliceDims(self.dims, normalizeAxis(ctx, dim, self.dims.length + 1), 0, 1));
}

export const unsqueeze = [
  converter("aten::unsqueeze(Tensor(a) self, int dim) -> Tensor(a)", (ctx, { self, dim }) =>
    unsqueezed(ctx, self, dim),
  ),
  converter("aten::unsqueeze_copy(Tensor self, int dim) -> Tensor", (ctx, { self, dim }) => unsqueezed(ctx, self, dim)),
];

/** At least `rank` axes, the missing ones of size 1: in front, but the third one of NumPy's `atleast_3d` behind. */
export function atLeast(ctx: ConversionContext, self: TensorValue, rank: 1 | 2 | 3): TensorValue {
  const { dims } = self;
  if (dims.length >= rank) return self;
  const [first = 1] = dims;
  const targets = { 1: [1], 2: [1, first], 3: dims.length === 2 ? [...dims, 1] : [1, first, 1] };
  return viewed(ctx, self, targets[rank]);
}

export const atleast = [
  converter("aten::atleast_1d(Tensor self) -> Tensor", (ctx, { self }) => atLeast(ctx, self, 1)),
  converter("aten::atleast_2d(Tensor self) -> Tensor", (ctx, { self }) => atLeast(ctx, self, 2)),
  converter("aten::atleast_3d(Tensor self) -> Tensor", (ctx, { self }) => atLeast(ctx, self, 3)),
  converter("aten::atleast_1d.Sequence(Tensor[] tensors) -> Tensor[]", (ctx, { tensors }) =>
    tensors.map((tensor) => atLeast(ctx, tensor, 1)),
  ),
  converter("aten::atleast_2d.Sequence(Tensor[] tensors) -> Tensor[]", (ctx, { tensors }) =>
    tensors.map((tensor) => atLeast(ctx, tensor, 2)),
  ),
  converter("aten::atleast_3d.Sequence(Tensor[] tensors) -> Tensor[]", (ctx, { tensors }) =>
    tensors.map((tensor) => atLeast(ctx, tensor, 3)),
  ),
];
