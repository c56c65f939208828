import { isFloat } from "./enums.js";
import type { ITensor, Layer, LayerOf, LayerType, Scope } from "./layers.js";
import type { Network } from "./network.js";
import { type Dim, isStatic, keyOf } from "./symbolic.js";

/**
 * Conditionals as TensorRT-RTX can build them: its builder (1.7) often fails with internal errors where a conditional
 * stands beside dims that the engine computes. What costs less than branching is computed both ways and selected; beside
 * a conditional that stays, outputs of such dims come from identities, which spares most of the rest.
 */
export function settleConditionals(network: Network): void {
  // Inner ones have higher numbers.
  const conditions = network.layers.filter((layer) => layer.type === "kCONDITION").reverse();
  for (const condition of conditions) {
    if (isLight(network, condition.attributes.conditional)) selectBranches(network, condition);
  }
  if (network.layers.some(({ type }) => type === "kCONDITION")) keepOutputsApart(network);
}

/** Layers that go over their data once, and cannot fail whatever the sizes are: the branch not taken is computed too. */
const LIGHT: ReadonlySet<LayerType> = new Set<LayerType>([
  "kCONSTANT",
  "kIDENTITY",
  "kCAST",
  "kELEMENTWISE",
  "kUNARY",
  "kACTIVATION",
  "kPARAMETRIC_RELU",
  "kSELECT",
  "kREDUCE",
  "kSOFTMAX",
  "kSHUFFLE",
]);

/** Branches of more layers together are worth a conditional. */
const MOST_LAYERS = 32;

function isLight(network: Network, conditional: number): boolean {
  const inside = network.layers.filter(({ scope }) => isWithin(scope, conditional));
  return inside.length <= MOST_LAYERS && inside.every((layer) => LIGHT.has(layer.type) && fits(layer));
}

/** Can the layer be computed in the branch not taken too, whose condition may have guarded its operands? */
function fits(layer: Layer): boolean {
  const [input] = layer.inputs as readonly [ITensor];
  switch (layer.type) {
    case "kSHUFFLE":
      return layer.attributes.reshapeDimensions === null ? layer.inputs.length === 1 : isStatic(input.dims);
    case "kELEMENTWISE":
      return broadcasts(layer) && (isFloat(input.type) || !layer.attributes.operation.endsWith("DIV"));
    case "kSELECT":
    case "kPARAMETRIC_RELU":
      return broadcasts(layer);
    default:
      return true;
  }
}

/** Do the operands' sizes go together whatever they are? */
function broadcasts({ inputs, outputs }: Layer): boolean {
  const { dims } = outputs[0] as ITensor;
  return inputs.every((input) =>
    input?.dims.every((dim, axis) => dim === 1 || keyOf(dim) === keyOf(dims[axis] as Dim)),
  );
}

/** The layers of both branches stand where the conditional stood; its outputs are selections. */
function selectBranches(network: Network, { attributes, inputs }: LayerOf<"kCONDITION">): void {
  const { conditional } = attributes;
  const [condition] = inputs as readonly [ITensor];
  const replacements = new Map<ITensor, ITensor>();
  const replaced = (tensor: ITensor): ITensor => replacements.get(tensor) ?? tensor;
  for (const layer of network.layers.splice(0)) {
    (layer.inputs as (ITensor | null)[]).forEach((input, i, all) => {
      if (input !== null) all[i] = replaced(input);
    });
    const [output] = layer.outputs as readonly [ITensor];
    if (!("conditional" in layer.attributes) || layer.attributes.conditional !== conditional) {
      const { scope } = layer;
      if (isWithin(scope, conditional)) (layer as { scope: Scope | undefined }).scope = scope?.parent;
      network.layers.push(layer);
    } else if (layer.type === "kCONDITIONAL_INPUT") replacements.set(output, layer.inputs[0] as ITensor);
    else if (layer.type === "kCONDITIONAL_OUTPUT") {
      const [then, otherwise] = layer.inputs as readonly [ITensor, ITensor];
      const selected = network.within(layer.scope, () => {
        network.layerNamePrefix = layer.name;
        const rank = then.dims.length;
        const flag = rank === 0 ? condition : network.addShuffle(condition, { reshape: Array<1>(rank).fill(1) });
        return network.addSelect(flag, then, otherwise);
      });
      network.layerNamePrefix = "";
      replacements.set(output, selected);
    }
  }
  network.outputs.forEach((output, i, all) => {
    all[i] = renamed(output, replaced(output));
  });
}

function keepOutputsApart(network: Network): void {
  network.outputs.forEach((output, i, all) => {
    if (!isStatic(output.dims)) all[i] = renamed(output, network.addIdentity(output));
  });
}

/** The tensor with the binding's name that another had. */
function renamed(from: ITensor, to: ITensor): ITensor {
  if (from === to) return to;
  to.name = from.name;
  from.name = from.producer?.name ?? from.name;
  return to;
}

function isWithin(scope: Scope | undefined, conditional: number): boolean {
  for (let at = scope; at !== undefined; at = at.parent) {
    if (at.kind !== "loop" && at.owner === conditional) return true;
  }
  return false;
}
