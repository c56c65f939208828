import type { ITensor } from "../network/layers.js";
import { symbolsOf } from "../network/symbolic.js";
import type { ConversionContext } from "./context.js";
import { type IValue, TensorValue } from "./values.js";

/**
 * Refuses a node whose results have sizes that TensorRT does not know before it runs the network: sizes that come from the
 * values of an input. One single integer may give sizes, since an optimization profile holds its range.
 */
export function refuseSizesOfValues(ctx: ConversionContext, results: readonly IValue[]): void {
  if (ctx.capabilities.backend === "onnxruntime") return;
  for (const result of results) {
    if (Array.isArray(result)) refuseSizesOfValues(ctx, result);
    if (!(result instanceof TensorValue)) continue;
    for (const { source } of result.dims.flatMap((dim) => [...symbolsOf(dim)])) {
      const input = source.axis === undefined ? inputBehind(source.tensor as ITensor) : undefined;
      if (input === undefined) continue;
      ctx.unsupported(
        `a size of its result depends on the values of the input "${input.name}"`,
        "TensorRT takes sizes from the sizes of inputs, or from an input that is a single integer: use x.size(1), or pass the length as a 0-d int64 tensor.",
      );
    }
  }
}

const behind = new WeakMap<ITensor, ITensor | null>();

/** An input, not a single integer, from whose values the tensor is computed. */
function inputBehind(tensor: ITensor): ITensor | undefined {
  const known = behind.get(tensor);
  if (known !== undefined) return known ?? undefined;
  const seen = new Set([tensor]);
  let found: ITensor | undefined;
  for (const each of seen) {
    const { producer, type, dims } = each;
    if (producer === undefined) found ??= dims.length > 0 || !["kINT64", "kINT32"].includes(type) ? each : undefined;
    // Sizes are known, whatever the values.
    else if (producer.type !== "kSHAPE") for (const input of producer.inputs) if (input !== null) seen.add(input);
  }
  behind.set(tensor, found ?? null);
  return found;
}
