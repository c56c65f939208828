import { type ScalarType, scalarTypeSize } from "../../ir/scalar-type.js";
import { Tensor } from "../../ir/tensor.js";
import { tensorOf } from "../../network/weights.js";
import type { ConversionContext } from "../context.js";
import { converter } from "../registry.js";
import type { TensorValue } from "../values.js";

/** The same bytes as another dtype. TensorRT has no such layer: done at build time, for constants. */
function reinterpreted(ctx: ConversionContext, self: TensorValue, dtype: ScalarType): TensorValue {
  if (self.dtype === dtype) return self;
  const { weights } = self;
  const constant = self.constant ?? (weights === null ? undefined : tensorOf(weights));
  if (constant === undefined || constant.dtype !== self.dtype) {
    return ctx.unsupported(
      `TensorRT cannot read the bits of a ${self.dtype} tensor as ${dtype}`,
      "Use Tensor.to(dtype) for a conversion of values, or keep this part out of the engine.",
    );
  }
  const [from, to] = [scalarTypeSize(self.dtype), scalarTypeSize(dtype)];
  const last = ((constant.sizes.at(-1) ?? 1) * from) / to;
  const sizes = from === to ? constant.sizes : [...constant.sizes.slice(0, -1), last];
  return ctx.constantTensor(Tensor.from(dtype, sizes, constant.contiguousBytes()));
}

const LIMITS = { limits: "Of constants only: TensorRT cannot reinterpret bits." };

export const viewDtype = [
  converter(
    "aten::view.dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)",
    (ctx, { self, dtype }) => reinterpreted(ctx, self, dtype),
    LIMITS,
  ),
  converter(
    "aten::view_copy.dtype(Tensor self, ScalarType dtype) -> Tensor",
    (ctx, { self, dtype }) => reinterpreted(ctx, self, dtype),
    LIMITS,
  ),
];
