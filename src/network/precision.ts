import { TrtorchError } from "../util/errors.js";
import type { DataType } from "./enums.js";
import { HALF_MAX, hidingNumber, type Saturation, toBf16, toHalf } from "./half.js";
import type { ITensor, Layer, LayerAttributes, LayerOf, LayerType, Weights } from "./layers.js";
import type { Network } from "./network.js";
import { bounds, volume } from "./symbolic.js";
import { makeWeights, numbersOf } from "./weights.js";

export type Precision = "fp32" | "fp16" | "bf16";

export interface PrecisionOptions {
  /**
   * What stays fp32 beyond the islands that every network has: operators (`aten::softmax`), module paths
   * (`encoder.0`, with all inside), layer types (`kSOFTMAX`), layers by name; or a function that tells.
   */
  readonly fp32Ops?: readonly string[] | ((layer: Layer) => boolean);
}

export interface PrecisionResult {
  readonly network: Network;
  /** The layers that compute in fp32 at a lower precision, and why. */
  readonly fp32Layers: readonly { readonly layer: string; readonly reason: string }[];
  readonly warnings: readonly string[];
}

/**
 * The network with its fp32 tensors in a lower precision. It is strongly typed before and after: casts stand where
 * precisions meet, one for a tensor and direction; inputs and outputs keep their types; weights are converted once.
 * Integers, bools, and tensors that the model itself has in half precision stay as they are.
 *
 * These stay fp32, and what is computed from them alone (and from constants) does too, until it meets other data, a
 * product of matrices or a convolution:
 *
 * - numbers made from integers: positions and masks need more digits than a half has
 * - what the model itself casts up to fp32
 * - long sums, means (but those of images) and products; the squares that are summed: variances and norms overflow first
 * - powers, exponentials, logarithms, reciprocals, trigonometric functions, cumulative sums
 * - sums with constants too small for float16 (an epsilon), scales of quantization
 * - data divided or multiplied by what stayed fp32 for these reasons (a norm near 0, its reciprocal); the result is narrow
 * - inverses, determinants and factors of matrices; Fourier transforms, and spectra
 * - coordinates of grid samples, the arithmetic they come from, and their differences; boxes of NMS
 *
 * Softmax, normalization layers, products of matrices and poolings accumulate in fp32 within TensorRT, with half inputs and
 * outputs; the mean of an image's positions is a pooling there (its kernels are called pooling_fw_4d_FP16FP32).
 *
 * One thing is left out: fused attention's rows without anything to see are 0 in fp32, and the mean of the values here. TensorRT
 * has one kernel for attention in half precision, and none that masks weights behind softmax.
 *
 * The result shares layers and tensors that do not change with the network given, which is not changed.
 */
export function applyPrecision(
  network: Network,
  precision: Precision,
  options: PrecisionOptions = {},
): PrecisionResult {
  if (precision === "fp32") return { network, fp32Layers: [], warnings: [] };
  return new Pass(network, precision === "fp16" ? "kHALF" : "kBF16", options).run();
}

