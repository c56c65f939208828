import type { IValue } from "../conversion/values.js";
import { TensorValue } from "../conversion/values.js";
import type { Node } from "../ir/graph.js";
import { isFloatingPoint } from "../ir/scalar-type.js";
import type { TensorInfo } from "./trace.js";

/** Operators that TensorRT lacks, and whose result has the shape and dtype of their first argument where that is of floats. */
const LIKE_THEIR_INPUT = new Set(
  (
    "digamma lgamma mvlgamma i0 igamma igammac polygamma special_digamma special_gammaln special_psi special_polygamma " +
    "special_i0 special_i0e special_i1 special_i1e special_ndtr special_ndtri special_log_ndtr special_entr special_erfcx " +
    "special_logit special_sinc special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1 special_round " +
    "special_modified_bessel_i0 special_modified_bessel_i1 special_modified_bessel_k0 special_modified_bessel_k1 " +
    "rand_like randn_like randint_like bernoulli normal_functional renorm fft_fftshift fft_ifftshift erfinv special_erfinv " +
    "inverse cholesky cholesky_inverse linalg_inv linalg_cholesky matrix_exp linalg_matrix_exp matrix_power " +
    "linalg_matrix_power dropout feature_dropout alpha_dropout"
  )
    .split(" ")
    .map((name) => `aten::${name}`),
);

/**
 * The shape of what a node gives that conversion refuses: by a rule for its operator, else as the file itself says; undefined
 * where neither is known. `inputs` are the node's, in order.
 */
export function shapeInTorch(node: Node, inputs: readonly IValue[]): TensorInfo | undefined {
  const [first] = inputs;
  if (LIKE_THEIR_INPUT.has(node.kind) && first instanceof TensorValue && isFloatingPoint(first.dtype)) {
    return { dtype: first.dtype, dims: first.dims };
  }
  const type = node.outputs[0]?.type;
  if (type?.kind !== "TensorType" || type.dtype === undefined || type.sizes === undefined) return undefined;
  const dims = type.sizes.filter((size) => size !== null);
  return dims.length === type.sizes.length ? { dtype: type.dtype, dims } : undefined;
}
