import { TrtorchError } from "../util/errors.js";
import type {
  ActivationType,
  BoundingBoxFormat,
  DataType,
  ElementWiseOperation,
  FillOperation,
  GatherMode,
  InterpolationMode,
  LoopOutput,
  MatrixOperation,
  PoolingType,
  ReduceOperation,
  ResizeCoordinateTransformation,
  ResizeRoundMode,
  ResizeSelector,
  SampleMode,
  ScatterMode,
  TopKOperation,
  TripLimit,
  UnaryOperation,
} from "./enums.js";
import { inferMinusOne, inferOutputs, type OutputInfo } from "./inference.js";
import type { ITensor, Layer, LayerAttributes, LayerOf, LayerType, Scope, Weights } from "./layers.js";
import {
  type Atom,
  bounds,
  type Dim,
  fromAtom,
  isStatic,
  keyOf,
  lostInFloat32,
  type OperationAtom,
  SymFloat,
  SymInt,
  type SymScalar,
  sameDim,
  symbol,
  volume,
} from "./symbolic.js";
import { makeWeights } from "./weights.js";

interface MutableLayer extends LayerOf<LayerType> {
  inputs: (ITensor | null)[];
  outputs: ITensor[];
}

export interface ConvolutionOptions {
  readonly strideNd?: readonly number[];
  readonly prePadding?: readonly number[];
  readonly postPadding?: readonly number[];
  readonly dilationNd?: readonly number[];
  readonly nbGroups?: number;
}

/**
 * A TensorRT network definition as plain data, with the methods of `INetworkDefinition` in camelCase. It is always
 * strongly typed, and infers every tensor's dims and type itself: no library is loaded. Attributes are given when a layer
 * is added and do not change. Dims may be {@link SymInt}s; where TensorRT needs the value of one at run time, the shape
 * tensor that computes it is added here.
 */
export class Network {
  readonly inputs: ITensor[] = [];
  readonly outputs: ITensor[] = [];
  readonly layers: Layer[] = [];
  #ids = 0;
  #controlFlow = 0;
  #symbols = 0;
  #scope: Scope | undefined;
  readonly #shapeTensors = new Map<string, ITensor>();
  /** The prefix of the names of layers being added: set by the converter's context to the operator's place. */
  layerNamePrefix = "";
  readonly #names = new Map<string, number>();

  // --- Inputs and outputs --------------------------------------------------------------------------------------------

