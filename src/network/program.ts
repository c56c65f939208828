import { createHash } from "node:crypto";
import { TrtorchError } from "../util/errors.js";
import {
  ACTIVATION_TYPES,
  BOUNDING_BOX_FORMATS,
  DATA_TYPES,
  ELEMENT_WISE_OPERATIONS,
  FILL_OPERATIONS,
  GATHER_MODES,
  INTERPOLATION_MODES,
  LOOP_OUTPUTS,
  MATRIX_OPERATIONS,
  POOLING_TYPES,
  REDUCE_OPERATIONS,
  RESIZE_COORDINATE_TRANSFORMATIONS,
  RESIZE_ROUND_MODES,
  RESIZE_SELECTORS,
  SAMPLE_MODES,
  SCATTER_MODES,
  TOP_K_OPERATIONS,
  TRIP_LIMITS,
  UNARY_OPERATIONS,
} from "./enums.js";
import type { ITensor, LayerAttributes, LayerType, Weights } from "./layers.js";
import type { Network } from "./network.js";
import { type Assignment, type Dim, evaluate, SymInt, symbolsOf, toDims } from "./symbolic.js";

/**
 * A network as the native addon reads it: plain data, with TensorRT's own integers for enumerations, tensors by number
 * (inputs first, then layers' outputs in order), -1 for dims known only at run time, and weights as views.
 */
export interface NetworkProgram {
  readonly inputs: readonly ProgramInput[];
  readonly layers: readonly ProgramLayer[];
  readonly outputs: readonly ProgramOutput[];
}

/** The smallest, best and largest sizes (or values) for one optimization profile. */
export interface ProgramRange {
  readonly min: readonly number[];
  readonly opt: readonly number[];
  readonly max: readonly number[];
}

export interface ProgramInput {
  readonly tensor: number;
  readonly name: string;
  readonly type: number;
  readonly dims: readonly number[];
  readonly shape: ProgramRange;
  /** For an input whose values are sizes of other tensors; else null. */
  readonly values: ProgramRange | null;
}

export interface ProgramOutput {
  readonly tensor: number;
  readonly name: string;
}

export interface ProgramWeights {
  readonly type: number;
  readonly dims: readonly number[];
  readonly values: Uint8Array;
}

export type ProgramAttribute = null | boolean | number | string | readonly number[] | ProgramWeights;

export interface ProgramLayer {
  readonly type: LayerType;
  readonly name: string;
  /** Tensors; -1 where an optional input is absent. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly attributes: Readonly<Record<string, ProgramAttribute>>;
}

type Enumerations = { readonly [T in LayerType]?: { readonly [A in keyof LayerAttributes[T]]?: readonly string[] } };

/** Which attributes are enumerators. A string attribute that is not listed stays a string. */
const ENUMERATIONS: Enumerations = {
  kCAST: { toType: DATA_TYPES },
  kACTIVATION: { activationType: ACTIVATION_TYPES },
  kPOOLING: { poolingType: POOLING_TYPES },
  kELEMENTWISE: { operation: ELEMENT_WISE_OPERATIONS },
  kUNARY: { operation: UNARY_OPERATIONS },
  kREDUCE: { operation: REDUCE_OPERATIONS },
  kTOPK: { operation: TOP_K_OPERATIONS },
  kGATHER: { mode: GATHER_MODES },
  kMATRIX_MULTIPLY: { op0: MATRIX_OPERATIONS, op1: MATRIX_OPERATIONS },
  kSLICE: { mode: SAMPLE_MODES },
  kRESIZE: {
    resizeMode: INTERPOLATION_MODES,
    coordinateTransformation: RESIZE_COORDINATE_TRANSFORMATIONS,
    selectorForSinglePixel: RESIZE_SELECTORS,
    nearestRounding: RESIZE_ROUND_MODES,
  },
  kFILL: { operation: FILL_OPERATIONS, toType: DATA_TYPES },
  kQUANTIZE: { toType: DATA_TYPES },
  kDEQUANTIZE: { toType: DATA_TYPES },
  kSCATTER: { mode: SCATTER_MODES },
  kGRID_SAMPLE: { interpolationMode: INTERPOLATION_MODES, sampleMode: SAMPLE_MODES },
  kNMS: { boundingBoxFormat: BOUNDING_BOX_FORMATS },
  kTRIP_LIMIT: { tripLimit: TRIP_LIMITS },
  kLOOP_OUTPUT: { loopOutput: LOOP_OUTPUTS },
};

/** The program of a network. Weights are the network's own views: nothing is copied. */
export function toProgram(network: Network): NetworkProgram {
  return translate(network).program;
}

/** The program, and the network's tensors by their number in it. */
export function translate(network: Network): { program: NetworkProgram; tensors: ITensor[] } {
  const tensors: ITensor[] = [];
  const numbers = new Map<ITensor, number>();
  const define = (tensor: ITensor): number => {
    numbers.set(tensor, tensors.push(tensor) - 1);
    return tensors.length - 1;
  };
  // Conditionals and loops are numbered as they appear, so that equal networks are equal programs.
  const regions = new Map<number, number>();
  const region = (owner: number): number => {
    const known = regions.get(owner) ?? regions.size;
    regions.set(owner, known);
    return known;
  };

  const values = valueRanges(network);
  const inputs = network.inputs.map((tensor) => ({
    tensor: define(tensor),
    name: tensor.name,
    type: DATA_TYPES.indexOf(tensor.type),
    dims: toDims(tensor.dims),
    shape: rangeOf(tensor.dims),
    values: values.get(tensor) ?? null,
  }));
  for (const layer of network.layers) layer.outputs.forEach(define);
  const use = (tensor: ITensor | null, user: string): number => {
    if (tensor === null) return -1;
    const number = numbers.get(tensor);
    if (number === undefined) {
      throw new TrtorchError("internal", `${user} uses the tensor ${tensor.name}, which no layer of the network makes`);
    }
    return number;
  };
  const layers = network.layers.map((layer) => ({
    type: layer.type,
    name: layer.name,
    inputs: layer.inputs.map((tensor) => use(tensor, layer.name)),
    outputs: layer.outputs.map((tensor) => use(tensor, layer.name)),
    attributes: encodeAttributes(layer.type, layer.attributes, region),
  }));
  const outputs = network.outputs.map((tensor) => ({ tensor: use(tensor, "the network"), name: tensor.name }));
  return { program: { inputs, layers, outputs }, tensors };
}

/**
 * SHA-256 (hex) of what a program computes: layers, attributes, bindings, and every byte of the weights. Names of layers
 * are not part of it, so that one network reached from two source files has one key. Weights are read in place.
 */
export function networkKey(program: NetworkProgram): string {
  const hash = createHash("sha256");
  const weights: Uint8Array[] = [];
  const canonical = JSON.stringify(
    { ...program, layers: program.layers.map(({ name: _, ...layer }) => layer) },
    (_, value: unknown) => {
      // Seen from the object that holds it: a Buffer would have become an array of numbers before.
      if (holdsBytes(value)) return { ...value, values: weights.push(value.values) };
      // JSON has no infinities and no negative zero.
      if (typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))) return `number ${value}`;
      return value;
    },
  );
  hash.update(canonical);
  // Their lengths follow from their dims and types, which are above: no separators are needed.
  for (const values of weights) hash.update(values);
  return hash.digest("hex");
}