/** The parts of a layer's name by which `fp32Ops` may name it: layers are called `module.path/aten::operator#2`. */
export function layerPath({ name }: Pick<Layer, "name">): { bare: string; module: string; operator: string } {
  const bare = name.replace(/#\d+$/, "");
  const slash = bare.lastIndexOf("/");
  return { bare, module: bare.slice(0, Math.max(slash, 0)), operator: bare.slice(slash + 1) };
}

/** Why a layer stays fp32. */
type Reason = keyof typeof REASONS;

const REASONS = {
  asked: "named in fp32_ops",
  integers: "computed from integers: positions and masks need more digits",
  upcast: "the model casts to fp32 here",
  statistics: "part of a sum, power or exponential that a half does not hold",
  scaling: "divided or multiplied by a sum, power or exponential that a half does not hold",
  coordinates: "coordinates need more digits",
  elimination: "part of a matrix's inverse, determinant or factors, which lose digits row after row",
  spectrum: "a Fourier transform: its numbers span more than a half does",
} as const;

/** Reductions over more elements than this lose digits in half precision. */
const LONG_AXIS = 256;

/** The smallest float16 with all its digits. */
const HALF_MIN = 2 ** -14;

/** Constants beyond this stand for infinity: masks. */
const MASK = 1e9;

/** Constants with more elements are weights, not masks: not searched. */
const LARGEST_MASK = 2 ** 20;

const WIDE_UNARY: ReadonlySet<LayerAttributes["kUNARY"]["operation"]> = new Set([
  "kEXP",
  "kLOG",
  "kRECIP",
  "kSIN",
  "kCOS",
  "kTAN",
  "kSINH",
  "kCOSH",
  "kASIN",
  "kACOS",
  "kATAN",
  "kASINH",
  "kACOSH",
  "kATANH",
] as const);

/** Where data becomes half again, however it was computed: work worth the speed, which accumulates in fp32 by itself. */
const HEAVY: ReadonlySet<LayerType> = new Set<LayerType>([
  "kCONVOLUTION",
  "kDECONVOLUTION",
  "kNORMALIZATION",
  "kATTENTION",
  "kPOOLING",
  "kRESIZE",
]);

const ELIMINATION =
  /^aten::(_?linalg_(inv|solve|det|slogdet|cholesky|qr)|(inverse|det|slogdet|logdet|qr)$|cholesky|triangular_solve)/;

const FOURIER = /^aten::(_?fft_|i?stft)/;

/** Layers that compute coordinates from coordinates, or hand them on. */
const COORDINATE_ARITHMETIC: ReadonlySet<LayerType> = new Set<LayerType>([
  "kELEMENTWISE",
  "kUNARY",
  "kACTIVATION",
  "kSELECT",
  "kSHUFFLE",
  "kCONCATENATION",
  "kSLICE",
  "kGATHER",
]);

/** Layers that take a float tensor in whatever precision it comes, and hand it on or tell something about it. */
const INDIFFERENT: ReadonlySet<LayerType> = new Set<LayerType>([
  "kIDENTITY",
  "kSHAPE",
  "kNON_ZERO",
  "kITERATOR",
  "kCONDITIONAL_INPUT",
  "kLOOP_OUTPUT",
]);

class Pass {
  readonly #source: Network;
  readonly #target: Network;
  readonly #narrow: "kHALF" | "kBF16";
  readonly #asked: (layer: Layer) => boolean;
  readonly #unmatched: Set<string>;
  /** What each tensor of the source became; constants are made when they are needed, in the precision asked for. */
  readonly #homes = new Map<ITensor, ITensor>();
  readonly #casts = new Map<ITensor, ITensor>();
  readonly #constants = new Map<ITensor, Partial<Record<DataType, ITensor>>>();
  readonly #converted = new WeakMap<ArrayBufferLike, Map<string, Weights>>();
  /** fp32 tensors that do not come from the model's fp32 data. */
  readonly #kept = new Map<ITensor, Reason>();
  /** Of those, the ones that a large constant went into. */
  readonly #large = new Set<ITensor>();
  readonly #summed = new Set<ITensor>();
  /** What grids of samples are computed from, back to convolutions and products of matrices. */
  readonly #coordinates = new Set<ITensor>();
  /** The masks of attention in front of its softmax. */
  readonly #hiding = new Set<Layer>();
  readonly #fp32Layers: { layer: string; reason: string }[] = [];
  readonly #warnings: string[] = [];

  constructor(source: Network, narrow: "kHALF" | "kBF16", options: PrecisionOptions) {
    this.#source = source;
    this.#target = source.derive();
    this.#narrow = narrow;
    const names = options.fp32Ops ?? [];
    this.#unmatched = new Set(typeof names === "function" ? [] : names);
    this.#asked = typeof names === "function" ? names : (layer) => this.#isNamed(layer, names);
  }

  run(): PrecisionResult {
    const { layers, inputs, outputs } = this.#source;
    for (const tensor of inputs) this.#homes.set(tensor, tensor);
    for (const layer of layers) {
      const { type } = layer;
      if (type === "kREDUCE" && layer.attributes.operation !== "kMAX" && layer.attributes.operation !== "kMIN") {
        this.#summed.add(layer.inputs[0] as ITensor);
      }
      const masked = maskedBefore(layer);
      if (masked !== undefined) this.#hiding.add(masked);
    }
    for (const layer of [...layers].reverse()) {
      if (layer.type === "kGRID_SAMPLE") this.#coordinates.add(layer.inputs[1] as ITensor);
      else if (COORDINATE_ARITHMETIC.has(layer.type) && this.#coordinates.has(layer.outputs[0] as ITensor)) {
        for (const input of layer.inputs) if (input !== null) this.#coordinates.add(input);
      }
    }
    const recurrences: [LayerOf<"kRECURRENCE">, LayerOf<"kRECURRENCE">][] = [];
    for (const layer of layers) {
      if (layer.type === "kRECURRENCE") recurrences.push([layer, this.#recurrence(layer)]);
      else this.#layer(layer);
    }
    for (const [layer, made] of recurrences) {
      const next = this.#as(layer.inputs[1] as ITensor, (made.outputs[0] as ITensor).type);
      (made.inputs as (ITensor | null)[])[1] = next;
    }
    for (const tensor of outputs) {
      const made = this.#as(tensor, tensor.type);
      const home = this.#homes.get(tensor);
      // The binding's name belongs to what is bound.
      if (home !== undefined && home !== made) home.name = tensor.producer?.name ?? tensor.name;
      this.#target.markOutput(made, tensor.name);
    }
    this.#target.prune();
    for (const name of this.#unmatched) this.#warnings.push(`fp32_ops: nothing in the network is called ${name}`);
    return { network: this.#target, fp32Layers: this.#fp32Layers, warnings: this.#warnings };
  }

  #isNamed(layer: Layer, names: readonly string[]): boolean {
    const { bare, module, operator } = layerPath(layer);
    let named = false;
    for (const name of names) {
      if ([layer.type, layer.name, bare, operator, module].includes(name) || module.startsWith(`${name}.`)) {
        this.#unmatched.delete(name);
        named = true;
      }
    }
    return named;
  }

  #layer(layer: Layer): void {
    if (layer.type === "kCONSTANT") {
      if (layer.attributes.weights.type === "kFLOAT") this.#constants.set(layer.outputs[0] as ITensor, {});
      else this.#put(layer, layer.inputs);
      return;
    }
    const floats = layer.inputs.filter((input) => input !== null).filter(({ type }) => type === "kFLOAT");
    const made = layer.outputs.some(({ type }) => type === "kFLOAT");
    if (floats.length === 0 && !made) {
      this.#put(layer, this.#inputs(layer, null));
      return;
    }
    if (layer.type === "kCAST") this.#cast(layer);
    else if (INDIFFERENT.has(layer.type)) {
      const input = layer.inputs[0] as ITensor;
      this.#put(layer, this.#inputs(layer, null));
      for (const output of layer.outputs) this.#inherit(output, [input], this.#kept.get(input));
    } else if (layer.type === "kQUANTIZE" || layer.type === "kDEQUANTIZE") this.#quantization(layer);
    else {
      const asked = this.#asked(layer);
      // What is asked for never takes fp32 from what is computed behind it.
      const reason = this.#reason(layer, floats) ?? (asked ? "asked" : undefined);
      if (reason === undefined) {
        const weights = this.#weightsOfHidden(layer);
        if (weights !== undefined) this.#homes.set(layer.outputs[0] as ITensor, weights);
        else if (this.#hiding.has(layer)) this.#hide(layer);
        else this.#put(layer, this.#inputs(layer, this.#narrow), this.#narrowed(layer));
      } else {
        this.#put(layer, this.#inputs(layer, "kFLOAT"));
        this.#fp32Layers.push({ layer: layer.name, reason: REASONS[reason] });
        // What was asked for, and sampled data, is data like any other behind the layer.
        const spreads = reason !== "asked" && reason !== "coordinates" && reason !== "scaling";
        for (const output of layer.outputs) this.#inherit(output, floats, spreads ? reason : undefined);
      }
    }
  }

  /** Hides scores by a finite number: of infinities alone softmax makes NaNs, and nothing behind it mends them. */
  #hide(layer: Layer): void {
    const [keep, scores, infinity] = layer.inputs as [ITensor, ITensor, ITensor];
    const weights = makeWeights(this.#narrow, infinity.dims as number[], [hidingNumber(this.#narrow)]);
    const number = this.#target.addLike(infinity.producer as LayerOf<"kCONSTANT">, [], { weights })
      .outputs[0] as ITensor;
    this.#put(layer, [this.#home(keep), this.#as(scores, this.#narrow), number]);
  }

  /** The weights that a layer masks a second time, where attention is in half precision: they take its place. */
  #weightsOfHidden(layer: Layer): ITensor | undefined {
    const scores = maskedBefore(layer)?.outputs[0];
    if (scores === undefined) return undefined;
    const weights = this.#home(layer.inputs[1] as ITensor);
    return this.#home(scores).type === this.#narrow && weights.type === this.#narrow ? weights : undefined;
  }

  /** Notes that an fp32 output may stay fp32 further on, and whether it may be large. */
  #inherit(output: ITensor, inputs: readonly ITensor[], reason: Reason | undefined): void {
    if (output.type !== "kFLOAT" || reason === undefined) return;
    this.#kept.set(output, reason);
    if (inputs.some((input) => this.#large.has(input) || isLarge(input))) this.#large.add(output);
  }

  #reason(layer: Layer, floats: readonly ITensor[]): Reason | undefined {
    const inherited = this.#inherited(layer, floats);
    if (inherited !== undefined) return inherited;
    if (COORDINATE_ARITHMETIC.has(layer.type) && this.#coordinates.has(layer.outputs[0] as ITensor))
      return "coordinates";
    const { operator } = layerPath(layer);
    if (FOURIER.test(operator)) return "spectrum";
    if (ELIMINATION.test(operator)) return "elimination";
    switch (layer.type) {
      case "kFILL":
        return "integers";
      case "kUNARY":
        return WIDE_UNARY.has(layer.attributes.operation) ? "statistics" : undefined;
      case "kCUMULATIVE":
        return "statistics";
      case "kREDUCE": {
        const { operation, axes } = layer.attributes;
        const { dims } = layer.inputs[0] as ITensor;
        const count = bounds(volume(axes.map((axis) => dims[axis] ?? 1))).max;
        const image = dims.length >= 4 && axes.length === dims.length - 2 && axes.every((axis) => axis >= 2);
        const long = (operation === "kSUM" || (operation === "kAVG" && !image)) && count > LONG_AXIS;
        return long || operation === "kPROD" ? "statistics" : undefined;
      }
      case "kELEMENTWISE": {
        const { operation } = layer.attributes;
        const [x, y] = layer.inputs as readonly [ITensor, ITensor];
        const square = operation === "kPROD" && x === y && this.#summed.has(layer.outputs[0] as ITensor);
        const epsilon = (operation === "kSUM" || operation === "kMAX") && floats.some((input) => this.#isTiny(input));
        if (square || epsilon || operation === "kPOW" || operation === "kFLOOR_DIV") return "statistics";
        // How far from where: what is left when coordinates cancel.
        if (operation === "kSUB" && floats.some((input) => this.#isCoordinate(input))) return "coordinates";
        const factors = operation === "kPROD" ? floats : operation === "kDIV" ? [y] : [];
        return factors.some((input) => this.#kept.get(input) === "statistics") ? "scaling" : undefined;
      }
      case "kGRID_SAMPLE":
      case "kNMS":
        return "coordinates";
      default:
        return undefined;
    }
  }

  /** The reason for which a layer's inputs are fp32, when it takes nothing but those and constants. */
  #inherited(layer: Layer, floats: readonly ITensor[]): Reason | undefined {
    let reason: Reason | undefined;
    for (const input of floats) {
      const kept = this.#kept.get(input);
      if (kept !== undefined) reason = kept === "upcast" ? kept : (reason ?? kept);
      else if (input.producer?.type !== "kCONSTANT") return undefined;
    }
    const heavy = HEAVY.has(layer.type) || contracts(layer);
    // What the model wants in fp32 it wants for products of matrices too.
    return heavy && reason !== "upcast" ? undefined : reason;
  }

  #isCoordinate(tensor: ITensor): boolean {
    return this.#coordinates.has(tensor) && tensor.producer?.type !== "kCONSTANT";
  }

  #isTiny(tensor: ITensor): boolean {
    const layer = tensor.producer;
    if (this.#narrow !== "kHALF" || layer?.type !== "kCONSTANT" || volume(tensor.dims) !== 1) return false;
    const value = Math.abs(numbersOf(layer.attributes.weights)[0] as number);
    return value > 0 && value < HALF_MIN;
  }

  #inputs(layer: Layer, type: DataType | null): (ITensor | null)[] {
    return layer.inputs.map((input) => {
      if (input === null) return null;
      return type === null || input.type !== "kFLOAT" ? this.#home(input) : this.#as(input, type);
    });
  }

  /** Adds the layer with these inputs: itself, where nothing changes. */
  #put<T extends LayerType>(
    layer: LayerOf<T>,
    inputs: readonly (ITensor | null)[],
    attributes: LayerAttributes[T] = layer.attributes,
  ): LayerOf<T> {
    const same = attributes === layer.attributes && inputs.every((input, i) => input === layer.inputs[i]);
    if (same) this.#target.layers.push(layer as unknown as Layer);
    const made = same ? layer : this.#target.addLike(layer, inputs, attributes);
    layer.outputs.forEach((output, i) => {
      this.#homes.set(output, made.outputs[i] as ITensor);
    });
    return made;
  }

  #recurrence(layer: LayerOf<"kRECURRENCE">): LayerOf<"kRECURRENCE"> {
    const initial = layer.inputs[0] as ITensor;
    // The next value is set when all layers are there.
    const made = this.#target.addLike(layer, [
      this.#as(initial, initial.type === "kFLOAT" ? this.#narrow : initial.type),
      null,
    ]);
    this.#homes.set(layer.outputs[0] as ITensor, made.outputs[0] as ITensor);
    return made;
  }

  #cast(layer: LayerOf<"kCAST">): void {
    const [input, output] = [layer.inputs[0] as ITensor, layer.outputs[0] as ITensor];
    const home = this.#home(input);
    const { toType } = layer.attributes;
    if (home.type === toType) {
      this.#homes.set(output, home);
      return;
    }
    this.#put(layer, [home]);
    if (toType !== "kFLOAT") return;
    const upcast = input.type === "kHALF" || input.type === "kBF16";
    this.#inherit(output, [], upcast ? "upcast" : "integers");
  }

  /** Scales stay fp32, whose digits the integers were made with; TensorRT takes them with data of any precision. */
  #quantization(layer: LayerOf<"kQUANTIZE"> | LayerOf<"kDEQUANTIZE">): void {
    const [data, scale, zeroPoint] = layer.inputs as readonly (ITensor | null)[];
    const wide = this.#asked(layer as Layer);
    const type = wide ? "kFLOAT" : this.#narrow;
    const inputs = [
      (data as ITensor).type === "kFLOAT" ? this.#as(data as ITensor, type) : this.#home(data as ITensor),
      this.#as(scale as ITensor, (scale as ITensor).type),
      ...(zeroPoint == null ? [] : [this.#home(zeroPoint)]),
    ];
    if (wide) this.#fp32Layers.push({ layer: layer.name, reason: REASONS.asked });
    if (layer.type === "kQUANTIZE") this.#put(layer, inputs);
    else
      this.#put(layer, inputs, {
        ...layer.attributes,
        toType: layer.attributes.toType === "kFLOAT" ? type : layer.attributes.toType,
      });
  }

  /** The attributes with their weights in the lower precision. */
  #narrowed(layer: Layer): LayerAttributes[LayerType] {
    if (layer.type !== "kCONVOLUTION" && layer.type !== "kDECONVOLUTION") return layer.attributes;
    const { kernel, bias } = layer.attributes;
    const convert = (weights: Weights | null): Weights | null =>
      weights?.type === "kFLOAT" ? this.#convert(weights, layer.name) : weights;
    return { ...layer.attributes, kernel: convert(kernel), bias: convert(bias) };
  }

  #home(tensor: ITensor): ITensor {
    if (this.#constants.has(tensor)) return this.#constant(tensor, "kFLOAT");
    const home = this.#homes.get(tensor);
    if (home === undefined) throw new TrtorchError("internal", `tensor ${tensor.name} is used before it is computed`);
    return home;
  }

  /** A tensor of the source, in a precision. */
  #as(tensor: ITensor, type: DataType): ITensor {
    if (this.#constants.has(tensor)) return this.#constant(tensor, type);
    const home = this.#home(tensor);
    if (home.type === type) return home;
    const known = this.#casts.get(tensor);
    if (known !== undefined) return known;
    const entry = tensor.producer;
    if (entry?.type === "kCONDITIONAL_INPUT") {
      // The boundary of both branches: what stands behind it belongs to one of them.
      const outside = this.#as(entry.inputs[0] as ITensor, type);
      const entered = this.#target.addLike(entry, [outside]).outputs[0] as ITensor;
      this.#casts.set(tensor, entered);
      return entered;
    }
    const made = this.#target.within(home.producer?.scope, () => {
      this.#target.layerNamePrefix = `${home.producer?.name ?? home.name}/${type === "kFLOAT" ? "to_fp32" : this.#narrow === "kHALF" ? "to_fp16" : "to_bf16"}`;
      // From the integers themselves, where the float came from them.
      const cast =
        home.producer?.type === "kCAST" && this.#kept.get(tensor) === "integers" ? home.producer.inputs[0] : null;
      if (cast != null) return this.#target.addCast(cast, type);
      // Sums of masks are beyond a half: as the largest half they still mask, as infinity they give NaNs.
      const clipped =
        type === "kHALF" && this.#large.has(tensor)
          ? this.#target.addActivation(home, "kCLIP", -HALF_MAX, HALF_MAX)
          : home;
      return this.#target.addCast(clipped, type);
    });
    this.#target.layerNamePrefix = "";
    this.#casts.set(tensor, made);
    return made;
  }

  #constant(tensor: ITensor, type: DataType): ITensor {
    const made = this.#constants.get(tensor) as Partial<Record<DataType, ITensor>>;
    const known = made[type];
    if (known !== undefined) return known;
    const layer = tensor.producer as LayerOf<"kCONSTANT">;
    let output = tensor;
    if (type === "kFLOAT") this.#target.layers.push(layer);
    else {
      const weights = this.#convert(layer.attributes.weights, layer.name);
      output = this.#target.addLike(layer, [], { weights }).outputs[0] as ITensor;
    }
    made[type] = output;
    return output;
  }

  /** fp32 weights in the lower precision; memory that several layers share is converted once. */
  #convert(weights: Weights, layer: string): Weights {
    const { values, dims } = weights;
    const known = this.#converted.get(values.buffer) ?? new Map<string, Weights>();
    this.#converted.set(values.buffer, known);
    const key = `${values.byteOffset}:${values.byteLength}:${dims}`;
    let converted = known.get(key);
    if (converted === undefined) {
      const numbers = numbersOf(weights) as Float32Array;
      const saturation: Saturation = { count: 0 };
      const halves = this.#narrow === "kHALF" ? toHalf(numbers, saturation) : toBf16(numbers);
      if (saturation.count > 0) this.#warnSaturation(numbers, layer);
      converted = { type: this.#narrow, dims, values: new Uint8Array(halves.buffer) };
      known.set(key, converted);
    }
    return converted;
  }

  #warnSaturation(numbers: Float32Array, layer: string): void {
    const lost = numbers.filter((value) => Math.abs(value) > HALF_MAX && Math.abs(value) < MASK);
    if (lost.length === 0) return;
    this.#warnings.push(
      `${layer}: ${lost.length} of ${numbers.length} weights are beyond float16's range of ±${HALF_MAX} (${lost[0]} is) and became its largest value; name it in fp32_ops or use bf16`,
    );
  }
}