  addInput(name: string, type: DataType, dims: readonly Dim[]): ITensor {
    const tensor: ITensor = { id: this.#ids++, type, dims, producer: undefined, name };
    this.inputs.push(tensor);
    return tensor;
  }

  /**
   * An input with dims that are numbers or ranges. Ranges of one symbol share it; the first input that has it gives its
   * value at run time.
   */
  addDynamicInput(
    name: string,
    type: DataType,
    dims: readonly (number | { min: number; opt: number; max: number; symbol?: string })[],
    symbols: Map<string, SymInt> = new Map(),
  ): ITensor {
    const made: Dim[] = [];
    const tensor = this.addInput(name, type, made);
    dims.forEach((dim, axis) => {
      if (typeof dim === "number") made.push(dim);
      else if (dim.min === dim.max) made.push(dim.min);
      else {
        const key = dim.symbol ?? `${name}.${axis}`;
        const known = symbols.get(key) ?? symbol(key, dim, { tensor, axis });
        symbols.set(key, known);
        made.push(known);
      }
    });
    return tensor;
  }

  markOutput(tensor: ITensor, name: string): void {
    if (tensor.producer === undefined || this.outputs.includes(tensor)) {
      // A binding of its own for an input handed through, and for a tensor returned twice.
      tensor = this.addIdentity(tensor);
    }
    tensor.name = name;
    this.outputs.push(tensor);
  }

  // --- Layers ----------------------------------------------------------------------------------------------------------

  #add<T extends LayerType>(
    type: T,
    inputs: (ITensor | null)[],
    attributes: LayerAttributes[T],
    infer: () => OutputInfo[] = () => inferOutputs(type, inputs, attributes),
  ): ITensor[] {
    const base = this.layerNamePrefix === "" ? type.slice(1).toLowerCase() : this.layerNamePrefix;
    const count = this.#names.get(base) ?? 0;
    this.#names.set(base, count + 1);
    const layer: MutableLayer = {
      type,
      name: count === 0 ? base : `${base}#${count}`,
      inputs,
      outputs: [],
      attributes,
      scope: this.#scope,
    };
    for (const output of infer()) {
      const name = layer.outputs.length === 0 ? layer.name : `${layer.name}:${layer.outputs.length}`;
      layer.outputs.push({ id: this.#ids++, ...output, producer: layer as Layer, name });
    }
    this.layers.push(layer as Layer);
    return layer.outputs;
  }

  /** For a pass over this network: another with the same inputs, to which it adds the layers, changed or as they are. */
  derive(): Network {
    const network = new Network();
    network.inputs.push(...this.inputs);
    network.#ids = this.#ids;
    network.#controlFlow = this.#controlFlow;
    network.#symbols = this.#symbols;
    return network;
  }

  /**
   * A layer like `model`, of a network this one derives from, with other inputs, attributes or name. Dims stay as they
   * are; types are inferred anew.
   */
  addLike<T extends LayerType>(
    model: LayerOf<T>,
    inputs: readonly (ITensor | null)[],
    attributes: LayerAttributes[T] = model.attributes,
  ): LayerOf<T> {
    const layer: MutableLayer = { ...model, inputs: [...inputs], outputs: [], attributes };
    inferOutputs(model.type, inputs, attributes).forEach(({ type }, i) => {
      const { dims, name } = model.outputs[i] as ITensor;
      layer.outputs.push({ id: this.#ids++, type, dims, producer: layer as Layer, name });
    });
    this.layers.push(layer as Layer);
    return layer as unknown as LayerOf<T>;
  }

  #one<T extends LayerType>(type: T, inputs: (ITensor | null)[], attributes: LayerAttributes[T]): ITensor {
    return this.#add(type, inputs, attributes)[0] as ITensor;
  }

  /** `input` `[N, C, ...spatial]` with 2 or 3 spatial dims. `kernel` is `[nbOutputMaps, C / nbGroups, ...kernelSizeNd]`. */
  addConvolutionNd(
    input: ITensor,
    nbOutputMaps: number,
    kernelSizeNd: readonly number[],
    kernel: Weights | ITensor,
    bias: Weights | null,
    options: ConvolutionOptions = {},
  ): ITensor {
    return this.#convolution("kCONVOLUTION", input, nbOutputMaps, kernelSizeNd, kernel, bias, options);
  }

  /** `kernel` is `[C, nbOutputMaps / nbGroups, ...kernelSizeNd]`. */
  addDeconvolutionNd(
    input: ITensor,
    nbOutputMaps: number,
    kernelSizeNd: readonly number[],
    kernel: Weights | ITensor,
    bias: Weights | null,
    options: ConvolutionOptions = {},
  ): ITensor {
    return this.#convolution("kDECONVOLUTION", input, nbOutputMaps, kernelSizeNd, kernel, bias, options);
  }

  #convolution(
    type: "kCONVOLUTION" | "kDECONVOLUTION",
    input: ITensor,
    nbOutputMaps: number,
    kernelSizeNd: readonly number[],
    kernel: Weights | ITensor,
    bias: Weights | null,
    options: ConvolutionOptions,
  ): ITensor {
    const all = (value: number): number[] => kernelSizeNd.map(() => value);
    const isTensor = "id" in kernel;
    return this.#one(type, isTensor ? [input, kernel] : [input], {
      nbOutputMaps,
      kernelSizeNd,
      strideNd: options.strideNd ?? all(1),
      prePadding: options.prePadding ?? all(0),
      postPadding: options.postPadding ?? options.prePadding ?? all(0),
      dilationNd: options.dilationNd ?? all(1),
      nbGroups: options.nbGroups ?? 1,
      kernel: isTensor ? null : kernel,
      bias,
    });
  }

  addCast(input: ITensor, toType: DataType): ITensor {
    return input.type === toType ? input : this.#one("kCAST", [input], { toType });
  }

  addIdentity(input: ITensor): ITensor {
    return this.#one("kIDENTITY", [input], {});
  }

  addActivation(input: ITensor, activationType: ActivationType, alpha = 0, beta = 0): ITensor {
    return this.#one("kACTIVATION", [input], { activationType, alpha, beta });
  }

