import type { DataType } from "../../../network/enums.js";
import type { ITensor, Layer, LayerOf, LayerType } from "../../../network/layers.js";
import type { GraphBuilder } from "../graph.js";

/** Control flow is not a node but a graph: export.ts has it. */
export type ControlFlow =
  | "kCONDITION"
  | "kCONDITIONAL_INPUT"
  | "kCONDITIONAL_OUTPUT"
  | "kTRIP_LIMIT"
  | "kRECURRENCE"
  | "kITERATOR"
  | "kLOOP_OUTPUT";

/**
 * Adds the ONNX nodes that compute a layer, and gives the names of its outputs. `inputs` are the names of the layer's
 * inputs, empty for those that are absent.
 */
export type Rule<T extends LayerType> = (
  graph: GraphBuilder,
  layer: LayerOf<T>,
  inputs: readonly string[],
) => string | readonly string[];

export type Rules<T extends LayerType> = { readonly [K in T]: Rule<K> };

export function inputOf(layer: LayerOf<LayerType> | Layer, index: number): ITensor {
  return layer.inputs[index] as ITensor;
}

/** An input's name; the inputs of a rule are complete, so that it is there. */
export function at<T>(list: readonly T[], index: number): T {
  return list[index] as T;
}

/** Types that onnxruntime's Where takes, half by a cast of its own. */
const WHERE: readonly DataType[] = ["kFLOAT", "kHALF", "kBF16", "kINT32", "kINT64", "kUINT8"];

/** `condition ? x : y` for values of any type. */
export function where(graph: GraphBuilder, type: DataType, condition: string, x: string, y: string): string {
  if (WHERE.includes(type)) return graph.op("Where", [condition, x, y]);
  return graph.cast(graph.op("Where", [condition, graph.cast(x, "kINT32"), graph.cast(y, "kINT32")]), type);
}
