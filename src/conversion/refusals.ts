/** Why an operator has no converter, and what a user can do about it. */
export interface Refusal {
  readonly reason: string;
  readonly hint: string;
}

const DATA_SIZED: Refusal = {
  reason: "the size of its result depends on tensor data in a way that no TensorRT layer has",
  hint: "Keep this part out of the engine: end the model before it, or let it run in PyTorch (fallback).",
};

const RANDOM: Refusal = {
  reason: "its random numbers would be other ones than PyTorch's",
  hint: "Pass the random tensor as an input of the model.",
};

/** Also of the objects that such operators take, which nothing can hand over. */
export const QUANTIZED: Refusal = {
  reason: "quantized tensors and packed weights are PyTorch's own and have no form in TensorRT",
  hint: "Save the model before it is converted to quantized operators: int8 comes from fake_quantize_* in the model.",
};

const BOX_SIZED: Refusal = {
  reason: "its bins hold a number of pixels that depends on the boxes",
  hint: "Use torchvision.ops.roi_align (or ps_roi_align) with a sampling_ratio above 0.",
};

/** By the kind of their nodes. */
const REFUSALS: readonly (readonly [RegExp, Refusal])[] = [
  [/^aten::(unique\w*|_unique\w*|histogram\w*|bincount)$/, DATA_SIZED],
  [
    /^aten::(rand|randn|randint|randperm|rand_like|randn_like|randint_like|bernoulli|multinomial|normal|poisson|exponential|geometric|uniform|random)_?$/,
    RANDOM,
  ],
  [/^quantized::/, QUANTIZED],
  [/^torchvision::(roi_pool|ps_roi_pool)$/, BOX_SIZED],
];

/** The words for an operator that is left out on purpose; undefined for one that nobody thought of. */
export function refusalOf(kind: string): Refusal | undefined {
  return REFUSALS.find(([pattern]) => pattern.test(kind))?.[1];
}