  addPoolingNd(
    input: ITensor,
    poolingType: PoolingType,
    windowSizeNd: readonly number[],
    options: {
      strideNd?: readonly number[];
      prePadding?: readonly number[];
      postPadding?: readonly number[];
      averageCountExcludesPadding?: boolean;
      roundUp?: boolean;
    } = {},
  ): ITensor {
    const prePadding = options.prePadding ?? windowSizeNd.map(() => 0);
    return this.#one("kPOOLING", [input], {
      poolingType,
      windowSizeNd,
      strideNd: options.strideNd ?? windowSizeNd,
      prePadding,
      postPadding: options.postPadding ?? prePadding,
      averageCountExcludesPadding: options.averageCountExcludesPadding ?? true,
      roundUp: options.roundUp ?? false,
    });
  }

  addSoftMax(input: ITensor, axis: number): ITensor {
    return this.#one("kSOFTMAX", [input], { axis });
  }

  addConcatenation(inputs: readonly ITensor[], axis: number): ITensor {
    return inputs.length === 1 ? (inputs[0] as ITensor) : this.#one("kCONCATENATION", [...inputs], { axis });
  }

  /** Ranks must be equal; dims equal or 1. kEQUAL, kGREATER and kLESS give bool. */
  addElementWise(input1: ITensor, input2: ITensor, operation: ElementWiseOperation): ITensor {
    return this.#one("kELEMENTWISE", [input1, input2], { operation });
  }

  addUnary(input: ITensor, operation: UnaryOperation): ITensor {
    return this.#one("kUNARY", [input], { operation });
  }

  /**
   * Transpose, reshape, transpose. `reshape` gives the dims after the first transpose's reshape; one of them may be -1.
   * Dims that stay, and one that follows from the volume, need nothing at run time; more unknown dims become a shape tensor.
   */
  addShuffle(
    input: ITensor,
    options: {
      firstTranspose?: readonly number[] | undefined;
      reshape?: readonly Dim[] | undefined;
      secondTranspose?: readonly number[] | undefined;
    },
  ): ITensor {
    const before = options.firstTranspose?.map((axis) => input.dims[axis] as Dim) ?? input.dims;
    const firstTranspose = options.firstTranspose ?? null;
    const secondTranspose = options.secondTranspose ?? null;
    if (options.reshape === undefined) {
      return this.#one("kSHUFFLE", [input], {
        firstTranspose,
        reshapeDimensions: null,
        secondTranspose,
        dims: before,
        zeroIsPlaceholder: true,
      });
    }
    const dims = inferMinusOne(options.reshape, volume(before));
    const [from, to] = [volume(before), volume(dims)];
    if (typeof from === "number" && typeof to === "number" && from !== to) {
      throw new TrtorchError(
        "conversion",
        `[${before.map(String)}] cannot be reshaped to [${options.reshape.map(String)}]`,
      );
    }
    const copies = dims.map((dim, i) => typeof dim !== "number" && i < before.length && sameDim(dim, before[i] as Dim));
    const unknown = dims.filter((dim, i) => typeof dim !== "number" && !copies[i]);
    const hasZero = dims.includes(0);
    // Of no elements any -1 could be made.
    const isInferable = unknown.length === 0 || dims.every((dim) => dim === unknown[0] || bounds(dim).min > 0);
    if (unknown.length <= 1 && isInferable && !(hasZero && copies.includes(true))) {
      const reshapeDimensions = dims.map((dim, i) => (typeof dim === "number" ? dim : copies[i] ? 0 : -1));
      return this.#one("kSHUFFLE", [input], {
        firstTranspose,
        reshapeDimensions,
        secondTranspose,
        dims,
        zeroIsPlaceholder: !hasZero,
      });
    }
    return this.#one("kSHUFFLE", [input, this.shapeTensor(dims)], {
      firstTranspose,
      reshapeDimensions: null,
      secondTranspose,
      dims,
      zeroIsPlaceholder: false,
    });
  }

  addReduce(input: ITensor, operation: ReduceOperation, axes: readonly number[], keepDimensions: boolean): ITensor {
    return this.#one("kREDUCE", [input], { operation, axes, keepDimensions });
  }

  /** Values and int64 indices of the k largest or smallest along `axis`, in order. */
  addTopK(input: ITensor, operation: TopKOperation, k: Dim, axis: number): [values: ITensor, indices: ITensor] {
    const inputs = typeof k === "number" ? [input] : [input, this.addCast(this.scalarTensor(k), "kINT32")];
    return this.#add("kTOPK", inputs, { operation, k, axis }) as [ITensor, ITensor];
  }

  addGather(
    data: ITensor,
    indices: ITensor,
    axis: number,
    mode: GatherMode = "kDEFAULT",
    nbElementWiseDims = 0,
  ): ITensor {
    return this.#one("kGATHER", [data, indices], { mode, axis, nbElementWiseDims });
  }

  addMatrixMultiply(input0: ITensor, op0: MatrixOperation, input1: ITensor, op1: MatrixOperation): ITensor {
    return this.#one("kMATRIX_MULTIPLY", [input0, input1], { op0, op1 });
  }

  addConstant(weights: Weights): ITensor {
    return this.#one("kCONSTANT", [], { weights });
  }

  /** `start`, `size` and `stride` an axis each. kFILL takes the value of `fill` (0-d) outside the input. */
  addSlice(
    input: ITensor,
    start: readonly Dim[],
    size: readonly Dim[],
    stride: readonly Dim[],
    mode: SampleMode = "kSTRICT_BOUNDS",
    fill: ITensor | null = null,
  ): ITensor {
    const parts = [start, size, stride].map((dims) => (isStatic(dims) ? null : this.shapeTensor(dims)));
    const inputs = [input, ...parts, fill];
    while (inputs.at(-1) === null) inputs.pop();
    return this.#one("kSLICE", inputs, { start, size, stride, mode });
  }

  addShape(input: ITensor): ITensor {
    return this.#one("kSHAPE", [input], {});
  }

  addParametricReLU(input: ITensor, slope: ITensor): ITensor {
    return this.#one("kPARAMETRIC_RELU", [input, slope], {});
  }

  /** `outputDimensions` for every axis. `scales`, an axis each, replace the ratio of sizes in the coordinates. */
  addResize(
    input: ITensor,
    outputDimensions: readonly Dim[],
    options: {
      resizeMode: InterpolationMode;
      coordinateTransformation: ResizeCoordinateTransformation;
      scales?: readonly number[] | undefined;
      selectorForSinglePixel?: ResizeSelector;
      nearestRounding?: ResizeRoundMode;
      cubicCoeff?: number;
      excludeOutside?: boolean;
    },
  ): ITensor {
    const byScales = options.scales !== undefined;
    const inputs = isStatic(outputDimensions) || byScales ? [input] : [input, this.shapeTensor(outputDimensions)];
    return this.#one("kRESIZE", inputs, {
      outputDimensions,
      scales: options.scales ?? null,
      resizeMode: options.resizeMode,
      coordinateTransformation: options.coordinateTransformation,
      selectorForSinglePixel: options.selectorForSinglePixel ?? "kFORMULA",
      nearestRounding: options.nearestRounding ?? "kFLOOR",
      cubicCoeff: options.cubicCoeff ?? -0.75,
      excludeOutside: options.excludeOutside ?? false,
    });
  }

  addSelect(condition: ITensor, thenInput: ITensor, elseInput: ITensor): ITensor {
    return this.#one("kSELECT", [condition, thenInput, elseInput], {});
  }

  /** kLINSPACE: `alpha + sum over axes of beta[axis] * index[axis]`; `alpha` is 0-d, `beta` 1-d with a step an axis. */
  addFill(
    dimensions: readonly Dim[],
    operation: FillOperation,
    toType: DataType,
    alpha: ITensor,
    beta: ITensor,
  ): ITensor {
    const shape = isStatic(dimensions) ? null : this.shapeTensor(dimensions);
    return this.#one("kFILL", [shape, alpha, beta], { dimensions, operation, toType });
  }

  addQuantize(input: ITensor, scale: ITensor, toType: DataType, axis = -1, zeroPoint: ITensor | null = null): ITensor {
    return this.#one("kQUANTIZE", zeroPoint === null ? [input, scale] : [input, scale, zeroPoint], { axis, toType });
  }

  addDequantize(
    input: ITensor,
    scale: ITensor,
    toType: DataType,
    axis = -1,
    zeroPoint: ITensor | null = null,
  ): ITensor {
    return this.#one("kDEQUANTIZE", zeroPoint === null ? [input, scale] : [input, scale, zeroPoint], { axis, toType });
  }

  addScatter(data: ITensor, indices: ITensor, updates: ITensor, mode: ScatterMode, axis = 0): ITensor {
    return this.#one("kSCATTER", [data, indices, updates], { mode, axis });
  }

  addEinsum(inputs: readonly ITensor[], equation: string): ITensor {
    return this.#one("kEINSUM", [...inputs], { equation });
  }

  /** `values` is `[off, on]`. The new axis is inserted at `axis`. */
  addOneHot(indices: ITensor, values: ITensor, depth: Dim, axis: number): ITensor {
    const depthTensor = this.addCast(this.scalarTensor(depth), "kINT32");
    return this.#one("kONE_HOT", [indices, values, depthTensor], { axis, depth });
  }

  /** int64 `[rank, count]`; the count is a symbol of its own. Not in TensorRT-RTX. */
  addNonZero(input: ITensor): ITensor {
    const dims: Dim[] = [input.dims.length];
    const [tensor] = this.#add("kNON_ZERO", [input], {}, () => [{ type: "kINT64", dims }]) as [ITensor];
    dims.push(this.newSymbol("nonzero", { min: 0, max: upperBound(volume(input.dims)) }, { tensor, axis: 1 }));
    return tensor;
  }

  addGridSample(
    input: ITensor,
    grid: ITensor,
    options: { interpolationMode: InterpolationMode; alignCorners: boolean; sampleMode: SampleMode },
  ): ITensor {
    return this.#one("kGRID_SAMPLE", [input, grid], options);
  }

  /** Selected `[count, 3]` (batch, class, box) int64; the count is a symbol of its own. Not in TensorRT-RTX. */
  addNMS(
    boxes: ITensor,
    scores: ITensor,
    maxOutputBoxesPerClass: ITensor,
    options: {
      iouThreshold: ITensor;
      scoreThreshold: ITensor;
      boundingBoxFormat: BoundingBoxFormat;
      topKBoxLimit: number;
    },
  ): ITensor {
    const dims: Dim[] = [];
    const { boundingBoxFormat, topKBoxLimit } = options;
    const inputs = [boxes, scores, maxOutputBoxesPerClass, options.iouThreshold, options.scoreThreshold];
    const [selected] = this.#add("kNMS", inputs, { boundingBoxFormat, topKBoxLimit }, () => [
      { type: "kINT64", dims },
      { type: "kINT32", dims: [] },
    ]) as [ITensor];
    dims.push(
      this.newSymbol("nms", { min: 0, max: upperBound(boxes.dims[1] as Dim) }, { tensor: selected, axis: 0 }),
      3,
    );
    return selected;
  }

  addNormalization(
    input: ITensor,
    scale: ITensor,
    bias: ITensor,
    axes: readonly number[],
    epsilon: number,
    nbGroups = 1,
  ): ITensor {
    return this.#one("kNORMALIZATION", [input, scale, bias], { axes, epsilon, nbGroups });
  }

  addCumulative(input: ITensor, axis: number, options: { exclusive?: boolean; reverse?: boolean } = {}): ITensor {
    const axisTensor = this.addConstant(makeWeights("kINT32", [], [axis]));
    return this.#one("kCUMULATIVE", [input, axisTensor], {
      axis,
      exclusive: options.exclusive ?? false,
      reverse: options.reverse ?? false,
    });
  }

  /** softmax(query key^T + mask) value, without a scale. Tensors `[batch, heads, length, size]`; bool masks keep where true. */
  addAttention(query: ITensor, key: ITensor, value: ITensor, mask: ITensor | null, causal: boolean): ITensor {
    return this.#one("kATTENTION", mask === null ? [query, key, value] : [query, key, value, mask], { causal });
  }

  // --- Control flow ------------------------------------------------------------------------------------------------------

  addIfConditional(condition: ITensor): IfConditional {
    const conditional = this.#controlFlow++;
    this.#add("kCONDITION", [condition], { conditional });
    const boundary = new Map<ITensor, ITensor>();
    return {
      branch: (kind, build) => {
        const start = this.layers.length;
        const result = this.within({ kind, owner: conditional, parent: this.#scope }, build);
        this.#enterBranch(conditional, start, boundary);
        return result;
      },
      addOutput: (thenOutput, elseOutput) => this.#conditionalOutput(conditional, thenOutput, elseOutput),
    };
  }

  /** Where the branches' sizes differ, only running tells: a symbol of its own. */
  #conditionalOutput(conditional: number, thenOutput: ITensor, elseOutput: ITensor): ITensor {
    const inputs = [thenOutput, elseOutput];
    const [inferred] = inferOutputs("kCONDITIONAL_OUTPUT", inputs, { conditional }) as [OutputInfo];
    const dims = [...inferred.dims];
    const [tensor] = this.#add("kCONDITIONAL_OUTPUT", inputs, { conditional }, () => [{ ...inferred, dims }]) as [
      ITensor,
    ];
    for (const [axis, dim] of thenOutput.dims.entries()) {
      const other = elseOutput.dims[axis] as Dim;
      if (sameDim(dim, other)) continue;
      const [a, b] = [bounds(dim), bounds(other)];
      const range = { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
      dims[axis] = this.newSymbol("branch", range, { tensor, axis });
    }
    return tensor;
  }

  /**
   * Lets the layers of a branch, added since `start`, reach tensors from outside through conditional inputs, which is how
   * TensorRT knows where the branch begins.
   */
  #enterBranch(conditional: number, start: number, boundary: Map<ITensor, ITensor>): void {
    const added = this.layers.splice(start) as MutableLayer[];
    const inside = new Set<ITensor>(added.flatMap((layer) => layer.outputs));
    for (const layer of added) {
      layer.inputs.forEach((input, i) => {
        if (input === null || inside.has(input) || isWithin(input.producer?.scope, conditional)) return;
        let entry = boundary.get(input);
        if (entry === undefined) {
          entry = this.#one("kCONDITIONAL_INPUT", [input], { conditional });
          boundary.set(input, entry);
        }
        layer.inputs[i] = entry;
      });
    }
    this.layers.push(...(added as Layer[]));
  }

  addLoop(): Loop {
    const loop = this.#controlFlow++;
    const body: Scope = { kind: "loop", owner: loop, parent: this.#scope };
    return {
      addTripLimit: (limit, tripLimit) => {
        this.within(body, () => this.#add("kTRIP_LIMIT", [limit], { loop, tripLimit }));
      },
      addRecurrence: (initial) => {
        const value = this.within(body, () => this.#one("kRECURRENCE", [initial, null], { loop }));
        const layer = value.producer as unknown as MutableLayer;
        return {
          value,
          setNext: (next) => {
            layer.inputs[1] = next;
          },
        };
      },
      addIterator: (tensor, axis = 0, reverse = false) =>
        this.within(body, () => this.#one("kITERATOR", [tensor], { loop, axis, reverse })),
      body: (build) => this.within(body, build),
      addLoopOutput: (tensor, loopOutput, axis = 0, length = 1) => {
        const inputs = loopOutput === "kLAST_VALUE" ? [tensor] : [tensor, this.scalarTensor(length)];
        return this.#one("kLOOP_OUTPUT", inputs, { loop, loopOutput, axis, length });
      },
    };
  }

  /** Runs `build`, whose layers belong to a region of control flow. */
  within<R>(scope: Scope | undefined, build: () => R): R {
    const outer = this.#scope;
    this.#scope = scope;
    try {
      return build();
    } finally {
      this.#scope = outer;
    }
  }

  // --- Values computed at run time ------------------------------------------------------------------------------------------

  /** A size that only running the network tells, read from `source`. */
  newSymbol(
    name: string,
    bounds: { min: number; max: number },
    source: { readonly tensor: ITensor; readonly axis?: number },
  ): SymInt {
    const opt = Number.isFinite(bounds.max) ? Math.ceil((bounds.min + bounds.max) / 2) : Math.max(bounds.min, 1);
    return symbol(`${name}.${this.#symbols++}`, { ...bounds, opt }, source);
  }

  /** Dims as a 1-d int64 tensor: a constant where all are numbers, else layers that compute them. */
  shapeTensor(dims: readonly Dim[]): ITensor {
    return this.#memo(`shape[${dims.map(keyOf).join(",")}]`, () => {
      if (isStatic(dims)) return this.addConstant(makeWeights("kINT64", [dims.length], dims));
      const parts: ITensor[] = [];
      for (let i = 0; i < dims.length; ) {
        // Numbers that follow each other are one constant.
        let end = i;
        while (end < dims.length && typeof dims[end] === "number") end++;
        if (end > i) parts.push(this.addConstant(makeWeights("kINT64", [end - i], dims.slice(i, end) as number[])));
        else parts.push(this.#vector(dims[end++] as Dim));
        i = end;
      }
      return this.addConcatenation(parts, 0);
    });
  }

  /** A number computed from sizes as a 0-d tensor: int64, float, or bool. */
  scalarTensor(value: SymScalar): ITensor {
    return this.#memo(`scalar ${typeof value} ${keyOf(value)}`, () => {
      if (typeof value === "number") return this.addConstant(makeWeights("kINT64", [], [value]));
      if (typeof value === "boolean") return this.addConstant(makeWeights("kBOOL", [], [Number(value)]));
      return this.addShuffle(this.#vector(value), { reshape: [] });
    });
  }

  /** A value as a tensor of one element, `[1]`. Plain numbers are int64. */
  #vector(value: SymScalar): ITensor {
    return this.#memo(`vector ${typeof value} ${keyOf(value)}`, () => {
      if (typeof value === "number") return this.addConstant(makeWeights("kINT64", [1], [value]));
      if (typeof value === "boolean") return this.addConstant(makeWeights("kBOOL", [1], [Number(value)]));
      if (value instanceof SymInt) return this.#polynomial(value);
      const floats = (): [ITensor, ITensor] => value.args.map((arg) => this.#floatVector(arg)) as [ITensor, ITensor];
      const numbers = (): [ITensor, ITensor] =>
        (value.args.some((arg) => arg instanceof SymFloat || (typeof arg === "number" && !Number.isInteger(arg)))
          ? floats()
          : value.args.map((arg) => this.#vector(arg))) as [ITensor, ITensor];
      switch (value.operation) {
        case "toFloat":
          return floats()[0];
        case "add":
          return this.addElementWise(...floats(), "kSUM");
        case "sub":
          return this.addElementWise(...floats(), "kSUB");
        case "mul":
          return this.addElementWise(...floats(), "kPROD");
        case "div":
          return this.addElementWise(...floats(), "kDIV");
        case "pow":
          return this.addElementWise(...floats(), "kPOW");
        case "min":
          return this.addElementWise(...floats(), "kMIN");
        case "max":
          return this.addElementWise(...floats(), "kMAX");
        case "sqrt":
          return this.addUnary(floats()[0], "kSQRT");
        case "log":
          return this.addUnary(floats()[0], "kLOG");
        case "exp":
          return this.addUnary(floats()[0], "kEXP");
        case "neg":
          return this.addUnary(floats()[0], "kNEG");
        case "eq":
          return this.addElementWise(...numbers(), "kEQUAL");
        case "ne":
          return this.addUnary(this.addElementWise(...numbers(), "kEQUAL"), "kNOT");
        case "lt":
          return this.addElementWise(...numbers(), "kLESS");
        case "le":
          return this.addUnary(this.addElementWise(...numbers(), "kGREATER"), "kNOT");
        case "and":
          return this.addElementWise(
            this.#vector(value.args[0] as SymScalar),
            this.#vector(value.args[1] as SymScalar),
            "kAND",
          );
        case "or":
          return this.addElementWise(
            this.#vector(value.args[0] as SymScalar),
            this.#vector(value.args[1] as SymScalar),
            "kOR",
          );
        case "not":
          return this.addUnary(this.#vector(value.args[0] as SymScalar), "kNOT");
      }
    });
  }

  #floatVector(value: SymScalar): ITensor {
    if (typeof value === "number") return this.addConstant(makeWeights("kFLOAT", [1], [value]));
    return this.addCast(this.#vector(value), "kFLOAT");
  }

  #polynomial(value: SymInt): ITensor {
    let sum: ITensor | undefined;
    for (const { atoms, coefficient } of value.terms) {
      let product: ITensor | undefined;
      for (const atom of atoms) {
        const factor = this.#atom(atom);
        product = product === undefined ? factor : this.addElementWise(product, factor, "kPROD");
      }
      if (product === undefined) product = this.#vector(coefficient);
      else if (coefficient !== 1) product = this.addElementWise(product, this.#vector(coefficient), "kPROD");
      sum = sum === undefined ? product : this.addElementWise(sum, product, "kSUM");
    }
    return sum as ITensor;
  }

  #atom(atom: Atom): ITensor {
    return this.#memo(`atom ${atom.key}`, () => {
      if (atom.kind === "symbol") {
        const tensor = atom.source.tensor as ITensor;
        if (atom.source.axis === undefined) {
          return this.addShuffle(this.addCast(tensor, "kINT64"), { reshape: [1] });
        }
        return this.addSlice(this.addShape(tensor), [atom.source.axis], [1], [1]);
      }
      const [x, y, z] = atom.args as [SymScalar, SymScalar, SymScalar];
      if (x instanceof SymFloat) refuseLostDigits(atom);
      switch (atom.operation) {
        case "floordiv":
          return this.addElementWise(this.#vector(x), this.#vector(y), "kFLOOR_DIV");
        case "min":
          return this.addElementWise(this.#vector(x), this.#vector(y), "kMIN");
        case "max":
          return this.addElementWise(this.#vector(x), this.#vector(y), "kMAX");
        case "select":
          return this.addSelect(this.#vector(x), this.#vector(y), this.#vector(z));
        case "trunc":
          return this.addCast(this.#floatVector(x), "kINT64");
        case "floor":
          return this.addCast(this.addUnary(this.#floatVector(x), "kFLOOR"), "kINT64");
        case "ceil":
          return this.addCast(this.addUnary(this.#floatVector(x), "kCEIL"), "kINT64");
        case "round":
          return this.addCast(this.addUnary(this.#floatVector(x), "kROUND"), "kINT64");
      }
    });
  }

  /** The tensor made for `key` before, if it can be seen from here: made in this region of control flow or around it. */
  #memo(key: string, make: () => ITensor): ITensor {
    for (let scope: Scope | undefined = this.#scope; ; scope = scope.parent) {
      const known = this.#shapeTensors.get(`${scope === undefined ? "" : `${scope.kind}${scope.owner} `}${key}`);
      if (known !== undefined) return known;
      if (scope === undefined) break;
    }
    const tensor = make();
    const scope = this.#scope;
    this.#shapeTensors.set(`${scope === undefined ? "" : `${scope.kind}${scope.owner} `}${key}`, tensor);
    return tensor;
  }

  // --- Whole network ----------------------------------------------------------------------------------------------------

  /** Drops layers that no output needs. Layers keep their order. */
  prune(): void {
    const needed = new Set<Layer>();
    const pending = this.outputs.map((tensor) => tensor.producer);
    const control = new Map<number, Layer[]>();
    for (const layer of this.layers) {
      const owner = controlOf(layer);
      if (owner !== undefined) control.set(owner, [...(control.get(owner) ?? []), layer]);
    }
    const entered = new Set<number>();
    while (pending.length > 0) {
      const layer = pending.pop();
      if (layer === undefined || needed.has(layer)) continue;
      needed.add(layer);
      for (const input of layer.inputs) pending.push(input?.producer);
      // A conditional's condition and a loop's trip limit belong to it whole.
      const owner = controlOf(layer);
      if (owner !== undefined && !entered.has(owner)) {
        entered.add(owner);
        for (const part of control.get(owner) ?? []) {
          if (part.type === "kCONDITION" || part.type === "kTRIP_LIMIT") pending.push(part);
        }
      }
    }
    const kept = this.layers.filter((layer) => needed.has(layer));
    this.layers.length = 0;
    this.layers.push(...kept);
  }
}

function isWithin(scope: Scope | undefined, conditional: number): boolean {
  for (let at = scope; at !== undefined; at = at.parent)
    if (at.kind !== "loop" && at.owner === conditional) return true;
  return false;
}

function controlOf(layer: Layer): number | undefined {
  const attributes = layer.attributes as { conditional?: number; loop?: number };
  return attributes.conditional ?? attributes.loop;
}

/** Floats of sizes are float32 in the network, and doubles in the model. */
function refuseLostDigits(atom: OperationAtom): void {
  const value = fromAtom(atom);
  const example = lostInFloat32(value);
  if (example === undefined) return;
  throw new TrtorchError("unsupported", `${value} is another number in float32 than in Python, for ${example}`, {
    hint: "Compute the size with integers (n * 29 // 100 for int(n * 0.29)), or narrow the range of the sizes that it is made of.",
  });
}

function upperBound(dim: Dim): number {
  return typeof dim === "number" ? dim : dim.max;
}

/** `IIfConditional`: both branches are layers of the network; only the taken one runs. */
export interface IfConditional {
  /** Runs `build`, whose layers belong to the branch; tensors from outside enter it through conditional inputs. */
  branch<R>(kind: "then" | "else", build: () => R): R;
  addOutput(thenOutput: ITensor, elseOutput: ITensor): ITensor;
}

/** `ILoop`. */
export interface Loop {
  /** kCOUNT takes a 0-d int, kWHILE a 0-d bool computed in the body. */
  addTripLimit(limit: ITensor, kind: TripLimit): void;
  /** A value that an iteration hands to the next. */
  addRecurrence(initial: ITensor): { readonly value: ITensor; setNext(next: ITensor): void };
  addIterator(tensor: ITensor, axis?: number, reverse?: boolean): ITensor;
  body<R>(build: () => R): R;
  addLoopOutput(tensor: ITensor, kind: LoopOutput, axis?: number, length?: Dim): ITensor;
}