function holdsBytes(value: unknown): value is { values: Uint8Array } {
  return typeof value === "object" && value !== null && "values" in value && value.values instanceof Uint8Array;
}

function encodeAttributes(
  type: LayerType,
  attributes: object,
  region: (owner: number) => number,
): Record<string, ProgramAttribute> {
  const enumerations = ENUMERATIONS[type] as Record<string, readonly string[]> | undefined;
  const encoded: Record<string, ProgramAttribute> = {};
  for (const [name, value] of Object.entries(attributes) as [string, AttributeValue][]) {
    if (name === "conditional" || name === "loop") encoded[name] = region(value as number);
    else encoded[name] = encodeAttribute(value, enumerations?.[name]);
  }
  return encoded;
}

type AttributeValue = null | boolean | string | Dim | readonly Dim[] | Weights;

function encodeAttribute(value: AttributeValue, names: readonly string[] | undefined): ProgramAttribute {
  if (typeof value === "string") return names === undefined ? value : names.indexOf(value);
  if (value === null || typeof value === "boolean" || typeof value === "number") return value;
  if (value instanceof SymInt) return -1;
  if ("values" in value && value.values instanceof Uint8Array) {
    const { type, dims, values } = value as Weights;
    return { type: DATA_TYPES.indexOf(type), dims, values };
  }
  return toDims(value as readonly Dim[]);
}

function rangeOf(dims: readonly Dim[]): ProgramRange {
  const at = (assignment: Assignment): number[] => dims.map((dim) => evaluate(dim, assignment));
  return { min: at("min"), opt: at("opt"), max: at("max") };
}

/** The ranges of integer inputs whose values, rather than dims, are sizes: TensorRT wants them in the profile. */
function valueRanges(network: Network): Map<ITensor, ProgramRange> {
  const ranges = new Map<ITensor, ProgramRange>();
  const candidates = new Set<unknown>(
    network.inputs.filter(({ type, dims }) => (type === "kINT64" || type === "kINT32") && dims.length === 0),
  );
  if (candidates.size === 0) return ranges;
  for (const { source, min, opt, max } of network.layers.flatMap(({ outputs }) =>
    outputs.flatMap(({ dims }) => dims.flatMap((dim) => [...symbolsOf(dim)])),
  )) {
    if (source.axis !== undefined || !candidates.has(source.tensor)) continue;
    ranges.set(source.tensor as ITensor, { min: [min], opt: [opt], max: [max] });
  }
  return ranges;
}
