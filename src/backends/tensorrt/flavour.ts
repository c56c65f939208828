/**
 * The three ABIs of TensorRT. The addon is compiled once for each.
 *
 * - `rtx`: TensorRT-RTX 1, builds without a GPU for the compute capabilities listed
 * - `trt10`, `trt11`: the full TensorRT, builds for the GPU of the machine
 */
export const FLAVOURS = ["rtx", "trt10", "trt11"] as const;
export type Flavour = (typeof FLAVOURS)[number];

interface FlavourFacts {
  readonly product: string;
  /** File names of the library, newest convention first. */
  readonly libraries: readonly string[];
  /** Environment variables that point at an SDK with `include/` and `lib/`. */
  readonly roots: readonly string[];
  readonly needsGpu: boolean;
}

export const FLAVOUR_FACTS: Readonly<Record<Flavour, FlavourFacts>> = {
  rtx: {
    product: "TensorRT-RTX 1",
    libraries: ["libtensorrt_rtx.so.1", "libtensorrt_rtx.so"],
    roots: ["TRTORCH_TENSORRT_RTX_ROOT", "TENSORRT_ROOT"],
    needsGpu: false,
  },
  trt10: { product: "TensorRT 10", libraries: ["libnvinfer.so.10"], roots: ["TENSORRT_ROOT"], needsGpu: true },
  trt11: { product: "TensorRT 11", libraries: ["libnvinfer.so.11"], roots: ["TENSORRT_ROOT"], needsGpu: true },
};

/** Compute capabilities that TensorRT-RTX 1.7 builds for, as major × 10 + minor. */
export const RTX_COMPUTE_CAPABILITIES: readonly number[] = [75, 80, 86, 89, 120, 121];
