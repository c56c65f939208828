import { constantOf } from "./fold.js";
import type { ITensor, Layer } from "./layers.js";
import type { Network } from "./network.js";

/** Constants up to this many bytes are always worth a layer fewer. */
const SMALL = 1 << 20;

/**
 * Replaces what is computed from constants only by its value, unless that would make the network much larger than the
 * constants it is made from (a small table expanded to a large one). TensorRT would fold it too, after checking every
 * layer for its own limits on types.
 */
export function foldConstants(network: Network): void {
  const replacements = new Map<ITensor, ITensor>();
  const replacementOf = (tensor: ITensor): ITensor | undefined => {
    const known = replacements.get(tensor);
    if (known !== undefined) return known;
    const { producer } = tensor;
    if (producer === undefined || producer.type === "kCONSTANT" || producer.scope !== undefined) return undefined;
    const weights = constantOf(tensor);
    if (weights === null || weights.values.byteLength > Math.max(SMALL, 2 * constantBytes(producer))) return undefined;
    const constant = network.addConstant(weights);
    constant.name = tensor.name;
    replacements.set(tensor, constant);
    return constant;
  };
  for (const layer of [...network.layers]) {
    // Layers whose own value is constant disappear with their last use, which for an output of the network is outside it.
    const only = layer.outputs.length === 1 && layer.scope === undefined ? (layer.outputs[0] as ITensor) : undefined;
    if (only !== undefined && !network.outputs.includes(only) && constantOf(only) !== null) continue;
    layer.inputs.forEach((input, i) => {
      const replacement = input === null ? undefined : replacementOf(input);
      if (replacement !== undefined) (layer.inputs as (ITensor | null)[])[i] = replacement;
    });
  }
  // Constants stand before what uses them.
  network.layers.sort((a, b) => Number(b.type === "kCONSTANT") - Number(a.type === "kCONSTANT"));
  network.prune();
}

/**
 * Makes one concatenation of those along the same axis that nothing but another one uses. TensorRT writes each part to its place in
 * the whole once, and has fewer to order between its streams: InceptionV3's blocks end with such a pair of pairs. The joined
 * layers are left behind, unused.
 */
export function joinConcatenations(network: Network): void {
  const uses = new Map<ITensor, number>();
  for (const tensor of [...network.layers.flatMap(({ inputs }) => inputs), ...network.outputs]) {
    if (tensor !== null) uses.set(tensor, (uses.get(tensor) ?? 0) + 1);
  }
  for (const layer of network.layers) {
    if (layer.type !== "kCONCATENATION") continue;
    const inputs = layer.inputs.flatMap((input) => {
      const { producer } = input as ITensor;
      const joins =
        producer?.type === "kCONCATENATION" &&
        producer.attributes.axis === layer.attributes.axis &&
        producer.scope === layer.scope &&
        uses.get(input as ITensor) === 1;
      return joins ? producer.inputs : [input];
    });
    (layer.inputs as (ITensor | null)[]).splice(0, layer.inputs.length, ...inputs);
  }
}

function constantBytes(layer: Layer): number {
  return layer.inputs.reduce((sum, input) => {
    const producer = input?.producer;
    return sum + (producer?.type === "kCONSTANT" ? producer.attributes.weights.values.byteLength : 0);
  }, 0);
}