/**
 * What hides scores from a softmax whose weights the layer masks once more, in one operator: so does attention, for rows without
 * anything to see.
 */
function maskedBefore(layer: Layer): Layer | undefined {
  const softmax = layer.type === "kSELECT" ? layer.inputs[1]?.producer : undefined;
  const masked = softmax?.type === "kSOFTMAX" ? softmax.inputs[0]?.producer : undefined;
  const isOne =
    masked?.type === "kSELECT" &&
    masked.inputs[0] === layer.inputs[0] &&
    layerPath(masked).bare === layerPath(layer).bare;
  return isOne ? masked : undefined;
}

/** A constant with a finite number that a half does not hold twice over. */
function isLarge(tensor: ITensor): boolean {
  const layer = tensor.producer;
  if (layer?.type !== "kCONSTANT" || layer.attributes.weights.type !== "kFLOAT") return false;
  const { weights } = layer.attributes;
  if (weights.values.byteLength > 4 * LARGEST_MASK) return false;
  return numbersOf(weights).some((value) => Number.isFinite(value) && Math.abs(value) > HALF_MAX / 2);
}

/** A product of matrices that sums over more than one element; an outer product only multiplies. */
function contracts(layer: Layer): boolean {
  if (layer.type === "kMATRIX_MULTIPLY") {
    const { dims } = layer.inputs[0] as ITensor;
    const axis = layer.attributes.op0 === "kTRANSPOSE" ? dims.length - 2 : dims.length - 1;
    return dims[axis] !== 1;
  }
  if (layer.type !== "kEINSUM") return false;
  const [left = "", right = ""] = layer.attributes.equation.split("->");
  return [...left].some((label) => /[a-zA-Z]/.test(label) && !right.includes(label));
}
